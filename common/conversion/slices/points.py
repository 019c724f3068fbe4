"""Data points: where a value stands in a frame, and what it says. Pure.

The rules are the reference's data points with this project's numbered differences (docs/compatibility.md).
A data point has one of three outcomes in a frame: a value; absent (the frame has no such place: too short, or the
delimiter is not in it); an error (the bytes are there and are not what the type says).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from common.config.models import DataPoint
from common.conversion.outcomes import Kind, PointResult
from common.conversion.printed import doubt_of
from common.conversion.spans import Locate, locator_of
from common.conversion.values import Parser, encode_json, parser_of
from common.core.byte_text import EXPECTED_HEX, bytes_of
from common.core.errors import ConversionError
from common.core.quoting import shown


class Point(NamedTuple):
    """A data point, ready for frames."""

    key: str
    locate: Locate
    parse: Parser
    source: DataPoint


def compile_points(points: Sequence[DataPoint]) -> list[Point]:
    """Prepares data points, once for all frames. Raises ConversionError for a key that JSON can't carry, and for a
    delimiter that stands for no bytes."""
    try:
        for point in points:
            encode_json(point.key)
        return [Point(point.key, locator_of(point), parser_of(point)[0], point) for point in points]
    except UnicodeEncodeError as error:
        raise ConversionError(f"data point: found {error.object!a} with a lone surrogate, expected text") from None
    except ValueError as error:
        raise ConversionError(f"data point: a delimiter with {error}, expected {EXPECTED_HEX}") from None


def explain_point(point: Point, kind: Kind, frame: bytes) -> PointResult:
    """What a data point finds in a frame, step by step, for a person: the hot path is `rows` and `columns`."""
    key, locate, parse, source = point
    type_name = source.type or "hex"
    span = locate(frame)
    if span is None:
        return PointResult(key, kind, type_name, "absent", None, b"", None, _why_absent(source, frame))
    field = frame[span[0] : span[1]]
    try:
        value = parse(field)
    except ValueError as error:
        return PointResult(key, kind, type_name, "error", span, field, None, sentence_of(source, field, error))
    if value is None:
        return PointResult(key, kind, type_name, "absent", span, field, None, "JSON null, which is no value")
    return PointResult(key, kind, type_name, "value", span, field, value, "")


def _why_absent(source: DataPoint, frame: bytes) -> str:
    """Why the frame has no such place, in one clause."""
    if source.from_delimiter:
        return f"fromDelimiter {shown(bytes_of(source.from_delimiter))} is not in the frame"
    return f"a frame of {len(frame)} bytes is too short for fromByte {source.from_byte}"


def sentence_of(source: DataPoint, field: bytes, error: ValueError) -> str:
    """Why a field has no value: what was found and what would be right."""
    expected = parser_of(source)[1]
    detail = ""
    if source.type == "json":
        detail = f" ({error})"
    elif source.type in ("int", "float", "double"):
        doubt = doubt_of(field, whole=source.type == "int", decimal=source.decimal)
        detail = f": {doubt}" if doubt else ""
    return f"found {shown(field)}, expected {expected}{detail}"
