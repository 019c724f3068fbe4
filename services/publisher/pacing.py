"""Slower and smaller after the platform has said "too many", faster again with what it accepts. Pure."""

from __future__ import annotations

from typing import Final

MEND: Final = 0.8
"""An accepted publish shortens the distance to the next one to this share."""
GROW: Final = 4
"""An accepted publish raises the size of the next one by a quarter of it."""
IDLE_S: Final = 60.0
"""After so long without a publish the distance begins at its first again: a bucket has filled up meanwhile."""


class Pace:
    """The distance between publishes, and how much one may hold.

    The first "too many" only sets a distance. One that comes although there was a distance doubles it and halves the
    publish: a bucket smaller than one publish is never enough for it, however long we wait. What was sent before the
    last slow-down says nothing new.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self.interval_s = 0.0
        self.most_items: int | None = None
        self.most_devices: int | None = None
        self.next_s = 0.0
        """Nothing is to be published before."""
        self._slowed_s = 0.0

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
        self.next_s = now_s + self.interval_s

    def slow_down(self, sent_s: float, now_s: float, items: int = 1, devices: int = 1) -> None:
        """A publish of `items` records of `devices` devices, sent at `sent_s`, was too many."""
        if sent_s < self._slowed_s:
            return
        if self.is_slow or self.most_items is not None:
            self.most_items = max(1, min(items, self.most_items or items) // 2)
            self.most_devices = max(1, min(devices, self.most_devices or devices) // 2)
        self.interval_s = min(self._most_s, max(self._first_s, self.interval_s * 2))
        self._slowed_s, self.next_s = now_s, now_s + self.interval_s

    def speed_up(self, enough: int) -> None:
        """A publish was accepted; sizes of `enough` and more are no limit."""
        self.interval_s *= MEND
        if self.interval_s < self._first_s / 8:
            self.interval_s = 0.0
        self.most_items = _grown(self.most_items, enough)
        self.most_devices = _grown(self.most_devices, enough)


def _grown(most: int | None, enough: int) -> int | None:
    if most is None or (most := most + max(1, most // GROW)) >= enough:
        return None
    return most
