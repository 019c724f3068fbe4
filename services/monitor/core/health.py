"""Whether the gateway does its work, part by part: what `/readyz` says. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from common.wire.messages import PUBLISHER
from services.monitor.core.gateway.snapshot import SOURCES, Process, Snapshot

LEAST_DISK_BYTES: Final = 64 * 1024 * 1024
"""With less room than this on the data directory's disk, journals may stop being written any moment."""
MOST_NAMES: Final = 5
"""So many of those that something is wrong with are named."""
BROKER: Final = "broker:0"


class Check(NamedTuple):
    """One part of the gateway."""

    name: str
    fault: str
    """What is wrong, for a person; "" for nothing."""

    @property
    def is_well(self) -> bool:
        return not self.fault


def checks_of(snapshot: Snapshot, disk_free_bytes: int) -> list[Check]:
    """Each part, in the order of the data's way to it. A part that is not configured is not unhealthy."""
    return [Check(name, fault(snapshot)) for name, fault in _FAULTS.items()] + [Check("disk", _disk(disk_free_bytes))]


NAMES: Final = ("broker", "publisher", "converters", "readers", "journal", "platform", "disk")
"""What can be asked for, and be left out."""


def as_lines(checks: list[Check]) -> str:
    """For a person and for whoever knows such lines from other servers: `[+]broker ok`, `[-]platform down`."""
    lines = [f"[+]{check.name} ok" if check.is_well else f"[-]{check.name} {check.fault}" for check in checks]
    end = "ready" if all(check.is_well for check in checks) else "not ready"
    return "\n".join([*lines, end]) + "\n"


def _one(address: str) -> Callable[[Snapshot], str]:
    def fault(snapshot: Snapshot) -> str:
        found = snapshot.process(address)
        if found is None or found.beat is None:
            return "has not been heard of"
        return "" if found.liveness == "alive" else f"is {found.liveness}"

    return fault


def _converters(snapshot: Snapshot) -> str:
    found = [process for process in snapshot.processes if process.kind == "converter"]
    if any(process.liveness == "alive" for process in found):
        return ""
    return "none is alive" if found else "none has been heard of"


def _readers(snapshot: Snapshot) -> str:
    missing = [process for process in snapshot.processes if process.kind in SOURCES and process.liveness != "alive"]
    return f"not alive: {_named(missing)}" if missing else ""


def _journal(snapshot: Snapshot) -> str:
    unwritable = [
        process
        for process in snapshot.processes
        if process.journal is not None and not process.journal.journal_writable
    ]
    return f"can't be written: {_named(unwritable)}" if unwritable else ""


def _platform(snapshot: Snapshot) -> str:
    said = snapshot.platform
    if said is None:
        return "is unknown: nobody says how it is"
    if said.link == "up":
        return ""
    return f"is not reached: {said.fault}" if said.fault else "is not reached"


def _disk(free_bytes: int) -> str:
    if free_bytes >= LEAST_DISK_BYTES:
        return ""
    return f"has {free_bytes // 2**20} MiB left for journals, expected at least {LEAST_DISK_BYTES // 2**20} MiB"


_FAULTS: Final[dict[str, Callable[[Snapshot], str]]] = {
    "broker": _one(BROKER),
    "publisher": _one(PUBLISHER),
    "converters": _converters,
    "readers": _readers,
    "journal": _journal,
    "platform": _platform,
}


def _named(processes: list[Process]) -> str:
    names = [process.device for process in processes[:MOST_NAMES]]
    more = len(processes) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
