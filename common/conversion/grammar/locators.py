"""Data points with a place: each is compiled once into a function from a frame's view to its value. Pure.

A value that comes as bytes goes through the point's type; SML, M-Bus and JSON say themselves what a value is, and go
straight to its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from common.config.models import DataPoint
from common.config.point_models import FLOATS, INTEGERS, Meaning, Place
from common.conversion.grammar import mbus, obis
from common.conversion.grammar.binary import length_at, number_reader
from common.conversion.grammar.meanings import (
    encoded,
    field_reader,
    finite,
    invalid_texts,
    is_empty,
    meaning_steps,
    raised,
    text_of,
    with_decimals,
)
from common.conversion.grammar.paths import path_finder
from common.conversion.grammar.patterns_of_bytes import searcher
from common.conversion.grammar.units import factor_of, times
from common.conversion.grammar.views import View
from common.conversion.outcomes import ABSENT, NOTHING
from common.conversion.printed import doubt_of
from common.conversion.spans import locator_of
from common.conversion.values import plain_value, reads_blanks
from common.core.blanks import BLANK_BYTES
from common.core.quoting import shown

Take = Callable[[View], Any]
"""A view to a value, ABSENT or NOTHING. Raises ValueError."""
FindField = Callable[[View], Any]
"""A view to the bytes of a field, ABSENT or NOTHING. Raises ValueError."""

HEX_TYPES: Final = frozenset({"hex", "bytes"})
"""What a text place is read as where its bytes are wanted."""
_PRINTED: Final = frozenset({"int", "float", "double", "bool", "hexint", "bits", "time", "nmeaAngle"})
"""Types that are read from text."""
_DECIMAL: Final = frozenset({"int", "float", "double"})
_NO_NUMBER: Final = frozenset({b"nan", b"inf", b"infinity"})
"""What a device prints where it has no number, behind a sign that it may have."""


class Reading(NamedTuple):
    """A data point of the new kind, ready for frames."""

    key: str
    take: Take
    source: DataPoint


def compile_readings(points: Sequence[DataPoint]) -> list[Reading]:
    """Prepares data points, once for all frames. Raises ValueError for what the reader of configurations refuses."""
    return [Reading(point.key, take_of(point), point) for point in points]


def take_of(point: DataPoint) -> Take:
    """The way from a view to a point's value."""
    place = point.place
    if place is None or place.by == "slice":
        return _field_take(point, _slice_of(point), binary=False)
    match place.by:
        case "at":
            return _at_take(point, place)
        case "field":
            return _field_take(point, _nth(place.fields), binary=False)
        case "name":
            name = place.text
            return _field_take(point, lambda view: view.names.get(name, ABSENT), binary=False)
        case "regex":
            search = searcher(place.text)
            return _field_take(point, lambda view: _group_of(search(view.frame)), binary=_is_binary(point))
        case "obis":
            return _obis_take(point, place)
        case "mbus":
            return _mbus_take(point, place)
        case "path":
            return _path_take(point, place)
        case "value":
            constant = plain_value(place.constant)
            return lambda _view: constant
        case "register":
            # The message that asks for registers places them in its answer.
            return lambda _view: ABSENT


def _is_binary(point: DataPoint) -> bool:
    return point.type in INTEGERS or point.type in FLOATS or point.type in ("bcd", "bits")


def _group_of(found: Any) -> Any:
    """The first group of a match, or all of it where there is none."""
    if found is None:
        return ABSENT
    group = found[1] if found.re.groups else found[0]
    return ABSENT if group is None else group


def _nth(numbers: Sequence[int]) -> FindField:
    """The fields of these numbers, with a blank between several."""
    if len(numbers) == 1:
        number = numbers[0]
        least = number + 1 if number >= 0 else -number

        def find(view: View) -> Any:
            parts = view.parts
            return ABSENT if parts is None or len(parts) < least else parts[number]

        return find
    finders = [_nth((number,)) for number in numbers]

    def find_all(view: View) -> Any:
        found = [find(view) for find in finders]
        if ABSENT in found:
            return ABSENT
        return NOTHING if any(map(is_empty, found)) else b" ".join(found)

    return find_all


def _slice_of(point: DataPoint) -> FindField:
    """The point's own delimiters and positions in what is decoded, or the body where it has none."""
    if not any((point.from_delimiter, point.until_delimiter, point.from_byte, point.to_byte)) and (
        point.from_byte is None and point.to_byte is None
    ):
        return lambda view: view.body
    locate = locator_of(point)

    def find(view: View) -> Any:
        span = locate(view.data)
        return ABSENT if span is None else view.data[span[0] : span[1]]

    return find


def _field_take(point: DataPoint, find: FindField, *, binary: bool) -> Take:
    """The way through a field of bytes."""
    value_of = _field_value(point, binary=binary)
    return lambda view: value_of(find(view))


