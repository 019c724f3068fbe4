"""What a call waits for, found among what the line says. All else that comes is telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.config.models import Device
from common.stream.items import Item, items_of
from common.wire.calls import ANSWER_ROOM_S, Decode, converter_of, pack_body, verb_of
from common.wire.messages import Entry, Reply, Request
from services.port_reader.core.exchange import Exchanges, LineCall
from services.port_reader.core.incoming import Incoming
from services.port_reader.core.members import Members, Placed

if TYPE_CHECKING:
    from services.port_reader.core.likeness import Likeness

Answer = tuple[LineCall, bytes]
"""A call, and the frame that is its answer."""


class Answers:
    """Sorts frames while a call waits for its answer, which is journaled as what it is.

    Where no pattern says what an answer looks like the first frame is it, but for what the configuration tells apart
    (`likeness`): a reading of the device's own is passed over, and is telemetry also where it is taken for the answer.
    A blank line, or what was written, is held back: the next frame is the answer, or that itself if none comes in time.
    """

    def __init__(self, exchange: Exchanges, line: Incoming, members: Members) -> None:
        self._exchange = exchange
        self._line = line
        self._members = members
        self._held: list[bytes] = []
        """Frames that are the answer if no other comes."""

    def sort(self, frames: list[bytes], now_s: float) -> tuple[list[Placed], list[Answer]]:
        """(all entries in order, answers among them). An answer may also stand at the beginning of the frame in
        progress, where its call knows what ends it besides the line's own end of a frame."""
        entries: list[Placed] = []
        answers: list[Answer] = []
        others: list[bytes] = []
        """Frames in a row that are no answer: together they are few entries, however many they are."""
        for frame in frames:
            for piece in self._cut_at_until(frame):
                taken: list[Placed] = []
                if self._take(piece, taken, answers, now_s):
                    entries += [*self._members.placed(others), *taken]
                    others = []
                else:
                    others.append(piece)
        entries += self._members.placed(others)
        while until := self._exchange.until:
            prefix = self._line.take_prefix(until)
            if not prefix or not self._exchange.is_answer(prefix) or self._likeness_of(prefix) == "reading":
                break
            if not self._take(prefix, entries, answers, now_s):
                break
            self._line.cut(len(prefix))
        return entries, answers

    def settle(self) -> tuple[list[Placed], list[Answer]]:
        """No other frame has come: what was held back is the answer; of several, one in which something stands."""
        from services.port_reader.core.likeness import is_blank

        call = self._exchange.take_turn()
        place = self._members.place_of(call.request.device)
        device = self._members.devices[place]
        frame = next((frame for frame in self._held if not is_blank(device, frame)), self._held[0])
        self._held.remove(frame)
        return self._entries_of(call, frame), [(call, frame)]

    def give_up(self) -> list[Placed]:
        """The port goes: what was held back is telemetry, as an answer that comes too late is."""
        held, self._held = self._held, []
        return self._members.placed(held)

    def _take(self, frame: bytes, entries: list[Placed], answers: list[Answer], now_s: float) -> bool:
        """Adds a frame if it is an answer, or may turn out to be one; False for telemetry."""
        likeness = self._likeness_of(frame)
        if likeness == "reading":
            return False
        if likeness in ("doubtful", "no answer"):
            if not self._exchange.pass_over(now_s, may_be_answer=likeness == "doubtful"):
                return False
            self._held.append(frame)
            return True
        call = self._exchange.offer(frame)
        if call is None:
            return False
        entries += self._entries_of(call, frame, is_telemetry=likeness == "both")
        answers.append((call, frame))
        return True

    def _entries_of(self, call: LineCall, frame: bytes, *, is_telemetry: bool = False) -> list[Placed]:
        """The answer as it is journaled, and behind it what was held back for it: nobody publishes that, for it has the
        id of a call that is answered."""
        place = self._members.place_of(call.request.device)
        held, self._held = self._held, []
        first = items_of([frame]) if is_telemetry else [_answer_item(call, frame)]
        return [(place, item) for item in (*first, *(_answer_item(call, one) for one in held))]

    def _likeness_of(self, frame: bytes) -> Likeness:
        """What the frame may be. Who has a pattern is asked nothing: it decides."""
        call = self._exchange.unsure
        if call is None:
            return "answer"
        from services.port_reader.core.likeness import likeness_of

        return likeness_of(self._members.of(call.request.device), call.asked, frame)

    def _cut_at_until(self, frame: bytes) -> list[bytes]:
        """The frame, or the answer that ends before its delimiter and what stands behind."""
        until = self._exchange.until
        place = frame.find(until) if until else -1
        if place < 0:
            return [frame]
        answer, rest = frame[: place + len(until)], frame[place + len(until) :]
        if not self._exchange.is_answer(answer):
            return [frame]
        if self._likeness_of(frame) in ("reading", "both") or self._likeness_of(answer) == "reading":
            return [frame]
        return [answer] if self._line.is_bare_end(rest) else [answer, rest]


def _answer_item(call: LineCall, frame: bytes) -> Item:
    return Item(Entry.ANSWER, [frame], [call.request.id, call.asked.method])


def step_after(call: LineCall, frame: bytes, device: Device, section: str, now_s: float) -> Reply | Request:
    """What follows an answer: the reply to the caller, or a request to the converter that can read the answer."""
    request, method = call.request, call.asked.method
    if not device.has_user_converter:
        # Here: most readers never get a call, and what they load counts.
        from services.port_reader.core.calls import reply_of

        return reply_of(device, request, method, frame)
    verb, body, target = verb_of(Decode), pack_body(Decode(method, frame)), converter_of(device.name)
    # An answer that came within its own time is converted, however long that was.
    left_s = max(call.deadline_s - now_s, ANSWER_ROOM_S)
    return Request(request.id, request.reply_to, target, verb, device.name, section, left_s, body)
