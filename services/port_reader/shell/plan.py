"""What one port reader is to do, read from its arguments and the configuration files.

Runs in a child (`common.io.apart`): reading configurations takes as much memory as all the rest of a port reader.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from common.config.active import find_gateway
from common.config.models import Device, Gateway
from common.config.task import Task, device_task
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless_lines
from common.io.process import EXIT_CONFIG, EXIT_UNAVAILABLE, service_parser

KIND: Final = "port_reader"


def find_task(arguments: Sequence[str] | None) -> Task:
    """The task that the arguments name. Raises SystemExit, having said why, where there is none."""
    options = _parser().parse_args(arguments)
    try:
        gateway, warnings = find_gateway(options.config, options.active, options.data_dir, KIND, os.environ)
    except ConfigError as error:
        _stop(str(error))
    except LinkError as error:
        _stop(str(error), EXIT_UNAVAILABLE)
    for warning in warnings:
        print(harmless_lines(f"warning: {warning}"), file=sys.stderr)  # noqa: T201
    if options.journal is None:
        return device_task(gateway, _find(gateway, options.device), options.data_dir, options.log_level)
    if not options.journal.is_file():
        _stop(f"--journal: {options.journal} is no file")
    return Task(
        device=None,
        journal=str(options.journal),
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
    parser.add_argument("--task", metavar="FILE", help="what `serialgw run` has made of the configuration for it")
    return parser


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
