"""What a frame is that comes while a call waits for an answer of which no pattern says what it looks like.

To be imported when such a frame comes: most readers never get a call, and what they load counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from common.config.answer_ends import ends_of
from common.config.models import DataPoint, Device, Message, Rpc
from common.conversion.calls import answer_point, rpc_of
from common.conversion.joint import refusals_of
from common.conversion.slices.points import Point, compile_points
from common.conversion.values import is_binary
from common.core.blanks import BLANK_BYTES
from common.core.errors import ConversionError
from common.wire.calls import Exchange

if TYPE_CHECKING:
    from common.conversion.grammar.messages import MessageConverter

Likeness = Literal["answer", "reading", "both", "repeated reading", "repetition", "blank"]
"""
| likeness         | the frame                                                  | in the stream  | the answer        |
|------------------|------------------------------------------------------------|----------------|-------------------|
| reading          | the device's data points read it, `responseType` does not  | a frame        | no                |
| both             | either reads it                                            | a frame        | yes               |
| repeated reading | either reads it, and it says what was written, or is one   | a frame        | if no other comes |
|                  | of the frames that a message of the device tells apart     |                |                   |
| repetition       | it says what was written, or only `responseUntilDelimiter` | nobody's, once | if no other comes |
| blank            | it says nothing                                            | a frame        | no                |
| answer           | all else                                                   | an answer      | yes               |

Where bytes are wanted a blank may be a value: then it too is the answer if no other comes.
"""
LineLikeness = Literal["line", "reading", "both", "repetition", "blank"]
"""The same where the answer has several lines, and no pattern is found in the frame:

| likeness   | the frame                                                  | in the stream | in the answer         |
|------------|------------------------------------------------------------|---------------|-----------------------|
| reading    | a message of the device tells it from others, and reads it | a frame       | no                    |
| both       | the device's data points read it                           | a frame       | as a line             |
| repetition | it says what was written, for the first time               | nobody's      | no                    |
| blank      | it says nothing                                            | a frame       | once that has begun   |
| line       | all else                                                   | the answer    | yes; of a pattern,    |
|            |                                                            |               | once that has begun   |

One value is read from the whole of them, so of a line alone nobody knows whether `responseType` fits it.
"""
_TELLING: Final = frozenset({"int", "float", "double", "json", "hexint", "bits", "time", "nmeaAngle"})
"""Types that do not read just anything."""
_PROMPT: Final = re.compile(rb"[!-~]{0,32}[>#$%] ?")
"""What stands before what is typed, where a device has a command line: `> `, `root@meter:~# `."""


class Expected:
    """What one call waits for, made ready once for all frames that come meanwhile."""

    def __init__(self, device: Device, asked: Exchange) -> None:
        self._device = device
        self._refusal_of: Callable[[bytes], str] | None = None
        """Made ready when it is needed: only an answer of several lines asks for it."""
        self._ends = ends_of(device.framing)
        self._until = asked.until
        self._points = _telling_points(device)
        self._messages = _Messages(device) if device.messages and not device.has_user_uplink else None
        rpc = None if device.has_user_uplink else rpc_of(device, asked.method)
        self._reads_any = rpc is None
        """True where nobody here knows what the answer looks like: a user's converter reads it."""
        self._answer = _answer_point(rpc) if rpc else None
        self._takes_blanks = self._reads_any or (self._answer is not None and is_binary(self._answer.source))
        """True where a blank or a NUL may be what the device has to say."""
        data = b"".join(asked.writes)
        parts = [part for end in self._ends for part in data.split(end)]
        texts = [data, *parts, *data.splitlines()]
        self._written = frozenset(map(self._bare, texts)) | {b""}
        """What a device that repeats what it is sent would say: all of it, or its lines; b"" for a prompt alone."""
        self._unsaid = set(self._written)
        """Those of them that it has not said yet."""

    def likeness_of(self, frame: bytes) -> Likeness:
        """What a frame may be."""
        message = self._messages.reads(frame) if self._messages is not None else None
        if message is not None or self._is_reading(frame):
            if not self.fits(frame):
                return "reading"
            is_told = message is not None and _tells_frames(message)
            return "repeated reading" if is_told or self._text_of(frame) in self._written else "both"
        if self.is_blank(frame):
            return "blank"
        return "answer" if self._repeated_by(frame) is None else "repetition"

    def line_likeness_of(self, frame: bytes) -> LineLikeness:
        """What a frame may be where the answer has several lines."""
        message = self._messages.reads(frame) if self._messages is not None else None
        if message is not None and _tells_frames(message):
            return "reading"
        if message is not None or self._is_reading(frame):
            return "both"
        if self.is_blank(frame):
            return "blank"
        return "repetition" if self._written_in(self._bare(frame)) in self._unsaid else "line"

    def strike_out(self, frame: bytes) -> None:
        """This line was a repetition; what says it once more is none."""
        if (text := self._written_in(self._bare(frame))) is not None:
            self._unsaid.discard(text)

    def refuses(self, frame: bytes) -> bool:
        """True for a frame that a message of the device says to be a refusal."""
        if self._refusal_of is None:
            self._refusal_of = _refusals_of(self._device)
        return bool(self._refusal_of(frame))

    def is_last_resort(self, frame: bytes) -> bool:
        """True if a frame that is blank, or a repetition, is the answer where no other comes."""
        return self.fits(frame) and (self._takes_blanks or not self.is_blank(frame))

    def fits(self, frame: bytes) -> bool:
        """True if the call's value can be read from the frame, as far as that is known."""
        if self._reads_any:
            return True
        point = self._answer
        if point is None or (span := point.locate(frame)) is None:
            return False
        try:
            point.parse(frame[span[0] : span[1]])
        except (ValueError, RecursionError):
            return False
        return True

    def is_blank(self, frame: bytes) -> bool:
        """True for a frame in which nothing stands."""
        return not self._bare(frame)

    def says_first(self, frame: bytes) -> bool:
        """True for the first repetition of a text; what says it once more may be anything."""
        text = self._repeated_by(frame)
        if text not in self._unsaid:
            return False
        self._unsaid.remove(text)
        return True

    def _repeated_by(self, frame: bytes) -> bytes | None:
        """What was written that the frame says, behind a prompt that may have waited for it; None for another frame."""
        return self._written_in(self._text_of(frame))

    def _written_in(self, said: bytes) -> bytes | None:
        """What was written that a text says, as `_repeated_by`."""
        if said in self._written:
            return said
        ends = (text for text in self._written if len(text) > 1 and said.endswith(text))
        return next((text for text in ends if _PROMPT.fullmatch(said.removesuffix(text))), None)

    def _is_reading(self, frame: bytes) -> bool:
        """True if all data points of the device find their values."""
        return bool(self._points) and all(_finds(point, frame) for point in self._points)

    def _text_of(self, frame: bytes) -> bytes:
        return self._bare(frame.removesuffix(self._until)) if self._until else self._bare(frame)

    def _bare(self, frame: bytes) -> bytes:
        """A frame without its end and blanks around it."""
        end = next((end for end in self._ends if frame.endswith(end)), b"")
        return frame.removesuffix(end).strip(BLANK_BYTES)


