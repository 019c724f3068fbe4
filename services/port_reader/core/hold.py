"""Reads a line that says more than the platform takes no faster than its entries are settled. Pure."""

from __future__ import annotations

from typing import Final

from common.stream.numbers import Progress

LONGEST_S: Final = 0.240
"""Rest of a busy line of many, or when everyone behind us has too much to do: with what follows, half a second."""
LONGEST_HELD_S: Final = 0.050
"""Rest of a line that is held and would say more: at 4,096 bytes a read still 80 kB/s, so that none is ever stopped."""
LEAST_S: Final = 0.002
"""A shorter rest is none: a poll counts in milliseconds."""
FULL_BYTES: Final = 3_500
"""A read of so much: the kernel had no room for more, and to rest would be to hold the line."""
SAMPLE_S: Final = 0.25
"""The speed at which entries are settled is looked at this often."""
HOLD_SHARE: Final = 0.9
"""A line that is held is read at this share of the speed at which its entries are settled."""
RUN: Final = 2.5
"""A held line rests only for at least this many reads' worth of time: a few reads in a row cost half of what as many
cost alone."""
CATCH_UP_S: Final = 0.02
"""A line that is held and was read late is read that much sooner the next times."""


class Hold:
    """Whether one line is held, and how long it rests then."""

    def __init__(self, window_frames: int) -> None:
        """`window_frames`: so many entries may be on their way; more wait in the journal."""
        self._window = window_frames
        self.is_held = False
        """True while the line is read no faster than the platform accepts."""
        self.sample_s = 0.0
        """When it is to be judged again."""
        self._sample = Progress(0, 0, 0, 0)
        self._sampled_s = 0.0
        self._rate_hz = 0.0
        """Entries that were settled in a second, over the last sample."""
        self._due_s = 0.0
        """When what was read so far will be settled."""

    def judge(self, now_s: float, progress: Progress) -> None:
        """Holds a line whose backlog grows while the platform accepts; where it accepts nothing, time is all that
        helps, and the journal is there for it."""
        before = self._sample
        self._rate_hz = (progress.settled - before.settled) / (now_s - self._sampled_s) if before.read else 0.0
        if self._rate_hz <= 0 or progress.backlog <= self._window // 2:
            self.is_held = False
        elif progress.backlog > self._window and progress.backlog >= before.backlog:
            self.is_held = True
        self._sample, self._sampled_s, self.sample_s = progress, now_s, now_s + SAMPLE_S

    def rest_s(self, now_s: float, size: int, frames: int) -> float:
        """How long a held line rests after a read of `size` bytes and so many frames."""
        if size < FULL_BYTES:
            # It says no more than this; together with others it is too much all the same.
            return LONGEST_S
        worth_s = frames / (HOLD_SHARE * self._rate_hz)
        self._due_s = max(self._due_s, now_s - CATCH_UP_S) + worth_s
        rest_s = min(LONGEST_HELD_S, self._due_s - now_s)
        return rest_s if rest_s >= max(LEAST_S, min(LONGEST_HELD_S, RUN * worth_s)) else 0.0
