"""How a port reader that was started without a task gets one; `common.io.starting` has what is not its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.config.models import Device, Gateway
from common.config.task import Task, device_task, task_words, write_task, written_task
from common.io import starting
from common.io.arguments import service_parser
from common.io.exits import EXIT_CONFIG
from common.io.starting import find_configuration, stop, words_of

KIND: Final = "port_reader"


def find_task(arguments: Sequence[str]) -> tuple[Task, list[str]]:
    """The task that the arguments name, and those arguments in the form in which a new program is to get them.

    Raises SystemExit, having said why, where there is no task: 2 for arguments that don't fit, EXIT_CONFIG for a
    configuration that has no such device, else as `find_configuration`.
    """
    options = _parser().parse_args(arguments)
    return _task_of(find_configuration(options, KIND), options), words_of(options)


def start_anew(task: Task, arguments: Sequence[str]) -> None:
    """Becomes a program that starts with the task and these arguments; returns where that can't be."""
    starting.start_anew(
        write_task(task),
        data_dir=Path(task.data_dir),
        journal=task.journal,
        words=lambda place: [*arguments, *task_words(task, place)],
        is_found=lambda words: written_task(words) == task,
    )


def _parser() -> argparse.ArgumentParser:
    parser = service_parser(KIND, "Reads one serial port, and writes to it what calls ask for.")
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
        stop(f"--journal: {options.journal} is no file", EXIT_CONFIG if options.active is None else 0)
    return Task(
        device=None,
        journal=str(options.journal),
        devices=gateway.streams,
        storage=gateway.storage,
        data_dir=str(options.data_dir),
        log_level=options.log_level,
    )


def _find(gateway: Gateway, name: str) -> Device:
    """The device of this name."""
    device = next((device for device in gateway.devices if device.name == name), None)
    if device is None:
        known = ", ".join(device.name for device in gateway.devices) or "none"
        stop(f"--device: found {name}, expected one of: {known}")
    return device
