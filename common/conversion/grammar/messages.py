"""The converter of devices whose section says what kinds of frames there are: `messages`, places, times, names. Pure.

One object per section turns (frames, their times, what was asked) into readings. A frame is taken by the first message
that fits it; one that fits none is a dead letter. Devices whose section has none of the keys that need this are
converted by `common.conversion.slices.rows`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from common.config.models import DataPoint, Device, Message
from common.config.point_models import Decode, DeviceTime, Naming, When
from common.conversion.grammar.explaining import explained
from common.conversion.grammar.locators import Reading, compile_readings, take_of
from common.conversion.grammar.meanings import text_of
from common.conversion.grammar.patterns import compiled
from common.conversion.grammar.patterns_of_bytes import compile_bytes, searcher
from common.conversion.grammar.times import ReadTime, time_reader
from common.conversion.grammar.views import View
from common.conversion.outcomes import ABSENT, NOTHING, BatchResult, Lack, PointResult
from common.conversion.printed import is_blank
from common.conversion.values import encode_json
from common.core.blanks import BLANKS
from common.core.errors import ConversionError
from common.core.frame_body import SpanOf, body_span_of
from common.core.quoting import shown
from common.core.shown import is_steering
from common.wire.messages import LONGEST_NAME, Lacking, UserReading

NO_MESSAGE: Final = "no message fits"
_PLACEHOLDER: Final = re.compile(r"\$\{([^{}]*)\}")
_BETWEEN_HEX: Final = re.compile(rb"[\s:,;-]+")
_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{1,3}(?![0-9])")

Open = Callable[[View], bool]
"""Takes a view apart; False if the frame is none of this message."""


class Explained(NamedTuple):
    """What becomes of one frame, for a person."""

    message: str
    """The name of the message that took it; "" for one without a name."""
    device_name: str
    device_type: str
    ts_ms: int | None
    """The device's own time, where it counts."""
    points: list[PointResult]
    dead: str
    """Why the frame is a dead letter, or ""."""
    is_blank: bool = False
    decoded: bytes = b""
    """What the frame was decoded to, in which the places of points count; b"" where that is the frame itself."""


class _Tally:
    """What is counted in a batch."""

    __slots__ = ("absent", "errors", "frames", "lacks", "nothing", "reasons", "times_refused")

    def __init__(self, messages: int) -> None:
        self.absent: dict[tuple[int, str], int] = {}
        """(number of the message, key) → frames of it that lack the point."""
        self.frames = [0] * messages
        """Number of a message → frames that it took, but for blank ones."""
        self.lacks: list[str] = []
        """Keys of the points that one frame lacks."""
        self.nothing = 0
        self.errors = 0
        self.times_refused = 0
        self.reasons: list[tuple[str, str]] = []
        """(key of the point, or what else it was; what is wrong) of one frame."""

    def lack(self, number: int) -> None:
        """The frame was one of this message."""
        for key in self.lacks:
            self.absent[number, key] = self.absent.get((number, key), 0) + 1


class _CompiledMessage:
    """A message, ready for frames."""

    def __init__(self, number: int, message: Message) -> None:
        self.number = number
        self.source = message
        self.name = message.name
        self.error = message.error
        self._when = _when(message.when)
        self.has_when = message.when is not None
        self.is_choosy = self.has_when or bool(message.pattern or message.regex)
        """True if there are frames that it does not take."""
        self._open = _opener(message)
        self.telemetry = compile_readings(message.telemetry)
        self.attributes = compile_readings(message.attributes)
        self.timestamp = None if message.timestamp is None else _Clock(message.timestamp)
        self.naming = message.device
        self.is_only_asked = message.framing is not None
        self._span_of = None if message.framing is None else body_span_of(message.framing.shapes)

    def opens(self, frame: bytes, span_of: SpanOf) -> View | None:
        """The frame's view, taken apart; None for a frame that is none of this message. Raises ValueError for one that
        is not as its digits should be (`decode`)."""
        if self._when is not None and not self._when(frame):
            return None
        view = View(frame, self._span_of or span_of)
        return view if self._open is None or self._open(view) else None

    def values(self, readings: Sequence[Reading], view: View, tally: _Tally) -> dict[str, Any]:
        """The values of the frame. What is missing, empty or wrong is in the tally."""
        values: dict[str, Any] = {}
        for key, take, _ in readings:
            try:
                value = take(view)
            except ValueError as error:
                tally.reasons.append((key, str(error)))
                continue
            if value.__class__ is not Lack:
                values[key] = value
            elif value is ABSENT:
                tally.lacks.append(key)
            else:
                tally.nothing += 1
        return values


