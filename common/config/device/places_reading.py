"""Reads what a data point says of its place and its meaning: `at`, `field`, `regex` …, `scale`, `map`, `invalid` ….

Here everything is strict: these keys are ours, and what can't work is a problem. A point with none of them is read by
`points_reading` alone, as ever.
"""

from __future__ import annotations

import codecs
import json
import re
import warnings
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from common.config.device.regex_cost import cost_of
from common.config.device.type_words import HEX_TYPES, POINT_TYPES
from common.config.findings import choices, nearest, show
from common.config.json_object import JsonObject
from common.config.point_models import FLOATS, INTEGERS, OTHER_TYPES, Exponent, Meaning, Order, Place
from common.conversion.grammar.mbus import UNITS_OF, wanted_of
from common.conversion.grammar.obis import code_of
from common.conversion.grammar.paths import steps_of
from common.conversion.grammar.patterns_of_bytes import compile_bytes
from common.conversion.grammar.times import NAMED as TIME_FORMATS
from common.conversion.grammar.times import time_reader, zone_of
from common.conversion.grammar.units import factor_of
from common.conversion.values import plain_value
from common.core.byte_text import EXPECTED_HEX, bytes_of

PLACES: Final = ("at", "field", "fields", "name", "regex", "obis", "mbus", "register", "path", "value")
"""The keys that say where a value stands; a point has at most one of them."""
MEANINGS: Final = (
    *("bits", "bit", "signBit", "exponentAt", "offset", "scale", "decimals", "map", "invalid", "min", "max", "unit"),
    *("encoding", "format", "zone"),
)
"""The keys that say what becomes of it; each of them makes a place of the point's own delimiters and positions."""
BESIDE: Final = ("length", "group", "byteorder")
"""Keys that say more of a place."""
TYPES: Final = (*POINT_TYPES, *INTEGERS, *FLOATS, *OTHER_TYPES)
ORDERS: Final[dict[str, Order]] = {
    **{"big": "big", "little": "little", "ABCD": "big", "DCBA": "little", "CDAB": "CDAB", "BADC": "BADC"}
}
_WHOLE_TYPES: Final = (*INTEGERS, "bcd", "hexint", "bits", "int")
_NUMBER_TYPES: Final = (*_WHOLE_TYPES, *FLOATS, "float", "double", "nmeaAngle")
_TEXT_PLACES: Final = ("field", "fields", "name", "obis", "path", "mbus", "value")
_PLACED_TYPES: Final = ("hexint", "nmeaAngle")
"""Types by which alone a point is one with a place: nobody wrote them before there were places."""
_IN_TEXT: Final = ("string", "", "int", "float", "double", "bool", "json")
"""Types of which an encoding says how they are written: of a number its unit, of true and false their words."""
_NATIVE_PLACES: Final = ("obis", "path", "mbus", "value")
_LARGEST: Final = 1e30
"""The largest scale or offset: what is larger is a slip, and makes numbers that nobody can store."""
_MOST_DECIMALS: Final = 15
_LAST_BYTE: Final = 16 * 1024 * 1024
"""A position behind the largest frame."""
_LAST_FIELD: Final = 65_535


class Context(NamedTuple):
    """What a message, or its device, says for all of its points."""

    byteorder: Order = "big"
    encoding: str = ""
    in_message: bool = False
    """True where the point stands in a message: then it may have pieces and names to choose from."""
    has_fields: bool = False
    has_pairs: bool = False
    names: tuple[str, ...] = ()
    """The names of `pattern` and `regex`."""


NO_CONTEXT: Final = Context()
"""Of points whose device says nothing of messages."""


def has_place(values: dict[str, Any]) -> bool:
    """True if a data point's object has a key that only a place can carry, or a type."""
    if values.get("type") in _PLACED_TYPES:
        return True
    return any(values.get(key) is not None for key in (*PLACES, *MEANINGS)) or "value" in values


