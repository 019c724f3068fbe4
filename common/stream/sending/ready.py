"""What is in memory and waits for the window: blocks that follow each other without a hole."""

from __future__ import annotations

from collections.abc import Iterable

from common.core.dead_kinds import NOWHERE
from common.core.sequence import Range
from common.stream.blocks import (
    BATCH_BYTES,
    BATCH_FRAMES,
    Block,
    can_join,
    dead_block,
    join_blocks,
    slice_block,
    split_block,
)
from common.stream.sending.block_queue import BlockQueue


class Ready:
    """Blocks that were numbered or read from the journal, and that this publisher was not sent yet.

    `end` is the number after the last in memory. What follows is in the journal alone and is fetched
    when there is room.
    """

    def __init__(self, end: int, most_bytes: int) -> None:
        """`most_bytes`: no block is taken while so many wait, so that memory is bounded whatever the journal holds."""
        self.queue = BlockQueue()
        self.end = end
        self.lost: list[Range] = []
        """Numbers found missing in the journal since this list was last emptied."""
        self._most_bytes = most_bytes

    @property
    def has_room(self) -> bool:
        """True if memory takes another block."""
        return self.queue.bytes < self._most_bytes

    @property
    def wants_more(self) -> bool:
        """True if it is time to fetch from the journal: a fetch takes a moment, in which the other half is sent."""
        return self.queue.bytes < self._most_bytes // 2

    def accept(self, block: Block) -> None:
        """Takes the block if it follows what is in memory and there is room; else it waits in the journal."""
        if block.first == self.end and self.queue.bytes < self._most_bytes:
            self.queue.push(block)
            self.end = block.end

    def load(self, blocks: list[Block], stored_end: int, section: str) -> None:
        """Takes blocks from the journal, which ends at `stored_end`; what it does not have comes out dead."""
        for block in blocks:
            if block.first >= stored_end:
                # What is before it could not be written yet.
                return
            if block.end <= self.end:
                continue
            if not self._fill(block.first, section):
                return
            self._add(slice_block(block, self.end, block.end))
        if not blocks:
            self._fill(stored_end, section)

    def cut_below(self, base: int) -> None:
        """The journal has dropped everything below `base`."""
        self.end = max(self.end, base)
        self.queue.cut_below(base)

    def put_back(self, blocks: Iterable[Block], base: int) -> None:
        """Puts blocks that were sent to another publisher in front again, in order, without entries below `base`."""
        for block in reversed([*blocks]):
            if block.end > base:
                self.queue.push_first(slice_block(block, base, block.end))

    def take(self, frames: int, size: int, *, must: bool) -> Block | None:
        """One batch of at most so many frames and bytes, joined of several blocks where they may travel together.

        None if there is none that small. With `must` at least one entry is taken, however large.
        """
        blocks = self.queue.blocks
        if not blocks:
            return None
        head = blocks[0]
        if head.length > frames or len(head.body) > size:
            return self._take_beginning(max(1, frames), size) if must else None
        if len(blocks) == 1 or not can_join(head, blocks[1]):
            return self.queue.pop()
        return self._take_run(min(frames, BATCH_FRAMES), min(size, BATCH_BYTES))

    def _take_beginning(self, frames: int, size: int) -> Block:
        head, rest = split_block(self.queue.pop(), frames, size)
        if rest is not None:
            self.queue.push_first(rest)
        return head

    def _take_run(self, frames: int, size: int) -> Block:
        run: list[Block] = []
        while self.queue.blocks:
            block = self.queue.blocks[0]
            if run and not can_join(run[-1], block, frames + run[-1].length, size + len(run[-1].body)):
                break
            run.append(self.queue.pop())
            frames -= block.length
            size -= len(block.body)
        return join_blocks(run)

    def _fill(self, end: int, section: str) -> bool:
        """Numbers that are nowhere come out as dead letters, as every number must come out. False if there was no room
        for all up to `end`: the rest is found missing again."""
        first = self.end
        while self.end < end and self.has_room:
            length = min(BATCH_FRAMES, end - self.end)
            self._add(dead_block(self.end, length, section, 0, NOWHERE))
        if self.end > first:
            self.lost.append((first, self.end - 1))
        return self.end >= end

    def _add(self, block: Block) -> None:
        self.queue.push(block)
        self.end = block.end
