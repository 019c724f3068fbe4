"""`serialgw restart`: starts the process of one device, or of one hosted connector, anew."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, read_active
from common.config.models import Gateway
from common.core.errors import GatewayError, LinkError
from common.io.client import find_gateway
from common.io.orders import APPLY_FILE, NOBODY, send_order
from common.io.private import write_private
from common.wire.calls import host_of, reader_of
from services.cli.arguments import Subparsers, add_data_dir, add_device, one_device
from services.cli.known import no_device
from services.cli.supervise.conf import host_name, reader_name
from services.cli.supervise.reloading import become_owner, find_plan, hold_lock
from services.cli.supervise.switching import COME_UP_S, ask_monitor, until
from services.cli.usage import UsageError

LATE: Final = "it has not come up within {seconds:g} s: see its lines in the log"


def add_parser(subparsers: Subparsers) -> None:
    """Adds `restart` and its options."""
    parser = subparsers.add_parser(
        "restart",
        help="start the process of one device anew",
        description="Starts the port reader of a device anew, or the process of a connector of your own: its port is "
        "closed and opened, and what its journal holds is kept. The others go on. Nothing that has come is lost, but "
        "what a line says while nobody has it open.",
        epilog="examples:\n"
        "  serialgw restart press1\n\n"
        "exit codes: 0 it has come up, 1 it has not, 2 there is no such device, 69 no gateway is running there",
    )
    add_device(parser, "the device's name, or the connector's")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """0 once it beats under a new pid. Raises LinkError, UsageError, GatewayError."""
    name = one_device(args)
    if name is None:
        raise UsageError("expected the name of a device; `serialgw status` lists them")
    data_dir = args.data_dir.expanduser().absolute()
    become_owner(data_dir)
    plan = find_plan(data_dir)
    if plan is None:
        find_gateway(data_dir)
        raise GatewayError(NOBODY)
    active = read_active(plan.data_dir / ACTIVE_NAME)
    if active is None:
        raise LinkError(f"{plan.data_dir} has no {ACTIVE_NAME} that can be read; `serialgw run` writes it")
    address, program = _whose(name, active.gateway)
    lock = hold_lock(data_dir)
    try:
        pid = _pid_of(address, data_dir)
        write_private(plan.run_dir / APPLY_FILE, json.dumps([program]))
        if why := send_order(plan.run_dir, "apply"):
            raise GatewayError(why)
        if not until(lambda: _pid_of(address, data_dir) not in (None, pid), COME_UP_S):
            raise GatewayError(LATE.format(seconds=COME_UP_S))
    finally:
        lock.release()
    print(f"{name} runs anew")
    return 0


def _whose(name: str, gateway: Gateway) -> tuple[str, str]:
    """(the process's address, supervisord's name for it). Raises UsageError for a name that nobody has."""
    for line in gateway.lines:
        if any(device.name == name for device in line):
            # Devices on one line are one process's.
            return reader_of(line[0].name), reader_name(line[0].name)
    if any(connector.name == name for connector in gateway.hosted):
        return host_of(name), host_name(name)
    raise UsageError(no_device(name, [*(device.name for device in gateway.devices), *(c.name for c in gateway.hosted)]))


def _pid_of(address: str, data_dir: Path) -> int | None:
    """The pid of a process that beats; None for none."""
    row = (ask_monitor(data_dir) or {}).get(address, {})
    return row.get("pid") if row.get("state") in ("alive", "late") else None