class MessageConverter:
    """Frames of one device to readings. Without state: the same frame gives the same bytes."""

    def __init__(self, device: Device) -> None:
        """Raises ConversionError for a section that can't be compiled: the configuration's reader refuses all that is
        known of that."""
        self._device = device
        self._delimiter = device.framing.delimiter
        self._span_of = _span_finder(device)
        try:
            for point in (*device.all_telemetry, *device.all_attributes):
                encode_json(point.key)
            self._messages = [_CompiledMessage(number, message) for number, message in enumerate(device.messages)]
        except (ValueError, KeyError, re.error) as error:
            raise ConversionError(f"messages: {error}") from None
        is_one = sum(not message.error for message in self._messages) == 1
        self._labels = ["" if is_one else one.name or f"number {one.number + 1}" for one in self._messages]
        """What each message is called where it is told of; "" where there is no other."""
        of_line = [message for message in self._messages if not message.is_only_asked]
        self._orders = {"": sorted(of_line, key=lambda message: not message.is_choosy)}
        """What was asked → the messages in the order in which they are tried. An answer in a framing of its own is no
        frame of the line, and a question that would take any answer stands in nobody's way."""
        for message in self._messages:
            if message.name:
                self._orders[message.name] = _order_for(message, self._orders[""])

    def convert_batch(self, frames: Sequence[bytes], ts_ms: Sequence[int] = (), origin: str = "") -> BatchResult:
        """Converts each frame. `ts_ms` are the times at which they were read, which count where the device names none;
        `origin` is the message that they were asked for. Raises nothing."""
        tally = _Tally(len(self._messages))
        telemetry: list[bytes] = []
        attributes: list[bytes] = []
        dead: dict[int, str] = {}
        user: dict[int, list[UserReading]] = {}
        sample = ""
        blank = unfit = 0
        origin = origin if origin in self._orders else ""
        reasons, lacks, frames_of = tally.reasons, tally.lacks, tally.frames
        for index, frame in enumerate(frames):
            values, properties, reading, reason, message = b"", b"", None, "", None
            try:
                message, view = self._find(frame, origin)
            except ValueError as error:
                reasons.append(("", str(error)))
            else:
                if message is None or view is None:
                    if not is_blank(frame, self._delimiter):
                        unfit += 1
                        reason = NO_MESSAGE
                elif message.error and origin:
                    # Whoever asked has its answer: the state of the device says it, and no bytes are put aside.
                    tally.errors += 1
                    sample = sample or f"{origin}: {message.error}"
                elif message.error:
                    reason = message.error
                elif message.timestamp is None and message.naming is None:
                    found = message.values(message.telemetry, view, tally)
                    values = encode_json(found) if found else b""
                    if message.attributes:
                        found = message.values(message.attributes, view, tally)
                        properties = encode_json(found) if found else b""
                else:
                    reading = self._reading_of(message, view, ts_ms[index] if index < len(ts_ms) else None, tally)
            if reading is not None:
                user[index] = [reading]
            elif not values and not properties and is_blank(frame, self._delimiter):
                # A blank line where a code is awaited is no fault.
                blank += 1
                reason, message = "", None
                reasons.clear()
            if message is not None:
                frames_of[message.number] += 1
            if lacks:
                if message is not None:
                    tally.lack(message.number)
                lacks.clear()
            if reasons:
                tally.errors += len(reasons)
                if values or properties or reading is not None:
                    sample = sample or _told(reasons)
                else:
                    reason = _told(reasons)
                reasons.clear()
            if reason:
                dead[index] = reason
            telemetry.append(values)
            attributes.append(properties)
        return BatchResult(
            telemetry,
            attributes,
            dead,
            tally.errors,
            sum(tally.absent.values()),
            sample,
            blank,
            (),
            user,
            tally.nothing,
            unfit,
            tally.times_refused,
            self._lacking(tally),
        )

    def _lacking(self, tally: _Tally) -> Lacking:
        """Which points no frame of their message has."""
        lacking: Lacking = []
        for number, frames in enumerate(tally.frames):
            if not frames or self._messages[number].error:
                continue
            keys = sorted(key for (other, key), count in tally.absent.items() if other == number and count >= frames)
            lacking.append((self._labels[number], frames, keys))
        return lacking

    def refusal_of(self, frame: bytes) -> str:
        """What a frame means that is a refusal; "" for any other."""
        try:
            message, _ = self._find(frame, "")
        except ValueError:
            return ""
        return message.error if message is not None else ""

    def reads(self, frame: bytes) -> Message | None:
        """The message that takes the frame and finds values in it, all of them where it would take any frame; None
        where none does, and for a refusal."""
        try:
            message, view = self._find(frame, "")
        except ValueError:
            return None
        if message is None or view is None or message.error:
            return None
        tally = _Tally(len(self._messages))
        found = {**message.values(message.telemetry, view, tally), **message.values(message.attributes, view, tally)}
        is_whole = not tally.reasons and not tally.lacks
        return message.source if found and (message.is_choosy or is_whole) else None

    def explain(self, frame: bytes, ts_ms: int | None = None, origin: str = "") -> Explained:
        """What becomes of a frame, point by point."""
        device = self._device
        try:
            message, view = self._find(frame, origin if origin in self._orders else "")
        except ValueError as error:
            return Explained("", device.name, device.type, None, [], str(error))
        if message is None or view is None:
            blank = is_blank(frame, self._delimiter)
            return Explained("", device.name, device.type, None, [], "" if blank else NO_MESSAGE, blank)
        if message.error:
            return Explained(message.name, device.name, device.type, None, [], message.error)
        result = self.convert_batch([frame], () if ts_ms is None else (ts_ms,), origin)
        if result.blank:
            return Explained(message.name, device.name, device.type, None, [], "", True)
        points = explained(message.telemetry, "telemetry", view, message.source)
        points += explained(message.attributes, "attribute", view, message.source)
        name, kind, moment = device.name, device.type, None
        if result.user:
            ((reading,),) = result.user.values()
            name, kind = reading.device, reading.device_type
            moment = reading.telemetry[0][0] if reading.telemetry else None
        decoded = b"" if view.data is frame else view.data
        return Explained(message.name, name, kind, moment, points, result.dead.get(0, ""), decoded=decoded)

    def _find(self, frame: bytes, origin: str) -> tuple[_CompiledMessage | None, View | None]:
        """The message that takes the frame, and the frame taken apart; None for both if none does.

        Raises ValueError where the only message that would take it can't take it apart.
        """
        fault: ValueError | None = None
        for message in self._orders[origin]:
            try:
                view = message.opens(frame, self._span_of)
            except ValueError as error:
                if message.has_when:
                    raise
                fault = fault or error
                continue
            if view is not None:
                return message, view
        if fault is not None and not is_blank(frame, self._delimiter):
            raise fault
        return None, None

    def _reading_of(
        self, message: _CompiledMessage, view: View, ts_ms: int | None, tally: _Tally
    ) -> UserReading | None:
        """The values under the device's own time, or another name; None where there is none."""
        values = message.values(message.telemetry, view, tally)
        properties = message.values(message.attributes, view, tally)
        name, kind = self._device.name, self._device.type
        if message.naming is not None:
            try:
                name, kind = _named(message.naming, {**values, **properties}, kind)
            except ValueError as error:
                tally.reasons.append(("device", str(error)))
                return None
        if not values and not properties:
            return None
        moment = None if message.timestamp is None else message.timestamp.read(view, ts_ms, tally)
        telemetry: list[tuple[int | None, bytes]] = [(moment, encode_json(values))] if values else []
        return UserReading(name, kind, telemetry, encode_json(properties) if properties else b"")


