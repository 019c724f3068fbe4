"""How long things took, as counts by bounds: what a histogram of `/metrics` is made of. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
"""From what a local gateway takes to what an outage takes. The same for all, so that they can be laid side by side."""


class Durations:
    """Counts of what took up to each bound, and longer than the last; to add something is a search among a dozen."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, took_s: float, count: int = 1) -> None:
        """So many things took so long each. A clock that was set back gives less than nothing, which counts as 0."""
        took_s = max(took_s, 0.0)
        self._counts[bisect_left(BOUNDS_S, took_s)] += count
        self._sum_s += took_s * count

    @property
    def said(self) -> list[float]:
        """As heartbeats carry it: how many took up to each of BOUNDS_S and longer than the bound before, how many took
        longer than the last, and the sum of all in seconds."""
        return [*self._counts, round(self._sum_s, 3)]
