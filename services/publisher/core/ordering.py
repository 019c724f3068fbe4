"""All streams of one life of the publisher: what may be published now, and the reports to the readers. Pure.

The rules stand in `docs/protocol.md` under "Acks"; `stream` keeps the order of one stream. This module decides which
batches belong to a stream of ours at all, when a report is due, and how much each reader may have on its way here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple

from common.wire.messages import Entry, ReadingBatch, StreamReport
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import ReadingStream, Release

TOTAL_CREDIT_BYTES: Final = 64 * 1024 * 1024
"""What readers may have on its way here, over all streams: the bound of this process's memory."""
STREAM_CREDIT_BYTES: Final = 1024 * 1024
"""What one stream may have at most, however few there are."""
ACTIVE_S: Final = 60.0
"""A stream that was heard within this time, or has something here, shares in the credit."""
REPEAT_S: Final = 10.0
"""So long after its last batch, and after its last news, a stream that is settled is reported each second; a reader
that has lost all of these reports asks (`ASK_S` in `common.stream.sending.peer`)."""
MOST_STREAMS: Final = 4_096
"""Streams at a time, as many as the broker has devices; each is some KiB here."""
FORGET_S: Final = 600.0
"""A stream that is silent for so long, with everything settled, is forgotten; its next batch begins it anew."""
TOLD_S: Final = 1.0
"""What a settled stream was told within this time is not repeated with a beat: a device that speaks each second is told
something new before that, and of others the next beat repeats it."""
RECEIVED_S: Final = 0.05
"""News of reception alone, which only keeps a reader from asking, may wait so long for news of acceptance; a reader
asks after 250 ms."""


class Unwanted(NamedTuple):
    """Entries of a stream below `end` that are not published need not be any more: its reader has let them go."""

    stream: ReadingStream
    end: int


class Ordering:
    """All current streams of this epoch.

    An epoch is one life of a publisher. Batches converted for another epoch are not taken, since what the platform
    accepted then is not known any more. The readers send what is not settled again, to the new epoch.
    """

    def __init__(self, epoch: str, counters: PublisherCounts, out: Outlet) -> None:
        self.epoch = epoch
        self._counters = counters
        self._out = out
        self._streams: dict[str, ReadingStream] = {}
        """Journal's id → its stream."""
        self._replaced: dict[str, ReadingStream] = {}
        """Journal's id → its stream in the generation before."""
        self._changed: dict[ReadingStream, None] = {}
        """Streams that owe a report at once."""
        self._received: dict[ReadingStream, float] = {}
        """Streams of which something was received since their last report, and by when that has to be reported."""
        self._credit_bytes = STREAM_CREDIT_BYTES
        self._past: dict[str, tuple[int, int]] = {}
        """Device → `ReadingStream.counts` of those of its streams that were forgotten."""

    def take(self, batch: ReadingBatch, now_s: float) -> Sequence[Release | Unwanted]:
        """First what need not be published any more, then what can be published now that this batch has come.

        [] for what is old, early or not ours. Raises nothing: what makes no sense is counted."""
        stream = self._streams.get(batch.journal)
        if batch.epoch != self.epoch or (stream and batch.generation < stream.generation):
            self._counters["stale_batches"] += 1
            return []
        if batch.length < 1 or batch.first < 1 or not 0 <= batch.kind < len(Entry):
            self._counters["bad_batches"] += batch.length != 0
            return []
        if stream is None and len(self._streams) >= MOST_STREAMS and not self._forget_one():
            self._counters["streams_refused"] += 1
            return []
        unwanted: tuple[Unwanted, ...] = ()
        if stream is None or batch.generation > stream.generation:
            unwanted = self._give_way(batch.journal, stream)
            stream = self._streams[batch.journal] = ReadingStream(batch, self._changed, self._out)
        elif batch.base > stream.settled:
            unwanted = (Unwanted(stream, batch.base),)
        stream.heard_s = now_s
        releases = stream.take(batch, self._credit_bytes, self._counters)
        if releases:
            self._received.setdefault(stream, now_s + RECEIVED_S)
        return [*unwanted, *releases] if unwanted else releases

    def _forget_one(self) -> bool:
        """Makes room by forgetting the settled stream that was silent longest; False if all have something here."""
        idle = [journal for journal, stream in self._streams.items() if stream.is_idle]
        if not idle:
            return False
        self._forget(min(idle, key=lambda journal: self._streams[journal].heard_s))
        return True

    def _forget(self, journal: str) -> None:
        self._keep_counts(self._streams.pop(journal))
        if replaced := self._replaced.pop(journal, None):
            self._keep_counts(replaced)

    def _give_way(self, journal: str, before: ReadingStream | None) -> tuple[Unwanted, ...]:
        """A new generation begins. What is left of the last one is still published, since it may be nowhere else if the
        disk was full. What is left of earlier ones is not: the reader sends it again."""
        oldest = self._replaced.pop(journal, None)
        if before:
            self._replaced[journal] = before
        if oldest:
            self._keep_counts(oldest)
        return (Unwanted(oldest, oldest.received),) if oldest else ()

    def _keep_counts(self, stream: ReadingStream) -> None:
        if stream.device in self._past or len(self._past) < MOST_STREAMS:
            self._past[stream.device] = _sum(self._past.get(stream.device, (0, 0)), stream.counts)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Device → (numbers that have come, numbers that are settled) since this publisher's start."""
        found = dict(self._past)
        for stream in (*self._streams.values(), *self._replaced.values()):
            found[stream.device] = _sum(found.get(stream.device, (0, 0)), stream.counts)
        return found

    @property
    def next_report_s(self) -> float | None:
        """When a report is due; 0.0 for at once, None if none is owed."""
        return 0.0 if self._changed else next(iter(self._received.values()), None)

    def changed_reports(self, now_s: float) -> list[StreamReport]:
        """The reports that are due."""
        for stream, due_s in self._received.items():
            if now_s < due_s:
                break
            self._changed[stream] = None
        due = list(self._changed)
        self._changed.clear()
        for stream in due:
            self._received.pop(stream, None)
            stream.told_s = stream.told_apart_s = now_s
        return [stream.report(self.epoch, self._credit_bytes) for stream in due if self._is_current(stream)]

    def all_reports(self, now_s: float) -> list[StreamReport]:
        """For the heartbeat: the reports that are owed, those of streams with something here, and of the others for a
        while. Also shares the credit out anew."""
        for journal, stream in list(self._streams.items()):
            if stream.is_idle and now_s - stream.heard_s > FORGET_S:
                self._forget(journal)
        active = sum(not stream.is_idle or now_s - stream.heard_s < ACTIVE_S for stream in self._streams.values())
        self._credit_bytes = min(STREAM_CREDIT_BYTES, TOTAL_CREDIT_BYTES // max(1, active))
        for stream in (*self._changed, *self._received):
            stream.told_s, stream.told_apart_s = now_s, -inf
        self._changed.clear()
        self._received.clear()
        return [
            stream.report(self.epoch, self._credit_bytes)
            for stream in self._streams.values()
            if now_s - max(stream.heard_s, stream.told_s) <= REPEAT_S or not stream.is_idle
            if now_s - stream.told_apart_s >= TOLD_S or not stream.is_idle
        ]

    def _is_current(self, stream: ReadingStream) -> bool:
        return self._streams.get(stream.journal) is stream

    @property
    def unsettled(self) -> int:
        """Numbers received and not settled, over all streams."""
        return sum(stream.received - stream.settled for stream in self._streams.values())


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]
