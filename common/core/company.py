"""The moments at which the processes of a machine act together: multiples of these periods of its monotonic clock."""

from __future__ import annotations

from typing import Final

PERIODS_S: Final = (0.010, 0.020, 0.040, 0.080, 0.240)
"""Each is a multiple of those before it, so that who waits longer acts together with all others."""


def period_within(most_s: float) -> float:
    """The longest of them that is no longer than this; 0 where all are longer."""
    return max((period_s for period_s in PERIODS_S if period_s <= most_s), default=0.0)
