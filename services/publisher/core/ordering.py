"""Each stream's readings back in order, and the word that the publisher gives its reader: pure, per batch.

The rules stand in `docs/protocol.md` under "Acks". A stream is a journal and its generation. What comes out of
`Ordering.take` are `Run`s: consecutive numbers, each exactly once, in order. Whoever publishes them raises `done` and
lowers `holds` of the run and calls `advance` of its stream; `settled` follows.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Final, NamedTuple

from common.core.errors import WireError
from common.core.events import Note
from common.core.sequence import Range, add_range, gaps
from common.wire import codec
from common.wire.messages import Entry, ReadingBatch, ReadingBody, StreamReport
from services.publisher.core.counters import PublisherCounts

WINDOW: Final = 4_096
"""Numbers above `received` that are kept."""
TOTAL_CREDIT_BYTES: Final = 64 * 1024 * 1024
STREAM_CREDIT_BYTES: Final = 1024 * 1024
ACTIVE_S: Final = 60.0
"""A stream that was heard within this time, or has something here, shares in the credit."""
REPEAT_S: Final = 10.0
"""So long after its last batch, and after its last news, a stream that is settled is reported each second; a reader
that has lost all of these asks, see `ASK_S` there."""
MOST_STREAMS: Final = 4_096
"""As many as the broker has devices; each is some KiB here."""
FORGET_S: Final = 600.0
"""A stream that is silent for so long, with everything settled, is forgotten; its next batch begins it anew."""
RECEIVED_S: Final = 0.05
"""News of reception alone, which only keeps a reader from asking, may wait so long for news of acceptance; a reader
asks after 250 ms."""
UNREADABLE: Final = 5
"""A batch whose body could not be read so often, each time made anew by a converter, is dead letters."""


class Run:
    """Consecutive numbers `first` to `end` (exclusive) of one stream that were released together.

    Their telemetry is accepted up to `done` (exclusive). While `holds` is above 0, other things made of these numbers
    (attributes, readings of other devices) are not accepted yet, and nothing of the run is settled.
    """

    __slots__ = ("done", "end", "first", "holds", "stream")

    def __init__(self, stream: Stream, first: int, end: int) -> None:
        self.stream = stream
        self.first = first
        self.end = end
        self.done = first
        self.holds = 0


class Release(NamedTuple):
    """A run and what the converter made of it; indexes of `body` count from `run.first`."""

    run: Run
    kind: Entry
    body: ReadingBody


class Kept(NamedTuple):
    """A batch that came before its turn; sorted by `first`, then `end`."""

    first: int
    end: int
    arrival: int
    batch: ReadingBatch


class Stream:
    """One journal in one generation."""

    def __init__(self, batch: ReadingBatch, changed: dict[Stream, None], notes: list[Note]) -> None:
        self.device = batch.device
        self.journal = batch.journal
        self.generation = batch.generation
        self.base = batch.base
        self.received = batch.base
        self.settled = batch.base
        self.heard_s = 0.0
        self.told_s = 0.0
        """When something new was reported last."""
        self.replaced: Stream | None = None
        """The same journal in its generation before this one."""
        self._changed = changed
        self._runs: deque[Run] = deque()
        self._kept: list[Kept] = []
        self._kept_bytes = 0
        self._kept_ranges: list[Range] = []
        self._arrivals = 0
        self._dead: dict[int, str] = {}
        self._notes = notes
        self._failures = 0
        """Batches at `received` whose body could not be read."""

    def take(self, batch: ReadingBatch, credit_bytes: int, counters: PublisherCounts) -> list[Release]:
        """What this batch releases: itself, less what had come before, and what was kept behind it."""
        self._raise_base(batch.base)
        if batch.first <= self.received:
            released = self._release(batch, counters)
        else:
            released = []
            self._keep(batch, credit_bytes, counters)
        while self._kept and self._kept[0].first <= self.received:
            kept = self._kept.pop(0)
            self._kept_bytes -= len(kept.batch.body)
            if kept.end > self.received:
                released += self._release(kept.batch, counters)
        while self._kept_ranges and self._kept_ranges[0][1] < self.received:
            self._kept_ranges.pop(0)
        return released

    def advance(self) -> None:
        """Raises `settled` to the lowest number that is not done; to be called after a run has changed."""
        runs = self._runs
        while runs and not runs[0].holds and runs[0].done >= runs[0].end:
            runs.popleft()
        settled = self.received
        if runs:
            settled = runs[0].first if runs[0].holds else runs[0].done
        if settled > self.settled:
            self.settled = settled
            self._owe_report()

    def bury(self, number: int, reason: str) -> None:
        """Makes a number a dead letter; it is reported once it is settled, until the reader's base has passed it."""
        if number >= self.base:
            self._dead[number] = reason
            self._owe_report()

    def report(self, epoch: str, credit_bytes: int) -> StreamReport:
        """Everything the reader has to know."""
        dead = [(number, reason) for number, reason in sorted(self._dead.items()) if number < self.settled]
        return StreamReport(
            self.journal, self.generation, epoch, self.received, self.settled, credit_bytes, self._missing(), dead
        )

    def _owe_report(self) -> None:
        self._changed[self] = None

    @property
    def is_idle(self) -> bool:
        """True if nothing is kept or waiting for acceptance."""
        return not self._kept and not self._runs

    def _missing(self) -> list[Range]:
        ranges = self._kept_ranges
        return gaps(ranges, self.received, ranges[-1][1]) if ranges else []

    def _raise_base(self, base: int) -> None:
        if base <= self.base:
            return
        self.base = base
        if self._dead:
            self._dead = {number: reason for number, reason in self._dead.items() if number >= base}
        self.received = max(self.received, base)
        if base > self.settled:
            # The reader has shed what was not accepted.
            while self._runs and self._runs[0].end <= base:
                self._runs.popleft()
            self.advance()

    def _release(self, batch: ReadingBatch, counters: PublisherCounts) -> list[Release]:
        end = batch.first + batch.length
        known = min(batch.length, self.received - batch.first)
        if known:
            counters["duplicates"] += known
            self._owe_report()
            if known == batch.length:
                return []
        try:
            body = codec.unpack_readings(batch.body, batch.length)
        except WireError as error:
            counters["bad_batches"] += 1
            unread = self._give_up(batch, str(error))
            if unread is None:
                return []
            body = unread
        self._failures = 0
        run = Run(self, self.received, end)
        self._runs.append(run)
        self.received = end
        counters["readings_received"] += end - run.first
        body = _without_first(body, known) if known else body
        for index, reason in body.dead.items():
            counters["dead_letters"] += 1
            self.bury(run.first + index, reason)
        return [Release(run, Entry(batch.kind), body)]

    def _give_up(self, batch: ReadingBatch, error: str) -> ReadingBody | None:
        """Stands in for a body that can't be read: None, for it comes again; in the end one of dead letters only."""
        self._failures += 1
        is_over = self._failures >= UNREADABLE
        facts = {"device": batch.device, "first": batch.first, "count": batch.length, "reason": error}
        if self._failures == 1 or is_over:
            self._notes.append(Note("warning", "readings.given_up" if is_over else "readings.unreadable", facts))
        if not is_over:
            return None
        dead = dict.fromkeys(range(batch.length), f"what the converter made of it can't be read: {error}")
        return ReadingBody([0] * batch.length, [b""] * batch.length, b"", dead, {}, None, "")

    def _keep(self, batch: ReadingBatch, credit_bytes: int, counters: PublisherCounts) -> None:
        end = batch.first + batch.length
        self._owe_report()
        if not gaps(self._kept_ranges, batch.first, end - 1):
            counters["duplicates"] += batch.length
            return
        if end > self.received + WINDOW or self._kept_bytes + len(batch.body) > credit_bytes:
            counters["out_of_order_dropped"] += batch.length
            return
        self._arrivals += 1
        self._kept_bytes += len(batch.body)
        self._kept_ranges = add_range(self._kept_ranges, batch.first, end - 1)
        insort(self._kept, Kept(batch.first, end, self._arrivals, batch))


