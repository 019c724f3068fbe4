"""What a journal says when it is opened, beside what its mark says: how far it had come, and what of it is gone.

A number is lost if it is neither settled nor in a block. It stays a number: the publisher waits for each, and one that
was given out is never another frame's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from common.core.sequence import Range
from common.io.journal.mark import Mark
from common.io.journal.seals import Meta
from common.stream.ledger import Ledger
from common.stream.numbers import StreamState

MOST_GAPS: Final = 1_000
"""Gaps that are told at the opening; what is beyond is told when its turn comes to be sent."""


class Extent(NamedTuple):
    """Which numbers a block has, its bytes, and when they were numbered."""

    first: int
    length: int
    size: int
    at_ms: int


class Recovery(NamedTuple):
    """A journal's own word, and its mark's; None if that can't be read, or is another journal's."""

    meta: Meta
    mark: Mark | None
    journal: str
    """The id under which it goes on: a new one where it is not certain to be the latest of its line."""

    @property
    def next_number(self) -> int:
        """Settled numbers are never given out again, whatever could not be written, nor those that are lost."""
        return max(self.meta.next_number, self.settled, self.mark.next_number if self.mark else 1)

    @property
    def settled(self) -> int:
        """Below it nothing is sent again: either may say so, as the mark does while the journal can't be written."""
        return max(self.meta.settled, self.mark.settled if self.mark else 1)

    @property
    def generation(self) -> int:
        """The generation of this opening, above all before."""
        return max(self.meta.generation, self.mark.generation if self.mark else 0) + 1

    @property
    def last_ts_ms(self) -> int:
        """The timestamp that the stream goes on behind: the word of whoever had come further."""
        mark, meta = self.mark, self.meta
        if mark is None or (mark.next_number <= meta.next_number and mark.settled <= meta.settled):
            return meta.last_ts_ms
        return mark.last_ts_ms

    @property
    def ends_early(self) -> bool:
        """True if the journal has forgotten what its mark knows."""
        mark = self.mark
        return mark is not None and (
            mark.next_number > max(self.meta.next_number, self.meta.settled) or mark.generation > self.meta.generation
        )

    def state(self, extents: Iterable[Extent], strikes: dict[int, int]) -> StreamState:
        """The state to go on from. Raises ValueError if the blocks, in order, make no sense."""
        ledger, gaps = Ledger(), list[Range]()
        place, next_number, end = self.settled, self.next_number, 0
        for extent in extents:
            if not all(type(value) is int for value in extent) or extent.first < end or extent.length < 1:
                raise ValueError(f"a block says {tuple(extent)}")
            end = extent.first + extent.length
            if extent.size < 0 or end > next_number:
                raise ValueError(f"a block says {tuple(extent)}, numbers go up to {next_number}")
            if end <= place:
                continue  # settled, and not deleted yet
            ledger.add(end, extent.size, extent.at_ms)
            if extent.first > place and len(gaps) < MOST_GAPS:
                gaps.append((place, extent.first - 1))
            place = end
        # What was given out behind the last block is lost too.
        if place < next_number and len(gaps) < MOST_GAPS:
            gaps.append((place, next_number - 1))
        return StreamState(
            journal=self.journal,
            generation=self.generation,
            next_number=next_number,
            last_ts_ms=self.last_ts_ms,
            settled=self.settled,
            spans=ledger.spans,
            strikes={number: count for number, count in strikes.items() if number >= self.settled},
            line_state=self.meta.line_state,
            gaps=tuple(gaps),
        )
