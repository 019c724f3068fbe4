"""When the line is read again. Pure.

A reader that takes every byte the moment it comes spends its time on waking up. So a busy line rests for some
milliseconds between reads and hands over together what came meanwhile, all readers of a machine at the same moments, so
that the processes behind them wake up once for many; a line that says little is read at once. And where
a line says more than the platform takes, for as long as it is let, reading on would only fill the journal and take the
processor from those who could empty it: such a line is read as fast as its entries are settled. What it does meanwhile
is what it does with any slow reader: it waits, if it can (USB, flow control, TCP, a pseudo-terminal). One that can't
must lose nothing, so no rest is longer than it takes to fill most of what the kernel keeps at the line's own rate.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from common.core.company import PERIODS_S
from common.stream.numbers import Progress
from services.port_reader.core.hold import FULL_BYTES, LEAST_S, LONGEST_S, Hold

BUSY_S: Final = 0.010
"""A line that has something again so soon is busy, and the shortest rest of one."""
READS_HZ: Final = 200.0
"""Most reads a second of busy lines, of all ports together, as far as LONGEST_S allows: eight ports rest as long as
readings may wait where nothing is said. Waking up costs a reader a millisecond, most of it to have its memory near
again; frames that come together cost microseconds."""
BUSY_FRAMES: Final = 3
"""A line that has so many for one read is busy, too."""
LATE_S: Final = 0.1
"""What the publisher does not have after this waits for somebody who has too much to do. News of reception alone takes
half of it."""
LENGTHEN: Final = 2.0
SHORTEN: Final = 0.7
KERNEL_BYTES: Final = 4_096
"""What the kernel keeps of a line that nobody reads (N_TTY_BUF_SIZE)."""
RESTING_BYTES: Final = 0.7 * KERNEL_BYTES
"""So much of it may fill while a line rests; the rest is for a reader that comes late: 0.1 s at 115,200 baud."""


def _period_s(wanted_s: float, most_s: float) -> float:
    """The first period that is not below `wanted_s`, else the longest; none above `most_s` but the shortest."""
    found_s = BUSY_S
    for period_s in PERIODS_S:
        if found_s < wanted_s and period_s <= most_s:
            found_s = period_s
    return found_s


class ReadPace:
    """When one line is read again.

    | what the line does                                   | its rest                                                 |
    |------------------------------------------------------|----------------------------------------------------------|
    | it says little                                       | none                                                     |
    | it is busy                                           | to the next of the moments at which all lines are read   |
    | it is held: it says more than the platform takes     | as long as what was read takes to be settled (`Hold`)    |

    Whatever it is, no rest is longer than `safe_s`, in which the kernel keeps what the line says. Where readings are
    not to wait for company, a line that is only busy rests no longer than that, or not at all.
    """

    def __init__(self, byte_s: float, window_frames: int, ports: int, company_s: float | None = None) -> None:
        """`byte_s`: how long the line takes for a byte at its configured rate; `ports` of the gateway; `company_s`: how
        long what was said may wait for company in this process, half of it here. None: as long as pays."""
        self._most_s = LONGEST_S if company_s is None else min(LONGEST_S, company_s / 2)
        self._safe_s = RESTING_BYTES * byte_s
        self._window = window_frames
        self._last: Progress | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=64)
        """(when, up to which number) was read, of what the publisher does not have yet."""
        self._free_s = self._read_s = 0.0
        self._has_rested = False
        self._least_s = self._busy_s = min(LONGEST_S, max(BUSY_S, ports / READS_HZ))
        self._hold = Hold(window_frames)

    def set_speed(self, byte_s: float) -> None:
        """The line takes so long for a byte from now on."""
        self._safe_s = RESTING_BYTES * byte_s

    @property
    def is_held(self) -> bool:
        """True while the line is read no faster than the platform accepts."""
        return self._hold.is_held

    def rest_s(self, now_s: float, size: int, progress: Progress) -> float:
        """How long not to read after this read of `size` bytes."""
        last, self._last = self._last or progress, progress
        hold = self._hold
        if now_s >= hold.sample_s:
            hold.judge(now_s, progress)
        frames = progress.read - last.read
        self._mark(now_s, progress)
        if not frames and not self._has_rested and not hold.is_held:
            # A piece of a frame: the rest of it is not to wait.
            return 0.0
        rest_s = hold.rest_s(now_s, size, frames) if hold.is_held else self._rest_of_free(now_s, size, frames, progress)
        self._has_rested = rest_s > 0
        rest_s = min(rest_s, self._safe_s)
        self._read_s = now_s
        self._free_s = now_s + rest_s
        return rest_s

    def _rest_of_free(self, now_s: float, size: int, frames: int, progress: Progress) -> float:
        """The rest of a line that is not held."""
        # On a machine that has too much to do we come late each time: then only the number of frames tells.
        if now_s >= self._free_s + BUSY_S and frames < BUSY_FRAMES:
            self._busy_s = self._least_s
            return 0.0
        return 0.0 if size >= FULL_BYTES else self._rest_of_busy(now_s, size, progress)

    def _rest_of_busy(self, now_s: float, size: int, progress: Progress) -> float:
        """To the next moment at which all lines of this machine are read: what they say is then passed on together."""
        # Our news is taken as fast as it is sent, or everyone behind us has too much to do.
        is_late = progress.backlog <= self._window and now_s > self._marks[0][0] + LATE_S
        self._busy_s = min(LONGEST_S, max(self._least_s, self._busy_s * (LENGTHEN if is_late else SHORTEN)))
        period_s = _period_s(self._busy_s, min(LONGEST_S, self._safe_s))
        rest_s = period_s - now_s % period_s
        rest_s += period_s if rest_s < LEAST_S else 0.0
        if rest_s > self._most_s:
            rest_s = self._most_s if self._most_s >= LEAST_S else 0.0
        if size >= KERNEL_BYTES // 4:
            # Whatever its configured rate is: at the rate that we see.
            rest_s = min(rest_s, RESTING_BYTES * max(BUSY_S, now_s - self._read_s) / size)
        return rest_s

    def _mark(self, now_s: float, progress: Progress) -> None:
        """Remembers when which number was read; forgets those that the publisher has."""
        marks = self._marks
        while marks and marks[0][1] <= progress.received:
            marks.popleft()
        marks.append((now_s, progress.read))
