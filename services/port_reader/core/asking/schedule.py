"""When the questions of one line are due, and which comes next.

A question's turns stand on a grid: one each `every` seconds, counted from when the port was opened, or on the clock
where it is `aligned`. A turn that comes while the one before it still waits, or is on the line, is missed: it is
counted and not queued, so that a line that is too slow for its questions asks each of them as often as it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from common.config.asking import Ask

NEVER_S: Final = float("inf")
GRACE: Final = 1e-6
"""A turn that begins this part of its period early is the one of that time: floats do not add up exactly."""

CLOCK_S: Final = 0.002
"""The same on the clock, which shows milliseconds: what is left of less is the turn that is just being taken."""


class Taken(NamedTuple):
    """A question whose turn has come."""

    attempt: int
    """How often it was asked in this turn before."""
    missed: int
    """Turns of this question that have passed meanwhile."""


class _Entry:
    """One question and its next turn."""

    __slots__ = ("again_s", "ask", "attempt", "due_s", "member")

    def __init__(self, member: int, ask: Ask, due_s: float = NEVER_S) -> None:
        self.member = member
        self.ask = ask
        self.due_s = due_s
        self.again_s = NEVER_S
        """Since when a turn that has failed waits to be tried again; infinite where none does."""
        self.attempt = 0

    @property
    def since_s(self) -> float:
        """Since when, or from when on, it is due."""
        return min(self.due_s, self.again_s)


class Schedule:
    """The turns of all questions of one line."""

    def __init__(self, asks: Sequence[tuple[int, Ask]], wall_ms: Callable[[float], int | None]) -> None:
        """`asks`: (the device's place on the line, its question). `wall_ms`: the wall clock at a time of ours in
        milliseconds since 1970 UTC; None where nobody has read it yet."""
        self._entries = [_Entry(member, ask) for member, ask in asks]
        self._wall_ms = wall_ms

    def ask_of(self, place: int) -> Ask:
        """The question at this place."""
        return self._entries[place].ask

    def member_of(self, place: int) -> int:
        """Whose question that is."""
        return self._entries[place].member

    def start(self, now_s: float, members: Iterable[int]) -> None:
        """The port is open, or these devices have come back: what has its time on the clock is asked at the next such
        time, all else now."""
        chosen = frozenset(members)
        for entry in self._entries:
            if entry.member in chosen:
                entry.due_s, entry.again_s, entry.attempt = self._first_s(entry.ask, now_s), NEVER_S, 0

    def stop(self, members: Iterable[int]) -> None:
        """These devices are asked nothing more until `start`."""
        chosen = frozenset(members)
        for entry in self._entries:
            if entry.member in chosen:
                entry.due_s, entry.again_s, entry.attempt = NEVER_S, NEVER_S, 0

    def next_of(self, may_ask: Callable[[int], bool], now_s: float) -> int | None:
        """The place of the question that has been due for longest, of those devices that may be asked; None if none is
        due. Of two that became due at once the first in the configuration."""
        found, found_s = None, NEVER_S
        for place, entry in enumerate(self._entries):
            if entry.since_s <= now_s and entry.since_s < found_s and may_ask(entry.member):
                found, found_s = place, entry.since_s
        return found

    def since_s(self, place: int) -> float:
        """Since when, or from when on, the question is due; infinite for never."""
        return self._entries[place].since_s

    def first_of(self, member: int) -> int | None:
        """The place of a device's first question; None where it has none."""
        return next((place for place, entry in enumerate(self._entries) if entry.member == member), None)

    def take(self, place: int, now_s: float) -> Taken:
        """The turn of this question begins, or goes on with another attempt: its next turn is the first on its grid
        that is still to come."""
        entry = self._entries[place]
        is_again = entry.again_s < NEVER_S
        attempt, entry.attempt, entry.again_s = entry.attempt, 0, NEVER_S
        passed = self._pass(entry, now_s)
        # A turn that has come while the one before it was tried again is missed too.
        return Taken(attempt, passed if is_again else max(0, passed - 1))

    def retry(self, place: int, attempt: int, since_s: float) -> None:
        """The turn that began at `since_s` has failed so often, and is tried again: as a question that has waited since
        then."""
        entry = self._entries[place]
        entry.again_s, entry.attempt = since_s, attempt

    def forgive(self, member: int, ask: Ask) -> None:
        """The answer has come after all: the turn is not tried again."""
        for entry in self._entries:
            if entry.member == member and entry.ask is ask:
                entry.again_s, entry.attempt = NEVER_S, 0

    def split(self, place: int, now_s: float) -> bool:
        """The device refuses this question as a whole: its parts take its place, and are due now. False if it has
        none."""
        entry = self._entries[place]
        if not entry.ask.parts:
            return False
        self._entries[place : place + 1] = [_Entry(entry.member, part, now_s) for part in entry.ask.parts]
        return True

    def next_deadline_s(self, may_ask: Callable[[int], bool]) -> float:
        """When the next turn comes of a device that may be asked; infinite for never."""
        return min((entry.since_s for entry in self._entries if may_ask(entry.member)), default=NEVER_S)

    def _pass(self, entry: _Entry, now_s: float) -> int:
        """Moves the question on to its next turn that is still to come; how many turns that passes. One that is due in
        the same moment, but for how floats add up, is passed too: it would be asked twice at once."""
        every_s = entry.ask.every_s
        if entry.due_s > now_s + _early_s(entry.ask):
            return 0
        if every_s is None:
            entry.due_s = NEVER_S
            return 1
        due_s = entry.due_s
        if entry.ask.aligned:
            entry.due_s = self._aligned_s(every_s, now_s)
            # The clock may have been set meanwhile: then this is no whole number, and may be none.
            return max(0, round((entry.due_s - due_s) / every_s))
        passed = int((now_s - due_s) / every_s + GRACE) + 1
        entry.due_s = due_s + passed * every_s
        return passed

    def _first_s(self, ask: Ask, now_s: float) -> float:
        if ask.every_s is not None and ask.aligned and not ask.on_connect:
            return self._aligned_s(ask.every_s, now_s)
        return now_s if ask.every_s is not None or ask.on_connect else NEVER_S

    def _aligned_s(self, every_s: float, now_s: float) -> float:
        """The next time, later than now, that is a whole multiple of the period on the clock."""
        wall_ms = self._wall_ms(now_s)
        if wall_ms is None:
            return now_s + every_s
        left_s = every_s - (wall_ms / 1000) % every_s
        return now_s + (left_s if left_s >= min(CLOCK_S, every_s / 2) else left_s + every_s)


def _early_s(ask: Ask) -> float:
    """A turn that begins so long before its time is the one of that time."""
    if ask.every_s is None:
        return 0.0
    return min(CLOCK_S, ask.every_s / 2) if ask.aligned else GRACE * ask.every_s
