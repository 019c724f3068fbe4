"""How a port reader that was started without a task gets one: read from the configuration, written into a file.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn
from zlib import crc32

from common.config.active import find_gateway
from common.config.models import Device, Gateway
from common.config.names import SECRET_VARIABLES
from common.config.task import Task, device_task, task_words, write_task, written_task
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless_lines
from common.io.arguments import service_parser
from common.io.endpoints import socket_dir
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.private import make_private, write_private
from common.io.variables import WITHHELD

KIND: Final = "port_reader"
TASKS_DIR: Final = "tasks-by-hand"
"""Folder beside the sockets, a file a journal. Not the one of `serialgw run`, whose readers believe what is in it."""


OLD_S: Final = 86_400.0
"""A task is read within a second of its being written."""


def find_task(arguments: Sequence[str]) -> tuple[Task, list[str]]:
    """The task that the arguments name, and those arguments in the form in which a new program is to get them.

    Raises SystemExit, having said why, where there is no task: 2 for arguments that don't fit, EXIT_CONFIG for a
    configuration that can't be used or that has no such device, EXIT_UNAVAILABLE for what may be there next time.
    """
    options = _parser().parse_args(arguments)
    try:
        gateway, warnings = find_gateway(options.config, options.active, options.data_dir, KIND, os.environ)
    except ConfigError as error:
        _stop(str(error))
    except LinkError as error:
        _stop(str(error), EXIT_UNAVAILABLE)
    for warning in warnings:
        print(harmless_lines(f"warning: {warning}"), file=sys.stderr)  # noqa: T201
    return _task_of(gateway, options), _words_of(options)


def start_anew(task: Task, arguments: Sequence[str]) -> None:
    """Becomes a program that starts with the task and these arguments. Returns only where that can't be.

    That is so on a full disk, where the folder of the sockets is not to be had, or where a task in it would not be
    believed; then the caller still has the task, and serving itself reports what is wrong.
    """
    try:
        folder = socket_dir(Path(task.data_dir)) / TASKS_DIR
        make_private(folder)
        text = write_task(task).decode()
        # Under a name of its own: another start, with another configuration, must not put its task in place of ours.
        place = folder / f"{Path(task.journal).name}.{crc32(text.encode()):08x}"
        _drop_old(folder, Path(task.journal).name)
        write_private(place, text)
        words = [*arguments, *task_words(task, place)]
        # Else the new program would read the configuration again, and end up here, without an end.
        if written_task(words) == task:
            sys.stdout.flush()
            sys.stderr.flush()
            os.execve(sys.executable, [*_interpreter_words(), *words], _without_secrets(os.environ))
    except (OSError, LinkError):
        return


def _drop_old(folder: Path, journal: str) -> None:
    """Removes tasks of this journal that were written over a day ago: each edit of the configuration makes one."""
    for old in folder.glob(f"{journal}.*"):
        if old.stat().st_mtime < time.time() - OLD_S:
            old.unlink(missing_ok=True)


def _interpreter_words() -> list[str]:
    """Python and its own options, as this process was started: `-P`, `-m` and the module's name among them."""
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that reads no secrets. The names stay, with a word for a value, because a
    configuration that needs them is incomplete without; it would be read again if the task were lost."""
    return {name: WITHHELD if name in SECRET_VARIABLES and value else value for name, value in environ.items()}


def _parser() -> argparse.ArgumentParser:
    parser = service_parser("port_reader", "Reads one serial port, and writes to it what calls ask for.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--device", metavar="NAME", help="the device as the configuration names it")
    group.add_argument("--journal", type=Path, metavar="FILE", help="send what this journal holds, without a port")
    parser.add_argument("--task", metavar="FILE", help="what `serialgw run` has made of the configuration for it")
    return parser


def _task_of(gateway: Gateway, options: argparse.Namespace) -> Task:
    if options.journal is None:
        return device_task(gateway, _find(gateway, options.device), options.data_dir, options.log_level)
    if not options.journal.is_file():
        # `serialgw run` names those that were there when it planned; one that is not has been sent since, to its end.
        _stop(f"--journal: {options.journal} is no file", EXIT_CONFIG if options.active is None else 0)
    return Task(
        device=None,
        journal=str(options.journal),
        devices=gateway.streams,
        storage=gateway.storage,
        data_dir=str(options.data_dir),
        log_level=options.log_level,
    )


def _words_of(options: argparse.Namespace) -> list[str]:
    """The arguments without the task's own, in one form: with these a process whose task is lost makes a new one."""
    active = [] if options.active is None else [f"--active={options.active}"]
    places = [f"--config={options.config}", f"--data-dir={options.data_dir}"]
    return [*places, *active, f"--log-level={options.log_level}"]


def _find(gateway: Gateway, name: str) -> Device:
    """The device of this name."""
    device = next((device for device in gateway.devices if device.name == name), None)
    if device is None:
        known = ", ".join(device.name for device in gateway.devices) or "none"
        _stop(f"--device: found {name}, expected one of: {known}")
    return device


def _stop(message: str, code: int = EXIT_CONFIG) -> NoReturn:
    print(harmless_lines(message), file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
