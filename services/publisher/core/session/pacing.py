"""Slower after the platform has said "too many", smaller where slower does not help, and back again. Pure."""

from __future__ import annotations

from typing import Final

IN_A_ROW: Final = 3
"""So many refusals with nothing accepted between mean that waiting does not help: the publish itself is too large."""
GROW_S: Final = 10.0
"""A size that was halved is raised by a quarter as often as this."""
IDLE_S: Final = 60.0
"""After so long without a publish the distance begins at its first again: a bucket has filled up meanwhile."""


class Pace:
    """The distance between publishes, and how much one may hold.

    Each "too many" doubles the distance. A bucket smaller than one publish never takes it, however long we wait, so
    several in a row halve it. What was sent before the last slow-down says nothing new.

    An accepted publish halves the distance, which finds a platform that is well again within seconds; but not below the
    distance that it last found too short after something was accepted: from there on each shortens it to `mend` only.
    """

    def __init__(self, first_s: float, most_s: float, mend: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._mend = mend
        self.interval_s = 0.0
        self.most_items: int | None = None
        self.most_devices: int | None = None
        self.next_s = 0.0
        """Nothing is to be published before."""
        self._sent_s = 0.0
        self._slowed_s = -1.0
        self._edge_s = first_s
        """The distance at which the platform said "too many" for the first time after it had accepted something."""
        self._in_a_row = 0
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
        return self.interval_s >= self._most_s

    def sent(self, now_s: float) -> None:
        """A publish goes out."""
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
        """A publish was accepted; sizes of `enough` and more are no limit."""
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
