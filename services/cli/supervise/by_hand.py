"""A changed configuration for processes that somebody else looks after: compose, systemd units of one's own, a person.

Readers at work take their sections; who has to start anew, come or go is said in words, for whoever can do that.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, LAST_GOOD, Active, make_active, read_active, write_active
from common.config.history import read_contents, record
from common.config.models import Gateway
from common.config.overlay import Overlay
from common.config.taken import hashes_of, write_taken
from common.config.task import code_of, files_of
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless
from common.io.client import find_gateway
from common.wire.calls import hosted_connector
from services.cli.supervise.difference import Difference, difference, place_of, together
from services.cli.supervise.reloading import Reloaded, class_problems, hold_lock
from services.cli.supervise.steps import steps_of
from services.cli.supervise.switching import hand_limits, hand_over, tell_monitor, tell_publisher, who_keeps
from services.cli.supervise.wanted import read_laid
from services.cli.text import compact
from services.cli.usage import UsageError

NO_FILE: Final = (
    "no `serialgw run` looks after these processes, so nobody here knows their configuration: name the file, as in "
    "`serialgw reload /config/tb_gateway.json`"
)


def reload_by_hand(args: argparse.Namespace, data_dir: Path, show: Callable[[Reloaded], None], by: str) -> int:
    """Hands sections to the readers, and prints what is left for whoever looks after the processes; 0. Raises
    ConfigError, LinkError, UsageError."""
    find_gateway(data_dir)
    if args.file is None:
        raise UsageError(NO_FILE)
    lock = hold_lock(data_dir)
    try:
        _, whole = read_laid(args.file.absolute(), dict(os.environ), Overlay())
        wanted, befores = make_active(whole.gateway), [active.gateway for active in _befores(data_dir)]
        # Who has started when is not known: what any of them lacks is to be done, until it has read the files itself.
        change = reduce(together, [difference(before, wanted.gateway) for before in befores])
        steps = steps_of(befores[0], wanted.gateway, difference(befores[0], wanted.gateway), {})
        show(Reloaded(steps, whole.warnings, applied=False))
        if problems := class_problems(wanted.gateway, change, os.environ):
            raise ConfigError(problems)
        orders: list[str] = []
        if not args.dry_run:
            taken = hand_over(data_dir, wanted.gateway, _at_work(befores, wanted.gateway, change))
            if change.names and tell_monitor(data_dir, wanted.gateway):
                change = change._replace(names=False)
            if change.known and not change.publisher:
                change = change._replace(publisher=bool(tell_publisher(data_dir, wanted.gateway)))
            others = any(place_of(before.storage) != place_of(wanted.gateway.storage) for before in befores)
            fewer = who_keeps(wanted.gateway, change) if change.limits and not others else []
            limited = hand_limits(data_dir, wanted.gateway, fewer)
            orders = _orders(change, {**limited.refused, **taken.refused}, others)
            write_active(data_dir / ACTIVE_NAME, wanted)
            files = files_of(wanted.gateway)
            number = record(data_dir, by, map(str, steps), read_contents(files), code_of(wanted.gateway))
            write_taken(data_dir, hashes_of(files), number)
    finally:
        lock.release()
    if args.json:
        told = {"applied": not args.dry_run, "steps": [step._asdict() for step in steps], "orders": orders}
        print(compact({**told, "warnings": whole.warnings}))
    elif orders:
        print("\n  ".join(["to be done by whoever looks after the processes:", *map(harmless, orders)]))
    return 0


def _befores(data_dir: Path) -> list[Active]:
    """What was taken last, by a reload and by processes at their starts, as far as it is written down; at least one.
    Raises LinkError if nobody has."""
    places = [data_dir / ACTIVE_NAME, *(data_dir / LAST_GOOD / f"{kind}.json" for kind in ("publisher", "port_reader"))]
    found = [active for place in places if (active := read_active(place)) is not None]
    if not found:
        raise LinkError(f"{data_dir} does not say what runs now; start the processes anew with the changed files")
    return found


def _at_work(befores: list[Gateway], wanted: Gateway, change: Difference) -> list[str]:
    """The devices whose readers are handed their sections, changed or not: each knows itself what it goes by, and
    nobody else does for sure."""
    known = {device.name for before in befores for device in before.devices}
    anew = {device.name for line in wanted.lines if line[0].name in change.changed for device in line}
    return [device.name for device in wanted.devices if device.name in known - anew]


def _orders(change: Difference, refused: dict[str, str], everyone: bool) -> list[str]:
    """What is to be done, one sentence a process."""
    found = [f"start a port reader: --device {name}" for name in change.added]
    found += [f"stop the port reader of {name}" for name in change.removed]
    found += [f"restart the port reader of {name}" for name in change.changed]
    for name, why in refused.items():
        connector = hosted_connector(name)
        whose = f"port reader of {name}" if connector is None else f"connector host of {connector}"
        found.append(f"restart the {whose}: {why}")
    found += [f"start a connector host: --connector {name}" for name in change.hosts_added]
    found += [f"stop the connector host of {name}" for name in change.hosts_removed]
    found += [f"restart the connector host of {name}" for name in change.hosts_changed]
    found += ["restart the publisher"] if change.publisher else []
    found += ["restart the monitor"] if change.monitor or change.names else []
    return [*found, *(["the storage has changed: restart all of them"] if everyone else [])]
