"""What becomes of what stands in a place: bytes to a number or text by type, and a number to the value it means. Pure.

The steps of `common.config.point_models.Meaning`, compiled into one function for each data point; a point that asks for
none of them costs nothing for them.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from common.config.models import DataPoint
from common.config.point_models import FLOATS, INTEGERS, Exponent, Meaning
from common.conversion.grammar.binary import arranged, integer_reader, number_reader
from common.conversion.grammar.times import iso_text, time_reader
from common.conversion.grammar.units import times
from common.conversion.outcomes import NOTHING
from common.conversion.values import MAX_INT, MIN_INT, parser_of
from common.core.blanks import BLANK_BYTES, BLANKS
from common.core.byte_text import bytes_of

ReadField = Callable[[bytes], Any]
"""The bytes of a field to what stands there. Raises ValueError for bytes that are not what the type says."""
Step = Callable[[Any], Any]
"""What stands there to what it means, or NOTHING. Raises ValueError where it means nothing."""

EXPECTED: Final = {
    "bcd": "two decimal digits in each byte",
    "hexint": "a whole number in hexadecimal digits",
    "bits": "binary digits",
    "nmeaAngle": "degrees and minutes with N, S, E or W behind them",
}
_ANGLE: Final = re.compile(rb"\s*(\d{1,3})(\d\d(?:\.\d*)?)[\s,]*([NSEW])\s*")
_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,16})")
_BINARY: Final = re.compile(r"[01]{1,64}")
_TEXT_DEFAULT: Final = "string"
_LARGEST_POWER: Final = 64
"""A number times ten to a larger power than this is no measured value."""


def field_reader(point: DataPoint, *, binary: bool) -> tuple[ReadField, str, int | None]:
    """(the reader of a field, what it expects in words, how many bytes it takes or None for any).

    `binary`: the field is bytes of a place (`at`, a group of `regex`), so `bits` and no type at all mean bytes there,
    and digits and text elsewhere.
    """
    meaning, kind = point.meaning, point.type
    if kind in INTEGERS or kind in FLOATS:
        size, read = number_reader(kind, meaning.byteorder)
        return _sized(read, size), f"{size} bytes", size
    if kind == "bcd":
        arrange = arranged(meaning.byteorder)
        return lambda field: int(arrange(field).hex()), EXPECTED[kind], None
    if kind == "bits" or (binary and not kind and (meaning.bit is not None or meaning.bits)):
        if binary:
            return integer_reader(meaning.byteorder, signed=False), "bytes", None
        return _binary_digits, EXPECTED["bits"], None
    if kind == "hexint":
        return _hex_number, EXPECTED[kind], None
    if kind == "nmeaAngle":
        return _angle, EXPECTED[kind], None
    if kind == "time":
        read_time = time_reader(meaning.format or "iso", meaning.zone)
        return (
            lambda field: iso_text(read_time(field.decode("latin-1").strip(BLANKS))),
            f"a time in the format {meaning.format or 'iso'}",
            None,
        )
    if kind == "string" or (not kind and not binary):
        return _text_reader(meaning.encoding), f"text in {meaning.encoding or 'UTF-8'}", None
    parse, expected = parser_of(point)
    return _in_encoding(parse, meaning.encoding) if meaning.encoding and not binary else parse, expected, None


def _in_encoding(read: ReadField, encoding: str) -> ReadField:
    """The same for a field that may be written in this encoding. Words in `hex:` are bytes, whatever the encoding."""

    def read_either(field: bytes) -> Any:
        try:
            return read(field)
        except ValueError:
            return read(field.decode(encoding).encode())

    return read_either


def _sized(read: Callable[[bytes], Any], size: int) -> ReadField:
    """The same for a field that may have another size."""

    def read_sized(field: bytes) -> Any:
        if len(field) != size:
            raise ValueError(f"{len(field)} bytes")
        return read(field)

    return read_sized


def _text_reader(encoding: str) -> ReadField:
    if not encoding:
        return lambda field: field.decode().strip(BLANKS)
    return lambda field: field.decode(encoding).strip(BLANKS)


def _binary_digits(field: bytes) -> int:
    text = field.decode("ascii").strip(BLANKS)
    if not _BINARY.fullmatch(text):
        raise ValueError("other characters")
    return int(text, 2)


def _hex_number(field: bytes) -> int:
    found = _HEX.fullmatch(field.decode("ascii").strip(BLANKS))
    if found is None:
        raise ValueError("other characters")
    return int(found[1], 16)


def _angle(field: bytes) -> float:
    """`4916.45 N`: degrees, and minutes of two digits and a fraction, to degrees; south and west are negative."""
    found = _ANGLE.fullmatch(field)
    if found is None:
        raise ValueError("other characters")
    minutes = float(found[2])
    if minutes >= 60:
        raise ValueError("more than 60 minutes")
    degrees = round(int(found[1]) + minutes / 60, 6)
    if degrees > (90 if found[3] in b"NS" else 180):
        raise ValueError("more degrees than there are")
    return -degrees if found[3] in b"SW" else degrees


def is_empty(field: bytes) -> bool:
    """True for text that says nothing."""
    return not field.strip(BLANK_BYTES)


def encoded(text: str, encoding: str) -> list[bytes]:
    """The text's bytes in an encoding; none where it can't say the text."""
    try:
        return [text.encode(encoding)]
    except UnicodeEncodeError:
        return []


def invalid_texts(meaning: Meaning, *, binary: bool = False) -> frozenset[bytes]:
    """The bytes by which a device says that it has no value; of text without blanks around them."""
    said = [one for one in meaning.invalid if type(one) is str]
    texts = [bytes_of(one) for one in said]
    if meaning.encoding:
        texts += [text for one in said if not one.isascii() for text in encoded(one, meaning.encoding)]
    return frozenset(texts if binary else [text.strip(BLANK_BYTES) for text in texts])


def meaning_steps(point: DataPoint) -> Step | None:
    """All that is done with what stands there, as one step; None where it is the value already."""
    meaning, kind = point.meaning, point.type
    steps: list[Step] = []
    numbers = [one for one in meaning.invalid if type(one) in (int, float)]
    if numbers or kind in FLOATS:
        steps.append(_invalid_step(numbers, kind))
    if meaning.bits is not None:
        high, low = meaning.bits
        steps.append(_bits_step(low, (1 << high - low + 1) - 1))
    if meaning.bit is not None:
        steps.append(_bit_step(meaning.bit))
    if meaning.sign_bit is not None:
        steps.append(_sign_step(meaning.sign_bit))
    if meaning.map:
        steps.append(_map_step(meaning.map))
    scaling = _scale_step(meaning.offset, meaning.scale)
    if scaling is not None:
        steps.append(scaling)
    if meaning.decimals is not None:
        steps.append(_round_step(meaning.decimals))
    if meaning.minimum is not None or meaning.maximum is not None:
        steps.append(_bounds_step(meaning.minimum, meaning.maximum))
    # What has at most 64 bits stays so when it becomes smaller.
    if (scaling or meaning.decimals is not None) and not (kind in INTEGERS and abs(meaning.scale) < 1):
        steps.append(finite)
    return _chain(steps)


def with_decimals(point: DataPoint) -> Step | None:
    """What comes behind an exponent, which comes behind the scale."""
    meaning = point.meaning
    steps = [] if meaning.decimals is None else [_round_step(meaning.decimals)]
    if meaning.minimum is not None or meaning.maximum is not None:
        steps.append(_bounds_step(meaning.minimum, meaning.maximum))
    return _chain([*steps, finite])


def _chain(steps: list[Step]) -> Step | None:
    if len(steps) <= 1:
        return steps[0] if steps else None

    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
            if value is NOTHING:
                break
        return value

    return run


def finite(value: Any) -> Any:
    """The same number. Raises ValueError for one that JSON can't carry."""
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif type(value) is int and not MIN_INT <= value <= MAX_INT:
        raise ValueError("a whole number of more than 64 bits")
    return value


