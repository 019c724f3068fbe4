"""Data points: where a value stands in a frame, and what it says. Pure.

The rules are the reference's data points with this project's numbered differences (docs/compatibility.md).
A data point has one of three outcomes in a frame: a value; absent (the frame has no such place: too short, or the
delimiter is not in it); an error (the bytes are there and are not what the type says).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from common.config.models import DataPoint
from common.conversion.printed import doubt_of
from common.conversion.values import Parser, encode_json, parser_of
from common.core.byte_text import EXPECTED_HEX, bytes_of
from common.core.errors import ConversionError
from common.core.quoting import shown

Span = tuple[int, int]
"""Where a field stands in a frame: [start, end)."""
Locate = Callable[[bytes], Span | None]
"""A frame to the place of a data point; None if the frame has no such place."""
Kind = Literal["telemetry", "attribute"]
"""What a value is for the platform: telemetry is kept over time, of an attribute the last value counts."""


class PointResult(NamedTuple):
    """What one data point found in one frame, for a person. `span` and `field` are what it took, if anything."""

    key: str
    kind: Kind
    type: str
    status: Literal["value", "absent", "error", "blank", "none"]
    span: Span | None
    field: bytes
    value: object
    why: str
    """Why there is no value; "" if there is one."""


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


def locator_of(point: DataPoint) -> Locate:
    """Where a data point's bytes stand in a frame, as [start, end); None if the frame has no such place."""
    if point.from_delimiter:
        closing = bytes_of(point.until_delimiter) if point.until_delimiter else None
        return _after(bytes_of(point.from_delimiter), closing, keep=point.keep_delimiter)
    if point.until_delimiter:
        return _until(bytes_of(point.until_delimiter))
    if point.from_byte is not None:
        return _from_byte(point.from_byte, point.to_byte)
    if point.to_byte is not None:
        return _to_byte(point.to_byte)
    return lambda frame: (0, len(frame))


def _after(opening: bytes, closing: bytes | None, *, keep: bool) -> Locate:
    """From behind the opening delimiter, or with it where `keep`, up to the closing one or the frame's end."""
    skipped = 0 if keep else len(opening)

    def locate(frame: bytes) -> Span | None:
        at = frame.find(opening)
        if at < 0:
            return None
        end = frame.find(closing, at + len(opening)) if closing else -1
        return at + skipped, end if end >= 0 else len(frame)

    return locate


def _until(closing: bytes) -> Locate:
    """From the frame's start up to the delimiter; the whole frame where it has none."""

    def locate(frame: bytes) -> Span:
        end = frame.find(closing)
        return 0, end if end >= 0 else len(frame)

    return locate


def _from_byte(first: int, last: int | None) -> Locate:
    """From a position, negative ones counted from the end, up to another or the frame's end; None for a frame too
    short."""
    end_of = _to_byte(last) if last is not None else None

    def locate(frame: bytes) -> Span | None:
        start = first if first >= 0 else len(frame) + first
        if not 0 <= start < len(frame):
            return None
        end = end_of(frame)[1] if end_of else len(frame)
        return start, end if end > start else start

    return locate


def _to_byte(last: int) -> Callable[[bytes], Span]:
    """From the frame's start up to a position; one behind the frame's end is its end."""
    if last >= 0:
        return lambda frame: (0, min(last, len(frame)))
    return lambda frame: (0, max(0, len(frame) + last))


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