def _order_for(asked: _CompiledMessage, messages: list[_CompiledMessage]) -> list[_CompiledMessage]:
    """The messages as they are tried for an answer: refusals, what was asked, the others. One that would take any frame
    is no answer to another's question."""
    refusals = [one for one in messages if one.error and one.is_choosy and one is not asked]
    others = [one for one in messages if one.is_choosy and not one.error and one is not asked]
    return [*refusals, asked, *others]


def _span_finder(device: Device) -> SpanOf:
    """The way to a frame's body."""
    if device.framing.shapes:
        return body_span_of(device.framing.shapes)
    delimiter = device.framing.delimiter
    return lambda frame: (0, len(frame) - len(delimiter) if frame.endswith(delimiter) else len(frame))


class _Clock:
    """The device's own time."""

    def __init__(self, source: DeviceTime) -> None:
        self._take = take_of(DataPoint(key="timestamp", type="string", place=source.place))
        self._read: ReadTime = time_reader(source.format, source.zone)
        self._within_ms = source.within_s * 1000

    def read(self, view: View, ts_ms: int | None, tally: _Tally) -> int | None:
        """Milliseconds since 1970; None where ours counts: there is none, or one too far from ours."""
        try:
            text = self._take(view)
            if text is ABSENT or text is NOTHING:
                return None
            moment = self._read(text)
        except ValueError:
            tally.times_refused += 1
            return None
        if ts_ms is not None and abs(moment - ts_ms) > self._within_ms:
            tally.times_refused += 1
            return None
        return moment


