"""How much may be said now: the rate limits of the platform and of the configuration, counted as there. Pure.

ThingsBoard's server keeps a bucket for each `count:seconds`: it holds `count` at most, is full at first, and fills
evenly, all of it in so many seconds. What finds too little in any bucket is refused, and the connection with it. So the
same buckets are kept here, and nothing goes out that would find too little there.

A publish takes from the platform's bucket somewhere between its sending and its PUBACK. Until the PUBACK what it took
is *lent*: our bucket fills only up to what the platform's can hold by then. So ours never holds more than the
platform's, however long messages take. What it can't know is what an earlier publisher has left: then the platform
refuses once, nothing is lost, and our bucket is emptied.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

from common.config.models import Rate, RateLimits
from common.core.rate_text import Pairs
from services.publisher.core.dialects import Counted, SessionRates

RATE_SHARE: Final = 0.99
"""Our buckets fill at this share of the platform's speed: two clocks do not go at quite the same pace."""
ROUNDING: Final = 1e-6
"""What a sum of many small numbers may lack."""

MARK: Final = Counted(is_own=False, messages=1)
"""What an announcement or a goodbye counts for."""
DATA: Final = Counted(is_own=False, data=1, points=1)
"""The least that data of a device counts for."""

MOST_EARLY: Final = 100
"""Publishes before the platform's first word that are remembered: as many as are in flight at a time."""

What = Literal["messages", "data", "points", "device_messages", "device_data", "device_points"]
"""What is counted; see `common.config.models.RateLimits`."""
_WHATS: Final[tuple[What, ...]] = (
    "messages",
    "data",
    "points",
    "device_messages",
    "device_data",
    "device_points",
)


class Bucket:
    """One `count:seconds`, as the platform keeps it; it never holds more than the platform's."""

    __slots__ = ("_count", "_filled_s", "_lent", "_level", "_rate_hz")

    def __init__(self, count: int, seconds: int, now_s: float) -> None:
        self._count = count
        self._rate_hz = count * RATE_SHARE / seconds
        self._level = float(count)
        self._lent = 0
        self._filled_s = now_s

    @property
    def count(self) -> int:
        """What it holds at most."""
        return self._count

    def level(self, now_s: float) -> float:
        """What it holds."""
        most = self._count - self._lent
        self._level = min(most, self._level + max(0.0, now_s - self._filled_s) * self._rate_hz)
        self._filled_s = now_s
        return self._level

    def lend(self, count: int, now_s: float) -> None:
        """Takes so many for a publish that goes out now."""
        self.level(now_s)
        self._level -= count
        self._lent += count

    def settle(self, count: int, now_s: float) -> None:
        """The platform has taken these from its own by now: from here on its bucket fills again, and so does ours."""
        self.level(now_s)
        self._lent -= count

    def empty(self, now_s: float) -> None:
        """The platform's bucket holds less than was thought."""
        self._level = min(self.level(now_s), -float(self._lent))

    def ready_s(self, count: int, now_s: float) -> float:
        """When it holds so many if nothing more is taken; `inf` if only a PUBACK can bring that about."""
        lacks = count - ROUNDING - self.level(now_s)
        if lacks <= 0:
            return now_s
        return inf if count > self._count - self._lent else now_s + lacks / self._rate_hz


class Limit:
    """All buckets of one thing that is counted: the configuration's, and those that the platform has named."""

    def __init__(self, rate: Rate) -> None:
        self._pairs: Pairs = rate.pairs if rate.is_guess else ()
        self._own = [] if rate.is_guess else [Bucket(count, seconds, -inf) for count, seconds in rate.pairs]
        self._said = [Bucket(count, seconds, -inf) for count, seconds in self._pairs]
        self.buckets = [*self._own, *self._said]
        """Empty where there is no limit."""

    def hear(self, pairs: Pairs, now_s: float) -> list[Bucket]:
        """The platform's word; returns the buckets that are new. What it has said before goes on as it is; else all
        begins anew, as it does there."""
        if pairs == self._pairs:
            return []
        self._pairs = pairs
        self._said = [Bucket(count, seconds, now_s) for count, seconds in pairs]
        self.buckets = [*self._own, *self._said]
        return self._said

    def room(self, now_s: float) -> int | None:
        """How many may go now; None: any number."""
        if not self.buckets:
            return None
        # Never less than what `ready_s` says is there.
        return max(0, int(min(bucket.level(now_s) for bucket in self.buckets) + 2 * ROUNDING))

    @property
    def most(self) -> int | None:
        """How many may ever go at once; None: any number."""
        return min((bucket.count for bucket in self.buckets), default=None)

    def ready_s(self, count: int, now_s: float) -> float:
        """When so many may go; `inf` if only a PUBACK can bring that about."""
        return max((bucket.ready_s(count, now_s) for bucket in self.buckets), default=now_s)


