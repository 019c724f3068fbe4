"""How the questions of one device are doing: how often they are asked, and whether their answers come in time."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.config.asking import Ask

WINDOW_S: Final = 10.0
"""Turns of so long ago are told of no more, or of twice as long: what is said is of now."""
FEW: Final = 10
"""Fewer turns than this say nothing of a rate."""
LATE_IN_A_ROW: Final = 3
"""So many late answers to one question, with none in time between them, are no accident."""


class Late(NamedTuple):
    """A question whose answers come after their time."""

    ask: Ask
    in_a_row: int
    """How many there were, with none in time between them."""
    most_s: float
    """How long the slowest of them took."""


class Turns:
    """The turns of one device: taken and missed in the last seconds, and late answers in a row."""

    def __init__(self, asks: tuple[Ask, ...]) -> None:
        self.wanted_hz = sum(1 / ask.every_s for ask in asks if ask.every_s)
        """How many turns a second the configuration wants."""
        self._begun_s = 0.0
        self._before = self._now = (0, 0)
        """(taken, missed) in the window before this one, and in this one."""
        self._late: dict[str, Late] = {}

    def restart(self, now_s: float) -> None:
        """The port is open, or the device is back: what was before says nothing of now."""
        self._begun_s, self._before, self._now = now_s, (0, 0), (0, 0)
        self._late.clear()

    def take(self, missed: int, now_s: float, *, is_again: bool = False) -> None:
        """A turn has begun, or is tried again, and so many have passed meanwhile."""
        if now_s >= self._begun_s + WINDOW_S:
            self._begun_s, self._before, self._now = now_s, self._now, (0, 0)
        self._now = self._now[0] + (not is_again), self._now[1] + missed

    @property
    def asked_hz(self) -> float:
        """How many turns a second are taken: all that are wanted, while too few have come to say otherwise."""
        taken, missed = (self._before[at] + self._now[at] for at in (0, 1))
        if not missed or taken + missed < FEW:
            return self.wanted_hz
        return self.wanted_hz * taken / (taken + missed)

    def settle(self, ask: Ask) -> None:
        """An answer has come in time."""
        self._late.pop(ask.name, None)

    def come_late(self, ask: Ask, after_s: float) -> None:
        """An answer has come so long after its question."""
        before = self._late.get(ask.name, Late(ask, 0, 0.0))
        self._late[ask.name] = Late(ask, before.in_a_row + 1, max(before.most_s, after_s))

    @property
    def late(self) -> Late | None:
        """The question whose answers come latest, if they always come too late."""
        found = [late for late in self._late.values() if late.in_a_row >= LATE_IN_A_ROW]
        return max(found, key=lambda late: late.most_s, default=None)
