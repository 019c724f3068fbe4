"""How a host that was started without a task gets one: read from the configuration, written into a file.

As with port readers: reading a configuration takes memory that a process keeps, so a process that has read one becomes
a new program (`exec`) with the task's file. The process stays the same one for whoever has started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn
from zlib import crc32

from common.config.active import find_gateway
from common.config.host_task import HostTask, host_task, host_task_words, write_host_task, written_host_task
from common.config.names import SECRET_VARIABLES
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless_lines
from common.io.arguments import service_parser
from common.io.endpoints import socket_dir
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.private import make_private, write_private
from common.io.variables import WITHHELD

KIND: Final = "connector_host"
TASKS_DIR: Final = "tasks-by-hand"
"""Folder beside the sockets, a file a journal; not the one of `serialgw run`."""


def find_task(arguments: Sequence[str]) -> tuple[HostTask, list[str]]:
    """The task that the arguments name, and those arguments in the form in which a new program is to get them.

    Raises SystemExit, having said why, where there is no task.
    """
    parser = service_parser("connector_host", "Runs one connector that a user wrote.")
    parser.add_argument("--connector", required=True, metavar="NAME", help="the connector as the main file names it")
    parser.add_argument("--task", metavar="FILE", help="what `serialgw run` has made of the configuration for it")
    options = parser.parse_args(arguments)
    try:
        gateway, warnings = find_gateway(options.config, options.active, options.data_dir, KIND, os.environ)
    except ConfigError as error:
        _stop(str(error))
    except LinkError as error:
        _stop(str(error), EXIT_UNAVAILABLE)
    for warning in warnings:
        print(harmless_lines(f"warning: {warning}"), file=sys.stderr)  # noqa: T201
    connector = next((one for one in gateway.hosted if one.name == options.connector), None)
    if connector is None:
        known = ", ".join(one.name for one in gateway.hosted) or "none"
        _stop(f"--connector: found {options.connector}, expected one of: {known}")
    active = [] if options.active is None else [f"--active={options.active}"]
    words = [f"--config={options.config}", f"--data-dir={options.data_dir}", *active]
    task = host_task(gateway, connector, options.data_dir, options.log_level)
    return task, [*words, f"--log-level={options.log_level}"]


def start_anew(task: HostTask, arguments: Sequence[str]) -> None:
    """Becomes a program that starts with the task and these arguments. Returns only where that can't be; then the
    caller still has the task, and serving itself reports what is wrong."""
    try:
        folder = socket_dir(Path(task.data_dir)) / TASKS_DIR
        make_private(folder)
        text = write_host_task(task).decode()
        place = folder / f"{Path(task.journal).name}.{crc32(text.encode()):08x}"
        write_private(place, text)
        words = [*arguments, *host_task_words(task, place)]
        # Else the new program would read the configuration again, and end up here, without an end.
        if written_host_task(words) == task:
            sys.stdout.flush()
            sys.stderr.flush()
            os.execve(sys.executable, [*_interpreter_words(), *words], _without_secrets(os.environ))
    except (OSError, LinkError):
        return


def _interpreter_words() -> list[str]:
    """Python and its own options, as this process was started: `-P`, `-m` and the module's name among them."""
    return [sys.executable, *sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]]


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: WITHHELD if name in SECRET_VARIABLES and value else value for name, value in environ.items()}


def _stop(message: str, code: int = EXIT_CONFIG) -> NoReturn:
    print(harmless_lines(message), file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
