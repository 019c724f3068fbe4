"""How often a process says that it lives: each second, and less often while nothing happens.

64 ports whose devices are silent would wake a small machine 64 times a second for nothing, and 64 that say one frame a
second would beat as often as they speak. Whoever beats slowly does not listen to the others' beats either, until there
is news.
"""

from __future__ import annotations

from typing import Final

from common.core.liveness import BEAT_S, CALM_BEAT_S, STEADY_BEAT_S

CALM_BEATS: Final = 3
"""Beats in a row with nothing to tell, before the next ones come late."""


class Calm:
    """Counts the beats in which nothing happened that others should hear of soon.

    | what happens                                     | the next beats                                      |
    |--------------------------------------------------|-----------------------------------------------------|
    | news, or something waits at a beat               | each second                                         |
    | nothing                                          | after CALM_BEATS of them each CALM_BEAT_S           |
    | entries now and again, settled by the next beat  | after CALM_BEATS of them each STEADY_BEAT_S         |
    | an entry after a silence                         | as for news                                         |
    """

    def __init__(self) -> None:
        self._quiet_beats = 0
        self.has_said = False
        """True if entries have come since the last beat; whoever has them says so here."""
        self.is_calm = False
        """True if the last beat said that the next one comes late."""
        self.is_silent = False
        """True if it said so because nothing had come: what comes now is news."""

    def news(self) -> None:
        """Something happened that others should hear of soon."""
        self._quiet_beats = 0

    def beat(self, *, is_quiet: bool) -> float:
        """A beat goes out now: after how many seconds the next one does. `is_quiet`: nothing waits for anything."""
        self._quiet_beats = self._quiet_beats + 1 if is_quiet else 0
        self.is_calm = self._quiet_beats > CALM_BEATS
        self.is_silent, self.has_said = self.is_calm and not self.has_said, False
        if not self.is_calm:
            return BEAT_S
        return CALM_BEAT_S if self.is_silent else STEADY_BEAT_S
