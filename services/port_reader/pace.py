"""When the line is read again. Pure.

A reader that takes every byte the moment it comes spends its time on waking up. So a busy line rests for some
milliseconds between reads and hands over together what came meanwhile; one that says little is read at once. And where
a line says more than the platform takes, for as long as it is let, reading on would only fill the journal and take the
processor from those who could empty it: such a line is read as fast as its entries are settled. What it does meanwhile is
what it does with any slow reader: it waits, if it can (USB, flow control, TCP, a pseudo-terminal). One that can't must
lose nothing, so no rest is longer than half of what the kernel keeps takes to fill at the line's own rate.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BUSY_S: Final = 0.010
"""A line that has something again so soon is busy, and the shortest rest of one."""
LONGEST_S: Final = 0.040
"""Rest of a busy line on a machine that has much to do."""
LONGEST_HELD_S: Final = 0.050
"""Rest of a line that is held: at 4,096 bytes a read still 80 kB/s, so that none is ever stopped."""
WORK_SHARE: Final = 3.0
"""The rest in terms of the time that the read before took, from the line to the socket."""
SAMPLE_S: Final = 0.25
HOLD_SHARE: Final = 0.9
"""A line that is held is read at this share of the speed at which its entries are settled."""
KERNEL_BYTES: Final = 4_096
"""What the kernel keeps of a line that nobody reads (N_TTY_BUF_SIZE)."""


class Counts(NamedTuple):
    """Entries of the stream so far."""

    read: int
    settled: int
    """Accepted by the platform."""
    backlog: int


class Pace:
    """One line's."""

    def __init__(self, byte_s: float, window_frames: int) -> None:
        """`byte_s`: how long the line takes for a byte at its configured rate."""
        self._safe_s = KERNEL_BYTES / 2 * byte_s
        self._window = window_frames
        self._free_s = 0.0
        self._sampled_s = 0.0
        self._backlog = 0
        self._settled = 0
        self._read = 0
        self._rate_hz = 0.0
        self.is_held = False
        """True while the line is read no faster than the platform accepts."""

    def rest_s(self, now_s: float, size: int, took_s: float, counts: Counts) -> float:
        """How long not to read after this read of `size` bytes. `took_s`: what the read before took."""
        frames, self._read = counts.read - self._read, counts.read
        if now_s >= self._sampled_s + SAMPLE_S:
            self._sample(now_s, counts)
        if self.is_held:
            rest_s = min(LONGEST_HELD_S, frames / (HOLD_SHARE * self._rate_hz))
        elif now_s < self._free_s + BUSY_S and size < KERNEL_BYTES // 2:
            rest_s = min(LONGEST_S, max(BUSY_S, WORK_SHARE * took_s))
        else:
            rest_s = 0.0
        rest_s = min(rest_s, self._safe_s)
        self._free_s = now_s + rest_s
        return rest_s

    def _sample(self, now_s: float, counts: Counts) -> None:
        """Holds a line whose backlog grows while the platform accepts; where it accepts nothing, time is all that
        helps, and the journal is there for it."""
        self._rate_hz = (counts.settled - self._settled) / (now_s - self._sampled_s)
        if self._rate_hz <= 0 or counts.backlog <= self._window // 2:
            self.is_held = False
        elif counts.backlog > self._window and counts.backlog >= self._backlog:
            self.is_held = True
        self._sampled_s, self._backlog, self._settled = now_s, counts.backlog, counts.settled
