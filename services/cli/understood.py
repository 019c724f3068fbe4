"""Says in words what a message and a data point with a place are understood to be, for `serialgw check`."""

from __future__ import annotations

from collections.abc import Iterable

from common.config.device.type_words import read_as
from common.config.models import DataPoint, Message
from common.config.point_models import FLOATS, INTEGERS, Decode, DeviceTime, Exponent, Meaning, Place
from common.core.byte_text import pairs_of
from common.core.frame_words import words_of
from common.core.quoting import quoted, spelled
from services.cli.slices import describe_slice
from services.cli.text import compact

_ORDERS = {"little": "low byte first", "CDAB": "low word first (CDAB)", "BADC": "bytes swapped in each word (BADC)"}
_SHOWN = 40
"""Characters of a pattern that are shown at most."""


def describe_message(message: Message, *, alone: bool = False) -> str:
    """Which frames a message takes, and how it takes them apart: one clause each, `;` between them. `alone`: the device
    has no other."""
    clauses = [f"takes {_which(message, alone=alone)}"]
    if message.error:
        return f"{clauses[0]}; a refusal: {message.error}"
    if (own := message.framing) is not None:
        clauses.append(f"each {words_of(own.shapes, skip=own.skip, mask=own.mask)}")
    if message.decode is not None:
        clauses.append(_decode_in_words(message.decode))
    if message.fields:
        between = "blanks" if message.fields == b" " else spelled(message.fields)
        clauses.append(f"fields between {between}")
    if message.pairs is not None:
        pairs, assign = message.pairs
        clauses.append(f"names and values with {spelled(assign)} between them, {spelled(pairs)} between pairs")
    if message.timestamp is not None:
        clauses.append(_time_in_words(message.timestamp))
    if message.device is not None:
        kind = f" of type {quoted(message.device.type)}" if message.device.type else ""
        clauses.append(f"values of device {quoted(message.device.name)}{kind}")
    if not message.telemetry and not message.attributes:
        clauses.append("no values")
    return "; ".join(clauses)


def _which(message: Message, *, alone: bool) -> str:
    """The frames that a message takes."""
    conditions = []
    when = message.when
    if when is not None:
        what = quoted(_cut(when.pattern)) if when.pattern else f"{pairs_of(when.same)} at {_byte(when.at)}"
        conditions.append(f"frames with {what}" if not when.pattern else f"frames that match {what}")
    if message.pattern:
        conditions.append(f"frames that look like {quoted(_cut(message.pattern))}")
    if message.regex:
        conditions.append(f"frames in which {quoted(_cut(message.regex))} is found")
    if message.framing is not None:
        return " and ".join(["what answers its question", *conditions])
    return " and ".join(conditions) or ("all frames" if alone else "all frames that no other message takes")


def _decode_in_words(decode: Decode) -> str:
    first, last = decode.first, decode.last
    where = "its body" if first is None and last is None else f"bytes [{_bound(first)}:{_bound(last)}]"
    digits = {"hex": f"{where} are hexadecimal digits", "decimal": f"{where} are decimal numbers"}.get(decode.digits)
    moved = f"{decode.minus} is taken from each byte" if decode.minus else ""
    return ", ".join(clause for clause in (digits or where, moved) if clause)


def _bound(position: int | None) -> str:
    return "" if position is None else str(position)


def _time_in_words(time: DeviceTime) -> str:
    where = _place_in_words(time.place, "string")
    zone = f" in {time.zone}" if time.zone else ""
    return f"its own time from {where}, {time.format}{zone}, where within {time.within_s:g} s of ours"


def describe_type(point: DataPoint) -> str:
    """What a data point is read as."""
    if point.place is None:
        return read_as(point.type)
    if point.type:
        return point.type
    if point.place.by in ("path", "mbus", "value"):
        return "as it is"
    if point.meaning.bit is not None:
        return "bool"
    return "hexadecimal" if point.place.by in ("at", "slice") and point.meaning.bits is None else "string"