def read_place(entry: JsonObject, kind: str, context: Context) -> Place | None:
    """The place of the point in this object, whose `type` is `kind`; None where it has none of the keys."""
    entry.knows(*PLACES, *MEANINGS, *BESIDE)
    named = [key for key in PLACES if entry.values.get(key) is not None or (key == "value" and key in entry.values)]
    if len(named) > 1:
        entry.problem(named[1], f"{named[1]} beside {named[0]}", "one key that says where the value stands")
        return None
    if not named and not has_place(dict(entry.values)) and not (context.encoding and kind in ("string", "bool")):
        _warn_idle(entry, BESIDE)
        return None
    by = named[0] if named else "slice"
    _check_type(entry, kind, by)
    meaning = _read_meaning(entry, kind, by, context)
    place = _read_where(entry, by, kind, context)
    if by not in ("at", "register"):
        _warn_idle(entry, ("length",))
    if by != "at":
        _warn_idle(entry, ("exponentAt",))
    if by != "obis":
        _warn_idle(entry, ("group",))
    if place.by == "mbus":
        _check_record_unit(entry, place.text, meaning.unit)
    return Place(
        by=place.by,
        at=place.at,
        length=place.length,
        fields=place.fields,
        text=place.text,
        group=place.group,
        constant=place.constant,
        meaning=meaning,
    )


def _warn_idle(entry: JsonObject, keys: Iterable[str]) -> None:
    """Warns of keys that say more of a place which the point does not have."""
    for key in keys:
        if entry.values.get(key) is not None:
            belongs = {"group": '"obis"'}.get(key, '"at"')
            entry.warning(key, f"has no effect without {belongs}")


def _check_type(entry: JsonObject, kind: str, by: str) -> None:
    """A type that can stand in such a place."""
    if kind and kind not in (*TYPES, *HEX_TYPES):
        near = nearest(kind, TYPES)
        hint = f', such as "{near}"' if near else ""
        entry.problem("type", show(kind), f"one of {', '.join(TYPES)}, hex{hint}")
    elif by in _TEXT_PLACES and (kind in INTEGERS or kind in FLOATS or kind == "bcd"):
        plain = "float" if kind in FLOATS else "int"
        entry.problem("type", f"{show(kind)}, a number in binary, where text stands", f'"{plain}"')
    elif by == "at" and kind == "bool" and entry.values.get("length") is None:
        entry.problem("type", '"bool" of bytes without a length', '"bit": N for one bit, or a "length" for a word')


# --- where ---


def _read_where(entry: JsonObject, by: str, kind: str, context: Context) -> Place:
    """The place itself, without its meaning."""
    match by:
        case "slice":
            return Place(by="slice")
        case "at":
            at = entry.maybe_whole("at", -_LAST_BYTE, _LAST_BYTE) or 0
            return Place(by="at", at=at, length=_read_length(entry, kind))
        case "field" | "fields":
            return Place(by="field", fields=_read_fields(entry, by, kind, context))
        case "value":
            return Place(by="value", constant=_read_constant(entry))
    text = entry.maybe_text(by) or ""
    if text:
        # What is wrong was noted: nobody else is to meet it.
        text = text if _is_meant(entry, by, text, context) else ""
    match by:
        case "name":
            return Place(by="name", text=text)
        case "regex":
            return Place(by="regex", text=text)
        case "obis":
            return Place(by="obis", text=text, group=entry.whole("group", 0, 0, 255))
        case "mbus":
            return Place(by="mbus", text=text)
        case "register":
            # How often it is read, `modbus_reading` reads.
            entry.knows("every")
            return Place(by="register", text=text, length=_read_length(entry, kind))
        case _:
            return Place(by="path", text=text)


def _read_length(entry: JsonObject, kind: str) -> int | None:
    length = entry.maybe_whole("length", 1, _LAST_BYTE)
    size = INTEGERS[kind][0] if kind in INTEGERS else FLOATS.get(kind)
    if length is not None and size is not None and length != size:
        entry.problem("length", show(length), f"{size}, which {kind} has, or no length")
    if length is not None and length > 8 and kind in ("bcd", "bits"):
        entry.problem("length", show(length), "at most 8 bytes of a number")
    return length