def _doubt(point: DataPoint, field: bytes) -> str:
    """What stands in a text that is no number, and the key that reads it, as a clause behind the error."""
    if point.type not in _DECIMAL:
        return ""
    doubt = doubt_of(field, whole=point.type == "int", decimal=point.decimal, cut='"unit"')
    return f": {doubt}" if doubt else ""


def _field_value(point: DataPoint, *, binary: bool) -> Callable[[Any], Any]:
    """A field, or why there is none, to the value. Raises ValueError."""
    read, expected, _ = field_reader(point, binary=binary)
    finish = meaning_steps(point)
    raw = binary or point.type in HEX_TYPES
    texts = invalid_texts(point.meaning, binary=raw)
    is_number = not binary and point.type in _DECIMAL
    units = _units_of(point.meaning) if is_number else ()
    has_blank_words = point.type == "bool" and reads_blanks(point, b"")

    def value_of(field: Any) -> Any:
        if field is ABSENT or field is NOTHING:
            return field
        if not raw and is_empty(field) and not has_blank_words:
            return NOTHING
        if texts and (field if raw else field.strip(BLANK_BYTES)) in texts:
            return NOTHING
        if units:
            field = _without(units, field)
            if is_empty(field):
                return NOTHING
        try:
            value = read(field)
        except ValueError:
            if (is_number and _is_no_number(field)) or (has_blank_words and is_empty(field)):
                return NOTHING
            raise ValueError(f"found {shown(field)}, expected {expected}{_doubt(point, field)}") from None
        return NOTHING if value == "" and not raw else _finished(value, finish)

    return value_of


def _units_of(meaning: Meaning) -> tuple[bytes, ...]:
    """The unit as a device may write it: in its encoding where that is known, else as most do that have no UTF-8."""
    unit = meaning.unit
    spelled = [unit.encode(), *([] if unit.isascii() else encoded(unit, meaning.encoding or "latin-1"))]
    return tuple(one for one in spelled if one)


def _without(units: Sequence[bytes], field: bytes) -> bytes:
    """The field without its unit."""
    field = field.rstrip(BLANK_BYTES)
    found = next((unit for unit in units if field.endswith(unit)), b"")
    return field.removesuffix(found)


def _is_no_number(field: bytes) -> bool:
    return field.strip(BLANK_BYTES).lower().lstrip(b"+-") in _NO_NUMBER


def _finished(value: Any, finish: Callable[[Any], Any] | None) -> Any:
    if value is None:
        return NOTHING
    if value is ABSENT or value is NOTHING or finish is None:
        return value
    try:
        return finish(value)
    except ValueError as error:
        raise ValueError(f"found {shorten_value(value)}, which is {error}") from None


