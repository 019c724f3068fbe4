"""Blocks that wait in the order of their numbers, and how many bytes they hold together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from common.stream.blocks import Block, slice_block


class BlockQueue:
    """A queue of blocks that keeps count of its bytes, so that nobody has to add and subtract beside it.

    The caller keeps the numbers in order; the queue does not check them.
    """

    def __init__(self) -> None:
        self.blocks: deque[Block] = deque()
        """To be read only: change it by the methods, which keep count."""
        self.bytes = 0
        """Bytes of all bodies together."""

    def push(self, block: Block) -> None:
        """Adds a block behind the others."""
        self.blocks.append(block)
        self.bytes += len(block.body)

    def push_first(self, block: Block) -> None:
        """Puts a block in front of the others."""
        self.blocks.appendleft(block)
        self.bytes += len(block.body)

    def pop(self) -> Block:
        """Takes the first block away. Raises IndexError where there is none."""
        block = self.blocks.popleft()
        self.bytes -= len(block.body)
        return block

    def take_all(self) -> Iterable[Block]:
        """Takes all blocks away, in order."""
        blocks, self.blocks, self.bytes = self.blocks, deque(), 0
        return blocks

    def drop_below(self, base: int) -> None:
        """Forgets blocks that end at `base` or before it; one that only begins below stays whole."""
        while self.blocks and self.blocks[0].end <= base:
            self.pop()

    def cut_below(self, base: int) -> None:
        """Forgets every entry below `base`, also where that cuts a block in two."""
        while self.blocks and self.blocks[0].first < base:
            block = self.pop()
            if block.end > base:
                self.push_first(slice_block(block, base, block.end))
