"""One stream: its numbers back in order, what is accepted of them, and what its reader is told. Pure.

A stream is a journal and its generation. Converters work in parallel, so its batches come in any order, twice, or not
at all. `ReadingStream.take` returns `Release`s: runs of consecutive numbers, each number exactly once, in order. The
outbox, which publishes a run, raises its `done`, lowers its `holds` and calls `advance` of its stream; `settled`
follows, and is reported to the reader, which then lets these numbers go.

All work here is per batch, none per reading.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from math import inf
from typing import Final, NamedTuple

from common.core.dead_kinds import UNREAD
from common.core.errors import WireError
from common.core.sequence import Range, add_range, gaps
from common.wire import codec
from common.wire.messages import Entry, ReadingBatch, ReadingBody, StreamReport
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outlet import Outlet

WINDOW: Final = 4_096
"""Numbers above `received` that are kept."""
UNREADABLE: Final = 5
"""A batch whose body could not be read so often, each time made anew by a converter, is dead letters."""


class Run:
    """Consecutive numbers `first` to `end` (exclusive) of one stream that were released together.

    Their telemetry is accepted up to `done` (exclusive). While `holds` is above 0, other things made of these numbers
    (attributes, readings of other devices) are not accepted yet, and nothing of the run is settled. From a number on
    that is kept nothing is settled either: a value that it has said waits to be reported.
    """

    __slots__ = ("done", "end", "first", "holds", "kept", "stream")

    def __init__(self, stream: ReadingStream, first: int, end: int) -> None:
        self.stream = stream
        self.first = first
        self.end = end
        self.done = first
        self.holds = 0
        self.kept: dict[str, int] | None = None
        """Device on the platform → the number that is kept for it; None: none ever was."""

    @property
    def settled(self) -> int:
        """Up to here (exclusive) nothing of the run is left to do."""
        if self.holds:
            return self.first
        return min(self.done, *self.kept.values()) if self.kept else self.done

    def keep(self, device: str, number: int) -> None:
        """Keeps a number for what a device has yet to report."""
        if self.kept is None:
            self.kept = {}
        self.kept[device] = number

    def let_go(self, device: str) -> None:
        """The device has nothing of this run to report any more."""
        if self.kept:
            self.kept.pop(device, None)
        self.stream.advance()


class Release(NamedTuple):
    """A run and what the converter made of it; indexes of `body` count from `run.first`."""

    run: Run
    kind: Entry
    body: ReadingBody

    def silenced(self) -> Release:
        """The same with nothing to publish. What the data points could not read becomes no dead letter: it was no
        reading."""
        body = self.body
        for index in body.dead:
            self.run.stream.spare(self.run.first + index)
        silent = body.replace(telemetry=[b""] * len(body.telemetry), attributes=b"", user={}, dead={})
        return self._replace(body=silent)


class KeptReadings(NamedTuple):
    """A batch that came before its turn; sorted by `first`, then `end`."""

    first: int
    end: int
    arrival: int
    batch: ReadingBatch


class Early:
    """The batches of one stream that came before their turn, within bounds: sorted, and which numbers they cover.

    The numbers that are missing between them are told to the reader, which sends just these again.
    """

    __slots__ = ("_arrivals", "batches", "bytes", "ranges")

    def __init__(self) -> None:
        self.batches: list[KeptReadings] = []
        self.bytes = 0
        """The size of their bodies, which the credit bounds."""
        self.ranges: list[Range] = []
        """The numbers that they cover, both ends included."""
        self._arrivals = 0

    def keep(self, batch: ReadingBatch) -> None:
        """Keeps one more; of two with the same numbers the one that came first is taken first."""
        end = batch.first + batch.length
        self._arrivals += 1
        self.bytes += len(batch.body)
        self.ranges = add_range(self.ranges, batch.first, end - 1)
        insort(self.batches, KeptReadings(batch.first, end, self._arrivals, batch))

    def has_all_of(self, batch: ReadingBatch) -> bool:
        """True if each of its numbers is kept already."""
        return not gaps(self.ranges, batch.first, batch.first + batch.length - 1)

    def pop(self) -> KeptReadings:
        """The first of them, which is kept no longer."""
        kept = self.batches.pop(0)
        self.bytes -= len(kept.batch.body)
        return kept

    def forget_below(self, received: int) -> None:
        """The numbers below have been received."""
        while self.ranges and self.ranges[0][1] < received:
            self.ranges.pop(0)

    def missing(self, received: int) -> list[Range]:
        """The holes between `received` and the last number that is kept."""
        return gaps(self.ranges, received, self.ranges[-1][1]) if self.ranges else []


class ReadingStream:
    """One journal in one generation: four numbers that only rise, `base <= settled <= received`.

    - `base`: below it the reader has let everything go;
    - `settled`: below it everything is accepted by the platform, or a dead letter;
    - `received`: below it everything has come and was released, in order;
    - above `received` come the batches that are kept, at most `WINDOW` numbers away.
    """

    def __init__(self, batch: ReadingBatch, changed: dict[ReadingStream, None], out: Outlet) -> None:
        """`changed`: the streams that owe their reader a report, to which this one adds itself."""
        self.device = batch.device
        self.journal = batch.journal
        self.generation = batch.generation
        self.base = batch.base
        self.began = batch.base
        """Where this publisher began: below it an earlier one had everything."""
        self.received = batch.base
        self.settled = batch.base
        self.heard_s = 0.0
        self.told_s = 0.0
        """When something new was reported last."""
        self.told_apart_s = -inf
        """When that was not with a beat."""
        self._changed = changed
        self._out = out
        self._runs: deque[Run] = deque()
        self._early = Early()
        self._dead: dict[int, str] = {}
        self._failures = 0
        """How often a batch at `received` could not be read."""

    def take(self, batch: ReadingBatch, credit_bytes: int, counters: PublisherCounts) -> list[Release]:
        """What this batch releases: itself, less what had come before, and what was kept behind it."""
        self._raise_base(batch.base)
        if batch.first <= self.received:
            released = self._release(batch, counters)
        else:
            released = []
            self._keep(batch, credit_bytes, counters)
        early = self._early
        while early.batches and early.batches[0].first <= self.received:
            kept = early.pop()
            if kept.end > self.received:
                released += self._release(kept.batch, counters)
        if early.ranges:
            early.forget_below(self.received)
        return released

    def advance(self) -> None:
        """Raises `settled` to the lowest number that is not done; to be called after a run has changed."""
        runs = self._runs
        settled = self.received
        while runs:
            settled = runs[0].settled
            if settled < runs[0].end:
                break
            runs.popleft()
            settled = self.received
        if settled > self.settled:
            self.settled = settled
            self._owe_report()

    def bury(self, number: int, reason: str) -> None:
        """Makes a number a dead letter; it is reported once it is settled, until the reader's base has passed it."""
        if number >= self.base:
            self._dead[number] = reason
            self._owe_report()

    def spare(self, number: int) -> None:
        """A number that was just released is no dead letter after all: nobody misses what could not be made of it."""
        self._dead.pop(number, None)

    @property
    def counts(self) -> tuple[int, int]:
        """(numbers that have come, numbers that are settled) since this publisher's start."""
        return self.received - self.began, self.settled - self.began

    def report(self, epoch: str, credit_bytes: int) -> StreamReport:
        """Everything the reader has to know."""
        dead = [(number, reason) for number, reason in sorted(self._dead.items()) if number < self.settled]
        missing = self._early.missing(self.received)
        return StreamReport(
            self.journal, self.generation, epoch, self.received, self.settled, credit_bytes, missing, dead
        )

    def _owe_report(self) -> None:
        self._changed[self] = None

    @property
    def is_idle(self) -> bool:
        """True if nothing is kept or waiting for acceptance."""
        return not self._early.batches and not self._runs

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
        """Stands in for a body that can't be read: None while the batch is to come again, in the end a body of dead
        letters only."""
        self._failures += 1
        is_over = self._failures >= UNREADABLE
        if self._failures == 1 or is_over:
            event = "readings.given_up" if is_over else "readings.unreadable"
            self._out.note("warning", event, device=batch.device, first=batch.first, count=batch.length, reason=error)
        if not is_over:
            return None
        dead = dict.fromkeys(range(batch.length), f"{UNREAD}: {error}")
        return ReadingBody([0] * batch.length, [b""] * batch.length, b"", dead, {}, None, "")

    def _keep(self, batch: ReadingBatch, credit_bytes: int, counters: PublisherCounts) -> None:
        end = batch.first + batch.length
        self._owe_report()
        if self._early.has_all_of(batch):
            counters["duplicates"] += batch.length
        elif end > self.received + WINDOW or self._early.bytes + len(batch.body) > credit_bytes:
            counters["out_of_order_dropped"] += batch.length
        else:
            self._early.keep(batch)


def _without_first(body: ReadingBody, count: int) -> ReadingBody:
    """The body without its first entries. The attributes stay: they are the last values of the whole batch."""
    return body.replace(
        ts_ms=body.ts_ms[count:],
        telemetry=body.telemetry[count:],
        dead={index - count: reason for index, reason in body.dead.items() if index >= count},
        user={index - count: readings for index, readings in body.user.items() if index >= count},
    )