def _read_fields(entry: JsonObject, key: str, kind: str, context: Context) -> tuple[int, ...]:
    """The number of a field, or of several that are one value together."""
    said = entry.values.get(key)
    numbers = said if isinstance(said, list) else [said]
    if not numbers or not all(type(one) is int and -_LAST_FIELD <= one <= _LAST_FIELD for one in numbers):
        entry.problem(key, show(said), "the number of a field, from 0, or a list of such numbers")
        return (0,)
    if not context.has_fields:
        entry.problem(key, f"{key} where nothing separates fields", '"fields" in the message: what stands between two')
    if len(numbers) > 1 and kind not in ("nmeaAngle", "time", "string", ""):
        entry.problem(key, "several fields", 'one, or a type that several make together: "nmeaAngle", "time", "string"')
    return tuple(numbers)


def _read_constant(entry: JsonObject) -> Any:
    value = entry.values["value"]
    try:
        if value is None:
            raise ValueError("null")
        return plain_value(value)
    except ValueError as error:
        entry.problem("value", str(error), "a value that can be sent")
        return 0


def _is_meant(entry: JsonObject, by: str, text: str, context: Context) -> bool:
    """False if what a place says as text means nothing, which is a problem."""
    try:
        match by:
            case "regex":
                return read_regex(entry, "regex", text) is not None
            case "obis":
                code_of(text)
            case "mbus":
                wanted_of(text)
            case "path":
                steps_of(text)
            case "name":
                _check_name(entry, text, context)
    except ValueError as error:
        expected = {
            "obis": 'a code such as "1-0:1.8.0"',
            "path": 'the way to a member, such as "pos.x" or "list[0]"',
            "mbus": 'a record such as "energy" or "volume storage 1"',
        }
        entry.problem(by, f"{show(text)} ({error})", expected[by])
        return False
    return True


def _check_name(entry: JsonObject, name: str, context: Context) -> None:
    if context.has_pairs or name in context.names:
        return
    if context.names:
        entry.problem("name", show(name), choices(context.names))
    else:
        expected = '"pairs", "pattern" or "regex" in the message, which name values'
        entry.problem("name", "a name where nothing names values", expected)


def read_regex(entry: JsonObject, key: str, text: str) -> re.Pattern[bytes] | None:
    """A regular expression on bytes, compiled once to see that it can be; None for one that can't."""
    try:
        # Python warns of patterns whose meaning may change; that is worth a word to whoever wrote one.
        with warnings.catch_warnings(record=True, action="always", category=FutureWarning) as doubts:
            found = compile_bytes(text)
    except re.error as error:
        where = "" if error.pos is None else f" at position {error.pos}"
        entry.problem(key, f"{show(text)} ({error.msg}{where})", "a regular expression")
        return None
    except ValueError:
        entry.problem(key, show(text), EXPECTED_HEX)
        return None
    except (OverflowError, RecursionError):
        entry.problem(key, f"{show(text)} (too large)", "a regular expression")
        return None
    for doubt in doubts:
        entry.warning(key, f"{show(text)} may mean something else ({doubt.message})")
    return found if _is_quick(entry, key, text, found) else None


def _is_quick(entry: JsonObject, key: str, text: str, pattern: re.Pattern[bytes]) -> bool:
    """False for an expression that may never come to an end, which is a problem."""
    cost = cost_of(pattern)
    if cost == "endless":
        found = f"{show(text)}, which takes longer with each byte than with all before it"
        entry.problem(key, found, 'an expression without repetitions of repetitions, as in "(a+)+"')
    elif cost == "long":
        entry.warning(key, f"{show(text)} takes long on long frames: it is looked for anew at each place")
    return cost != "endless"


def _check_record_unit(entry: JsonObject, text: str, unit: str) -> None:
    """A unit to which the record can be converted."""
    try:
        name = wanted_of(text).name
    except ValueError:
        return
    if unit and not any(factor_of(one, unit) is not None for one in UNITS_OF[name] if one):
        known = sorted(one for one in UNITS_OF[name] if one)
        expected = f"a unit like {' or '.join(known)}" if known else "no unit, as it has none"
        entry.problem("unit", f"{show(unit)} of {name}", expected)


# --- what it means ---