def describe_place(point: DataPoint) -> str:
    """Where a data point's value stands, and what becomes of it: `bytes 2 to 3, low byte first, divided by 10`."""
    if point.place is None:
        where = describe_slice(point)
        return "the body" if where == "frame" else where
    if point.place.by == "slice":
        where = describe_slice(point)
        where = "the body" if where == "frame" else where
    else:
        where = _place_in_words(point.place, point.type)
    return ", ".join([where, *_meaning_in_words(point.meaning, point.type)])


def _place_in_words(place: Place, kind: str) -> str:
    match place.by:
        case "at":
            size = INTEGERS[kind][0] if kind in INTEGERS else FLOATS.get(kind, place.length)
            if size is None:
                size = 1 if kind in ("bcd", "bits") or place.meaning.bit is not None or place.meaning.bits else None
            return _bytes(place.at, size)
        case "field":
            numbers = " and ".join(map(str, place.fields))
            return f"field{'s' if len(place.fields) > 1 else ''} {numbers}"
        case "name":
            return f"the value named {quoted(place.text)}"
        case "regex":
            return f"what {quoted(_cut(place.text))} finds"
        case "obis":
            return f"OBIS {place.text}" + (f", bracket {place.group}" if place.group else "")
        case "mbus":
            return f"M-Bus record {quoted(place.text)}"
        case "path":
            return f"JSON member {quoted(place.text)}"
        case "register":
            return f"register {place.text}"
        case "value":
            return f"always {compact(place.constant)}"
    return "the body"


def _bytes(at: int, size: int | None) -> str:
    """`byte 4`, `bytes 2 to 3`, `from byte 17 to the body's end`."""
    if size is None:
        return f"from {_byte(at)} to the body's end"
    if size == 1:
        return _byte(at)
    return f"bytes {at} to {at + size - 1}" if at >= 0 else f"{size} bytes from {_byte(at)}"


def _byte(at: int) -> str:
    return f"byte {at}" if at >= 0 else f"byte {-at} from the end"


def _meaning_in_words(meaning: Meaning, kind: str) -> Iterable[str]:
    if kind in FLOATS or (kind in INTEGERS and INTEGERS[kind][0] > 1) or kind in ("bcd", "bits"):
        order = _ORDERS.get(meaning.byteorder)
        if order:
            yield order
    if meaning.encoding:
        yield f"in {meaning.encoding}"
    if kind == "time":
        yield f"in the format {meaning.format or 'iso'}" + (f" in {meaning.zone}" if meaning.zone else "")
    if meaning.invalid:
        yield f"no value where it is {' or '.join(map(compact, meaning.invalid))}"
    if meaning.bits is not None:
        yield f"bits {meaning.bits[0]} to {meaning.bits[1]}"
    if meaning.bit is not None:
        yield f"bit {meaning.bit}"
    if meaning.sign_bit is not None:
        yield f"bit {meaning.sign_bit} is its sign"
    if meaning.map:
        yield f"by name: {_cut(', '.join(f'{key} is {compact(value)}' for key, value in meaning.map.items()))}"
    yield from _arithmetic(meaning)
    if meaning.decimals is not None:
        yield f"rounded to {meaning.decimals} decimals"
    if meaning.minimum is not None:
        yield f"no value below {meaning.minimum:g}"
    if meaning.maximum is not None:
        yield f"no value above {meaning.maximum:g}"
    if meaning.unit:
        yield f"in {meaning.unit}"


def _arithmetic(meaning: Meaning) -> Iterable[str]:
    if meaning.offset:
        yield f"{'plus' if meaning.offset > 0 else 'minus'} {abs(meaning.offset):g}"
    if meaning.scale != 1:
        inverse = round(1 / meaning.scale) if abs(meaning.scale) < 1 else 0
        divides = inverse and abs(1 / meaning.scale - inverse) < 1e-9 * abs(inverse)
        yield f"divided by {inverse}" if divides else f"times {meaning.scale:g}"
    if meaning.exponent is not None:
        yield _exponent(meaning.exponent)


def _exponent(exponent: Exponent) -> str:
    signs = "" if exponent.sign_bit is None else f", bit {exponent.sign_bit} its sign"
    number = "" if exponent.negative_bit is None else f", bit {exponent.negative_bit} the sign of the number"
    return f"times ten to the power of {_byte(exponent.at)}{signs}{number}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
