"""What is said when, where a capture is played: by the clock, or as an answer. Pure: time is an argument.

A capture in which nothing was written is a device that talks by itself. Where something was written, it is a device
that is asked: what stands behind a request, up to the next one, is its answer, with the pauses that it had. A request
that was recorded several times gets its answers in turn, and then from the first again. What stands before the first
request the device says by itself, when the port is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from services.cli.captures.form import Chunk, End

LOOP_S: Final = 1.0
"""From the last chunk to the first of the next round, where the capture does not say when it ended."""
WHOLE_S: Final = 0.05
"""Where a request is the beginning of another one, the rest of that would have come by then."""
MOST_DUE: Final = 4096
"""Sayings that wait: who asks and asks, and never reads, gets no more answers."""
MOST_HEARD_BYTES: Final = 65_536
"""What nobody has recorded is forgotten when so much of it waits."""


class Saying(NamedTuple):
    """Bytes, and how long after the beginning, or the request, they are said."""

    after_s: float
    data: bytes


class Parts(NamedTuple):
    """A capture, taken apart."""

    unasked: list[Saying]
    lasts_s: float
    """From the beginning of one round to that of the next."""
    answers: dict[bytes, list[list[Saying]]]
    """Request → its answers in order; one that was not answered has an empty one."""


def parts_of(entries: Iterable[Chunk | End]) -> Parts:
    """Takes a capture apart."""
    unasked: list[Saying] = []
    answers: dict[bytes, list[list[Saying]]] = {}
    answer: list[Saying] | None = None
    asked_s = last_s = 0.0
    ended_s = None
    request = b""
    for entry in entries:
        if isinstance(entry, End):
            ended_s = entry.at_s
        elif entry.is_written:
            # Written in several pieces it is one request all the same.
            request = request + entry.data if answer == [] and entry.at_s - asked_s <= WHOLE_S else entry.data
            if answer == [] and request != entry.data:
                _take_back(answers, request.removesuffix(entry.data))
            answer, asked_s = [], entry.at_s
            answers.setdefault(request, []).append(answer)
        else:
            (unasked if answer is None else answer).append(Saying(entry.at_s - asked_s, entry.data))
            last_s = entry.at_s
    lasts_s = ended_s if ended_s is not None and ended_s > last_s else last_s + LOOP_S
    return Parts(unasked, lasts_s, answers)


def _take_back(answers: dict[bytes, list[list[Saying]]], beginning: bytes) -> None:
    """What looked like a request was the beginning of one."""
    answers[beginning].pop()
    if not answers[beginning]:
        del answers[beginning]


class Player:
    """Plays the parts: what is due, and what is answered. `at_once` knows no pauses."""

    def __init__(self, parts: Parts, *, speed: float = 1.0, at_once: bool = False, loops: bool = False) -> None:
        self._parts = parts
        self._speed = float("inf") if at_once else speed
        self._loops = loops
        self._longest = max(map(len, parts.answers), default=0)
        self._turns: dict[bytes, int] = {}
        self._due: list[tuple[float, bytes]] = []
        """(when, what) in order."""
        self._heard = bytearray()
        self._heard_s = 0.0
        self._round_s: float | None = None
        """When the next round begins."""
        self.unknown_bytes = 0
        """Of what was asked, what nobody has recorded."""
        self.unanswered = 0
        """Requests that were not answered, as too much was waiting to be said."""

    def begin(self, now_s: float) -> None:
        """The port was opened: all from the beginning."""
        self._due, self._turns = [], {}
        self._heard.clear()
        self._begin_round(now_s)

    def _begin_round(self, now_s: float) -> None:
        self._add(self._parts.unasked, now_s)
        has_more = self._loops and self._parts.unasked
        self._round_s = now_s + self._parts.lasts_s / self._speed if has_more else None

    def _add(self, sayings: Sequence[Saying], now_s: float) -> None:
        self._due += [(now_s + saying.after_s / self._speed, saying.data) for saying in sayings]
        self._due.sort(key=lambda one: one[0])

    @property
    def answers_questions(self) -> bool:
        """True for a device that is asked: it waits for questions as long as it is there."""
        return bool(self._parts.answers)

    @property
    def is_over(self) -> bool:
        """True once all was said that is said without being asked."""
        return not self._due and self._round_s is None

    @property
    def next_s(self) -> float | None:
        """When something is to be said, or decided; None if nothing is."""
        times = [self._due[0][0]] if self._due else []
        times += [self._round_s] if self._round_s is not None else []
        times += [self._heard_s + WHOLE_S] if self._heard and self._parts.answers else []
        return min(times, default=None)

    def say(self, now_s: float) -> bytes:
        """What is to be said next, if it is time; b"" for nothing."""
        self._answer(now_s)
        if self._round_s is not None and now_s >= self._round_s and not self._due:
            self._begin_round(now_s)
        return self._due.pop(0)[1] if self._due and now_s >= self._due[0][0] else b""

    def hear(self, data: bytes, now_s: float) -> None:
        """What whoever has the port writes."""
        self._heard += data
        self._heard_s = now_s
        self._answer(now_s)

    def _answer(self, now_s: float) -> None:
        while (found := self._find(is_whole=now_s >= self._heard_s + WHOLE_S)) is not None:
            place, request = found
            self.unknown_bytes += place
            del self._heard[: place + len(request)]
            answers = self._parts.answers[request]
            if len(self._due) >= MOST_DUE:
                self.unanswered += 1
                continue
            turn = self._turns.get(request, 0)
            self._turns[request] = turn + 1
            self._add(answers[turn % len(answers)], now_s)

    def _find(self, *, is_whole: bool) -> tuple[int, bytes] | None:
        """(place, request) of the first request in what was heard, the longest at its place. Unless `is_whole`, one
        that may be the beginning of another is waited for. What can be the beginning of none is forgotten."""
        heard, requests = self._heard, self._parts.answers
        for place in range(len(heard)):
            rest = bytes(heard[place : place + self._longest])
            if not is_whole and any(len(one) > len(rest) and one.startswith(rest) for one in requests):
                return None
            fitting = [one for one in requests if rest.startswith(one)]
            if fitting:
                return place, max(fitting, key=len)
        if is_whole or len(heard) > MOST_HEARD_BYTES:
            self.unknown_bytes += len(heard)
            heard.clear()
        return None
