"""When the line is read again. Pure.

A reader that takes every byte the moment it comes spends its time on waking up. So a busy line rests for some
milliseconds between reads and hands over together what came meanwhile, all readers of a machine at the same moments, so
that who is behind them wakes up once for many; a line that says little is read at once. And where
a line says more than the platform takes, for as long as it is let, reading on would only fill the journal and take the
processor from those who could empty it: such a line is read as fast as its entries are settled. What it does meanwhile
is what it does with any slow reader: it waits, if it can (USB, flow control, TCP, a pseudo-terminal). One that can't
must lose nothing, so no rest is longer than it takes to fill most of what the kernel keeps at the line's own rate.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from common.stream.numbers import Progress

BUSY_S: Final = 0.010
"""A line that has something again so soon is busy, and the shortest rest of one."""
READS_HZ: Final = 100.0
"""Most reads a second of busy lines, of all ports together, as far as LONGEST_S allows. Waking up costs a reader a
millisecond, most of it to have its memory near again; frames that come together cost microseconds."""
BUSY_FRAMES: Final = 3
"""A line that has so many for one read is busy, too."""
LONGEST_S: Final = 0.240
"""Rest of a busy line of many, or when everyone behind us has too much to do: with what follows, half a second."""
PERIODS_S: Final = (BUSY_S, 0.020, 0.040, 0.080, LONGEST_S)
"""Rests end at multiples of one of these; each is a multiple of those before it, so that who rests longer is read
together with all others."""
LONGEST_HELD_S: Final = 0.050
"""Rest of a line that is held and would say more: at 4,096 bytes a read still 80 kB/s, so that none is ever stopped."""
LATE_S: Final = 0.1
"""What the publisher does not have after this waits for somebody who has too much to do. News of reception alone takes
half of it."""
LENGTHEN: Final = 2.0
SHORTEN: Final = 0.7
SAMPLE_S: Final = 0.25
HOLD_SHARE: Final = 0.9
"""A line that is held is read at this share of the speed at which its entries are settled."""
LEAST_S: Final = 0.002
"""A shorter rest is none: a poll counts in milliseconds."""
RUN: Final = 2.5
"""So many reads' worth of time a rest has to have: a few reads in a row cost half of as many alone."""
CATCH_UP_S: Final = 0.02
"""A line that is held and was read late is read that much sooner the next times."""
KERNEL_BYTES: Final = 4_096
"""What the kernel keeps of a line that nobody reads (N_TTY_BUF_SIZE)."""
RESTING_BYTES: Final = 0.7 * KERNEL_BYTES
"""So much of it may fill while a line rests; what is left is for a reader that comes late: 0.1 s at 115,200 baud."""
FULL_BYTES: Final = 3_500
"""A read of so much: the kernel had no room for more, and to rest would be to hold the line."""


def _period_s(wanted_s: float, most_s: float) -> float:
    """The first period that is not below `wanted_s`, else the longest; none above `most_s` but the shortest."""
    found_s = BUSY_S
    for period_s in PERIODS_S:
        if found_s < wanted_s and period_s <= most_s:
            found_s = period_s
    return found_s


class ReadPace:
    """One line's."""

    def __init__(self, byte_s: float, window_frames: int, ports: int) -> None:
        """`byte_s`: how long the line takes for a byte at its configured rate; `ports` of the gateway."""
        self._safe_s = RESTING_BYTES * byte_s
        self._window = window_frames
        self._last: Progress | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=64)
        self._free_s = self._read_s = 0.0
        self._has_rested = False
        self._least_s = self._busy_s = min(LONGEST_S, max(BUSY_S, ports / READS_HZ))
        self._sample = Progress(0, 0, 0, 0)
        self._sampled_s = 0.0
        self._rate_hz = 0.0
        self._due_s = 0.0
        self.is_held = False
        """True while the line is read no faster than the platform accepts."""

    def rest_s(self, now_s: float, size: int, progress: Progress) -> float:
        """How long not to read after this read of `size` bytes."""
        last, self._last = self._last or progress, progress
        if now_s >= self._sampled_s + SAMPLE_S:
            self._judge(now_s, progress)
        frames = progress.read - last.read
        self._mark(now_s, progress)
        if not frames and not self._has_rested and not self.is_held:
            # A piece of a frame: the rest of it is not to wait.
            return 0.0
        # On a machine that has too much to do we come late each time: then it is what there was that tells.
        is_busy = now_s < self._free_s + BUSY_S or frames >= BUSY_FRAMES
        rest_s = 0.0
        if self.is_held and size < FULL_BYTES:
            # It says no more than this; together with others it is too much all the same.
            rest_s = LONGEST_S
        elif self.is_held:
            worth_s = frames / (HOLD_SHARE * self._rate_hz)
            self._due_s = max(self._due_s, now_s - CATCH_UP_S) + worth_s
            rest_s = min(LONGEST_HELD_S, self._due_s - now_s)
            rest_s = rest_s if rest_s >= max(LEAST_S, min(LONGEST_HELD_S, RUN * worth_s)) else 0.0
        elif not is_busy:
            self._busy_s = self._least_s
        elif size < FULL_BYTES:
            # Our news is taken as fast as it is sent, or everyone behind us has too much to do.
            is_late = progress.backlog <= self._window and now_s > self._marks[0][0] + LATE_S
            self._busy_s = min(LONGEST_S, max(self._least_s, self._busy_s * (LENGTHEN if is_late else SHORTEN)))
            # All lines of this machine at the same moments: what they say is then passed on together.
            period_s = _period_s(self._busy_s, min(LONGEST_S, self._safe_s))
            rest_s = period_s - now_s % period_s
            rest_s += period_s if rest_s < LEAST_S else 0.0
            if size >= KERNEL_BYTES // 4:
                # Whatever its configured rate is: at the rate that we see.
                rest_s = min(rest_s, RESTING_BYTES * max(BUSY_S, now_s - self._read_s) / size)
        self._has_rested = rest_s > 0
        rest_s = min(rest_s, self._safe_s)
        self._read_s = now_s
        self._free_s = now_s + rest_s
        return rest_s

    def _mark(self, now_s: float, progress: Progress) -> None:
        """Remembers when what was read; forgets what the publisher has."""
        marks = self._marks
        while marks and marks[0][1] <= progress.received:
            marks.popleft()
        marks.append((now_s, progress.read))

    def _judge(self, now_s: float, progress: Progress) -> None:
        """Holds a line whose backlog grows while the platform accepts; where it accepts nothing, time is all that
        helps, and the journal is there for it."""
        before = self._sample
        self._rate_hz = (progress.settled - before.settled) / (now_s - self._sampled_s) if before.read else 0.0
        if self._rate_hz <= 0 or progress.backlog <= self._window // 2:
            self.is_held = False
        elif progress.backlog > self._window and progress.backlog >= before.backlog:
            self.is_held = True
        self._sample, self._sampled_s = progress, now_s
