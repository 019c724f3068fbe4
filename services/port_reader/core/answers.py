"""What a call waits for, found among what the line says. All else that comes is telemetry."""

from __future__ import annotations

from common.config.models import Device
from common.stream.items import Item
from common.wire.calls import Decode, converter_of, pack_body, verb_of
from common.wire.messages import Entry, Reply, Request
from services.port_reader.core.exchange import Exchanges, LineCall
from services.port_reader.core.incoming import Incoming
from services.port_reader.core.members import Members, Placed

Answer = tuple[LineCall, bytes]
"""A call, and the frame that is its answer."""


class Answers:
    """Sorts frames while a call waits for its answer, which is journaled as what it is."""

    def __init__(self, exchange: Exchanges, line: Incoming, members: Members) -> None:
        self._exchange = exchange
        self._line = line
        self._members = members

    def sort(self, frames: list[bytes]) -> tuple[list[Placed], list[Answer]]:
        """(all entries in order, answers among them). An answer may also stand at the beginning of the frame in
        progress, where its call knows what ends it besides the line's own end of a frame."""
        entries: list[Placed] = []
        answers: list[Answer] = []
        others: list[bytes] = []
        """Frames in a row that are no answer: together they are few entries, however many they are."""
        for frame in frames:
            for piece in self._cut_at_until(frame):
                taken: list[Placed] = []
                if self._take(piece, taken, answers):
                    entries += [*self._members.placed(others), *taken]
                    others = []
                else:
                    others.append(piece)
        entries += self._members.placed(others)
        until = self._exchange.until
        prefix = self._line.take_prefix(until) if until else None
        if prefix and self._exchange.is_answer(prefix) and self._take(prefix, entries, answers):
            self._line.cut(len(prefix))
        return entries, answers

    def _take(self, frame: bytes, entries: list[Placed], answers: list[Answer]) -> bool:
        """Adds a frame if it is an answer."""
        call = self._exchange.offer(frame)
        if call is None:
            return False
        place = self._members.place_of(call.request.device)
        entries.append((place, Item(Entry.ANSWER, [frame], [call.request.id, call.asked.method])))
        answers.append((call, frame))
        return True

    def _cut_at_until(self, frame: bytes) -> list[bytes]:
        """The frame, or the answer that ends before its delimiter and what stands behind."""
        until = self._exchange.until
        place = frame.find(until) if until else -1
        if place < 0:
            return [frame]
        answer, rest = frame[: place + len(until)], frame[place + len(until) :]
        if not self._exchange.is_answer(answer):
            return [frame]
        return [answer] if self._line.is_bare_end(rest) else [answer, rest]


def step_after(call: LineCall, frame: bytes, device: Device, section: str, now_s: float) -> Reply | Request:
    """What follows an answer: the reply to the caller, or a request to the converter that can read the answer."""
    request, method = call.request, call.asked.method
    if not device.has_user_converter:
        # Here: most readers never get a call, and what they load counts.
        from services.port_reader.core.calls import reply_of

        return reply_of(device, request, method, frame)
    verb, body, target = verb_of(Decode), pack_body(Decode(method, frame)), converter_of(device.name)
    left_s = call.deadline_s - now_s
    return Request(request.id, request.reply_to, target, verb, device.name, section, left_s, body)
