"""The monitor in the simulated world, and whether what it says of devices is true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.core.events import Core, Send
from common.wire.messages import Identity
from services.monitor.core.core import MonitorCore, Show
from tests.simulation.kernel import Process
from tests.simulation.reader import ReaderProcess

if TYPE_CHECKING:
    from tests.simulation.world import World

SEEN_S = 16.0
"""So long after it began, what is so is told: a calm reader beats every 10 s, one beat may be lost with a broker, and
an adapter or a link that came back needs a moment."""


class MonitorProcess(Process):
    """The monitor, which hears all heartbeats."""

    def __init__(self, world: World, devices: list[str], connectors: list[str]) -> None:
        super().__init__(world.clock, "monitor:0")
        self.world = world
        self.devices = devices
        self.connectors = connectors

    def make_core(self) -> Core:
        return MonitorCore(
            Identity("monitor", "0", f"{self.name}#{self.life}", 1, "host"), self.devices, self.connectors
        )

    def cut(self, core: Any) -> None:
        """It has nothing to lose."""

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                return self.world.send(self, plane, message)
            case Show():
                # Nobody looks at its page here.
                return ()
            case _:
                raise AssertionError(f"the monitor's core ordered {effect!r}")

    def states(self) -> dict[str, Any]:
        """Device → its row; {} while nobody watches."""
        core: Any = self.core
        return {row.name: row for row in core._table.devices()} if core else {}


class Watch:
    """Compares the monitor's words with the world, where the world has been the same for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._truth: dict[ReaderProcess, tuple[bool, float]] = {}
        """Reader → (is its port open, since when nothing of all that matters here has changed)."""
        self._whole: tuple[Any, float] = (None, 0.0)
        """Who lives, and since when that is so."""
        self._disturbed_s = 0.0
        """When heartbeats were last lost or late."""

    def look(self, calm_from_s: float) -> Iterable[str]:
        """What the monitor says that is not so."""
        world, now_s = self._world, self._world.clock.now_s
        who = tuple((process.life, process.alive, process.stopped) for process in world.processes.values())
        if who != self._whole[0]:
            self._whole = who, now_s
        if self._is_disturbed:
            self._disturbed_s = now_s
        rows = world.monitor.states()
        for reader in world.readers:
            is_open = reader.line.is_open and reader.alive
            before, since_s = self._truth.get(reader, (None, now_s))
            if before is not is_open:
                since_s = now_s
                self._truth[reader] = is_open, now_s
            started_s = max(since_s, self._whole[1], self._disturbed_s, calm_from_s if is_open else 0.0)
            if now_s < started_s + SEEN_S or reader.device.name not in rows:
                continue
            word = rows[reader.device.name].state.word
            if is_open is (word in ("port_closed", "not_running", "unknown")):
                truth = "open" if is_open else "closed"
                yield f"the monitor says {word} of {reader.device.name}, whose port is {truth}"

    @property
    def _is_disturbed(self) -> bool:
        """True while heartbeats may be lost or late, or a process stands still."""
        link = self._world.link
        return bool(link.loss or link.slow_s > 0.01) or any(p.is_busy for p in self._world.processes.values())

    def judge(self, refused: set[str]) -> Iterable[str]:
        """At the end, when all is delivered: no device is told to be in trouble, unless its last frames were bad, its
        journal was too small a minute ago, it is one of those that the platform has `refused`, whose announcement
        waits for its turn, its connector has ended by itself, or lost calls, which is told for a while, or it is asked
        and did not answer a moment ago, or never does."""
        if self._world.clock.now_s < self._disturbed_s + SEEN_S:
            return
        ended = {name for host in self._world.hosts if host.ends for name in (host.stream, *host.names)}
        silent = {name for asked in self._world.asked for name in asked.silent_for(SEEN_S)}
        for name, row in self._world.monitor.states().items():
            is_refused = row.state.word == "not_accepted" and name in refused
            is_told = name in ended and row.state.word in ("connector_restarted", "connector_failed")
            is_told |= name in silent and row.state.word == "no_answer"
            if (
                not row.state.is_served
                and row.state.word not in ("no_values", "losing_data")
                and not is_refused
                and not is_told
            ):
                yield f"at the end the monitor says of {name}: {row.state}"
