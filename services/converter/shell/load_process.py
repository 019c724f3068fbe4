"""`python -P -m services.converter.shell.load_process --result FD --parent PID`: loads users' classes, as a host would.

`serialgw check` starts it, says on standard input what is to be loaded, and hears on another descriptor what came of
each, one line of JSON before it and one after. Users' code may do anything here: nobody waits for this process for
long, and it ends with whoever has started it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys

from common.compat.classes import find_in_folders
from common.compat.hook import install
from common.config.models import device_of
from common.core.errors import ConversionError, printable
from common.io.parent import end_with_parent
from common.io.private import keep_private
from common.io.users_path import add_users_path
from services.converter.shell.extensions import load_converter


def main(arguments: list[str] | None = None) -> int:
    """Loads what standard input asks for, `{"dirs": [folder], "loads": [[number, class, section, kind]]}`; returns 0.
    A `kind` names the folder of a connector's class, which is only imported: constructors of connectors open what is
    theirs."""
    keep_private()
    parser = argparse.ArgumentParser(prog="python -m services.converter.shell.load_process", description=__doc__)
    parser.add_argument("--result", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args(arguments)
    if not end_with_parent(options.parent, signal.SIGKILL):
        return 0
    asked = json.load(sys.stdin)
    # What users' code starts must not keep it open, nor read what we have read.
    os.set_inheritable(options.result, False)
    add_users_path()
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    for number, name, section, kind in asked["loads"]:
        _tell(options.result, [number, None])
        why = _import(name, kind, asked["dirs"]) if kind else _load(name, section, asked["dirs"])
        _tell(options.result, [number, why])
    return 0


def _load(name: str, section: str, extension_dirs: list[str]) -> str:
    """Why the class does not load; "" if it does."""
    try:
        load_converter(name, device_of(section.encode()), extension_dirs, logging.getLogger("serialgw.converter"))
    except ConversionError as error:
        return printable(str(error))
    return ""


def _import(name: str, kind: str, extension_dirs: list[str]) -> str:
    """Why a connector's class can't be had; "" if it can."""
    install(extension_dirs)
    try:
        found = find_in_folders(name, extension_dirs, kind)
    except ConversionError as error:
        return printable(str(error))
    return "" if isinstance(found, type) else f"{name}: it is no class once its file has run"


def _tell(descriptor: int, message: list[object]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    code = main()
    # Threads that users' code has left running must not keep the process.
    os._exit(code)
