"""What is sent, how far, and what is sent again: the stream from its lowest unsettled number on.

    floor <= received <= next_send <= memory_end <= the stream's next number
    floor..next_send         in flight: sent in this epoch and not settled, at most a window
    next_send..memory_end    ready: in memory, waits for the window
    memory_end..             in the journal only
    base                     the journal's lowest number: floor, or above it where the journal's limits took the oldest

What is in flight stays there when the journal sheds it. To send something newer in its place would fill the pipeline,
at the speed of the line, with frames that are shed before the platform could accept them; the next go out once
those before are settled.

What was received and only waits for the platform's acceptance is never sent again in the same epoch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from common.core.backoff import Backoff
from common.core.events import Send
from common.core.sequence import Range, add_range
from common.stream.blocks import (
    BATCH_BYTES,
    BATCH_FRAMES,
    Block,
    can_join,
    dead_block,
    join_blocks,
    pack_runs,
    slice_block,
    split_block,
)
from common.stream.counters import SourceCounts
from common.stream.poison import Poison
from common.stream.resend_timer import ResendTimer
from common.wire import codec
from common.wire.messages import Entry, FrameBatch, Plane, StreamReport

SILENT_S: Final = 3.0
ASK_S: Final = 120.0
"""Without a report for so long, though the publisher lives, one entry that waits for acceptance is sent again: a repeat
is answered."""
PROBE: Final = Backoff(1.0, 5.0)
JOIN_S: Final = 0.02
"""While much is in flight, a batch that is not full waits so long for more."""
MUCH_FRAMES: Final = 1_024
MUCH_BYTES: Final = 256 * 1024
"""So much in flight keeps everyone behind us busy."""
NOWHERE: Final = "the journal has lost it"


class Limits(NamedTuple):
    """The bounds of one reader."""

    max_records: int = 100_000
    max_bytes: int = 256 * 1024 * 1024
    window_frames: int = 4_096
    window_bytes: int = 1024 * 1024
    ttl_s: float | None = None
    """How old an entry may become in the journal; None for any age."""


class Window:
    """One stream's way to one publisher."""

    def __init__(self, batch: FrameBatch, limits: Limits, poison: Poison, counters: SourceCounts) -> None:
        """`batch` has the fields that all batches share, and the lowest unsettled number as `first` and `base`."""
        self._batch = batch
        self._limits = limits
        self._poison = poison
        self._counters = counters
        self.base = self.floor = self.received = self.next_send = self.memory_end = batch.base
        self._flights: deque[Block] = deque()
        self._ready: deque[Block] = deque()
        self._flight_bytes = self._ready_bytes = 0
        self._credit_bytes = limits.window_bytes
        self.lost: list[Range] = []
        """Numbers that the journal should have had, and had not, since somebody took them from here."""
        self._missing: list[Range] = []
        self._unsent: list[Range] = []
        self._timer = ResendTimer()
        self._join_s: float | None = None
        self._is_joining = False
        self._is_blocked = False
        self._is_silent = False
        self._heard_s = 0.0
        self._told_s = 0.0
        self._probes = 0
        self._probe_s = 0.0

    @property
    def epoch(self) -> str:
        """The publisher that batches are meant for; "" before its first heartbeat."""
        return self._batch.epoch

    @property
    def in_flight(self) -> tuple[int, int]:
        """(frames, bytes) that are sent and not settled."""
        return self.next_send - self.floor, self._flight_bytes

    @property
    def has_room(self) -> bool:
        """True if memory takes another block."""
        return self._ready_bytes < self._limits.window_bytes

    @property
    def wants_more(self) -> bool:
        """True if it is time to fetch from the journal."""
        return self._ready_bytes < self._limits.window_bytes // 2

    @property
    def next_deadline_s(self) -> float | None:
        if not self.epoch or self._is_blocked or self.floor >= self.memory_end:
            return None
        if self._is_silent:
            return self._probe_s
        silent_s = self._heard_s + SILENT_S
        if self.floor < self.next_send:
            silent_s = min(silent_s, self._told_s + ASK_S)
        return silent_s if self._timer.due_s is None else min(silent_s, self._timer.due_s)

    @property
    def next_join_s(self) -> float | None:
        """When a batch that waits for more goes out as it is."""
        return self._join_s if self._is_joining else None

    def entries(self, numbers: Iterable[int]) -> dict[int, tuple[int, bytes, str]]:
        """(ts_ms, frame, origin) of those of these numbers that are in flight."""
        wanted = sorted(numbers)
        found: dict[int, tuple[int, bytes, str]] = {}
        for block in self._flights:
            inside = wanted[bisect_left(wanted, block.first) : bisect_left(wanted, block.end)]
            if inside:
                if block.kind == Entry.DEAD:
                    # Its frames are reasons: there are no bytes.
                    found |= dict.fromkeys(inside, (0, b"", ""))
                    continue
                body = codec.unpack_frames(block.body, block.length)
                at, origin = block.first, block.origin
                found |= {n: (body.ts_ms[n - at], body.frames[n - at], origin) for n in inside}
        return found

    def accept(self, block: Block) -> bool:
        """Takes the block that follows what is in memory; False if it must wait in the journal."""
        if block.first != self.memory_end or not self.has_room:
            return False
        self._ready.append(block)
        self._ready_bytes += len(block.body)
        self.memory_end = block.end
        return True

    def load(self, blocks: list[Block], stored_end: int, section: str) -> None:
        """Takes blocks from the journal, which ends at `stored_end`; what it does not have comes out dead."""
        for block in blocks:
            if block.first >= stored_end:
                # What is before it could not be written yet.
                return
            if block.end <= self.memory_end:
                continue
            if not self._fill(block.first, section):
                return
            self._force(slice_block(block, self.memory_end, block.end))
        if not blocks:
            self._fill(stored_end, section)

    def hear(self, epoch: str, now_s: float) -> None:
        """The publisher's heartbeat. A new epoch is sent everything that the journal has."""
        self._heard_s = now_s
        if self._is_silent:
            self._is_silent, self._probes = False, 0
            self._timer.restart(now_s, self._is_outstanding)
        if epoch == self.epoch:
            return
        self._batch = self._batch.replace(epoch=epoch)
        self._begin_anew()

    def begin_generation(self, generation: int) -> None:
        """Another stream, for the publisher: it is sent everything that the journal has."""
        self._batch = self._batch.replace(generation=generation)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._credit_bytes = self._limits.window_bytes
        for block in reversed(self._flights):
            if block.end > self.base:
                self._ready.appendleft(slice_block(block, self.base, block.end))
        self._ready_bytes = sum(len(block.body) for block in self._ready)
        self._flights.clear()
        self._flight_bytes = 0
        self.floor = self.received = self.next_send = self.base
        self._missing, self._unsent = [], []
        self._timer = ResendTimer()

    def is_current(self, report: StreamReport) -> bool:
        """True if the report is about this stream in the epoch that batches carry."""
        mine = self._batch
        return (report.journal, report.generation, report.epoch) == (mine.journal, mine.generation, mine.epoch) and (
            report.settled <= report.received <= max(self.next_send, self.base)
        )

    def report(self, report: StreamReport, now_s: float, listened_s: float) -> None:
        """What a current report says about reception; `settle` is for its `settled`. It may have come at any time since
        `listened_s`."""
        self.hear(report.epoch, now_s)
        self._told_s = now_s
        self._credit_bytes = min(self._limits.window_bytes, report.credit_bytes)
        self._missing = report.missing
        received = max(report.received, self.floor)
        if received > self.received:
            self.received = received
            self._timer.progress(self.received, self._is_outstanding, now_s, listened_s)
        elif received < self.received:
            # It has forgotten a stream that was silent for long, and began it anew.
            self.received = received
            self._timer.sent(self.next_send, now_s)
            self._timer.expect_loss(now_s, self._is_outstanding)

    def settle(self, floor: int) -> None:
        """Everything below `floor` is settled, or will not be waited for."""
        if floor <= self.floor:
            return
        self.floor = floor
        self.received = max(self.received, floor)
        self.next_send = max(self.next_send, floor)
        self._poison.settle(floor)
        self._timer.settle(floor)
        while self._flights and self._flights[0].end <= floor:
            self._flight_bytes -= len(self._flights.popleft().body)
        if not self._is_outstanding:
            self._timer.stop()
        self.shed(floor)

    def shed(self, base: int) -> None:
        """Everything below `base` has left the journal; what of it is in flight stays there."""
        self.base = max(self.base, base)
        self.memory_end = max(self.memory_end, self.base)
        while self._ready and self._ready[0].first < self.base:
            block = self._ready.popleft()
            self._ready_bytes -= len(block.body)
            if block.end > self.base:
                rest = slice_block(block, self.base, block.end)
                self._ready.appendleft(rest)
                self._ready_bytes += len(rest.body)
        if self.next_send < self.base and self.floor == self.next_send:
            self.settle(self.base)

    def pump(self, now_s: float) -> list[Send]:
        """Sends what the window has room for; nothing while the publisher is unknown or silent, or we are blocked."""
        self._is_joining = False
        if not self.epoch or self._is_blocked or now_s >= self._heard_s + SILENT_S:
            return []
        sends: list[Send] = []
        while not self._waits_for_more(now_s) and (block := self._next_fitting()) is not None:
            sends += self._launch(block, now_s)
        return sends

    def _waits_for_more(self, now_s: float) -> bool:
        """True if what is ready may become a fuller batch: much is in flight, so nobody is kept waiting."""
        is_full = self._ready_bytes >= BATCH_BYTES or self.memory_end - self.next_send >= BATCH_FRAMES
        has_much = self.next_send - self.floor >= MUCH_FRAMES or self._flight_bytes >= MUCH_BYTES
        if not self._ready or not has_much or is_full:
            self._join_s = None
            return False
        if self._join_s is None:
            self._join_s = now_s + JOIN_S
        self._is_joining = now_s < self._join_s
        return self._is_joining

    def blocked(self, batch: FrameBatch) -> None:
        """A batch was not sent."""
        self._is_blocked = True
        self._counters["sends_blocked"] += 1
        if batch.epoch == self.epoch:
            self._unsent = add_range(self._unsent, batch.first, batch.first + batch.length - 1)

    def writable(self, now_s: float) -> list[Send]:
        """The socket takes batches again: first what it did not take."""
        self._is_blocked = False
        unsent, self._unsent = self._unsent, []
        if unsent:
            self._timer.restart(now_s, self._is_outstanding)
        return [*self._resend(unsent, len(self._flights), False), *self.pump(now_s)]

    def broker_changed(self, now_s: float) -> None:
        """The old broker took what was in flight with it: all of it goes again soon."""
        self._timer.expect_loss(now_s, self._is_outstanding)

    def send_alone(self, numbers: Iterable[int]) -> list[Send]:
        """Sends numbers in which a converter died again at once: that converter will not."""
        if not self.epoch or self._is_blocked:
            return []
        return self._resend([(number, number) for number in sorted(numbers)], len(self._flights), True)

    def tick(self, now_s: float, draw: float) -> list[Send]:
        """Resends and probes that are due."""
        if (deadline_s := self.next_deadline_s) is None or now_s < deadline_s:
            return []
        if now_s >= self._heard_s + SILENT_S:
            self._is_silent = True
            self._probe_s = now_s + PROBE.delay_s(self._probes, draw)
            self._probes += 1
            return self._probe(now_s)
        if self._timer.due_s is None or now_s < self._timer.due_s:
            self._told_s = now_s
            return self._ask()
        old_end = self._timer.old_end(now_s)
        batches = self._timer.fire(now_s)
        if self._missing:
            holes = [(low, min(high, old_end - 1)) for low, high in self._missing if low < old_end]
            return self._resend(holes, len(self._flights), True)
        return self._resend([(self.received, old_end - 1)], batches, True)

    @property
    def _is_outstanding(self) -> bool:
        return self.received < self.next_send

    def _probe(self, now_s: float) -> list[Send]:
        """One batch to find out whether anybody is there; none if all that is in memory was received."""
        if self._is_outstanding:
            return self._resend([(self.received, self.received)], 1, True)
        block = self._next_fitting()
        return [] if block is None else self._launch(block, now_s)

    def _ask(self) -> list[Send]:
        """One entry that waits for acceptance, once more."""
        if self.floor == self.next_send:
            return []
        block = self._flights[0]
        first = max(self.floor, block.first)
        self._counters["frames_resent"] += 1
        return self._send(slice_block(block, first, first + 1))

    def _launch(self, block: Block, now_s: float) -> list[Send]:
        """Sends a block for the first time in this epoch."""
        self._flights.append(block)
        self._flight_bytes += len(block.body)
        if self.floor == self.next_send:
            self._told_s = now_s
        self.next_send = block.end
        self._join_s = None
        self._timer.sent(block.end, now_s)
        self._counters["frames_sent"] += block.length
        return self._send(block)

    def _next_fitting(self) -> Block | None:
        """Takes from `ready` what the window has room for, joined to one batch; at least one entry if it is empty."""
        if not self._ready or self.next_send < self.base:
            return None
        frames = self._limits.window_frames - (self.next_send - self.floor)
        size = self._credit_bytes - self._flight_bytes
        head = self._ready[0]
        if head.length > frames or len(head.body) > size:
            if self._flights:
                return None
            return self._take_beginning(max(1, frames), size)
        if len(self._ready) == 1 or not can_join(head, self._ready[1]):
            self._ready_bytes -= len(head.body)
            return self._ready.popleft()
        return self._take_run(min(frames, BATCH_FRAMES), min(size, BATCH_BYTES))

    def _take_beginning(self, frames: int, size: int) -> Block:
        block = self._ready.popleft()
        head, rest = split_block(block, frames, size)
        self._ready_bytes -= len(block.body)
        if rest is not None:
            self._ready.appendleft(rest)
            self._ready_bytes += len(rest.body)
        return head

    def _take_run(self, frames: int, size: int) -> Block:
        run: list[Block] = []
        while self._ready:
            block = self._ready[0]
            if run and not can_join(run[-1], block, frames + run[-1].length, size + len(run[-1].body)):
                break
            run.append(self._ready.popleft())
            self._ready_bytes -= len(block.body)
            frames -= block.length
            size -= len(block.body)
        return join_blocks(run)

    def _resend(self, ranges: list[Range], batches: int, is_again: bool) -> list[Send]:
        """Sends up to so many batches of what of these sorted ranges is in flight and not received."""
        parts: list[Block] = []
        place = 0
        for block in self._flights:
            while place < len(ranges) and ranges[place][1] < block.first:
                place += 1
            for low, high in islice(ranges, place, None):
                if low >= block.end:
                    break
                first, end = max(low, block.first, self.received), min(high + 1, block.end)
                if first < end:
                    parts.append(slice_block(block, first, end))
        sends: list[Send] = []
        for block in pack_runs(parts)[:batches]:
            if is_again:
                self._counters["frames_resent"] += block.length
            sends += self._send(block)
        return sends

    def _send(self, block: Block) -> list[Send]:
        pieces = self._poison.pieces(block) if self._poison.has_suspects else ((block, False),)
        sends = []
        for piece, alone in pieces:
            batch = self._batch.replace(
                first=piece.first,
                length=piece.length,
                base=self.floor,
                kind=piece.kind,
                section=piece.section,
                alone=alone,
                body=piece.body,
            )
            sends.append(Send(Plane.FRAMES, batch))
        self._counters["batches_sent"] += len(sends)
        return sends

    def _fill(self, end: int, section: str) -> bool:
        """Numbers that are nowhere come out as dead letters, as every number must come out. False if there was no room
        for all up to `end`: the rest is found missing again."""
        first = self.memory_end
        while self.memory_end < end and self.has_room:
            length = min(BATCH_FRAMES, end - self.memory_end)
            self._force(dead_block(self.memory_end, length, section, 0, NOWHERE))
        if self.memory_end > first:
            self.lost.append((first, self.memory_end - 1))
        return self.memory_end >= end

    def _force(self, block: Block) -> None:
        self._ready.append(block)
        self._ready_bytes += len(block.body)
        self.memory_end = block.end
