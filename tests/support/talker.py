"""A source that is no port reader: it is simply told entries. What it shares with one is in `common.stream.source`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from common.core.counters import new_counts
from common.core.wall_clock import WallClock
from common.stream.counters import SourceCounts
from common.stream.device_stream import KeptDevice
from common.stream.events import SourceEffect, SourceEvent
from common.stream.items import items_of
from common.stream.limits import Limits
from common.stream.source import Source
from common.wire.messages import Identity
from common.wire.states import MonitorState
from tests.support.port_reader_rig import IDENTITY, SECTION, Rig


class Say(Struct, frozen=True):
    """Entries for the stream, and when they came."""

    entries: list[bytes]
    at_ms: int


class TalkerCore:
    """The least that a process needs around a `Source`."""

    def __init__(self, identity: Identity, kept: KeptDevice, *, limits: Limits, **options: Any) -> None:
        self.counters = new_counts(SourceCounts)
        self._clock = WallClock()
        self._source = Source(
            identity,
            [kept],
            {"section": kept.section_hash},
            limits=limits,
            counters=self.counters,
            draw=lambda: 0.5,
            gauges=dict,
            clock=self._clock,
            is_left=not options.get("has_port", True),
        )

    def handle(self, event: SourceEvent | Say, now_s: float) -> list[SourceEffect]:
        """The effects of an event, in order."""
        effects = [*self._source.begin(event, now_s), *self._handle(event, now_s)]
        return [*effects, *self._source.finish(lambda _: MonitorState(), now_s)]

    def _handle(self, event: SourceEvent | Say, now_s: float) -> Any:
        match event:
            case Say(entries, at_ms):
                self._clock.set(at_ms, now_s)
                return self._source.put(items_of(entries), at_ms, b"", now_s)
            case _:
                return self._source.handle(event, now_s)

    @property
    def next_deadline_s(self) -> float | None:
        return self._source.next_deadline_s


class TalkerRig(Rig):
    """As a port reader's, around a talker. It numbers nothing of its own: its first entry is the first that is said."""

    def make_core(self, **options: Any) -> TalkerCore:
        kept = KeptDevice("d", SECTION, lambda: b"{}", self.journal.open())
        return TalkerCore(IDENTITY, kept, **options)

    def say(self, *entries: bytes) -> None:
        self.now_s += 0.1
        self.give(Say(list(entries), self.wall_ms))