def _invalid_step(numbers: list[Any], kind: str) -> Step:
    """No value for these numbers, and for what IEEE 754 calls no number."""
    if kind == "float32":
        # As near as the device can say them.
        numbers = [struct.unpack("f", struct.pack("f", one))[0] if abs(one) < 3e38 else one for one in numbers]
    known = frozenset(numbers)
    if kind not in FLOATS:
        return lambda value: NOTHING if value in known else value
    isfinite = math.isfinite
    return lambda value: NOTHING if value in known or not isfinite(value) else value


def _bits_step(low: int, mask: int) -> Step:
    return lambda value: whole(value) >> low & mask


def _bit_step(bit: int) -> Step:
    return lambda value: bool(whole(value) >> bit & 1)


def _sign_step(bit: int) -> Step:
    mask = (1 << bit) - 1

    def step(value: Any) -> int:
        number = whole(value)
        return -(number & mask) if number >> bit & 1 else number

    return step


def whole(value: Any) -> int:
    """A number of which bits can be taken. Raises ValueError for any other value."""
    if type(value) is not int:
        raise ValueError("no whole number")
    return value


def _map_step(names: dict[str, Any]) -> Step:
    def step(value: Any) -> Any:
        key = text_of(value)
        if key not in names:
            raise ValueError(f'one that "map" has no name for: {key[:40]!r}')
        return names[key]

    return step


def text_of(value: Any) -> str:
    """A value as a key of `map` spells it."""
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is float and value.is_integer():
        return str(int(value))
    return str(value)


def _scale_step(offset: float, scale: float) -> Step | None:
    """(number + offset) times scale. Where one divided by the scale is whole it is divided: 2302 at 0.1 is 230.2."""
    if offset == int(offset):
        offset = int(offset)
    inverse = round(1 / scale) if 1e-18 < abs(scale) < 1 else 0
    if inverse and abs(1 / scale - inverse) < 1e-9 * abs(inverse):
        if not offset:
            return lambda value: number_of(value) / inverse
        return lambda value: (number_of(value) + offset) / inverse
    if scale == int(scale):
        scale = int(scale)
    if scale == 1:
        return (lambda value: number_of(value) + offset) if offset else None
    if type(scale) is int:
        factor = Fraction(scale)
        return lambda value: times(number_of(value) + offset, factor)
    if not offset:
        return lambda value: number_of(value) * scale
    return lambda value: (number_of(value) + offset) * scale


def number_of(value: Any) -> int | float:
    """A number to count with. Raises ValueError for text, true and false."""
    if type(value) is int or type(value) is float:
        return value
    raise ValueError("no number")


def _round_step(decimals: int) -> Step:
    if decimals:
        return lambda value: round(number_of(value), decimals)
    return lambda value: round(finite(number_of(value)))


def _bounds_step(minimum: float | None, maximum: float | None) -> Step:
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    return lambda value: value if low <= number_of(value) <= high else NOTHING


def raised(value: Any, exponent: Exponent, byte: int) -> int | float:
    """The number times the power of ten that the byte says."""
    number = number_of(value)
    if exponent.sign_bit is None:
        power = byte - 256 if byte > 127 else byte
    else:
        power = byte & (1 << exponent.sign_bit) - 1
        power = -power if byte >> exponent.sign_bit & 1 else power
    if abs(power) > _LARGEST_POWER:
        raise ValueError(f"ten to the power of {power}")
    if exponent.negative_bit is not None and byte >> exponent.negative_bit & 1:
        number = -number
    return times(number, Fraction(10) ** power)
