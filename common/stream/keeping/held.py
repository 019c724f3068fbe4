"""What waits in memory for a journal that can't be written: blocks with numbers, and dead letters. Pure."""

from __future__ import annotations

from typing import Final

from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.events import DeadLetter

UNBURIED_BYTES: Final = 1024 * 1024
"""Dead letters that wait in memory for a journal that can't be written."""
LETTER_BYTES: Final = 256
"""What a dead letter costs beside its bytes."""


class HeldEntries:
    """One stream's."""

    def __init__(self, counters: SourceCounts) -> None:
        self._counters = counters
        self.blocks: list[Block] = []
        self.bytes = 0
        self._letters: list[DeadLetter] = []
        self._letter_bytes = 0

    def add(self, blocks: list[Block]) -> None:
        """Adds these blocks, except those already held."""
        known = {block.first for block in self.blocks}
        new = [block for block in blocks if block.first not in known]
        self.blocks += new
        self.bytes += sum(len(block.body) for block in new)
        self._counters["frames_unjournaled"] += sum(block.length for block in new)

    def bury(self, dead: list[DeadLetter]) -> None:
        """Keeps dead letters, as far as there is room."""
        for letter in dead:
            size = len(letter.data) + LETTER_BYTES
            if self._letter_bytes + size > UNBURIED_BYTES:
                self._counters["dead_letters_dropped"] += 1
            else:
                self._letters.append(letter)
                self._letter_bytes += size

    @property
    def has_letters(self) -> bool:
        """True while dead letters wait."""
        return bool(self._letters)

    def drop(self, base: int) -> None:
        """Forgets blocks that are settled."""
        if self.blocks and self.blocks[0].end <= base:
            self.blocks = [block for block in self.blocks if block.end > base]
            self.bytes = sum(len(block.body) for block in self.blocks)

    def take(self) -> tuple[list[Block], list[DeadLetter]]:
        """All of it: the journal is back."""
        blocks, letters = self.blocks, self._letters
        self.blocks, self.bytes = [], 0
        self._letters, self._letter_bytes = [], 0
        return blocks, letters
