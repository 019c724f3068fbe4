"""Slower after the platform has said "too many", smaller where slower does not help, and back again. Pure.

The platform counts what it takes in buckets that refill over time. Those that it names, `rates` keeps; of others (the
tenant's, or of a platform that names none) the rate is found by trying: a refusal lengthens the distance between
publishes, each acceptance shortens it.
"""

from __future__ import annotations

from typing import Final

from services.publisher.core.session.rates import Rates

IN_A_ROW: Final = 3
"""So many refusals with nothing accepted between mean that waiting does not help: the publish itself is too large."""
GROW_S: Final = 10.0
"""A size that was halved is raised by a quarter as often as this."""
IDLE_S: Final = 60.0
"""After so long without a publish the distance begins at its first again: a bucket has filled up meanwhile."""
DATA_PACE: Final = (0.25, 10.0, 0.8)
"""First and longest distance in seconds, and to what share of it an accepted publish shortens it."""
MARKS_PACE: Final = (0.1, 2.0, 0.9)
"""The same for announcements, which are small and many after a restart of the platform."""


class PublishPace:
    """The distance between publishes in seconds, and how much one may hold.

    - A refusal doubles the distance, from `first_s` up to `most_s`. Where the publish went out before the last refusal
      came, it says nothing new and counts for nothing.
    - Several refusals in a row halve the publish: a bucket that is smaller than one publish never takes it, however
      long we wait.
    - An acceptance halves the distance, so that a platform that is well again is at full speed within seconds. It does
      so down to the *edge* only: the distance at which the platform said "too many" last, after it had accepted
      something. From there on each acceptance shortens it to the share `mend` of itself, and feels its way.
    - Below an eighth of `first_s` there is no distance any more.
    """

    def __init__(self, first_s: float, most_s: float, mend: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._mend = mend
        self.interval_s = 0.0
        """The distance; 0.0 while there is no limit."""
        self.most_items: int | None = None
        self.most_devices: int | None = None
        """How much of each a publish may hold; both None while that is no limit."""
        self.next_s = 0.0
        """Nothing is to be published before."""
        self._sent_s = 0.0
        """When the last publish went out."""
        self._slowed_s = -1.0
        """When the last refusal came."""
        self._edge_s = first_s
        self._in_a_row = 0
        """Refusals since the last acceptance."""
        self._sized_s = 0.0
        """When the size was last changed."""
        self._good = (0, 0)
        """Items and devices that were accepted since the last time the size was halved."""

    @property
    def is_slow(self) -> bool:
        """True while publishes go one at a time."""
        return self.interval_s > 0

    @property
    def is_slowest(self) -> bool:
        """True if nothing slower is left to try."""
        return self.interval_s >= self._most_s

    def sent(self, now_s: float) -> None:
        """A publish goes out: the next one not before the distance is over."""
        if now_s > self.next_s + IDLE_S:
            self.interval_s = min(self.interval_s, self._first_s)
        self._sent_s, self.next_s = now_s, now_s + self.interval_s

    def slow_down(self, sent_s: float, now_s: float, items: int = 1, devices: int = 1) -> None:
        """A publish of `items` records of `devices` devices, sent at `sent_s`, was too many."""
        if sent_s <= self._slowed_s:
            return
        if not self._in_a_row:
            self._edge_s = max(self._first_s, self.interval_s)
        self._in_a_row += 1
        if all(self._good) and (items > self._good[0] or devices > self._good[1]):
            # Only the step up was too large.
            self.most_items, self.most_devices = self._good
            self._sized_s, self.interval_s = now_s, max(self._first_s, self.interval_s)
        else:
            self.interval_s = min(self._most_s, max(self._first_s, self.interval_s * 2))
            if self._in_a_row >= IN_A_ROW:
                self.most_items, self.most_devices = max(1, items // 2), max(1, devices // 2)
                self._sized_s, self._good = now_s, (0, 0)
        self._slowed_s, self.next_s = now_s, now_s + self.interval_s

    def speed_up(self, now_s: float, items: int = 1, devices: int = 1, enough: int = 1) -> None:
        """A publish of `items` records of `devices` devices was accepted. A size that was halved is raised now and
        then, and at `enough` items is no limit any more."""
        self._in_a_row = 0
        if self.interval_s / 2 > self._edge_s:
            self.interval_s /= 2
            self.next_s = min(self.next_s, max(self._sent_s, self._slowed_s) + self.interval_s)
        else:
            self.interval_s *= self._mend
        if self.interval_s < self._first_s / 8:
            self.interval_s = 0.0
        if self.most_items is None or self.most_devices is None:
            return
        self._good = (max(items, self._good[0]), max(devices, self._good[1]))
        if now_s >= self._sized_s + GROW_S:
            self._sized_s = now_s
            self.most_items += max(1, self.most_items // 4)
            self.most_devices += max(1, self.most_devices // 4)
            if self.most_items >= enough:
                self.most_items = self.most_devices = None


class Paces:
    """The publisher's two: data and announcements fill different buckets of the platform. And the buckets themselves,
    as far as they are known."""

    def __init__(self, rates: Rates) -> None:
        self.data = PublishPace(*DATA_PACE)
        self.marks = PublishPace(*MARKS_PACE)
        self.rates = rates

    @property
    def interval_s(self) -> float:
        """The longer of the two distances; 0.0 at full speed."""
        return max(self.data.interval_s, self.marks.interval_s)
