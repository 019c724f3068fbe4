"""How many of a line's frames have a wrong checksum, and which one would be right. Pure.

To be imported only when one was wrong: most lines never need it.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Final

from common.core.checksum_guess import Guess, guess_checksum
from common.core.frame_shape import Checksum
from common.core.frame_words import checksum_words

WINDOW_S: Final = 60.0
"""The share is of what came within this time."""
MARK_S: Final = 5.0
"""So far apart are the moments from which it is counted."""
TOLD_FRAMES: Final = 3
TOLD_SHARE: Final = 0.05
"""So many damaged frames, and so large a share of all, are told: a burst of noise now and then is none of it."""
GUESS_AGAIN_S: Final = 60.0
"""A guess takes a good part of a second at worst: no more often than this."""


class Damage:
    """The frames of a line since the first one whose checksum was wrong."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque()
        """(when, good frames by then, damaged ones by then), at least one, the oldest at the begin of the window."""
        self._guessed_s: float | None = None
        self._guess = ""

    def mark(self, good: int, wrong: int, now_s: float) -> None:
        """There were so many good and so many damaged frames by now. The first mark comes before what is counted."""
        marks = self._marks
        if not marks or now_s >= marks[-1][0] + MARK_S:
            marks.append((now_s, good, wrong))
        while len(marks) > 1 and marks[1][0] <= now_s - WINDOW_S:
            marks.popleft()

    def is_told(self, good: int, wrong: int) -> bool:
        """True if there is something to tell."""
        lately, total = self._lately(good, wrong)
        return lately >= TOLD_FRAMES and lately >= TOLD_SHARE * total

    def told(self, good: int, wrong: int, fault: str, guess: str) -> str:
        """What a person is told. `fault`: what was wrong with the last one; `guess`: what would be right."""
        lately, total = self._lately(good, wrong)
        share = f"{lately} of the last {total} frames ({100 * lately / total:.0f} %) have a wrong checksum"
        cure = guess or "is the line disturbed: its shield, its length, its termination, its earth?"
        return "; ".join(part for part in (share, f"the last one: {fault}" if fault else "", cure) if part)

    def _lately(self, good: int, wrong: int) -> tuple[int, int]:
        """(damaged frames, all frames) in the window."""
        _, good_before, wrong_before = self._marks[0]
        return wrong - wrong_before, wrong - wrong_before + good - good_before

    def guess(self, checksums: tuple[Checksum, ...], frames: list[bytes], now_s: float) -> str:
        """`crc16-modbus would fit …`: what would be right for all of the newest damaged frames; "" if nothing is known
        to be."""
        if self._guessed_s is None or now_s >= self._guessed_s + GUESS_AGAIN_S:
            found = guess_checksum(checksums[0], frames) if len(checksums) == 1 and frames else None
            self._guess = "" if found is None else _guess_words(found)
            self._guessed_s = now_s if frames else None
        return self._guess


def _guess_words(found: Guess) -> str:
    keys = json.dumps(found.keys, ensure_ascii=True)
    words = checksum_words(found.checksum)
    return f'another one fits the newest {found.frames}: {words}; set "checksum": {keys}'
