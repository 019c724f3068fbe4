"""An answer of several lines while it comes: the lines, and where its end is. Pure.

To be imported when a call waits for such an answer: most readers never get one, and what they load counts.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.config.answer_ends import end_behind, ends_of
from common.config.framing import Framing
from common.core.blanks import BLANK_BYTES
from common.core.quoting import shown, spelled

ANSWER_BYTES: Final = 65_536
"""An answer of several lines has so many bytes at most, as many as a frame where `maxFrameBytes` is not said: it is one
entry of the journal, and one reply."""
ANSWER_LINES: Final = 4_096
"""And so many lines: each is kept by itself until the end has come, which costs more than its bytes."""


class HeldLine(NamedTuple):
    """A line of an answer that has no end yet."""

    data: bytes
    came_s: float
    is_journaled: bool
    """True for a reading as well: it is in the stream already."""


class AnswerLines:
    """The answer to one call. Whoever sorts frames says which of them are its lines.

    The end is looked for in all that the device says but its readings, cut into frames however it may be, so that a
    blank line or the end of a repetition may be the beginning of `\\r\\nOK\\r\\n`.
    """

    def __init__(self, until: bytes, framing: Framing) -> None:
        """`until` ends the answer; it has the end of a frame in it (`has_several_lines`)."""
        self.held: list[HeldLine] = []
        self.before: list[bytes] = []
        """Lines that have come before any in which the call's pattern was found: they are the answer's where it is
        found in its end alone. They are in the stream already."""
        self.has_lost_before = False
        """True if these were too many."""
        self.journaled_s = 0.0
        """When the last frame came that went to the stream while lines are held."""
        self._until = until
        self._ends = ends_of(framing)
        self._end = end_behind(until, framing) if framing.shapes else b""
        """What stands for any end of a frame where several may end one, and nothing is left of a line that is empty."""
        self._found = self._in_lines(until) if self._end else until
        """The end of the answer as it is looked for."""
        # What stands behind the last end of a frame begins the next one, and is looked for before that ends.
        self.tail = until[max(until.rfind(end) + len(end) for end in self._ends if end in until) :]
        """What of the end stands in a frame that goes on behind it; b"" where the end is that of a frame."""
        # Where an empty line is no frame, `\r\nOK\r\n` may begin with one that nobody sees. Elsewhere a prompt that has
        # waited for the call would be its answer.
        self._seen = self._end
        self._bytes = 0
        self._before_bytes = 0

    def _in_lines(self, text: bytes) -> bytes:
        """A text whose lines all end alike."""
        parts = [text]
        for end in self._ends:
            parts = [part for whole in parts for part in whole.split(end)]
        begins = b"" if parts[0] else self._end
        return begins + self._end.join(filter(None, parts)) + self._end

    def _text_of(self, frame: bytes) -> bytes:
        """A frame as the end of the answer is looked for in it."""
        end = next((end for end in self._ends if frame.endswith(end)), b"") if self._end else b""
        return frame.removesuffix(end) + self._end if end else frame

    def end_in(self, frame: bytes) -> int:
        """The place in the next frame behind the end of the answer; 0 if that is not in it."""
        text = self._seen + self._text_of(frame)
        place = text.find(self._found)
        if place < 0:
            return 0
        return len(frame) if self._end else place + len(self._found) - len(self._seen)

    def is_end_alone(self, line: bytes) -> bool:
        """True for the last line of the answer if it says nothing before the answer's end."""
        text = self._text_of(line)
        return not text[: max(0, len(text) - len(self._found))].strip(BLANK_BYTES)

    def see(self, frame: bytes) -> None:
        """This was said; the end of the answer may have begun in it."""
        self._seen = (self._seen + self._text_of(frame))[1 - len(self._found) :]

    def hold(self, line: bytes, now_s: float, *, is_journaled: bool) -> None:
        """This is the answer's next line."""
        self.held.append(HeldLine(line, now_s, is_journaled))
        self._bytes += len(line)

    def remember(self, line: bytes) -> None:
        """This may be the answer's, if its pattern is found in its end alone."""
        self.before.append(line)
        self._before_bytes += len(line)
        if self._before_bytes > ANSWER_BYTES or len(self.before) > ANSWER_LINES:
            self.forget_before()
            self.has_lost_before = True

    def forget_before(self) -> None:
        """What has come until now is nobody's answer."""
        self.before, self._before_bytes, self.has_lost_before = [], 0, False

    @property
    def is_too_long(self) -> bool:
        """True once more has come than an answer may have."""
        return self._bytes > ANSWER_BYTES or len(self.held) > ANSWER_LINES

    @property
    def whole(self) -> bytes:
        """All lines that are held, and those that are remembered before them."""
        whole = b"".join(map(self._text_of, [*self.before, *(line.data for line in self.held)]))
        return whole.removesuffix(self._found) + self._until if self._end and whole.endswith(self._found) else whole

    def take(self) -> list[HeldLine]:
        """The lines that are held, and are the answer's no more."""
        held, self.held, self._bytes = self.held, [], 0
        return held

    @property
    def why_too_long(self) -> str:
        """What the caller hears then."""
        return (
            f"the answer does not end: no {spelled(self._until)} (responseUntilDelimiter) within {ANSWER_BYTES} bytes"
            f" and {ANSWER_LINES} lines; it begins with {shown(self.whole)}"
        )

    @property
    def had_come(self) -> str:
        """What had come when the time was over, for the caller; "" for nothing."""
        if not self.held:
            return ""
        lines = "1 line" if len(self.held) == 1 else f"{len(self.held)} lines"
        return f"; {lines} had come without the end {spelled(self._until)}: {shown(self.whole)}"