def shorten_value(value: Any) -> str:
    """A value in a message."""
    text = text_of(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- binary, by position ---


def _at_take(point: DataPoint, place: Place) -> Take:
    """Bytes by position. Numbers in binary, which most of these are, go the shortest way."""
    kind, meaning = point.type, point.meaning
    if kind in INTEGERS or kind in FLOATS:
        size, read = number_reader(kind, meaning.byteorder)
        return _number_at(point, place.at, size, read)
    return _field_take(point, _bytes_at(place.at, length_at(point, place)), binary=_is_raw(point))


def _is_raw(point: DataPoint) -> bool:
    """True if the bytes at a position are no text."""
    return point.type not in ("string", "int", "float", "double", "bool", "json", "hexint", "time", "nmeaAngle")


def _bytes_at(at: int, length: int | None) -> FindField:
    """So many bytes from a position on, or all up to the body's end."""

    def find(view: View) -> Any:
        data = view.data
        start = at if at >= 0 else len(data) + at
        end = start + length if length is not None else view.span[1]
        if start < 0 or start >= len(data) or end > len(data) or (length is None and start > end):
            return ABSENT
        return data[start:end]

    return find


def _number_at(point: DataPoint, at: int, size: int, read: Callable[[bytes], Any]) -> Take:
    meaning = point.meaning
    finish = meaning_steps(point)
    texts = invalid_texts(meaning, binary=True)
    exponent = meaning.exponent
    if exponent is not None:
        finish = _exponent_free(point)
    end = at + size
    stop: int | None = end if end != 0 or at >= 0 else None

    def take(view: View) -> Any:
        field = view.data[at:stop]
        if len(field) != size:
            return ABSENT
        if texts and field in texts:
            return NOTHING
        value = read(field)
        return value if finish is None else _finished(value, finish)

    if exponent is None:
        if texts or finish is None:
            return take

        def take_number(view: View) -> Any:
            field = view.data[at:stop]
            if len(field) != size:
                return ABSENT
            try:
                return finish(read(field))
            except ValueError:
                # Once more, for the sentence.
                return take(view)

        return take_number
    known, behind = exponent, with_decimals(point)

    def take_raised(view: View) -> Any:
        value = take(view)
        if value is ABSENT or value is NOTHING:
            return value
        try:
            byte = view.data[known.at]
        except IndexError:
            return ABSENT
        return _finished(raised(value, known, byte), behind)

    return take_raised


def _exponent_free(point: DataPoint) -> Callable[[Any], Any] | None:
    """The steps before the exponent: rounding and bounds come behind it."""
    from msgspec.structs import replace

    plain = replace(point.meaning, decimals=None, minimum=None, maximum=None)
    return meaning_steps(replace(point, place=Place(by="at", meaning=plain)))


# --- values that come as what they are ---


def _path_take(point: DataPoint, place: Place) -> Take:
    """A member of JSON."""
    follow, encoding, value_of = path_finder(place.text), point.meaning.encoding, _native_value(point)

    def take(view: View) -> Any:
        value = follow(view.json(encoding))
        if view.is_loose and value is not ABSENT:
            # Here: most devices write whole JSON.
            from common.conversion.grammar.loose_json import member

            value = member(value)
        return value_of(value)

    return take


def _native_value(point: DataPoint) -> Callable[[Any], Any]:
    """A value that has a type of its own to the point's. A number, a time, or a word for true and false in a text is
    read as it is anywhere else: with the point's own words, its comma and its unit."""
    finish = _native_finish(point)
    if point.type not in _PRINTED:
        return lambda value: _finished(value, finish)
    read_text = _field_value(point, binary=False)
    return lambda value: read_text(value.encode()) if type(value) is str else _finished(value, finish)


# --- meters ---


def _obis_take(point: DataPoint, place: Place) -> Take:
    """A value by its code, in text or in SML: a frame says which it is."""
    code, group = obis.code_of(place.text), place.group
    wanted = point.meaning.unit
    read_text = _field_value(point, binary=False)
    native_text = _native_value(point)
    native = _native_finish(point)

    def take(view: View) -> Any:
        if view.is_sml:
            found = next((one for one in view.sml() if code.fits(one.code)), None)
            if found is None:
                return ABSENT
            if isinstance(found.value, bytes):
                return native_text(_octets(found.value)) if found.value else NOTHING
            return _finished(_converted(found.value, found.factor, found.unit, wanted), native)
        groups = next((groups for known, groups in view.obis() if code.fits(known)), None)
        if groups is None or group >= len(groups):
            return ABSENT
        field, unit = obis.number_and_unit(groups[group])
        value = read_text(field)
        if unit and wanted and unit != wanted and type(value) in (int, float):
            return _converted(value, None, unit, wanted)
        return value

    return take


def _octets(value: bytes) -> str:
    """Text where it is printable, else its digits: server ids are bytes."""
    if value.isascii() and value.decode("ascii").isprintable():
        return value.decode("ascii")
    return value.hex()


def _mbus_take(point: DataPoint, place: Place) -> Take:
    wanted, unit = mbus.wanted_of(place.text), point.meaning.unit
    finish, native_text = _native_finish(point), _native_value(point)

    def take(view: View) -> Any:
        record = next((one for one in view.records() if wanted.is_in(one)), None)
        if record is None:
            return ABSENT
        if record.value is None:
            return NOTHING
        if isinstance(record.value, str):
            return native_text(record.value)
        return _finished(_converted(record.value, record.kind.factor, record.kind.unit, unit), finish)

    return take


def _converted(value: Any, factor: Any, found: str, wanted: str) -> Any:
    """The number in the unit that is wanted. Raises ValueError where that is another quantity's."""
    if type(value) is bool:
        return value
    change = factor_of(found, wanted) if wanted and found else Fraction(1)
    if change is None:
        raise ValueError(f"found a value in {found}, expected one in {wanted}")
    whole = change if factor is None else change * factor
    return times(value, whole)


def _native_finish(point: DataPoint) -> Callable[[Any], Any] | None:
    """What is done with a value that comes as no bytes: invalid texts, then the meaning's steps. None is no value."""
    texts = {one for one in point.meaning.invalid if type(one) is str}
    finish = meaning_steps(point)
    kind = point.type

    def run(value: Any) -> Any:
        if value is None or (texts and type(value) is str and value.strip() in texts):
            return NOTHING
        value = _as_type(value, kind)
        return finite(value if finish is None else finish(value))

    return run


def _as_type(value: Any, kind: str) -> Any:
    """A value in the type that the point names, where it has another. Raises ValueError where it can't be."""
    match kind:
        case "float" | "double":
            if type(value) is bool or not isinstance(value, int | float):
                raise ValueError("no number")
            return float(value)
        case "int":
            if type(value) is bool or not isinstance(value, int | float):
                raise ValueError("no whole number")
            if finite(value) != int(value):
                raise ValueError("no whole number")
            return int(value)
        case "bool":
            if not isinstance(value, int | float):
                raise ValueError("neither true nor false")
            return value != 0
        case "string":
            return value if type(value) is str else text_of(value)
    return value
