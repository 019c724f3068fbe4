"""The device sections that this process knows, by hash, and the questions to readers for those it doesn't."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from common.config.models import Device, Rpc, device_of
from common.conversion.calls import rpc_of
from common.conversion.joint import FrameConverter, compile_section
from common.core.errors import ConversionError, WireError
from common.core.events import Send
from common.wire import codec
from common.wire.calls import FindSection, pack_body, reader_of, verb_of
from common.wire.messages import Plane, Reply, Request
from services.converter.core.counters import ConverterCounts

SECTIONS_KEPT: Final = 256
"""Compiled devices kept; one that was evicted is asked for again."""
ASK_AGAIN_S: Final = 1.0
"""A question, or its answer, may be lost with a broker."""
WAIT_FOR_SECTION_S: Final = 5.0
"""What needs a section waits this long for it; the journal keeps the frames for longer."""


class Compiled(NamedTuple):
    """A device and its data points, ready for frames: compiled once, used for thousands of batches."""

    device: Device
    converter: FrameConverter | None
    fault: str
    """Why no frame of this device can be converted, or "" (then there is a converter)."""

    def rpc(self, method: str) -> Rpc | None:
        """The device's RPC of this name."""
        return rpc_of(self.device, method)


class _Question(NamedTuple):
    """A section that was asked for, of whom, and when it is asked again."""

    id: str
    device: str
    again_s: float


class Sections:
    """Compiled devices, least recently used ones evicted, and one open question per unknown section.

    A section is known by its hash, so one that has changed is simply another; frames that were journaled before a
    change are converted by what was configured then.
    """

    def __init__(
        self, address: str, new_id: Callable[[], str], counters: ConverterCounts, limit: int = SECTIONS_KEPT
    ) -> None:
        self._address = address
        self._counters = counters
        self._new_id = new_id
        self._limit = limit
        self._known: OrderedDict[str, Compiled] = OrderedDict()
        self._questions: dict[str, _Question] = {}

    def find(self, section: str) -> Compiled | None:
        """The device of a section's hash; None if it has to be asked for."""
        compiled = self._known.get(section)
        if compiled is not None:
            self._known.move_to_end(section)
        return compiled

    def ask(self, section: str, device: str, now_s: float) -> list[Send]:
        """The request to the device's reader; [] if that question is open already."""
        if section in self._questions:
            return []
        self._questions[section] = _Question(self._new_id(), device, now_s + ASK_AGAIN_S)
        return [self._request(section)]

    def ask_again(self, now_s: float) -> list[Send]:
        """The requests whose answers are overdue. They keep their ids: a late answer is as good."""
        due = [section for section, question in self._questions.items() if now_s >= question.again_s]
        for section in due:
            self._questions[section] = self._questions[section]._replace(again_s=now_s + ASK_AGAIN_S)
        return [self._request(section) for section in due]

    def answer(self, reply: Reply) -> str | None:
        """Takes an answer; the hash that is known now, or None if this answers no open question, or with an error.

        Raises ConversionError for an answer that is no section.
        """
        section = next((hash_ for hash_, question in self._questions.items() if question.id == reply.id), None)
        if section is None or reply.error:
            return None
        compiled = _compile(_section_bytes(reply.body))
        del self._questions[section]
        self._known[section] = compiled
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return section

    def keep_questions(self, sections: Iterable[str]) -> None:
        """Drops the questions to whose answers nobody waits any more."""
        if self._questions:
            wanted = set(sections)
            self._questions = {key: value for key, value in self._questions.items() if key in wanted}

    @property
    def next_deadline_s(self) -> float | None:
        return min((question.again_s for question in self._questions.values()), default=None)

    def _request(self, section: str) -> Send:
        """The question to the device's reader, which has all sections of its journal."""
        self._counters["section_requests"] += 1
        question = self._questions[section]
        verb, body, target = verb_of(FindSection), pack_body(FindSection(section)), reader_of(question.device)
        request = Request(question.id, self._address, target, verb, question.device, section, WAIT_FOR_SECTION_S, body)
        return Send(Plane.CALLS, request)


def _section_bytes(body: bytes) -> bytes:
    try:
        section = codec.unpack(body)
    except WireError as error:
        raise ConversionError(f"section: {error}") from None
    if not isinstance(section, bytes):
        raise ConversionError(f"section: found {type(section).__name__}, expected bytes")
    return section


def _compile(section: bytes) -> Compiled:
    """Raises ConversionError for bytes that are no section."""
    try:
        device = device_of(section)
    except msgspec.DecodeError as error:
        raise ConversionError(f"section: {error}") from None
    try:
        return Compiled(device, compile_section(device), "")
    except ConversionError as error:
        return Compiled(device, None, str(error))
