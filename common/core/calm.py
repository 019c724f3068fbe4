"""How often a process says that it lives: each second, and less often while nothing happens.

64 ports whose devices are silent would wake a small machine 64 times a second for nothing; and whoever beats slowly
does not listen to the others' beats either, until there is news.
"""

from __future__ import annotations

from typing import Final

from common.core.liveness import BEAT_S, CALM_BEAT_S

CALM_BEATS: Final = 3
"""Beats in a row with nothing to tell, before the next ones come late."""


class Calm:
    """Counts the beats in which nothing happened."""

    def __init__(self) -> None:
        self._quiet_beats = 0
        self.is_calm = False
        """True if the last beat said that the next one comes late."""

    def news(self) -> None:
        """Something happened that others should hear of soon."""
        self._quiet_beats = 0

    def beat(self, *, is_quiet: bool) -> float:
        """A beat goes out now: after how many seconds the next one does. `is_quiet`: nothing waits for anything."""
        self._quiet_beats = self._quiet_beats + 1 if is_quiet else 0
        self.is_calm = self._quiet_beats > CALM_BEATS
        return CALM_BEAT_S if self.is_calm else BEAT_S
