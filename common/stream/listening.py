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
        self.calm = Calm()
        self.hears_beats = True
        """False for a calm source, until something happens."""
        self.rests_until_s = 0.0
        """When reports are heard again; in the past: at once."""
        self._deaf_since_s = float("inf")
        """When we stopped listening: the delay of a report after that is our own, and must not count as round trip.
        Infinity on a busy line, where it does count: reports come late there because everyone is busy."""

    def wake(self, now_s: float) -> list[Listen]:
        """Something has happened, or waits: others' beats count again."""
        if self.hears_beats:
            return []
        self.hears_beats = True
        self.rests_until_s = min(now_s, self.rests_until_s)
        return [Listen(True, now_s)]

    def news(self, now_s: float) -> list[Listen]:
        """Something has happened that others should hear of soon."""
        self.calm.news()
        return self.wake(now_s)

    def beat(self, now_s: float, *, is_quiet: bool) -> tuple[float, list[Listen]]:
        """To be called when a beat goes out; returns (the seconds until the next, effects). If the next comes late,
        nothing waits for anything, and others' beats would only wake us before then."""
        every_s = self.calm.beat(is_quiet=is_quiet)
        if not self.calm.is_calm:
            return every_s, self.wake(now_s)
        self.hears_beats = False
        self.rest(now_s + every_s, now_s)
        return every_s, [Listen(False, now_s + every_s)]

    def rest(self, until_s: float, deaf_since_s: float = float("inf")) -> None:
        """Reports are not heard before `until_s`. With `deaf_since_s` those that come then may have come at any time
        after it."""
        self.rests_until_s, self._deaf_since_s = until_s, deaf_since_s

    def listened_s(self, now_s: float) -> float:
        """Since when a report that is heard now may have waited for us."""
        was_resting = now_s <= self.rests_until_s + ROUNDED_S
        return min(now_s, self._deaf_since_s) if was_resting else now_s
