"""When frames that come alone are taken: at common moments, so that all behind the broker wake up once for many. Pure.

A frame that comes alone costs each process behind its reader a wake-up, and that is most of what it costs. Its reader
can't wait for company: it has woken up already, and would have to do so again. So it sends at once, and the broker does
not look for frames until the next moment, while they come to it through ZeroMQ's own thread.
"""

from __future__ import annotations

from typing import Final

from common.core.company import period_within
from common.wire.messages import FrameBatch

FEW_FRAMES: Final = 1
"""What has more in a batch has waited for company already, in its reader."""
LITTLE_BYTES: Final = 4_096
LEAST_S: Final = 0.004
"""A shorter rest ends with the next moment but one: nobody comes in so short a time."""
TOGETHER_S: Final = 0.006
"""Lines that speak at the same time, once in a while, come within this: the first is passed on, the others together."""
OFFSET_S: Final = 0.005
"""Moments here are so much later than those at which busy lines are read: what these send is there by then."""


def is_little(batch: FrameBatch) -> bool:
    """True for a batch that takes a converter less time than it takes to wake one up, or to ask for the next."""
    return batch.length <= FEW_FRAMES and len(batch.body) <= LITTLE_BYTES and not batch.pinned


class Gathering:
    """Whether frames rest, and until when.

    | how frames come                                   | when they are taken                                      |
    |---------------------------------------------------|----------------------------------------------------------|
    | batches of many, now and until two periods ago    | as they come, and what comes alone too                   |
    | alone, long after the last one                    | as it comes; those behind it TOGETHER_S later            |
    | alone, soon after the last one                    | at the moments, which are multiples of `period_s`        |
    """

    def __init__(self) -> None:
        self.period_s = 0.0
        """0: frames never rest."""
        self._until_s = self._last_s = self._many_s = float("-inf")

    def take_wait(self, most_s: float) -> None:
        """Frames may wait here so long from now on."""
        self.period_s = period_within(most_s)

    def rest_until_s(self, batch: FrameBatch, now_s: float) -> float | None:
        """Until when frames rest after this batch and what came with it; None: they don't, or do so already."""
        if batch.length > FEW_FRAMES:
            self._many_s = now_s
        # Busy lines have waited in their readers, and are not held up by one that says little.
        is_busy = now_s < self._many_s + 2 * self.period_s
        if is_busy or not self.period_s or now_s < self._until_s:
            return None
        is_dense = now_s < self._last_s + 2 * self.period_s
        rest_s = self.period_s - (now_s - OFFSET_S) % self.period_s
        rest_s += self.period_s if rest_s < LEAST_S else 0.0
        self._last_s = now_s
        self._until_s = now_s + (rest_s if is_dense else min(rest_s, TOGETHER_S))
        return self._until_s
