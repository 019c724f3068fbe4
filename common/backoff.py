"""Waiting longer after each failure, with jitter. Pure: the random draw is an argument."""

from __future__ import annotations

from typing import NamedTuple


class Backoff(NamedTuple):
    """Delays from `first_s` doubling up to `most_s`, each spread by ±`jitter` of itself."""

    first_s: float
    most_s: float
    jitter: float = 0.2

    def delay_s(self, attempt: int, draw: float = 0.5) -> float:
        """The wait before retry number `attempt` (0 is the first); `draw` in [0, 1) spreads it, 0.5 not at all."""
        delay_s = min(self.most_s, self.first_s * 2.0 ** min(attempt, 30))
        return delay_s * (1 + self.jitter * (2 * draw - 1))
