"""What waits to be told to the platform beside data: answers to its calls, the first words on a connection. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Outgoing

MOST_REPLIES: Final = 1_000
"""Replies that wait for the link; when full, the oldest are dropped."""


class Replies:
    """A bounded queue, oldest first. Replies are not journaled: one that finds no room, or nobody who still waits for
    it, is dropped. What a device said is not lost with it, for its answer comes as a reading too (see `calls`)."""

    def __init__(self, counters: PublisherCounts) -> None:
        self._counters = counters
        self.waiting: deque[tuple[float, Outgoing]] = deque(maxlen=MOST_REPLIES)
        """(when it was made, message)."""

    def add(self, reply: Outgoing, now_s: float) -> None:
        """Queues an answer behind all others."""
        self._counters["replies_dropped"] += len(self.waiting) == MOST_REPLIES
        self.waiting.append((now_s, reply))

    def put_first(self, messages: Sequence[Outgoing], now_s: float) -> None:
        """Puts these before all others, in this order."""
        self.waiting.extendleft((now_s, message) for message in reversed(messages))

    def put_back(self, reply: Outgoing, since_s: float) -> None:
        """Puts a reply that was in flight before all others again, with the time it had."""
        self.waiting.appendleft((since_s, reply))

    def remove(self, messages: Sequence[Outgoing]) -> None:
        """Takes these back, where they have not gone out."""
        kept = [entry for entry in self.waiting if not any(entry[1] is message for message in messages)]
        self.waiting.clear()
        self.waiting.extend(kept)

    def holds(self, reply: Outgoing) -> bool:
        """True if this very reply has not gone out yet."""
        return any(reply is waiting for _, waiting in self.waiting)

    def drop_stale(self, now_s: float, time_s: float) -> list[Outgoing]:
        """Drops what has waited for `time_s` and more; returns it."""
        stale = [reply for since_s, reply in self.waiting if now_s - since_s >= time_s]
        fresh = [entry for entry in self.waiting if now_s - entry[0] < time_s]
        self.waiting.clear()
        self.waiting.extend(fresh)
        return stale