def _read_meaning(entry: JsonObject, kind: str, by: str, context: Context) -> Meaning:
    meaning = Meaning(
        byteorder=read_order(entry, context.byteorder),
        encoding=read_encoding(entry) or context.encoding,
        format=_read_format(entry),
        zone=entry.maybe_text("zone") or "",
        invalid=_read_invalid(entry),
        bits=_read_bits(entry),
        bit=entry.maybe_whole("bit", 0, 63),
        sign_bit=entry.maybe_whole("signBit", 0, 63),
        map=_read_map(entry),
        offset=entry.number("offset", 0, -_LARGEST, _LARGEST),
        scale=_read_scale(entry),
        exponent=_read_exponent(entry),
        decimals=entry.maybe_whole("decimals", 0, _MOST_DECIMALS),
        minimum=entry.maybe_number("min", -_LARGEST, _LARGEST),
        maximum=entry.maybe_number("max", -_LARGEST, _LARGEST),
        unit=entry.maybe_text("unit") or "",
    )
    _check_meaning(entry, meaning, kind, by)
    return meaning


def _check_meaning(entry: JsonObject, meaning: Meaning, kind: str, by: str) -> None:
    """Steps that can't follow each other, or that a value of this type can't take."""
    in_bytes = not kind and by in ("at", "slice") and (meaning.bits is not None or meaning.bit is not None)
    for key in ("bits", "bit", "signBit"):
        if entry.values.get(key) is not None and kind not in _WHOLE_TYPES and not in_bytes and by not in ("path",):
            entry.problem(key, f"{key} of {_type_in_words(kind, by)}", 'a whole number, such as "type": "uint16"')
    if meaning.sign_bit is not None and kind in INTEGERS and INTEGERS[kind][1]:
        entry.problem("signBit", f"signBit of {kind}, which has a sign already", f'"u{kind}"')
    size = 8 * INTEGERS[kind][0] if kind in INTEGERS else 64
    highest = max([-1, *(meaning.bits or ()), *(one for one in (meaning.bit, meaning.sign_bit) if one is not None)])
    if highest >= size:
        entry.problem("type", f"bit {highest} of {kind}", f"a bit from 0 to {size - 1}")
    numeric = [key for key in ("offset", "scale", "decimals", "min", "max") if entry.values.get(key) is not None]
    counts = kind in _NUMBER_TYPES or (not kind and by in _NATIVE_PLACES) or (in_bytes and meaning.bits is not None)
    if numeric and not counts:
        entry.problem(numeric[0], f"{numeric[0]} of {_type_in_words(kind, by)}", 'a number, such as "type": "float"')
    elif numeric and (meaning.map or meaning.bit is not None):
        what = "map" if meaning.map else "bit"
        entry.problem(numeric[0], f"{numeric[0]} beside {what}", f"one of them: what {what} gives is no number")
    if meaning.minimum is not None and meaning.maximum is not None and meaning.minimum > meaning.maximum:
        entry.problem("min", show(meaning.minimum), f"at most max, {show(meaning.maximum)}")
    if meaning.byteorder in ("CDAB", "BADC") and kind in INTEGERS and INTEGERS[kind][0] == 3:
        entry.problem("byteorder", f"{meaning.byteorder} of {kind}", '"big" or "little": it has no words of two bytes')
    _check_invalid(entry, meaning, kind)
    if kind != "time":
        for key in ("format", "zone"):
            if entry.values.get(key) is not None:
                entry.warning(key, 'has no effect without "type": "time"')
    else:
        check_time(entry, meaning.format or "iso", meaning.zone)
    if entry.values.get("encoding") is not None and kind not in _IN_TEXT:
        entry.warning("encoding", f"has no effect: {kind} is no text")


def _check_invalid(entry: JsonObject, meaning: Meaning, kind: str) -> None:
    """Marks that a number in binary never is: its device's "no value" would be sent as a value."""
    if kind not in INTEGERS and kind not in FLOATS:
        return
    size, signed = INTEGERS[kind] if kind in INTEGERS else (FLOATS[kind], True)
    least, most = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    for mark in meaning.invalid:
        if isinstance(mark, str) and len(bytes_of(mark)) != size:
            what = f'{size} byte{"s" if size > 1 else ""}, such as "hex:{" ".join(["80", *["00"] * (size - 1)])}"'
            entry.problem(
                "invalid", f"{show(mark)}, which stands for {len(bytes_of(mark))} bytes", f"{what}, or a number"
            )
        elif kind in INTEGERS and not isinstance(mark, str) and not least <= mark <= most:
            entry.problem("invalid", f"{show(mark)}, which no {kind} is", f"a number from {least} to {most}")


