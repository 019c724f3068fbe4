"""Finds out what has happened between two looks at the gateway. Pure.

One cause is one event, as far as that can be known. A device that waits for a platform that can't be reached is no news
of the device; a port reader that is lost is told as its device, which does not run; a state that is only a start
(`unknown`, then `idle`, then `receiving`) is told of nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.monitor.core.chronicle.chronicle import EventLevel, Happened
from services.monitor.core.gateway.devices import DeviceState, DeviceWord
from services.monitor.core.gateway.snapshot import SOURCES, DeviceRow, Process, Snapshot

WELL: Final = frozenset[DeviceWord]({"idle", "receiving", "left_out"})
"""From one of these to another is no news."""
OF_PORT: Final = frozenset[DeviceWord]({"port_closed", "not_ready"})
"""States that are the port's, or are left as soon as it is open."""
HARMLESS: Final = frozenset[DeviceWord]({*WELL, "silent"})
UP: Final = "up"
NOT_REACHED: Final = "not reached"
ADDED, REMOVED = "added", "removed"
STARTED, STARTED_AGAIN, ALIVE, LOST = "started", "started again", "alive", "lost"
_DIGITS: Final = re.compile(r"\d+")


class Noticing:
    """Remembers how everything was at the last look."""

    def __init__(self) -> None:
        self._states: dict[str, DeviceState] = {}
        """Device → its last state that was its own, and known."""
        self._devices: frozenset[str] | None = None
        self._processes: dict[str, tuple[str, bool]] = {}
        """Address → its instance, and whether it was lost."""
        self._link = ""
        self._fault = ""

    def look(self, snapshot: Snapshot, wall_ms: int) -> list[Happened]:
        """What has happened since the last look: first what may be the cause of the rest."""
        return [
            *self._platform(snapshot, wall_ms),
            *self._of_processes(snapshot, wall_ms),
            *self._comings(snapshot, wall_ms),
            *(event for row in snapshot.devices for event in self._of_device(row, wall_ms)),
        ]

    def _platform(self, snapshot: Snapshot, wall_ms: int) -> Iterator[Happened]:
        said = snapshot.platform
        # While it is tried again it is as it was before.
        if said is None or (said.link != UP and not said.fault):
            return
        link, fault = (UP, "") if said.link == UP else (NOT_REACHED, said.fault)
        if (link, _form_of(fault)) == (self._link, _form_of(self._fault)):
            return
        text = fault or (f"connected to {said.host}:{said.port}" if said.host else "")
        level: EventLevel = "info" if link == UP else "warning"
        yield Happened(wall_ms, "platform", level, "", "", self._link, link, text)
        self._link, self._fault = link, fault

    def _of_processes(self, snapshot: Snapshot, wall_ms: int) -> Iterator[Happened]:
        before, self._processes = self._processes, {}
        for process in snapshot.processes:
            if process.beat is None:
                continue
            is_lost = process.liveness == "lost"
            self._processes[process.address] = process.beat.instance, is_lost
            if known := before.get(process.address):
                yield from _of_process(process, *known, wall_ms)

    def _comings(self, snapshot: Snapshot, wall_ms: int) -> Iterator[Happened]:
        """Devices that were added to the configuration, or removed from it."""
        before, now = self._devices, frozenset(row.name for row in snapshot.devices)
        self._devices = now
        if before is None or before == now:
            return
        for name in sorted(now - before):
            yield Happened(wall_ms, "device", "info", name, "", "", ADDED, "")
        for name in sorted(before - now):
            self._states.pop(name, None)
            yield Happened(wall_ms, "device", "info", name, "", "", REMOVED, "")

    def _of_device(self, row: DeviceRow, wall_ms: int) -> Iterator[Happened]:
        state, before = row.state, self._states.get(row.name)
        if state.word == "unknown" or not state.is_own:
            return
        self._states[row.name] = state
        was: DeviceWord = before.word if before else "idle"
        if (was in WELL and state.word in WELL) or (was == state.word and not _is_other_reason(state, before)):
            return
        kind: Final = "port" if {was, state.word} & OF_PORT else "device"
        level: EventLevel = "info" if state.word in HARMLESS else "warning"
        yield Happened(wall_ms, kind, level, row.name, "", before.word if before else "", state.word, state.reason)


def _of_process(process: Process, instance: str, was_lost: bool, wall_ms: int) -> Iterator[Happened]:
    beat, is_lost = process.beat, process.liveness == "lost"
    was = LOST if was_lost else ALIVE
    if beat is not None and beat.instance != instance:
        text = f"process id {beat.pid}" if not beat.host else f"process id {beat.pid} on {beat.host}"
        yield Happened(wall_ms, "process", "info", process.device, process.address, was, STARTED_AGAIN, text)
    elif is_lost != was_lost and process.kind not in SOURCES:
        now, level = (LOST, "warning") if is_lost else (ALIVE, "info")
        text = "it has not been heard of for some seconds" if is_lost else ""
        yield Happened(wall_ms, "process", level, "", process.address, was, now, text)  # type: ignore[arg-type]


def _is_other_reason(state: DeviceState, before: DeviceState | None) -> bool:
    """True for a port that is closed for another reason now. Reasons of other states tell what has come so far, and
    change with each frame."""
    return state.word in OF_PORT and before is not None and _form_of(state.reason) != _form_of(before.reason)


def _form_of(reason: str) -> str:
    """A reason without its numbers, which may only count."""
    return _DIGITS.sub("#", reason)
