"""Frames that were in a converter when it died: they travel alone, and are dead letters after three deaths alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from common.core.dead_kinds import DIED
from common.stream.blocks import Block, dead_block, slice_block
from common.wire import codec

DEATHS: Final = 3
NOTES_REMEMBERED: Final = 64


class Poison:
    """The suspects of one stream. A resend is no evidence: only notes of converters count."""

    def __init__(self, counts: dict[int, int]) -> None:
        self._counts = dict(counts)
        self._noted: deque[str] = deque(maxlen=NOTES_REMEMBERED)

    @property
    def has_suspects(self) -> bool:
        return bool(self._counts)

    def died_in(self, note_id: str, numbers: list[int]) -> dict[int, int]:
        """The new counts of these numbers, in which a converter died; {} for a note that is only repeated.

        If several numbers were being converted, all become suspects, and none is charged with the death.
        """
        if note_id in self._noted:
            return {}
        self._noted.append(note_id)
        death = int(len(numbers) == 1)
        changed = {number: self._counts.get(number, 0) + death for number in numbers}
        self._counts.update(changed)
        return changed

    def settle(self, base: int) -> None:
        """Forgets what is below `base`."""
        if self._counts and min(self._counts) < base:
            self._counts = {number: count for number, count in self._counts.items() if number >= base}

    def pieces(self, block: Block) -> Iterable[tuple[Block, bool]]:
        """The block cut at its suspects: (piece, whether it travels alone). Condemned frames are replaced."""
        suspects = sorted(number for number in self._counts if block.first <= number < block.end)
        place = block.first
        for number in suspects:
            if place < number:
                yield slice_block(block, place, number), False
            yield self._alone(slice_block(block, number, number + 1)), True
            place = number + 1
        if place < block.end:
            yield slice_block(block, place, block.end), False

    def _alone(self, block: Block) -> Block:
        if self._counts[block.first] < DEATHS:
            return block
        ts_ms = codec.unpack_frames(block.body, 1).ts_ms[0]
        reason = f"{DIED} {self._counts[block.first]} times in this frame alone"
        return dead_block(block.first, 1, block.section, ts_ms, reason)
