"""What each profile makes of what a line says. Touches no port and knows no time.

A profile fits if its frames come, again and again, with a right checksum, and say something. Where its frames have no
checksum, their form is all that there is: it is said, and counts less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import simplejson

from common.config.asking import Ask
from common.config.models import Device
from common.config.profile_devices import device_of_profile, find_profile
from common.config.profiles import TALKS, Profile, profile_names, settings_of
from common.conversion.grammar.patterns_of_bytes import compile_bytes
from common.conversion.joint import compile_section
from common.conversion.outcomes import BatchResult
from services.port_reader.core.framers import framer_of, shaped
from services.port_reader.core.framers.base import Framer, ShapedFramer
from services.port_reader.core.framers.delimiter import DelimiterFramer

ENOUGH: Final = 2
"""Frames that make sure: a sum of 8 bits is right by chance once in 256 times."""
MOST_ASKS: Final = 4
"""Questions of a profile that are tried: the others would add nothing."""


class Question(NamedTuple):
    """What is sent to find out whether a device answers as a profile says."""

    ask: Ask
    data: bytes
    timeout_s: float


class Candidate:
    """One profile at one setting of the line."""

    def __init__(self, profile: Profile, device: Device, setting: str) -> None:
        self.profile = profile
        self.device = device
        self.setting = setting
        self.frames = 0
        """Good ones so far, that said something."""
        self.values: dict[str, Any] = {}
        """What they said; later ones over earlier."""
        shapes = device.framing.shapes
        self.is_checked = bool(shapes) and all(shape.checksums for shape in shapes)
        self._converter = compile_section(device)
        self._framer = framer_of(device.framing)
        self._own = {one.name: shaped(one.framing) for one in device.messages if one.framing is not None}
        """What cuts the answers to questions that look otherwise than all else on the line."""

    @property
    def is_found(self) -> bool:
        return self.frames >= ENOUGH

    def questions(self) -> list[Question]:
        """What can be asked: the profile's own questions, of which none changes anything. Of a dialogue its first step,
        which every such device answers."""
        asks = self.device.asking.asks if self.device.asking is not None else ()
        found = []
        for ask in asks[:MOST_ASKS]:
            data = next((step.data for step in ask.steps if step.kind == "send"), b"")
            if data:
                found.append(Question(ask, data, ask.timeout_s))
        return found

    def listen(self, chunk: bytes, origin: str = "") -> int:
        """Takes what the line says, and returns how many good frames that gave."""
        framer = self._own.get(origin, self._framer)
        return self._take(framer, framer.feed(chunk), origin)

    def fall_silent(self, origin: str = "") -> int:
        """The line says nothing more for now: what waited for its end may hold frames."""
        framer = self._own.get(origin, self._framer)
        # A delimiter's line is whole when that has come.
        frames = [] if isinstance(framer, DelimiterFramer) else cast(ShapedFramer, framer).rest()
        return self._take(framer, frames, origin)

    def _take(self, framer: Framer, frames: list[bytes], origin: str) -> int:
        framer.take_dead()
        good = 0
        for frame in frames:
            said = self._said_by(frame, origin)
            if said:
                good += 1
                self.values.update(said)
        self.frames += good
        return good

    def _said_by(self, frame: bytes, origin: str) -> dict[str, Any]:
        """The values of a frame; {} for one that says nothing, or is none of this device."""
        if origin and not self._answers(frame, origin):
            return {}
        result = self._converter.convert_batch([frame], (), origin)
        return {} if result.dead or result.errors else dict(_values_of(result))

    def _answers(self, frame: bytes, origin: str) -> bool:
        """True if the frame looks as the question's answer is said to look."""
        asks = self.device.asking.asks if self.device.asking is not None else ()
        told = next((ask.answer for ask in asks if ask.name == origin), None)
        if told is None:
            return True
        if told.regex and not compile_bytes(told.regex).search(frame):
            return False
        return not told.same or frame[told.at : (told.at + len(told.same)) or None] == told.same


def _values_of(result: BatchResult) -> Iterator[tuple[str, Any]]:
    texts = [*result.telemetry, *result.attributes]
    for readings in result.user.values():
        for reading in readings:
            texts += [text for _, text in reading.telemetry]
    for text in texts:
        if text:
            yield from simplejson.loads(text).items()


def candidates(*, asks: bool, folder: Path | None = None) -> dict[str, list[Candidate]]:
    """Setting of the line → the profiles whose devices talk by themselves at it, or with `asks` those that must be
    asked; settings with more profiles first. Raises ConfigError for a profile that can't be used."""
    found: dict[str, list[Candidate]] = {}
    for name in profile_names(folder):
        profile = find_profile(name, folder)
        if (profile.talks != TALKS[0]) != asks or any(one.default is None for one in profile.parameters):
            continue
        device = device_of_profile(profile, folder)
        for setting in profile.formats:
            found.setdefault(setting, []).append(Candidate(profile, device, setting))
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def best(tried: Iterable[Candidate]) -> list[Candidate]:
    """Those that were found, the surest first: a right checksum counts more than a form, and more values more than
    few."""
    found = [one for one in tried if one.is_found]
    checked = [one for one in found if one.is_checked]
    return sorted(checked or found, key=lambda one: (-one.frames, -len(one.values)))


def line_of(setting: str) -> dict[str, Any]:
    """A setting as keys of a device section."""
    return settings_of(setting)
