"""The stream: what number and what time each entry gets."""

from __future__ import annotations

from typing import Final, NamedTuple

from common.core.sequence import Range
from common.stream.ledger import Span

AHEAD_MS: Final = 1_000
"""How far timestamps may run ahead of the clock to stay distinct."""
STEP_BACK_MS: Final = 2 * 3600 * 1000
"""If the clock is set back by more than this, we assume that it was wrong before, and follow the new time."""
LINE_STATE_BYTES: Final = 1_280
"""A line may ask the journal to remember so much of it. It goes into each commit: most lines take a few bytes, those
that drop repetitions up to 1,060 while a message lasts."""


class StreamState(NamedTuple):
    """What the journal knows when it is opened."""

    journal: str
    """The journal's random id."""
    generation: int
    """Already raised for this opening."""
    next_number: int = 1
    last_ts_ms: int = 0
    settled: int = 1
    """Every number below it is settled or shed."""
    spans: tuple[Span, ...] = ()
    """What is unsettled, in order."""
    strikes: dict[int, int] = {}
    """Deaths of a converter that a number was alone in."""
    line_state: bytes = b""
    """What the line of the last process wanted to be remembered, at most LINE_STATE_BYTES; b"" if nothing is known.
    Only the line can read it: neither the journal nor the stream looks inside."""
    gaps: tuple[Range, ...] = ()
    """Numbers that are lost: neither settled nor in the journal."""


class Stream:
    """Numbers from 1, and timestamps that are distinct as far as possible.

    Each timestamp is at least 1 ms after the one before, as long as that keeps it within 1 s of the clock; beyond that
    it repeats (`repeats` counts). After a step back of the clock of up to 2 h timestamps go on from the last.
    """

    def __init__(self, state: StreamState) -> None:
        self.journal = state.journal
        self.generation = state.generation
        self.next_number = state.next_number
        self.opened_number = state.next_number
        """The next number when the journal was opened: everything below it is an earlier process's."""
        self.last_ts_ms = state.last_ts_ms
        self.repeats = 0
        self.steps_followed = 0
        self._clock_ms = state.last_ts_ms
        self._ahead_ms = AHEAD_MS

    def take_repeats(self) -> int:
        """How many timestamps were given out twice since the last call."""
        repeats, self.repeats = self.repeats, 0
        return repeats

    def take(self, count: int) -> int:
        """The first of `count` new numbers."""
        first = self.next_number
        self.next_number += count
        return first

    def stamp(self, count: int, clock_ms: int) -> list[int]:
        """Timestamps of `count` entries that came at `clock_ms`, never falling."""
        ceiling_ms = clock_ms + self._allowance_ms(clock_ms)
        first_ms = max(self.last_ts_ms + 1, clock_ms)
        distinct = max(0, min(count, ceiling_ms - first_ms + 1))
        stamps = list(range(first_ms, first_ms + distinct))
        if distinct:
            self.last_ts_ms = stamps[-1]
        if distinct < count:
            self.repeats += count - distinct
            stamps += [self.last_ts_ms] * (count - distinct)
        return stamps

    def _allowance_ms(self, clock_ms: int) -> int:
        """How far ahead of the clock a timestamp may be: more than AHEAD_MS only after the clock was set back."""
        ahead_ms = self.last_ts_ms - clock_ms
        if ahead_ms > STEP_BACK_MS:
            self.steps_followed += 1
            self.last_ts_ms, ahead_ms = clock_ms - 1, -1
        step_back_ms = self._clock_ms - clock_ms
        if step_back_ms > 0:
            # The ceiling stays where it was, so that as many stamps are distinct as without the step.
            self._ahead_ms += step_back_ms
        self._ahead_ms = max(AHEAD_MS, min(self._ahead_ms, ahead_ms + AHEAD_MS))
        self._clock_ms = clock_ms
        return self._ahead_ms


class Progress(NamedTuple):
    """How far the stream is."""

    read: int
    """The number after the last that was read."""
    received: int
    """Up to where the publisher has it."""
    settled: int
    """Entries that the platform has accepted so far."""
    backlog: int
    """Entries that it has not."""
    waits: bool = False
    """True if there is something to send that the window has no room for."""