def _named(naming: Naming, values: dict[str, Any], kind: str) -> tuple[str, str]:
    """(name, type) of the device that the values belong to. Raises ValueError where a value that the name is made of
    is missing, or it would be no name."""

    def fill(template: str, what: str) -> str:
        def value_of(found: re.Match[str]) -> str:
            if found[1] not in values:
                raise ValueError(f"{what}: the frame has no {found[1]}, which names the device")
            return text_of(values[found[1]])

        text = _PLACEHOLDER.sub(value_of, template).strip(BLANKS)
        if not text or len(text) > LONGEST_NAME or is_steering(text):
            raise ValueError(f"{what}: found {text[:60]!a}, expected 1 to {LONGEST_NAME} printable characters")
        return text

    return fill(naming.name, "name"), fill(naming.type, "type") if naming.type else kind


def _told(reasons: list[tuple[str, str]]) -> str:
    """What is wrong with a frame, as a sentence: what is the same for several points is said once."""
    keys: dict[str, list[str]] = {}
    for key, reason in reasons:
        keys.setdefault(reason, []).append(key)
    return "; ".join(f"{', '.join(those)}: {reason}" if those[0] else reason for reason, those in keys.items())


# --- taking frames apart ---


def _when(when: When | None) -> Callable[[bytes], object] | None:
    """The test of a frame; None for a message that takes all."""
    if when is None:
        return None
    if when.pattern:
        return searcher(when.pattern)
    at, same = when.at, when.same
    stop = at + len(same) or None
    return lambda frame: frame[at:stop] == same


def _opener(message: Message) -> Open | None:
    """What is done with a view before its points are read; None where nothing is."""
    steps: list[Open] = []
    if message.decode is not None:
        steps.append(_decoding(message.decode))
    if message.fields:
        steps.append(_splitting(message.fields))
    if message.pairs is not None:
        steps.append(_pairing(*message.pairs))
    if message.pattern:
        steps.append(_matching(compiled(message.pattern)))
    if message.regex:
        steps.append(_searching(compile_bytes(message.regex)))
    if not steps:
        return None
    if len(steps) == 1:
        return steps[0]
    return lambda view: all(step(view) for step in steps)


def _splitting(separator: bytes) -> Open:
    """The body in fields; a blank is any run of blanks, of which those at the ends are none."""
    between = None if separator == b" " else separator

    def split(view: View) -> bool:
        view.parts = view.body.split(between)
        return True

    return split


def _pairing(between: bytes, assign: bytes) -> Open:
    """The body as names and values. A name that comes twice keeps its last value."""

    def pair(view: View) -> bool:
        for piece in view.body.split(between):
            name, found, value = piece.partition(assign)
            if found:
                view.names[name.strip().decode("utf-8", "replace")] = value
        return True

    return pair


def _matching(pattern: re.Pattern[bytes]) -> Open:
    def match(view: View) -> bool:
        found = pattern.match(view.body)
        return found is not None and _keep_groups(view, found)

    return match


def _searching(pattern: re.Pattern[bytes]) -> Open:
    def search(view: View) -> bool:
        found = pattern.search(view.frame)
        return found is not None and _keep_groups(view, found)

    return search


def _keep_groups(view: View, found: re.Match[bytes]) -> bool:
    for name, value in found.groupdict().items():
        if value is not None:
            view.names[name] = value
    return True


def _decoding(decode: Decode) -> Open:
    """Bytes out of digits, or out of bytes that were moved."""
    first, last, minus, digits = decode.first, decode.last, decode.minus, decode.digits
    moved = bytes((byte - minus) % 256 for byte in range(256)) if minus else b""

    def run(view: View) -> bool:
        source = view.body if first is None and last is None else view.frame[first:last]
        if digits == "hex":
            data = _from_hex(source)
        elif digits == "decimal":
            data = _from_decimal(source)
        else:
            data = source
        view.decoded(data.translate(moved) if moved else data)
        return True

    return run


def _from_hex(text: bytes) -> bytes:
    """Pairs of digits, blanks and separators between them as one likes. Raises ValueError."""
    pairs = _BETWEEN_HEX.sub(b"", text)
    try:
        return bytes.fromhex(pairs.decode("ascii"))
    except ValueError:
        raise ValueError(f"decode: found {shown(text)}, expected pairs of hexadecimal digits") from None


def _from_decimal(text: bytes) -> bytes:
    """Bytes that are written as decimal numbers; words between them are left out. Raises ValueError."""
    numbers = [int(digits) for digits in _NUMBER.findall(text)]
    if any(number > 255 for number in numbers):
        raise ValueError(f"decode: found {shown(text)}, expected decimal numbers from 0 to 255")
    return bytes(numbers)
