"""Reads `messages`, and the keys of a device that is one message itself: how frames are told apart and taken apart."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from common.config.asking import ASKING
from common.config.device.places_reading import (
    Context,
    check_time,
    has_place,
    read_encoding,
    read_order,
    read_place,
    read_regex,
)
from common.config.device.points_reading import read_points
from common.config.device.protocol_reading import read_bytes, text_bytes
from common.config.device.type_words import POINT_TYPES
from common.config.findings import show
from common.config.framing import Framing
from common.config.json_object import JsonObject
from common.config.models import DataPoint, Message
from common.config.point_models import FLOATS, INTEGERS, Decode, DeviceTime, Naming, Order, Place, When
from common.conversion.grammar.patterns import names_of
from common.core.frame_shape import Shape

TAKING_APART: Final = ("when", "fields", "pairs", "pattern", "regex", "decode", "timestamp", "error", "device")
"""Keys of a message that a device may have too, where it is one message itself."""
_ASKED: Final = ("ask", "answer")
"""Keys by which a message is told from others by what was asked, and not by its bytes."""
_POINTS: Final = ("telemetry", "timeseries", "attributes")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
_WRAPPING: Final = ("stx-etx", "nmea")
"""Framings with a name whose frames are one text between a start and an end."""
_LINE_ENDS: Final = ("\r\n", "\n", "\r", "<CR>", "<LF>", "<CR><LF>")
_SLICES: Final = ("fromDelimiter", "untilDelimiter", "fromByte", "toByte")
_DAY_S: Final = 86_400
_CENTURY_S: Final = 100 * 366 * _DAY_S
_LAST_BYTE: Final = 16 * 1024 * 1024


def has_messages(entry: JsonObject) -> bool:
    """True if the device in this object says something that only messages can carry."""
    values = entry.values
    if any(values.get(key) is not None for key in ("messages", *TAKING_APART, "encoding")):
        return True
    lists = [values[key] for key in _POINTS if isinstance(values.get(key), list)]
    points = [point for points in lists for point in points if isinstance(point, dict)]
    return any(map(has_place, points)) or (_wraps_text(values.get("framing")) and any(map(_is_text, points)))


def _wraps_text(framing: object) -> bool:
    """True for frames of which more than the value stands in them all: a start, or an end that is no blank."""
    if isinstance(framing, list):
        return any(map(_wraps_text, framing))
    if not isinstance(framing, dict):
        return framing in _WRAPPING
    return any(said not in (None, "", *_LINE_ENDS) for said in (framing.get("start"), framing.get("end")))


def _is_text(point: dict[str, Any]) -> bool:
    """True for a data point of text that says nothing of its place: it stands in the body."""
    return point.get("type") in POINT_TYPES and all(point.get(key) is None for key in _SLICES)


def read_messages(device: JsonObject) -> tuple[Message, ...]:
    """The messages of the device in this object: those that it lists, or itself as one; () for a device that says
    nothing of all that."""
    device.knows("messages", "encoding", *TAKING_APART)
    if not has_messages(device):
        return ()
    order, encoding = read_order(device, "big"), read_encoding(device)
    if device.values.get("messages") is None:
        return (_read_message(device, order, encoding),)
    for key in (*TAKING_APART, *_POINTS):
        if device.values.get(key) not in (None, []):
            device.problem(key, f'{key} beside "messages"', "it in the messages that it is meant for")
    entries = list(device.items("messages"))
    messages = tuple(_read_listed(entry, order, encoding) for entry in entries)
    _check_names(entries, messages)
    _check_reach(entries, messages, _expected_in(device, *entries))
    if not messages:
        device.problem("messages", "an empty list", "at least one message")
    return messages


def _read_listed(entry: JsonObject, order: Order, encoding: str) -> Message:
    """A message of the list. `warn_unknown` is said here, as the device says its own."""
    name = entry.maybe_name("name") or ""
    message = _read_message(entry, read_order(entry, order), read_encoding(entry) or encoding, name)
    if entry.values.get("framing") is not None:
        message = msgspec.structs.replace(message, framing=_read_own_framing(entry))
    entry.knows("byteorder", "encoding", "timeseries", *ASKING)
    entry.warn_unknown()
    return message


def _read_own_framing(entry: JsonObject) -> Framing | None:
    """What the answer to the message's question looks like; None where that can't be, which is noted."""
    # Here: few configurations need it.
    from common.config.device.framing_reading import read_shaped

    framing = read_shaped(entry, begins=True)
    if entry.values.get("ask") is None:
        entry.problem("framing", 'a framing of its own, and no "ask"', '"ask": it holds while its answer is awaited')
    return framing if framing.shapes else None


def _read_message(entry: JsonObject, order: Order, encoding: str, name: str = "") -> Message:
    """What a message, or a device that is one, says of its frames."""
    fields, pairs = _read_fields(entry), _read_pairs(entry)
    pattern, pattern_names = _read_pattern(entry)
    regex = entry.maybe_text("regex") or ""
    names = list(pattern_names)
    if regex:
        compiled = read_regex(entry, "regex", regex)
        names += list(compiled.groupindex) if compiled is not None else []
        # What is wrong was noted: nobody else is to meet it.
        regex = regex if compiled is not None else ""
        if compiled is not None and not compiled.groupindex:
            entry.warning("regex", 'it names no values: a group with a name is written "(?P<name>…)"')
    context = Context(order, encoding, True, bool(fields), pairs is not None, tuple(names))
    error = entry.maybe_text("error") or ""
    telemetry = read_points(entry, "telemetry", "timeseries", context=context)
    attributes = read_points(entry, "attributes", context=context)
    if error and (telemetry or attributes):
        entry.warning("error", "this message is a refusal, and its data points are not read")
    return Message(
        name=name,
        when=_read_when(entry),
        fields=fields,
        pairs=pairs,
        pattern=pattern,
        regex=regex,
        decode=_read_decode(entry),
        telemetry=telemetry,
        attributes=attributes,
        timestamp=_read_timestamp(entry, context),
        error=error,
        device=_read_naming(entry, (*telemetry, *attributes)),
    )


# --- which frames ---


def _read_when(entry: JsonObject) -> When | None:
    """A regular expression, or `{at, is}`."""
    said = entry.values.get("when")
    if said is None:
        entry.knows("when")
        return None
    if isinstance(said, str):
        text = entry.maybe_text("when")
        if text is not None:
            return When(pattern=text) if read_regex(entry, "when", text) is not None else None
        return None
    if not isinstance(said, dict):
        entry.problem("when", show(said), 'a regular expression, or {"at": 1, "is": "hex:03"}')
        return None
    child = entry.child("when")
    assert child is not None
    when = When(at=child.whole("at", 0, -_LAST_BYTE, _LAST_BYTE), same=read_bytes(child, "is"))
    if child.values.get("is") is None:
        child.problem("is", "nothing", "the bytes that stand there")
    if when.at < 0 < when.at + len(when.same):
        child.problem("is", f"{len(when.same)} bytes at {when.at}", "as many as there are up to the frame's end")
    child.warn_unknown()
    return when


def _check_names(entries: list[JsonObject], messages: tuple[Message, ...]) -> None:
    """A name stands for one message: what was asked is known by it."""
    places: dict[str, str] = {}
    for entry, message in zip(entries, messages, strict=True):
        first = places.setdefault(message.name, entry.path)
        if message.name and first != entry.path:
            entry.problem("name", f"{show(message.name)}, as in {first}", "a name that no other message has")


def _check_reach(entries: list[JsonObject], messages: tuple[Message, ...], expected: set[str]) -> None:
    """A message that no frame can reach, since an earlier one takes them all, is a slip in the order. `expected`: those
    that a step waits for, which are reached by that, as those are that are asked for."""
    for index, (entry, message) in enumerate(zip(entries, messages, strict=True)):
        is_awaited = message.name in expected or _is_asked(entry)
        for earlier, before in zip(entries[:index], messages, strict=False):
            if _is_asked(earlier) and (is_awaited or before.framing is not None or _is_choosier(message, before)):
                continue
            if _takes_all_of(before, message):
                what = "every frame" if before.when is None else "each of these frames"
                found = f"a message behind {earlier.path}, which takes {what}"
                entry.problem("when", found, "it before that one, or a condition in that one that leaves it frames")
                break


def _is_choosier(message: Message, before: Message) -> bool:
    """True if a message says of its frames what the earlier one does not: it is tried before one that takes any."""
    unsaid = (before.when, before.pattern, before.regex) == (None, "", "")
    return unsaid and (message.when, message.pattern, message.regex) != (None, "", "")


def _is_asked(entry: JsonObject) -> bool:
    return any(entry.values.get(key) is not None for key in _ASKED)


def _expected_in(*entries: JsonObject) -> set[str]:
    """The messages that steps of these objects wait for."""
    steps = [step for entry in entries for key in ("ask", "init") for step in _steps_in(entry.values.get(key))]
    return {str(step.get("expect")) for step in steps if isinstance(step, dict)}


def _steps_in(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _takes_all_of(before: Message, message: Message) -> bool:
    """True if a frame of `message` never gets past `before`, as far as that can be seen."""
    if before.pattern or before.regex:
        same = (before.pattern, before.regex) == (message.pattern, message.regex)
        return same and before.when in (None, message.when)
    return before.when is None or before.when == message.when


def check_shapes(device: JsonObject, messages: tuple[Message, ...], shapes: tuple[Shape, ...]) -> None:
    """Messages and points that look for bytes where no frame of the device's shapes has any."""
    entries = list(device.items("messages")) if device.values.get("messages") is not None else [device]
    for entry, message in zip(entries, messages, strict=True):
        when, own = message.when, shapes if message.framing is None else message.framing.shapes
        longest = _longest(own)
        if when is not None and when.same and when.at >= 0 and not any(_may_have(shape, when) for shape in own):
            starts = sorted({start.hex(" ").upper() for shape in own for start in shape.starts})
            found = f"{when.same.hex(' ').upper()} at byte {when.at}, where no frame has it"
            entry.problem("when", found, f"what a frame can have that begins with {' or '.join(starts)}")
        if longest is None or message.decode is not None:
            continue
        for key, points in (("telemetry", message.telemetry), ("attributes", message.attributes)):
            for index, point in enumerate(points):
                end = _end_of(point)
                if end is not None and end > longest:
                    found = f"{show(point.key)} up to byte {end - 1} of a frame of {longest} bytes"
                    place = f"{entry.path}.{key}[{index}].at"
                    entry.findings.problem(entry.file, place, found, f"a place up to byte {longest - 1}")


