"""What a call waits for, found among what the line says. All else that comes is telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from common.config.models import Device
from common.stream.items import Item
from common.wire.calls import ANSWER_ROOM_S, Decode, converter_of, pack_body, verb_of
from common.wire.messages import NOBODY, Entry, Reply, Request
from services.port_reader.core.exchange import Exchanges, LineCall
from services.port_reader.core.incoming.by_delimiter import Incoming
from services.port_reader.core.members import Members, Placed

if TYPE_CHECKING:
    from services.port_reader.core.answer_lines import AnswerLines
    from services.port_reader.core.incoming.by_shape import ShapedIncoming
    from services.port_reader.core.likeness import Expected, Likeness

Answer = tuple[LineCall, bytes]
"""A call, and the frame that is its answer."""
_READINGS: Final = ("reading", "both", "repeated reading")
"""What the device's data points read whole."""


class _Sorted:
    """What a chunk has brought, in order: entries, and the answers among them."""

    def __init__(self, members: Members) -> None:
        self.entries: list[Placed] = []
        self.answers: list[Answer] = []
        self._members = members
        self._others: list[bytes] = []
        """Frames in a row that are no answer: together they are few entries, however many they are."""

    def add(self, frame: bytes) -> None:
        """A frame that is no answer."""
        self._others.append(frame)

    def add_item(self, place: int, item: Item) -> None:
        """An entry of its own."""
        self.end()
        self.entries.append((place, item))

    def end(self) -> None:
        """All is there."""
        self.entries += self._members.placed(self._others)
        self._others = []


