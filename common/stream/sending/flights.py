"""What was sent to this publisher and is not settled: how far it was received, and what has to be sent again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from common.core.sequence import Range
from common.stream.blocks import Block, pack_runs, slice_block
from common.stream.sending.block_queue import BlockQueue
from common.stream.sending.resend_timer import ResendTimer
from common.wire import codec
from common.wire.messages import Entry, StreamReport


class Again(NamedTuple):
    """What is to be sent again: these sorted ranges of numbers, in at most so many batches."""

    ranges: list[Range]
    batches: int


class Flights:
    """The stream from `floor`, its lowest unsettled number, up to `end`, the first that was not sent.

    floor <= received <= end. The publisher has everything below `received`, and waits for the platform with it; only
    what is from there on may be sent again.
    """

    def __init__(self, floor: int) -> None:
        self.floor = self.received = self.end = floor
        self.queue = BlockQueue()
        self.missing: list[Range] = []
        """The holes above `received` that the publisher named last."""
        self.timer = ResendTimer()

    @property
    def is_outstanding(self) -> bool:
        """True while something was sent that the publisher has not said to have."""
        return self.received < self.end

    def launch(self, block: Block, now_s: float) -> None:
        """A block is sent for the first time to this publisher."""
        self.queue.push(block)
        self.end = block.end
        self.timer.sent(block.end, now_s)

    def begin_anew(self, base: int) -> Iterable[Block]:
        """Nothing was sent yet, from `base` on: another publisher, or another stream for it. Returns what had been."""
        self.floor = self.received = self.end = base
        self.missing = []
        self.timer = ResendTimer()
        return self.queue.take_all()

    def report(self, report: StreamReport, now_s: float, listened_s: float) -> None:
        """Takes what a report says about reception. It may have come at any time since `listened_s`."""
        self.missing = report.missing
        received = max(report.received, self.floor)
        if received > self.received:
            self.received = received
            self.timer.progress(self.received, self.is_outstanding, now_s, listened_s)
        elif received < self.received:
            # It has forgotten a stream that was silent for long, and began it anew.
            self.received = received
            self.timer.sent(self.end, now_s)
            self.timer.expect_loss(now_s, self.is_outstanding)

    def settle(self, floor: int) -> None:
        """Everything below `floor` is settled, or will not be waited for."""
        self.floor = floor
        self.received = max(self.received, floor)
        self.end = max(self.end, floor)
        self.timer.settle(floor)
        self.queue.drop_below(floor)
        if not self.is_outstanding:
            self.timer.stop()

    def wait_anew(self, now_s: float) -> None:
        """Gives the publisher its whole time again: it, or the way to it, was away."""
        self.timer.restart(now_s, self.is_outstanding)

    def expect_loss(self, now_s: float) -> None:
        """Everything outstanding was probably lost with a broker: all of it goes again soon."""
        self.timer.expect_loss(now_s, self.is_outstanding)

    def due(self, now_s: float) -> Again | None:
        """What the resend timer says; None while it is not due."""
        timer = self.timer
        if timer.due_s is None or now_s < timer.due_s:
            return None
        old_end = timer.old_end(now_s)
        batches = timer.fire(now_s)
        if self.missing:
            return Again(
                [(low, min(high, old_end - 1)) for low, high in self.missing if low < old_end], len(self.queue.blocks)
            )
        return Again([(self.received, old_end - 1)], batches)

    def all_of(self, ranges: list[Range]) -> Again:
        """These sorted ranges, in as many batches as that takes."""
        return Again(ranges, len(self.queue.blocks))

    def runs(self, again: Again) -> list[Block]:
        """The batches of what is to be sent again; without what the publisher has, and what is not in flight."""
        ranges, place = again.ranges, 0
        parts: list[Block] = []
        for block in self.queue.blocks:
            while place < len(ranges) and ranges[place][1] < block.first:
                place += 1
            for low, high in islice(ranges, place, None):
                if low >= block.end:
                    break
                first, end = max(low, block.first, self.received), min(high + 1, block.end)
                if first < end:
                    parts.append(slice_block(block, first, end))
        return pack_runs(parts)[: again.batches]

    def oldest(self) -> Block | None:
        """The oldest entry that is not settled; None where nothing is in flight."""
        if self.floor == self.end:
            return None
        block = self.queue.blocks[0]
        first = max(self.floor, block.first)
        return slice_block(block, first, first + 1)

    def entries(self, numbers: Iterable[int]) -> dict[int, tuple[int, bytes, str]]:
        """(ts_ms, frame, origin) of those of these numbers that are in flight."""
        wanted = sorted(numbers)
        found: dict[int, tuple[int, bytes, str]] = {}
        for block in self.queue.blocks:
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
