"""What values are: bytes of a field to a Python value by data point type, and what JSON can carry to the platform.

Parsers raise ValueError only; `points` makes the sentence that says what was found and what would be right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import msgspec
import simplejson

from common.config.models import DataPoint
from common.conversion.printed import (
    EXPECTED_BOOL,
    bool_parser,
    parse_bool,
    parse_float,
    parse_float_with_comma,
    read_whole,
)
from common.core.blanks import BLANK_BYTES, BLANKS
from common.core.byte_text import bytes_of

Parser = Callable[[bytes], object]

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**64 - 1
MAX_DEPTH: Final = 200
"""Deeper nesting is refused: the platform's parser stops at 255, and every process behind this one parses again."""

encode_json: Final = msgspec.json.Encoder().encode
"""Any plain value to compact JSON. Writes NaN as null and any integer, so check with `plain_value` first."""

_LONG_DIGITS = re.compile(rb"\d{19}")
"""A number so long that it may have more than 64 bits."""


def parse_string(field: bytes) -> str:
    """UTF-8 without the white space and the NULs around it."""
    text = field.decode().strip()
    return text.strip(BLANKS) if "\0" in text else text


def parse_int(field: bytes) -> int:
    """Decimal ASCII, white space around it allowed, of at most 64 bits."""
    value = read_whole(field)
    if MIN_INT <= value <= MAX_INT:
        return value
    raise ValueError("more than 64 bits")


def parse_json(field: bytes) -> object:
    """What JSON text says, if JSON can carry it on: see `plain_value`. null is None."""
    try:
        value = simplejson.loads(field.decode())
        written = encode_json(value)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    except OverflowError:
        raise ValueError("an integer of more than 64 bits") from None
    # Only text with one of these can hold what the writer lets through: infinity (written null), long integers, depth.
    if b"null" in written or _LONG_DIGITS.search(written) or written.count(b"[") + written.count(b"{") > MAX_DEPTH:
        plain_value(value)
    return value


def parse_hex(field: bytes) -> str:
    """The bytes as a hexadecimal string in lower case."""
    return field.hex()


_PARSERS: Final[dict[str, tuple[Parser, str]]] = {
    "string": (parse_string, "UTF-8 text"),
    "int": (parse_int, "a decimal whole number of at most 64 bits"),
    "float": (parse_float, "a finite decimal number"),
    "double": (parse_float, "a finite decimal number"),
    "bool": (parse_bool, EXPECTED_BOOL),
    "json": (parse_json, "JSON"),
}
"""Type of a data point → its parser, and what it expects in words."""
_HEX: Final[tuple[Parser, str]] = (parse_hex, "bytes")


def parser_of(point: DataPoint) -> tuple[Parser, str]:
    """The parser of a data point and what it expects, in words; unknown types, and none, are hexadecimal."""
    if point.decimal and point.type in ("float", "double"):
        return parse_float_with_comma, 'a finite decimal number, with "," before its fraction'
    if point.type == "bool" and (point.true_text or point.false_text):
        return bool_parser(point.true_text, point.false_text)
    return _PARSERS.get(point.type, _HEX)


def is_binary(point: DataPoint) -> bool:
    """True if the point takes any bytes: then no byte of a frame says nothing to it."""
    return point.type not in _PARSERS


def reads_blanks(point: DataPoint, delimiter: bytes) -> bool:
    """True if blanks, NULs and the delimiter may be a value to this point: it takes any bytes, or a word of its own is
    made of them. All other points read nothing in a frame that has nothing else (`is_blank`)."""
    if is_binary(point):
        return True
    own = (*point.true_text, *point.false_text) if point.type == "bool" else ()
    return any(bytes_of(word).strip(BLANK_BYTES) in delimiter for word in own)


def plain_value(value: object, depth: int = 0) -> object:
    """A copy of `value` made of dict, list, str, int, float, bool and None only, fit for JSON.

    Raises ValueError for NaN and infinity, integers beyond 64 bits, lone surrogates, keys that are no text, nesting
    beyond MAX_DEPTH, and every other type (bytes, dates, objects).
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    match value:
        case None | bool():
            return value
        case int():
            return _plain_int(value)
        case float():
            return _plain_float(value)
        case str():
            return _plain_text(value)
        case dict():
            return {_plain_key(key): plain_value(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [plain_value(item, depth + 1) for item in value]
        case _:
            raise ValueError(f"{shorten(repr(value))} of type {type(value).__name__}, which JSON can't carry")


def _plain_int(value: int) -> int:
    """An integer that every parser behind us can take; subclasses, such as enumerations, become plain ones."""
    if not MIN_INT <= value <= MAX_INT:
        raise ValueError("an integer of more than 64 bits")
    return int(value)


def _plain_float(value: float) -> float:
    """A float that JSON can carry; subclasses, such as numpy's, become plain ones."""
    if not math.isfinite(value):
        raise ValueError(f"{value}, which JSON can't carry")
    return float(value)


def _plain_text(value: str) -> str:
    """A text that UTF-8 can carry; subclasses become plain ones."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{shorten(ascii(value))} with a lone surrogate, which JSON can't carry") from None
    return str(value)


def _plain_key(key: object) -> str:
    """The key of a JSON object: text, and nothing that would be made into text."""
    if not isinstance(key, str):
        raise ValueError(f"the key {shorten(repr(key))} of type {type(key).__name__}, expected text")
    return _plain_text(key)


def shorten(text: str, limit: int = 60) -> str:
    """`text`, cut to about `limit` characters with its middle left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}…{text[-half:]}"
