"""What one port reader is to do, read from its arguments and the configuration files.

Runs in a child (`common.io.apart`): reading configurations takes as much memory as all the rest of a port reader.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.config.models import Device, Gateway
from common.config.reading import read_gateway
from common.errors import ConfigError
from common.io.journals import file_name, journal_dir
from common.io.process import EXIT_CONFIG, service_parser
from services.port_reader.task import Task


def find_task(arguments: Sequence[str] | None) -> Task:
    """The task that the arguments name. Raises SystemExit, having said why, where there is none."""
    options = _parser().parse_args(arguments)
    try:
        gateway = read_gateway(options.config, os.environ).gateway
    except ConfigError as error:
        _stop(str(error))
    device, journal = _find(gateway, options)
    return Task(
        device=device,
        journal=str(journal),
        devices=tuple(device.name for device in gateway.devices),
        storage=gateway.storage,
        data_dir=str(options.data_dir),
        log_level=options.log_level,
    )


def _parser() -> argparse.ArgumentParser:
    parser = service_parser("port_reader", "Reads one serial port, and writes to it what calls ask for.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--device", metavar="NAME", help="the device as the configuration names it")
    group.add_argument("--journal", type=Path, metavar="FILE", help="send what this journal holds, without a port")
    return parser


def _find(gateway: Gateway, options: argparse.Namespace) -> tuple[Device | None, Path]:
    """(the device or None, its journal)."""
    if options.journal is not None:
        if not options.journal.is_file():
            _stop(f"--journal: {options.journal} is no file")
        return None, options.journal
    device = next((device for device in gateway.devices if device.name == options.device), None)
    if device is None:
        known = ", ".join(device.name for device in gateway.devices) or "none"
        _stop(f"--device: found {options.device}, expected one of: {known}")
    return device, journal_dir(gateway.storage, options.data_dir) / file_name(device.name)


def _stop(message: str) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    raise SystemExit(EXIT_CONFIG)
