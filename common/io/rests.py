"""Sources that nobody reads for a while, however much is there: what comes meanwhile is taken with one wake-up.

    read -> resting -> read            its time is over
            resting -> heard -> resting    a timer is about to fire: what has come is heard first, and then it rests on
            resting (deep) -> read     as above, but a timer does not wake it: its silence must not be taken for news

Pure: whoever polls asks, and is told which sources to poll again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Source = TypeVar("Source")


class Rests(Generic[Source]):
    """Knows who rests, and until when, in the time of the `now_s` that is given."""

    def __init__(self) -> None:
        self._until_s: dict[Source, float] = {}
        self._deep: set[Source] = set()
        self._heard: dict[Source, float] = {}
        """Sources that are read before a timer fires, and until when they rest again afterwards."""

    def __contains__(self, source: Source) -> bool:
        return source in self._until_s

    def __bool__(self) -> bool:
        return bool(self._until_s)

    @property
    def next_end_s(self) -> float | None:
        """When the first rest ends; None if nobody rests."""
        return min(self._until_s.values(), default=None)

    @property
    def has_heard(self) -> bool:
        """True while sources are read only because a timer is about to fire."""
        return bool(self._heard)

    def begin(self, source: Source, until_s: float, deep: bool = False) -> None:
        """Lets a source rest from now on; with a time that has passed it is read again at the next `end`."""
        self._until_s[source] = until_s
        self._heard.pop(source, None)
        (self._deep.add if deep else self._deep.discard)(source)

    def forget(self, source: Source) -> None:
        """Drops a source that is none any more."""
        self._until_s.pop(source, None)
        self._heard.pop(source, None)
        self._deep.discard(source)

    def end(self, now_s: float, is_due: bool = False) -> list[Source]:
        """Ends the rests that are over, and returns whose they were; with `is_due`, as a timer is about to fire, all
        but the deep ones."""
        ended = []
        for source, until_s in list(self._until_s.items()):
            if now_s < until_s:
                if not is_due or source in self._deep:
                    continue
                self._heard[source] = until_s
            del self._until_s[source]
            ended.append(source)
        return ended

    def go_on(self) -> Iterable[Source]:
        """The timer has fired: those that were only heard rest on."""
        heard, self._heard = self._heard, {}
        for source, until_s in heard.items():
            self._until_s[source] = until_s
        return heard