class Answers:
    """Sorts frames while a call waits for its answer, which is journaled as what it is.

    Where no pattern says what an answer looks like the first frame is it, but for what the configuration tells apart
    (`likeness`). Every frame is journaled at once, in its place and with its time, whatever becomes of the call; only
    what may be the answer if no other comes is remembered, one frame at most.

    Where the call says that its answer has several lines (`answer_lines`) they are held until its end has come, as the
    bytes of a frame are, and are one entry. Those of an answer that does not end are frames as any other.
    """

    def __init__(self, exchange: Exchanges, line: Incoming | ShapedIncoming, members: Members) -> None:
        self._exchange = exchange
        self._line = line
        self._members = members
        self._expected: tuple[LineCall, Expected] | None = None
        """What the newest call without a pattern waits for, once a frame has come."""
        self._last_resort: bytes | None = None
        """The frame that is its answer if no other comes: the first one in which something stands."""
        self._lines: AnswerLines | None = None
        """The answer that is collected: of the newest call whose answer has several lines, once a frame has come."""
        self._collected: tuple[LineCall, Expected] | None = None
        """That call, and what is known of the frames that come meanwhile."""
        self._single: LineCall | None = None
        """The newest call whose answer was found to be a frame."""
        self._unended: list[tuple[float, bytes]] = []
        """(when it came, frame) of lines that have turned out to be no answer's."""
        exchange.had_come = self._had_come

    def follow(self, line: Incoming | ShapedIncoming) -> None:
        """Another cuts the line's frames from now on."""
        self._line = line

    def sort(self, frames: list[bytes], now_s: float, *, are_all: bool = True) -> tuple[list[Placed], list[Answer]]:
        """(all entries in order, answers among them). An answer may also stand at the beginning of the frame in
        progress, where its call knows what ends it besides the line's own end of a frame; `are_all` False: more frames
        stand before that."""
        found = _Sorted(self._members)
        for frame in frames:
            self._sort_frame(frame, found, now_s)
        if are_all:
            self._sort_prefix(found, now_s)
        found.end()
        return found.entries, found.answers

    def _sort_frame(self, frame: bytes, found: _Sorted, now_s: float) -> None:
        """Adds a frame, or the answer in it and what stands behind."""
        if (lines := self._collecting) is not None:
            rest = self._take_line(lines, frame, found, now_s)
            if not self._line.is_bare_end(rest):
                self._sort_frame(rest, found, now_s)
            return
        for piece in self._cut_at_until(frame):
            self._take(piece, found, now_s)

    def _sort_prefix(self, found: _Sorted, now_s: float) -> None:
        """Adds the answer that the frame in progress begins with."""
        if (lines := self._collecting) is not None:
            prefix = self._line.take_prefix(lines.tail) if lines.tail else None
            if prefix and prefix == lines.tail and lines.end_in(prefix):
                self._take_line(lines, prefix, found, now_s)
                self._line.cut(len(prefix))
            return
        while until := self._exchange.until:
            prefix = self._line.take_prefix(until)
            if not prefix or not self._exchange.is_answer(prefix) or self._likeness_of(prefix) == "reading":
                break
            self._take(prefix, found, now_s)
            self._line.cut(len(prefix))

    # Answers of several lines

    @property
    def _collecting(self) -> AnswerLines | None:
        """The answer that the next frame may be a line of; None where the answer that is waited for is a frame."""
        call = self._exchange.listening
        if call is None or not call.asked.until or call is self._single:
            return None
        if self._lines is None or self._collected is None or self._collected[0] is not call:
            # Here: most readers never get such a call, and what they load counts.
            from common.config.answer_ends import has_several_lines
            from services.port_reader.core.answer_lines import AnswerLines
            from services.port_reader.core.likeness import Expected

            device = self._members.of(call.request.device)
            if not has_several_lines(call.asked.until, device.framing):
                self._single = call
                return None
            self._collected = call, Expected(device, call.asked)
            self._lines = AnswerLines(call.asked.until, device.framing)
        return self._lines

    def _take_line(self, lines: AnswerLines, frame: bytes, found: _Sorted, now_s: float) -> bytes:
        """Adds a frame that may be a line of the answer; gives back what stands in it behind the answer's end."""
        if self._collected is None:
            raise RuntimeError("no answer is collected")
        call, expected = self._collected
        end = lines.end_in(frame)
        line, rest = (frame[:end], frame[end:]) if end else (frame, b"")
        has_pattern = bool(call.asked.pattern)
        is_matched = has_pattern and self._exchange.is_wanted(line)
        likeness = "line" if is_matched else expected.line_likeness_of(line)
        if likeness == "reading" or (likeness == "both" and has_pattern):
            self._add_aside(lines, frame, found, now_s)
            return b""
        lines.see(frame)
        if likeness == "repetition":
            expected.strike_out(frame)
            found.add_item(*self._item_of(call, NOBODY, frame))
            lines.journaled_s = now_s
            return b""
        if self._exchange.is_late or (likeness == "blank" and not lines.held):
            self._add_aside(lines, frame, found, now_s)
            if end and likeness != "blank":
                # The late answer is over: nothing of it will be taken for the next call's.
                self._exchange.take_turn()
            return b""
        if not lines.held and has_pattern and not self._begins(lines, line, end, is_matched=is_matched):
            self._add_aside(lines, frame, found, now_s)
            if end:
                lines.forget_before()
            else:
                lines.remember(frame)
            return b""
        if (is_matched or not has_pattern) and likeness == "line" and expected.refuses(line):
            self._let_go(lines)
            self._end_lines(line, found)
            return rest
        if likeness == "both":
            self._add_aside(lines, line, found, now_s)
        lines.hold(line, now_s, is_journaled=likeness == "both")
        if lines.is_too_long or lines.has_lost_before:
            self._exchange.give_up(lines.why_too_long, now_s)
            self._let_go(lines)
        elif end:
            self._end_lines(lines.whole, found)
            return rest
        return b""

    def _begins(self, lines: AnswerLines, line: bytes, end: int, *, is_matched: bool) -> bool:
        """True for the line with which the answer to a call with a pattern begins. Where the pattern is found in the
        end alone, which says nothing else, it has begun with the first line that came."""
        if end and lines.is_end_alone(line) and self._exchange.is_wanted(b"".join([*lines.before, line])):
            return True
        if is_matched:
            lines.forget_before()
        return is_matched

    def _end_lines(self, answer: bytes, found: _Sorted) -> None:
        """Adds the answer, which is whole."""
        self._lines = None
        call = self._exchange.take_turn()
        found.add_item(*self._item_of(call, call.request.id, answer))
        found.answers.append((call, answer))

    @staticmethod
    def _add_aside(lines: AnswerLines, frame: bytes, found: _Sorted, now_s: float) -> None:
        """Adds a frame that is in the stream, whatever else it is."""
        found.add(frame)
        lines.journaled_s = now_s

    def take_unended(self, *, is_closed: bool = False) -> list[tuple[float, bytes]]:
        """(when it came, frame) of the lines of an answer whose call has ended without its end, or ends now as the line
        does: they are frames as any. No time is before that of a frame that is journaled already."""
        if self._lines is not None and (is_closed or not self._is_collecting or self._exchange.is_late):
            self._let_go(self._lines)
        unended, self._unended = self._unended, []
        return unended

    def _let_go(self, lines: AnswerLines) -> None:
        """The lines that are held are no answer's."""
        least_s = lines.journaled_s
        self._unended += [(max(line.came_s, least_s), line.data) for line in lines.take() if not line.is_journaled]

    def _had_come(self) -> str:
        """What the caller hears of an answer that has no end when its time is over."""
        return self._lines.had_come if self._lines is not None and self._is_collecting else ""

    @property
    def _is_collecting(self) -> bool:
        """True while the call on the line is the one whose answer is collected."""
        return self._collected is not None and self._exchange.listening is self._collected[0]

    # Answers that are a frame
    def settle(self) -> Answer:
        """No other frame has come: the one that was remembered is the answer. It is journaled already."""
        frame, self._last_resort = self._last_resort, None
        if frame is None:
            raise RuntimeError("nothing was passed over")
        return self._exchange.take_turn(), frame

    def _take(self, frame: bytes, found: _Sorted, now_s: float) -> None:
        """Adds a frame as what it is."""
        likeness = self._likeness_of(frame)
        match likeness:
            case "reading":
                found.add(frame)
            case "answer" | "both":
                call = self._exchange.offer(frame)
                if call is None or likeness == "both":
                    found.add(frame)
                else:
                    found.add_item(*self._item_of(call, call.request.id, frame))
                if call is not None:
                    found.answers.append((call, frame))
            case "repeated reading" | "repetition" | "blank":
                self._pass_over(frame, likeness, found, now_s)
            case _:
                assert_never(likeness)

    def _pass_over(self, frame: bytes, likeness: Likeness, found: _Sorted, now_s: float) -> None:
        """Adds a frame that is the answer only if no other comes."""
        if self._expected is None:
            raise RuntimeError("no call is on the line")
        call, expected = self._expected
        if likeness == "repetition" and expected.says_first(frame):
            found.add_item(*self._item_of(call, NOBODY, frame))
        else:
            found.add(frame)
        if expected.is_last_resort(frame) and self._exchange.pass_over(now_s):
            last = self._last_resort
            if last is None or (likeness != "blank" and expected.is_blank(last)):
                self._last_resort = frame

    def _item_of(self, call: LineCall, call_id: str, frame: bytes) -> Placed:
        """A frame as an answer, of the device that was called."""
        item = Item(Entry.ANSWER, [frame], [call_id, call.asked.method])
        return self._members.place_of(call.request.device), item

    def _likeness_of(self, frame: bytes) -> Likeness:
        """What the frame may be. Who has a pattern is asked nothing: it decides."""
        call = self._exchange.unsure
        if call is None:
            return "answer"
        if self._expected is None or self._expected[0] is not call:
            from services.port_reader.core.likeness import Expected

            self._expected = call, Expected(self._members.of(call.request.device), call.asked)
            self._last_resort = None
        return self._expected[1].likeness_of(frame)

    def _cut_at_until(self, frame: bytes) -> list[bytes]:
        """The frame, or the answer that ends before its delimiter and what stands behind."""
        until = self._exchange.until
        place = frame.find(until) if until else -1
        if place < 0:
            return [frame]
        answer, rest = frame[: place + len(until)], frame[place + len(until) :]
        if not self._exchange.is_answer(answer):
            return [frame]
        if self._likeness_of(frame) in _READINGS or self._likeness_of(answer) == "reading":
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
    # An answer that came within its own time is converted, however long that was.
    left_s = max(call.deadline_s - now_s, ANSWER_ROOM_S)
    return Request(request.id, request.reply_to, target, verb, device.name, section, left_s, body)
