"""What time it is for people, at a moment of the clock that every core is driven by."""

from __future__ import annotations


class WallClock:
    """The wall clock's last reading, carried on by `now_s`, which never jumps.

    Cores are told the time of day with what comes in (`arrival_ms`); between two readings it goes on at the pace of
    `now_s`. So a clock that somebody sets is followed at the next reading, and nobody has to ask for the time. Whoever
    hears the time sets it, at the moment to which the time belongs; others only look.
    """

    def __init__(self, offset_ms: float | None = None) -> None:
        """`offset_ms`: milliseconds since 1970 UTC less `now_s` in ms; None while nobody has read the clock."""
        self._offset_ms = offset_ms

    @property
    def is_known(self) -> bool:
        """True once somebody has read the clock."""
        return self._offset_ms is not None

    def set(self, wall_ms: int, now_s: float) -> None:
        """Somebody has read the clock: it shows `wall_ms` now."""
        self._offset_ms = wall_ms - now_s * 1000

    def at_ms(self, now_s: float) -> int | None:
        """What the clock shows, in ms since 1970 UTC; None while nobody has read it."""
        return None if self._offset_ms is None else int(self._offset_ms + now_s * 1000)