def _without_first(body: ReadingBody, count: int) -> ReadingBody:
    """The body without its first entries. The attributes stay: they are the last values of the whole batch."""
    return body.replace(
        ts_ms=body.ts_ms[count:],
        telemetry=body.telemetry[count:],
        dead={index - count: reason for index, reason in body.dead.items() if index >= count},
        user={index - count: readings for index, readings in body.user.items() if index >= count},
    )


class Ordering:
    """All current streams of this epoch."""

    def __init__(self, epoch: str, counters: PublisherCounts) -> None:
        self.epoch = epoch
        self._counters = counters
        self._streams: dict[str, Stream] = {}
        self._changed: dict[Stream, None] = {}
        self._received: dict[Stream, float] = {}
        """Streams of which something was received since their last report, and when that is to be said at last."""
        self._notes: list[Note] = []
        self._unwanted: list[tuple[Stream, int]] = []
        self._credit_bytes = STREAM_CREDIT_BYTES

    def take(self, batch: ReadingBatch, now_s: float) -> list[Release]:
        """What can be published now that this batch has come; [] for what is old, early or not ours."""
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
        if stream is None or batch.generation > stream.generation:
            stream = self._begin(batch, stream)
        elif batch.base > stream.settled:
            self._unwanted.append((stream, batch.base))
        stream.heard_s = now_s
        releases = stream.take(batch, self._credit_bytes, self._counters)
        if releases:
            self._received.setdefault(stream, now_s + RECEIVED_S)
        return releases

    def _forget_one(self) -> bool:
        """Makes room by forgetting the settled stream that was silent longest; False if all have something here."""
        idle = [journal for journal, stream in self._streams.items() if stream.is_idle]
        if not idle:
            return False
        del self._streams[min(idle, key=lambda journal: self._streams[journal].heard_s)]
        return True

    def _begin(self, batch: ReadingBatch, before: Stream | None) -> Stream:
        """A new generation. What is left of the last one may be nowhere else, if its disk was full; what is left of
        those before it comes again."""
        stream = self._streams[batch.journal] = Stream(batch, self._changed, self._notes)
        stream.replaced = before
        if before and before.replaced:
            self._unwanted.append((before.replaced, before.replaced.received))
            before.replaced = None
        return stream

    def take_unwanted(self) -> list[tuple[Stream, int]]:
        """(stream, end): what that stream said below `end` and is not published need not be any more."""
        unwanted, self._unwanted = self._unwanted, []
        return unwanted

    @property
    def next_report_s(self) -> float | None:
        """When a report is due; 0.0 for at once, None if none is owed."""
        return 0.0 if self._changed else next(iter(self._received.values()), None)

    def take_notes(self) -> list[Note]:
        """What is to be logged."""
        notes, self._notes[:] = list(self._notes), []
        return notes

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
            stream.told_s = now_s
        return [stream.report(self.epoch, self._credit_bytes) for stream in due if self._is_current(stream)]

    def all_reports(self, now_s: float) -> list[StreamReport]:
        """For the heartbeat: the reports that are owed, those of streams with something here, and of the others for a
        while. Also shares the credit out anew."""
        for journal, stream in list(self._streams.items()):
            if stream.is_idle and now_s - stream.heard_s > FORGET_S:
                del self._streams[journal]
        active = sum(not stream.is_idle or now_s - stream.heard_s < ACTIVE_S for stream in self._streams.values())
        self._credit_bytes = min(STREAM_CREDIT_BYTES, TOTAL_CREDIT_BYTES // max(1, active))
        for stream in (*self._changed, *self._received):
            stream.told_s = now_s
        self._changed.clear()
        self._received.clear()
        return [
            stream.report(self.epoch, self._credit_bytes)
            for stream in self._streams.values()
            if not stream.is_idle or now_s - max(stream.heard_s, stream.told_s) <= REPEAT_S
        ]

    def _is_current(self, stream: Stream) -> bool:
        return self._streams.get(stream.journal) is stream

    @property
    def unsettled(self) -> int:
        """Numbers received and not settled, over all streams."""
        return sum(stream.received - stream.settled for stream in self._streams.values())
