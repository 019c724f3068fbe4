"""Which frames answer what: patterns and places of the configuration, compiled once for a line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

from common.config.asking import Ask, Asking, Heard, Told
from common.config.framing import Framing
from common.core.frame_body import BodyOf, body_of

Fits = Callable[[bytes], bool]


def fits_of(told: Told, search: Callable[[re.Pattern[bytes], bytes], bool | None], body: BodyOf = bytes) -> Fits:
    """What tells such frames from others. `search` finds a pattern in bounded time; where it takes too long the frame
    does not fit. `body` takes the body out of a frame."""
    end = told.at + len(told.same)
    place = slice(told.at, None if told.at < 0 <= end else end)
    if not told.regex:
        return (lambda frame: frame[place] == told.same) if told.same else (lambda _: True)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        pattern = re.compile((rf"\A{told.regex}" if told.in_body else told.regex).encode())
    if told.in_body:
        return lambda frame: bool(search(pattern, body(frame)))
    if not told.same:
        return lambda frame: bool(search(pattern, frame))
    return lambda frame: frame[place] == told.same and bool(search(pattern, frame))


class Messages:
    """The kinds of frames of one device."""

    def __init__(
        self,
        asking: Asking,
        search: Callable[[re.Pattern[bytes], bytes], bool | None],
        body: BodyOf = bytes,
        own: Mapping[str, Framing] = MappingProxyType({}),
    ) -> None:
        """`own`: the framings of messages that have one of their own, by name."""
        bodies = {name: body_of(framing.shapes) for name, framing in own.items()}
        every = [(heard, fits_of(heard.told, search, bodies.get(heard.name, body))) for heard in asking.heard]
        self._choosy = tuple((heard, fits) for heard, fits in every if heard.told != Told())
        """Those that do not take any frame."""
        self._heard = (*self._choosy, *((heard, fits) for heard, fits in every if heard.told == Told()))
        """A question that would take any answer stands in nobody's way."""
        self._only_asked = frozenset(own)
        self._told_names = {heard.name for heard, _ in self._choosy}
        self._has_refusals = any(heard.is_error for heard, _ in self._choosy)
        self._search = search
        self._answers: dict[str, tuple[Fits | None, Fits | None]] = {}

    def named(self, name: str) -> Heard | None:
        """The message of this name."""
        return next((heard for heard, _ in self._heard if heard.name == name), None)

    def first(self, frame: bytes) -> Heard | None:
        """The message that takes this frame; None: none does, or the device has no messages."""
        return self._first_of(self._heard, frame, "")

    def _first_choosy(self, frame: bytes, asked: str) -> Heard | None:
        """The message that takes this frame while this one is awaited: one that would take any frame claims no other's
        answer."""
        return self._first_of(self._choosy, frame, asked)

    def _first_of(self, among: tuple[tuple[Heard, Fits], ...], frame: bytes, asked: str) -> Heard | None:
        """One with a framing of its own is no other's frame."""
        return next(
            (
                heard
                for heard, fits in among
                if (heard.name == asked or heard.name not in self._only_asked) and fits(frame)
            ),
            None,
        )

    def is_telling(self, ask: Ask) -> bool:
        """True if the question knows what its answer looks like: then no other frame is taken for it."""
        return ask.answer is not None or ask.name in self._told_names

    def is_expected(self, name: str, frame: bytes) -> bool:
        """True if this frame is the message of this name, for which a step waits. One that takes any frame takes those
        that no other tells to be its own, wherever it stands among others that take any."""
        found = self._first_choosy(frame, "")
        return name not in self._told_names if found is None else found.name == name

    def tells(self, name: str) -> bool:
        """True if frames of this message are told from others."""
        return name in self._told_names

    def is_answer(self, ask: Ask, frame: bytes) -> bool:
        """True if this frame is what was asked for, as far as it can be told."""
        fits, _ = self._fits(ask)
        if fits is not None:
            return fits(frame)
        found = self._first_choosy(frame, ask.name)
        return not self.is_telling(ask) if found is None else found.name == ask.name

    def is_refusal(self, ask: Ask, frame: bytes) -> bool:
        """True if the device says with this frame that it will not answer the question."""
        _, fits = self._fits(ask)
        if fits is not None:
            return fits(frame)
        found = self._first_choosy(frame, ask.name)
        return found is not None and found.is_error

    def refusal(self, frame: bytes) -> Heard | None:
        """The message by which the device refuses whatever it was told; None for a frame that is none."""
        found = self._first_choosy(frame, "") if self._has_refusals else None
        return found if found is not None and found.is_error else None

    def is_whole_refused(self, ask: Ask, frame: bytes) -> bool:
        """True if a refusal is one of the question as a whole, so that its parts may be answered."""
        return ask.whole_refused is None or fits_of(ask.whole_refused, self._search)(frame)

    def _fits(self, ask: Ask) -> tuple[Fits | None, Fits | None]:
        """(what an answer looks like, what a refusal does), each None where the question does not say it. Asks are
        many on a bus, and their answers few patterns each: compiled when they are needed first."""
        if ask.name not in self._answers:
            answer = None if ask.answer is None else fits_of(ask.answer, self._search)
            refusal = None if ask.refusal is None else fits_of(ask.refusal, self._search)
            self._answers[ask.name] = answer, refusal
        return self._answers[ask.name]
