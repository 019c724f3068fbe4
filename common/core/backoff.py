"""Waiting longer after each failure, with jitter. Pure: the random draw is an argument."""

from __future__ import annotations


class Backoff:
    """Delays from `first_s` doubling up to `most_s`, each spread by ±`jitter` of itself."""

    # No tuple of `typing`'s: that module takes longer to load than all else that `services.cli.supervise.launch` needs.
    __slots__ = ("first_s", "jitter", "most_s")

    def __init__(self, first_s: float, most_s: float, jitter: float = 0.2) -> None:
        self.first_s = first_s
        self.most_s = most_s
        self.jitter = jitter

    def delay_s(self, attempt: int, draw: float = 0.5) -> float:
        """The wait before retry number `attempt` (0 is the first); `draw` in [0, 1) spreads it, 0.5 not at all."""
        delay_s = min(self.most_s, self.first_s * 2.0 ** min(attempt, 30))
        return delay_s * (1 + self.jitter * (2 * draw - 1))