def _type_in_words(kind: str, by: str) -> str:
    if kind:
        return show(kind)
    return "bytes" if by in ("at", "slice") else "text"


def read_order(entry: JsonObject, default: Order) -> Order:
    """`byteorder`, by either of its names."""
    word = entry.maybe_text("byteorder", nullable=False)
    if word is None:
        return default
    if word not in ORDERS:
        entry.problem("byteorder", show(word), choices(ORDERS))
        return default
    return ORDERS[word]


def read_encoding(entry: JsonObject) -> str:
    """`encoding`, the name of one that Python knows; "" where there is none."""
    name = entry.maybe_text("encoding")
    if name is None:
        return ""
    try:
        known = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, ValueError, UnicodeError):
        expected = 'the name of a text encoding, such as "latin-1", "cp437", "shift_jis" or "utf-16-le"'
        entry.problem("encoding", show(name), expected)
        return ""
    return "" if known.name == "utf-8" else known.name


def check_time(entry: JsonObject, form: str, zone: str) -> None:
    """A format and a zone by which times can be read."""
    try:
        zone_of(zone)
    except ValueError:
        entry.problem(
            "zone", f"{show(zone)}, which this machine does not know", 'a time zone such as "Europe/Amsterdam"'
        )
        return
    try:
        time_reader(form, zone)
    except ValueError:
        expected = f'{choices(TIME_FORMATS)}, or a notation such as "%d.%m.%Y %H:%M:%S"'
        entry.problem("format", show(form), expected)


def _read_format(entry: JsonObject) -> str:
    """How a time is written; "" is ISO 8601."""
    form = entry.maybe_text("format")
    return "" if form in (None, "iso") else form


def _read_scale(entry: JsonObject) -> float:
    scale = entry.number("scale", 1, -_LARGEST, _LARGEST)
    if abs(scale) < 1 / _LARGEST:
        entry.problem("scale", show(entry.values.get("scale")), "a number that is not 0")
        return 1
    return scale


def _read_invalid(entry: JsonObject) -> tuple[Any, ...]:
    """Numbers, and texts that stand for bytes."""
    said = entry.values.get("invalid")
    marks = said if isinstance(said, list) else [] if said is None else [said]
    for mark in marks:
        if isinstance(mark, bool) or not isinstance(mark, int | float | str) or mark == "":
            entry.problem("invalid", show(mark), "a number, a text that is not empty, or a list of these")
            return ()
        if isinstance(mark, str):
            try:
                bytes_of(mark)
            except ValueError:
                entry.problem("invalid", show(mark), EXPECTED_HEX)
                return ()
    return tuple(marks)


def _read_bits(entry: JsonObject) -> tuple[int, int] | None:
    said = entry.values.get("bits")
    if said is None:
        return None
    if not isinstance(said, list) or len(said) != 2 or not all(type(one) is int and 0 <= one <= 63 for one in said):
        entry.problem("bits", json.dumps(said)[:60], "[highest, lowest], two bits from 0 to 63")
        return None
    return max(said), min(said)


def _read_map(entry: JsonObject) -> dict[str, Any]:
    """What stands there, as text → the value."""
    child = entry.child("map") if entry.values.get("map") is not None else None
    if child is None:
        return {}
    if not child.values:
        entry.problem("map", "an empty object", "at least one name of a value")
    for key, value in child.values.items():
        if value is None or isinstance(value, dict | list):
            child.problem(key, show(value), "a text, a number, true or false")
            return {}
    return dict(child.values)


def _read_exponent(entry: JsonObject) -> Exponent | None:
    """The place of a byte, or an object that says how its bits are meant."""
    if not isinstance(entry.values.get("exponentAt"), dict):
        at = entry.maybe_whole("exponentAt", -_LAST_BYTE, _LAST_BYTE)
        return None if at is None else Exponent(at=at)
    child = entry.child("exponentAt")
    assert child is not None
    exponent = Exponent(
        at=child.whole("at", 0, -_LAST_BYTE, _LAST_BYTE),
        sign_bit=child.maybe_whole("signBit", 1, 7),
        negative_bit=child.maybe_whole("negativeBit", 1, 7),
    )
    if "at" not in child.values:
        child.problem("at", "nothing", "the place of the byte")
    child.warn_unknown()
    return exponent
