"""When a source listens to what others say by themselves: their heartbeats, and the publisher's reports.

Each such message wakes the process up. Where nothing waits for it, it may wait: a calm source hears no beats at all,
and one whose line speaks hears the reports together with the next frames.
"""

from __future__ import annotations

from typing import Final

from common.core.calm import Calm
from common.stream.events import Listen

ROUNDED_S: Final = 0.01
"""A rest may end so much later: polls count in milliseconds, and other processes run first."""


class Listening:
    """What is heard now, and since when nobody has listened. All times are `now_s`."""

    def __init__(self) -> None:
        self._calm = Calm()
        self._hears_beats = True
        self.rests_until_s = 0.0
        """When reports are heard again; in the past: at once."""
        self._deaf_since_s = float("inf")
        """Since when reports wait, where that they come late says nothing of the publisher. A busy line's come late
        where everyone's do, and count as they come: it has infinity here."""

    @property
    def is_deaf(self) -> bool:
        """True if the last beat of a calm source said that the next one comes late: until then it hears nobody's."""
        return self._calm.is_calm

    def wake(self, now_s: float) -> list[Listen]:
        """Something has happened: others' beats count again."""
        self._calm.news()
        if self._hears_beats:
            return []
        self._hears_beats = True
        return [Listen(True, now_s)]

    def beat(self, now_s: float, *, is_quiet: bool) -> tuple[float, list[Listen]]:
        """A beat goes out: after how many seconds the next one does. If that is late, nothing waits for anything, and
        others' beats would only wake us before then."""
        every_s = self._calm.beat(is_quiet=is_quiet)
        if not self._calm.is_calm:
            return every_s, []
        self._hears_beats = False
        return every_s, [Listen(False, now_s + every_s)]

    def rest(self, until_s: float, deaf_since_s: float = float("inf")) -> None:
        """Reports are not heard before `until_s`. With `deaf_since_s` those that come then may have come at any time
        after it."""
        self.rests_until_s, self._deaf_since_s = until_s, deaf_since_s

    def listened_s(self, now_s: float) -> float:
        """Since when a report that is heard now may have waited for us."""
        was_resting = now_s <= self.rests_until_s + ROUNDED_S
        return min(now_s, self._deaf_since_s) if was_resting else now_s