class Room(NamedTuple):
    """What the next publish of data may hold; None: any number."""

    devices: int | None = None
    points: int | None = None


NO_LIMIT: Final = Room()


class Rates:
    """All limits, and what the publishes in flight have taken of them."""

    def __init__(self, config: RateLimits) -> None:
        self._limits: dict[What, Limit] = {what: Limit(getattr(config, what)) for what in _WHATS}
        self._in_flight: dict[int, list[tuple[Bucket, int]]] = {}
        """Token → what its publish has lent."""
        self._is_limited = self._look()
        self.is_new = True
        """True until a platform has said for the first time what it takes."""
        self._early: dict[int, tuple[Counted, bool]] = {}
        """Token → what went out before that, the first of it, and whether its PUBACK has come."""

    def _look(self) -> bool:
        return any(limit.buckets for limit in self._limits.values())

    # What the platform says.

    def hear(self, said: SessionRates | None, now_s: float) -> None:
        """The platform has named its limits; None: it has none to name, and what was thought of it still holds."""
        early, self._early, self.is_new = self._early, {}, False
        if said is None:
            return
        new = {what: self._limits[what].hear(getattr(said, what), now_s) for what in _WHATS}
        self._is_limited = self._look()
        for token, (counted, is_answered) in early.items():
            # It has been taken from the platform's buckets already, or will be.
            lent = [(bucket, count) for what, count in _parts(counted) for bucket in new[what] if count]
            self._lend(token, lent, now_s)
            if is_answered:
                self.answered(token, now_s)

    def refused(self, counted: Counted, now_s: float) -> None:
        """The platform has refused for a rate what counts so: its buckets hold less than ours."""
        for what, count in _parts(counted):
            for bucket in self._limits[what].buckets if count else ():
                bucket.empty(now_s)

    # What goes out.

    def may_say(self, counted: Counted, now_s: float) -> bool:
        """True if what counts so may go out now."""
        return not self._is_limited or self.ready_s(counted, now_s) <= now_s

    def ready_s(self, counted: Counted, now_s: float) -> float:
        """When what counts so may go out; `inf` if only a PUBACK can bring that about."""
        times = [self._limits[what].ready_s(self._bounded(what, count), now_s) for what, count in _parts(counted)]
        return max(times, default=now_s)

    def _bounded(self, what: What, count: int) -> int:
        """More than a bucket can hold goes out all the same once it is full: it would never."""
        most = self._limits[what].most
        return count if most is None else min(count, most)

    def room(self, now_s: float) -> Room:
        """What a publish of devices' data may hold now."""
        if not self._is_limited:
            return NO_LIMIT
        return Room(self._limits["device_data"].room(now_s), self._limits["device_points"].room(now_s))

    @property
    def most_points(self) -> int | None:
        """Values of devices that may ever go at once; None: any number."""
        return self._limits["device_points"].most

    @property
    def counts_points(self) -> bool:
        """True if somebody has to count the values of devices."""
        return self._is_limited and bool(self._limits["device_points"].buckets)

    def sent(self, token: int, counted: Counted, now_s: float) -> None:
        """What counts so goes out under this token."""
        if self.is_new and len(self._early) < MOST_EARLY:
            self._early[token] = counted, False
        if not self._is_limited:
            return
        lent = [(bucket, count) for what, count in _parts(counted) for bucket in self._limits[what].buckets if count]
        self._lend(token, lent, now_s)

    def _lend(self, token: int, lent: list[tuple[Bucket, int]], now_s: float) -> None:
        for bucket, count in lent:
            bucket.lend(count, now_s)
        if lent:
            self._in_flight.setdefault(token, []).extend(lent)

    def answered(self, token: int, now_s: float) -> None:
        """The PUBACK of this token has come."""
        if token in self._early:
            self._early[token] = self._early[token][0], True
        for bucket, count in self._in_flight.pop(token, ()):
            bucket.settle(count, now_s)

    def ended(self, now_s: float) -> None:
        """The connection has ended: what was in flight was taken by now, if it ever was."""
        for token in [*self._in_flight, *self._early]:
            self.answered(token, now_s)


def _parts(counted: Counted) -> tuple[tuple[What, int], ...]:
    if counted.is_own:
        return ("messages", counted.messages), ("data", counted.data), ("points", counted.points)
    return ("device_messages", counted.messages), ("device_data", counted.data), ("device_points", counted.points)
