"""The whole gateway at one moment, for readers beside the core: nothing in it changes any more. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from common.core.liveness import Liveness
from common.wire.calls import hosted_stream
from common.wire.messages import PUBLISHER, Heartbeat
from common.wire.states import PublisherState, state_of
from services.monitor.core.gateway.devices import DeviceState

SOURCES: Final = ("port_reader", "connector_host")
"""Kinds of processes that have a journal."""


class DeviceRow(NamedTuple):
    """A configured device as `status` shows it; or a hosted connector, or one of the devices that it serves."""

    name: str
    port: str
    """Where its data comes from: of a hosted connector the file of its class, of its devices the connector."""
    state: DeviceState
    for_s: float
    frame_age_s: float | None
    backlog: int
    dead_letters: int
    conversion_errors: int
    frames_hz: float | None = None
    """How many frames a second it says, lately; None while that is not known."""

    def show(self) -> dict[str, object]:
        """As JSON; ages are rounded to what a person reads."""
        return {
            "name": self.name,
            "port": self.port,
            "state": self.state.word,
            "is_served": self.state.is_served,
            "reason": self.state.reason,
            "for_s": round(self.for_s, 1),
            "frame_age_s": None if self.frame_age_s is None else round(self.frame_age_s, 1),
            "backlog": self.backlog,
            "dead_letters": self.dead_letters,
            "conversion_errors": self.conversion_errors,
            "frames_hz": None if self.frames_hz is None else round(self.frames_hz, 3),
        }


class Journal(msgspec.Struct, frozen=True):
    """What a source says of its journal."""

    backlog: int = 0
    backlog_bytes: int = 0
    in_flight: int = 0
    journal_writable: bool = True
    oldest_s: float | None = None
    most_backlog: int = 0
    most_backlog_bytes: int = 0
    delivered: list[float] = []
    dead: dict[str, int] = {}


class Process(NamedTuple):
    """One process as its last heartbeat showed it."""

    address: str
    beat: Heartbeat | None
    """None: it is configured, and has never beaten."""
    liveness: Liveness
    heard_s: float
    """When that heartbeat came, in the core's time."""

    @property
    def kind(self) -> str:
        return self.address.partition(":")[0]

    @property
    def name(self) -> str:
        return self.address.partition(":")[2]

    @property
    def device(self) -> str:
        """The stream of a source; "" for other processes."""
        kind, _, name = self.address.partition(":")
        return name if kind == "port_reader" else hosted_stream(name) if kind == "connector_host" else ""

    @property
    def journal(self) -> Journal | None:
        """What it says of its journal; None for one that has none, or has said nothing."""
        return state_of(self.beat, Journal) if self.beat is not None and self.kind in SOURCES else None

    def show(self) -> dict[str, object]:
        """The process as `status` shows it."""
        beat = self.beat
        return {
            "kind": self.kind,
            "name": self.name,
            "device": self.device,
            "pid": beat.pid if beat else None,
            "host": beat.host if beat else "",
            "state": self.liveness,
            "uptime_s": round(beat.uptime_s, 3) if beat else 0.0,
            "counters": beat.counters if beat else {},
            "facts": beat.state if beat else {},
        }


class Snapshot(NamedTuple):
    """Every device and every process; other processes' time is given as it was heard of."""

    taken_s: float
    """When, in the core's time."""
    devices: tuple[DeviceRow, ...] = ()
    processes: tuple[Process, ...] = ()
    """By their addresses."""

    def process(self, address: str) -> Process | None:
        """The process of this address; None where there is none."""
        return next((found for found in self.processes if found.address == address), None)

    @property
    def platform(self) -> PublisherState | None:
        """What the publisher says of the platform; None while nobody knows."""
        publisher = self.process(PUBLISHER)
        if publisher is None or publisher.beat is None or publisher.liveness == "lost":
            return None
        return state_of(publisher.beat, PublisherState)

    @property
    def backlog(self) -> tuple[int, int]:
        """(entries, bytes) that wait in all journals."""
        found = [journal for process in self.processes if (journal := process.journal) is not None]
        return sum(journal.backlog for journal in found), sum(journal.backlog_bytes for journal in found)

    def show(self) -> dict[str, object]:
        """As JSON: `devices`, `processes`, `link`, `backlog`."""
        return {
            "devices": [device.show() for device in self.devices],
            "processes": [process.show() for process in self.processes],
            **self.show_rest(),
        }

    def show_rest(self) -> dict[str, object]:
        """The same without its rows."""
        entries, size = self.backlog
        return {"link": _link(self.process(PUBLISHER)), "backlog": {"frames": entries, "bytes": size}}


def _link(publisher: Process | None) -> dict[str, object]:
    """The publisher's facts with its `link` as `state`; `unknown` while it doesn't say."""
    if publisher is None or publisher.beat is None:
        return {"state": "unknown", "epoch": ""}
    facts = publisher.beat.state
    state = facts.get("link", "unknown") if publisher.liveness != "lost" else "unknown"
    rest = {key: value for key, value in facts.items() if key not in ("link", "state")}
    return {"epoch": "", **rest, "state": state}
