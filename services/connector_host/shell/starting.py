"""How a connector host that was started without a task gets one; `common.io.starting` has what is not its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.config.host_task import HostTask, host_task, host_task_words, write_host_task, written_host_task
from common.io import starting
from common.io.arguments import service_parser
from common.io.starting import find_configuration, stop, words_of

KIND: Final = "connector_host"


def find_task(arguments: Sequence[str]) -> tuple[HostTask, list[str]]:
    """The task that the arguments name, and those arguments in the form in which a new program is to get them.

    Raises SystemExit, having said why, where there is no task: 2 for arguments that don't fit, else as
    `find_configuration`.
    """
    parser = service_parser(KIND, "Runs one connector that a user wrote.")
    parser.add_argument("--connector", required=True, metavar="NAME", help="the connector as the main file names it")
    parser.add_argument("--task", metavar="FILE", help="what `serialgw run` has made of the configuration for it")
    options = parser.parse_args(arguments)
    gateway = find_configuration(options, KIND)
    connector = next((one for one in gateway.hosted if one.name == options.connector), None)
    if connector is None:
        known = ", ".join(one.name for one in gateway.hosted) or "none"
        stop(f"--connector: found {options.connector}, expected one of: {known}")
    return host_task(gateway, connector, options.data_dir, options.log_level), words_of(options)


def start_anew(task: HostTask, arguments: Sequence[str]) -> None:
    """Becomes a program that starts with the task and these arguments; returns where that can't be."""
    starting.start_anew(
        write_host_task(task),
        data_dir=Path(task.data_dir),
        journal=task.journal,
        words=lambda place: [*arguments, *host_task_words(task, place)],
        is_found=lambda words: written_host_task(words) == task,
    )