def _longest(shapes: tuple[Shape, ...]) -> int | None:
    """How long a frame is at most, where that is fixed; what is stripped off counts no more."""
    lengths = [shape.length - sum(shape.strip) for shape in shapes if isinstance(shape.length, int)]
    return max(lengths) if lengths and len(lengths) == len(shapes) else None


def _may_have(shape: Shape, when: When) -> bool:
    """True if a frame of this shape may have these bytes there, as far as its start says it."""
    if not shape.starts or shape.strip[0]:
        return True
    return any(
        all(when.at + n >= len(start) or start[when.at + n] == byte for n, byte in enumerate(when.same))
        for start in shape.starts
    )


def _end_of(point: DataPoint) -> int | None:
    """The byte behind the last one of a number in binary; None for what may end anywhere."""
    place = point.place
    if place is None or place.by != "at" or place.at < 0:
        return None
    size = INTEGERS[point.type][0] if point.type in INTEGERS else FLOATS.get(point.type, place.length or 1)
    return place.at + size


# --- taking a body apart ---


def _read_fields(entry: JsonObject) -> bytes:
    """What stands between two fields."""
    entry.knows("fields")
    return b"" if entry.values.get("fields") is None else read_bytes(entry, "fields")


def _read_pairs(entry: JsonObject) -> tuple[bytes, bytes] | None:
    """`[what stands between two, what stands between a name and its value]`."""
    said = entry.values.get("pairs")
    entry.knows("pairs")
    if said is None:
        return None
    expected = 'two texts: what stands between pairs, and between a name and its value, such as [";", "="]'
    if not isinstance(said, list) or len(said) != 2 or not all(isinstance(one, str) and one for one in said):
        entry.problem("pairs", show(said), expected)
        return None
    between, assign = (text_bytes(entry, "pairs", one) for one in said)
    if not between or not assign:
        return None
    if between == assign:
        entry.problem("pairs", f"{show(said[0])} twice", expected)
        return None
    return between, assign