class _Messages:
    """The messages that a device says by itself."""

    def __init__(self, device: Device) -> None:
        asked = {ask.name for ask in device.asking.asks} if device.asking is not None else set()
        # The values of a device that is one message, and is asked for it, stand in answers alone; so do registers.
        is_all_asked = bool(asked) and len(device.messages) == 1
        self._own = () if is_all_asked else [one for one in device.messages if one.name not in asked]
        is_protocol = device.asking is not None and bool(device.asking.protocol)
        self._converter = None if is_protocol or not self._own else _converter_of(device)

    def reads(self, frame: bytes) -> Message | None:
        """The message whose frame this is; None for none, and where that tells nothing."""
        found = self._converter.reads(frame) if self._converter is not None else None
        if found is None or not any(found is one for one in self._own):
            return None
        return found if _is_telling_message(found) else None


def _converter_of(device: Device) -> MessageConverter | None:
    # Here: a device without messages gets calls too.
    from common.conversion.grammar.messages import MessageConverter

    try:
        return MessageConverter(device)
    except ConversionError:
        return None


def _refusals_of(device: Device) -> Callable[[bytes], str]:
    """What tells a refusal; nothing does where users' code reads what the device says."""
    try:
        return refusals_of(device) if not device.has_user_uplink else lambda _: ""
    except ConversionError:
        return lambda _: ""


def _is_telling_message(message: Message) -> bool:
    """False for one that may find values in just any frame."""
    return _tells_frames(message) or any(map(_is_telling_place, (*message.telemetry, *message.attributes)))


def _tells_frames(message: Message) -> bool:
    """True for a message that says which frames are its own."""
    return message.when is not None or bool(message.pattern or message.regex)


def _is_telling_place(point: DataPoint) -> bool:
    place = point.place
    if place is None or place.by == "slice":
        return _is_telling(point)
    if place.by == "field":
        # A second field is in no answer of one word.
        return point.type in _TELLING or any(number not in (0, -1) for number in place.fields)
    return place.by in ("name", "regex", "obis", "mbus", "path")


def _answer_point(rpc: Rpc) -> Point | None:
    """The place of the answer's value; None where no frame can have it."""
    try:
        return answer_point(rpc)
    except ConversionError:
        return None


def _telling_points(device: Device) -> list[Point]:
    """The device's data points; [] where they tell nothing, as each of them finds something in just any frame."""
    sources = [*device.telemetry, *device.attributes]
    if device.has_user_uplink or not any(map(_is_telling, sources)):
        return []
    try:
        return compile_points(sources)
    except ConversionError:
        return []


def _is_telling(point: DataPoint) -> bool:
    return point.type in _TELLING or bool(point.from_delimiter)


def _finds(point: Point, frame: bytes) -> bool:
    span = point.locate(frame)
    if span is None:
        return False
    try:
        return point.parse(frame[span[0] : span[1]]) is not None
    except (ValueError, RecursionError):
        return False
