"""How a process that was started without a task gets one: read from the configuration, written into a file.

Reading a configuration takes as much memory as all the rest of a port reader, and a process keeps what it has loaded.
So a process that has read one writes its task into a file and becomes a new program (`exec`), with the same arguments
and the task's file. The process stays the same one, with its pid, its standard streams and its parent: a supervisor, a
container or a shell that has started it sees nothing of it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn
from zlib import crc32

from common.config.active import find_gateway
from common.config.models import Gateway
from common.config.names import SECRET_VARIABLES
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless_lines
from common.io.endpoints import socket_dir
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.private import make_private, write_private
from common.io.variables import WITHHELD

TASKS_DIR: Final = "tasks-by-hand"
"""Folder beside the sockets, a file a journal. Not the one of `serialgw run`, whose processes believe what is in it."""
OLD_S: Final = 86_400.0
"""A task is read within a second of its being written."""


def find_configuration(options: argparse.Namespace, kind: str) -> Gateway:
    """The configuration that the arguments name, for a process of this kind; its warnings are said.

    Raises SystemExit, having said why: EXIT_CONFIG for one that can't be used, EXIT_UNAVAILABLE for what may be there
    next time.
    """
    try:
        gateway, warnings = find_gateway(options.config, options.active, options.data_dir, kind, os.environ)
    except ConfigError as error:
        stop(str(error))
    except LinkError as error:
        stop(str(error), EXIT_UNAVAILABLE)
    for warning in warnings:
        print(harmless_lines(f"warning: {warning}"), file=sys.stderr)  # noqa: T201
    return gateway


def words_of(options: argparse.Namespace) -> list[str]:
    """The arguments without the task's own, in one form: with these a process whose task is lost makes a new one."""
    active = [] if options.active is None else [f"--active={options.active}"]
    places = [f"--config={options.config}", f"--data-dir={options.data_dir}"]
    return [*places, *active, f"--log-level={options.log_level}"]


def start_anew(
    task: bytes,
    *,
    data_dir: Path,
    journal: str,
    words: Callable[[Path], list[str]],
    is_found: Callable[[Sequence[str]], bool],
) -> None:
    """Becomes a program that starts with the task. Returns only where that can't be.

    That is so on a full disk, where the folder of the sockets is not to be had, or where a task in it would not be
    believed; then the caller still has the task, and serving itself reports what is wrong. `words` gives the arguments
    for a task in this file, `is_found` says whether a process with these arguments would find it.
    """
    try:
        folder = socket_dir(data_dir) / TASKS_DIR
        make_private(folder)
        arguments = words(keep_task(folder, Path(journal).name, task))
        # Else the new program would read the configuration again, and end up here, without an end.
        if is_found(arguments):
            sys.stdout.flush()
            sys.stderr.flush()
            os.execve(sys.executable, [*_interpreter_words(), *arguments], _without_secrets(os.environ))
    except (OSError, LinkError):
        return


def keep_task(folder: Path, journal: str, task: bytes) -> Path:
    """Writes a task into the folder, and removes those of the same journal that were written over a day ago: each edit
    of the configuration makes one. Raises OSError.

    It is under a name of its own: another start, with another configuration, must not put its task in place of ours.
    """
    for old in folder.glob(f"{journal}.*"):
        if old.stat().st_mtime < time.time() - OLD_S:
            old.unlink(missing_ok=True)
    place = folder / f"{journal}.{crc32(task):08x}"
    write_private(place, task.decode())
    return place


def _interpreter_words() -> list[str]:
    """Python and its own options, as this process was started: `-P`, `-m` and the module's name among them."""
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that reads no secrets. The names stay, with a word for a value, because a
    configuration that needs them is incomplete without; it would be read again if the task were lost."""
    return {name: WITHHELD if name in SECRET_VARIABLES and value else value for name, value in environ.items()}


def stop(message: str, code: int = EXIT_CONFIG) -> NoReturn:
    """Ends this process, having said why."""
    print(harmless_lines(message), file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