def _read_pattern(entry: JsonObject) -> tuple[str, list[str]]:
    """(the pattern or "", its names)."""
    pattern = entry.maybe_text("pattern")
    if pattern is None:
        return "", []
    try:
        return pattern, names_of(pattern)
    except ValueError as error:
        entry.problem("pattern", f"{show(pattern)} ({error})", 'a text with names in braces, "S {weight} {unit}"')
        return "", []


def _read_decode(entry: JsonObject) -> Decode | None:
    """Bytes that are written as digits, or moved."""
    child = entry.child("decode") if entry.values.get("decode") is not None else None
    entry.knows("decode")
    if child is None:
        return None
    decode = Decode(
        digits=child.choice("as", "", ("", "hex", "decimal")),
        minus=child.whole("minus", 0, -255, 255),
        first=child.maybe_whole("from", -_LAST_BYTE, _LAST_BYTE),
        last=child.maybe_whole("to", -_LAST_BYTE, _LAST_BYTE),
    )
    if not decode.digits and not decode.minus:
        entry.problem("decode", "nothing to be done", '"as": "hex" or "decimal", or "minus"')
    child.warn_unknown()
    return decode


def _read_timestamp(entry: JsonObject, context: Context) -> DeviceTime | None:
    """The device's own time: a place, and how a time is written there."""
    child = entry.child("timestamp") if entry.values.get("timestamp") is not None else None
    entry.knows("timestamp")
    if child is None:
        return None
    form, zone = child.maybe_text("format") or "iso", child.maybe_text("zone") or ""
    check_time(child, form, zone)
    bare = {key: value for key, value in child.values.items() if key not in ("format", "zone", "within")}
    place = read_place(JsonObject(bare, child.file, child.path, child.findings), "string", context)
    within_s = child.number("within", _DAY_S, 0, _CENTURY_S, above=True)
    if place is None:
        entry.problem("timestamp", "no place", 'a key that says where the time stands, such as "field" or "obis"')
        place = Place(by="slice")
    child.knows(*bare)
    child.warn_unknown()
    return DeviceTime(place=place, format=form, zone=zone, within_s=within_s)


def _read_naming(entry: JsonObject, points: tuple[DataPoint, ...]) -> Naming | None:
    """Which device of the platform the values belong to."""
    child = entry.child("device") if entry.values.get("device") is not None else None
    entry.knows("device")
    if child is None:
        return None
    naming = Naming(
        name=child.required_text("name", meaning='a text such as "sensor ${id}"'), type=child.maybe_text("type") or ""
    )
    keys = {point.key for point in points}
    for key, text in (("name", naming.name), ("type", naming.type)):
        for found in _PLACEHOLDER.finditer(text):
            if found[1] not in keys:
                child.problem(key, show(found[0]), f"a key of this message's data points: {_listed(keys)}")
    if naming.name and not _PLACEHOLDER.search(naming.name):
        child.warning("name", f"all frames of this message belong to one device, {show(naming.name)}")
    child.warn_unknown()
    return naming


def _listed(keys: set[str]) -> str:
    return ", ".join(f"${{{key}}}" for key in sorted(keys)) or "there are none"
