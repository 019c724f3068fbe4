"""Readings on their way to the publisher: a bounded queue for the time in which the publisher takes nothing."""

from __future__ import annotations

from collections import deque
from typing import Final

from common.wire.messages import ReadingBatch
from services.broker.core.counters import BrokerCounts
from services.broker.core.events import ForwardReadings, Parts, ReadingsArrived, ReadingsBlocked

READINGS_BYTES: Final = 16 * 1024 * 1024
"""Bytes that wait for a busy publisher; a batch above this is dropped, and its frames come again."""
ENTRY_BYTES: Final = 256
"""What a batch costs beside its body, so that empty ones are bounded too."""


class ReadingsQueue:
    """Sends readings on, keeps them while the publisher is there but takes none, and drops them while it isn't.

    Dropping costs nothing but work: the frames behind them stay in their journals until they are settled, and are sent
    again.
    """

    def __init__(self, counters: BrokerCounts) -> None:
        self._counters = counters
        self._items: deque[tuple[ReadingBatch, Parts]] = deque()
        self._size_bytes = 0
        self._is_blocked = False

    def add(self, event: ReadingsArrived, has_publisher: bool) -> list[ForwardReadings]:
        """A batch from a converter."""
        if not self._is_blocked:
            self._counters["readings_out"] += event.batch.length
            return [ForwardReadings(event.batch, event.parts)]
        self._keep(event.batch, event.parts, has_publisher)
        return []

    def put_back(self, event: ReadingsBlocked, has_publisher: bool) -> None:
        """A batch that could not be sent. It stands at the end: the publisher puts readings in order anyway."""
        self._is_blocked = True
        self._counters["readings_out"] -= event.batch.length
        self._keep(event.batch, event.parts, has_publisher)

    def unblock(self) -> list[ForwardReadings]:
        """The publisher takes readings again: sends all that waits."""
        self._is_blocked = False
        sent = [ForwardReadings(batch, parts) for batch, parts in self._items]
        self._counters["readings_out"] += sum(effect.batch.length for effect in sent)
        self._items.clear()
        self._size_bytes = 0
        return sent

    def clear(self) -> None:
        """The publisher they were for is gone."""
        self._counters["readings_dropped"] += sum(batch.length for batch, _ in self._items)
        self._items.clear()
        self._size_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """How much waits here, for the heartbeat and for a drain that waits until it is 0."""
        return self._size_bytes

    def _keep(self, batch: ReadingBatch, parts: Parts, has_publisher: bool) -> None:
        size_bytes = len(batch.body) + ENTRY_BYTES
        if not has_publisher or (self._items and self._size_bytes + size_bytes > READINGS_BYTES):
            self._counters["readings_dropped"] += batch.length
            return
        self._items.append((batch, parts))
        self._size_bytes += size_bytes
