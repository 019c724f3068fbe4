"""The built-in uplink converter: a device's data points, compiled once, turn frames into values.

Pure. The rules are the reference's data points with this project's numbered differences (docs/compatibility.md).
A data point has one of three outcomes in a frame: a value; absent (the frame has no such place: too short, or the
delimiter is not in it); an error (the bytes are there and are not what the type says).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from common.config.models import DataPoint, Device, Rpc
from common.errors import ConversionError
from services.converter.columns import columns_of
from services.converter.values import Parser, encode_json, parser_of, shown

BUILTIN_UPLINK = "SerialUplinkConverter"

Span = tuple[int, int]
Locate = Callable[[bytes], Span | None]
Kind = Literal["telemetry", "attribute"]


class BatchResult(NamedTuple):
    """What a run of frames says; `telemetry[i]` and `attributes[i]` are JSON objects of frame i, b"" for no value."""

    telemetry: list[bytes]
    attributes: list[bytes]
    dead: dict[int, str]
    """Index of each frame that gave no value and at least one error, with the reason."""
    errors: int
    """Data points that failed, those of dead frames included."""
    absent: int
    """Data points that had no place in their frame, and JSON nulls."""
    error_sample: str
    """The first error of a frame that is not dead, or "": for a log line."""


class PointResult(NamedTuple):
    """What one data point found in one frame, for a person. `span` and `field` are what it took, if anything."""

    key: str
    kind: Kind
    type: str
    status: Literal["value", "absent", "error"]
    span: Span | None
    field: bytes
    value: Any
    why: str
    """Why there is no value; "" if there is one."""


class _Point(NamedTuple):
    key: str
    locate: Locate
    parse: Parser
    source: DataPoint


class _Faults:
    """What went wrong in the frame at hand; `reasons` is emptied after each frame."""

    __slots__ = ("absent", "reasons")

    def __init__(self) -> None:
        self.absent = 0
        self.reasons: list[str] = []


class DeviceConverter:
    """Frames of one device to telemetry and attributes. Without state: the same frame gives the same bytes."""

    __slots__ = ("_attributes", "_columns", "_read_attributes", "_read_telemetry", "_telemetry")

    def __init__(self, telemetry: Sequence[_Point], attributes: Sequence[_Point]) -> None:
        self._telemetry = telemetry
        self._attributes = attributes
        self._read_telemetry = _reader_of(telemetry)
        self._read_attributes = _reader_of(attributes)
        self._columns = columns_of([point.source for point in telemetry], [point.source for point in attributes])

    def convert_batch(self, frames: Sequence[bytes]) -> BatchResult:
        """Converts each frame; a key that occurs twice in a kind keeps its last value. Raises nothing.

        Where every point of every frame has its value, only the last frame's attributes come out: they win anyway.
        """
        if self._columns is not None and frames and (found := self._columns.convert(frames)) is not None:
            telemetry, last = found
            return BatchResult(telemetry, [b""] * (len(frames) - 1) + [last], {}, 0, 0, "")
        return self.convert_each(frames)

    def convert_each(self, frames: Sequence[bytes]) -> BatchResult:
        """As `convert_batch`, frame by frame."""
        read_telemetry, read_attributes = self._read_telemetry, self._read_attributes
        faults = _Faults()
        telemetry: list[bytes] = []
        attributes: list[bytes] = []
        dead: dict[int, str] = {}
        errors = 0
        error_sample = ""
        for frame in frames:
            values = read_telemetry(frame, faults)
            properties = read_attributes(frame, faults)
            telemetry.append(values)
            attributes.append(properties)
            if faults.reasons:
                errors += len(faults.reasons)
                if not values and not properties:
                    dead[len(telemetry) - 1] = "; ".join(faults.reasons)
                else:
                    error_sample = error_sample or faults.reasons[0]
                faults.reasons.clear()
        return BatchResult(telemetry, attributes, dead, errors, faults.absent, error_sample)

    def explain(self, frame: bytes) -> list[PointResult]:
        """What each data point finds in `frame`, telemetry first, in the order of the configuration."""
        return [_explain_point(point, "telemetry", frame) for point in self._telemetry] + [
            _explain_point(point, "attribute", frame) for point in self._attributes
        ]


def compile_device(device: Device) -> DeviceConverter:
    """Prepares a device's data points for `convert_batch`. Raises ConversionError for a key that JSON can't carry."""
    return DeviceConverter(_compile(device.telemetry), _compile(device.attributes))


def merge_attributes(fragments: Sequence[bytes]) -> bytes:
    """One JSON object out of many, b"" among them: the last value of each key. b"" if there is none."""
    latest_first = list(dict.fromkeys(fragment for fragment in reversed(fragments) if fragment))
    if len(latest_first) <= 1:
        return latest_first[0] if latest_first else b""
    merged: dict[str, msgspec.Raw] = {}
    for fragment in reversed(latest_first):
        merged.update(_decode_members(fragment))
    return encode_json(merged)


def convert_answer(rpc: Rpc, frame: bytes) -> Any:
    """The value of a device's answer, by the RPC's `response…` keys as a data point; bytes of JSON can carry it.

    Raises ConversionError if the place is not in the answer or its bytes are not what `responseType` says.
    """
    point = DataPoint(
        key="answer",
        type=rpc.response_type,
        until_delimiter=rpc.response_until_delimiter,
        from_byte=rpc.response_from_byte,
        to_byte=rpc.response_to_byte,
    )
    result = _explain_point(_compile([point])[0], "telemetry", frame)
    if result.status == "error" or (result.status == "absent" and result.span is None):
        raise ConversionError(f"answer: {result.why}")
    return result.value


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _compile(points: Sequence[DataPoint]) -> list[_Point]:
    try:
        for point in points:
            encode_json(point.key)
        return [_Point(point.key, _locator_of(point), parser_of(point.type)[0], point) for point in points]
    except UnicodeEncodeError as error:
        raise ConversionError(f"data point: found {error.object!a} with a lone surrogate, expected text") from None


def _reader_of(points: Sequence[_Point]) -> Callable[[bytes, _Faults], bytes]:
    """The hot path: a closure over the points; a frame to the JSON object of their values, b"" for none."""
    if not points:
        return lambda _frame, _faults: b""

    def read(frame: bytes, faults: _Faults) -> bytes:
        values = {}
        for key, locate, parse, source in points:
            span = locate(frame)
            if span is None:
                faults.absent += 1
                continue
            start, end = span
            try:
                value = parse(frame[start:end])
            except ValueError as error:
                faults.reasons.append(f"{key}: {_sentence(source, frame[start:end], error)}")
                continue
            if value is None:
                faults.absent += 1
            else:
                values[key] = value
        return encode_json(values) if values else b""

    return read


def _locator_of(point: DataPoint) -> Locate:
    """Where a data point's bytes stand in a frame, as [start, end); None if the frame has no such place."""
    if point.from_delimiter:
        closing = point.until_delimiter.encode() if point.until_delimiter else None
        return _after(point.from_delimiter.encode(), closing, keep=point.keep_delimiter)
    if point.until_delimiter:
        return _until(point.until_delimiter.encode())
    if point.from_byte is not None:
        return _from_byte(point.from_byte, point.to_byte)
    if point.to_byte is not None:
        return _to_byte(point.to_byte)
    return lambda frame: (0, len(frame))


def _after(opening: bytes, closing: bytes | None, *, keep: bool) -> Locate:
    skipped = 0 if keep else len(opening)

    def locate(frame: bytes) -> Span | None:
        at = frame.find(opening)
        if at < 0:
            return None
        end = frame.find(closing, at + len(opening)) if closing else -1
        return at + skipped, end if end >= 0 else len(frame)

    return locate


def _until(closing: bytes) -> Locate:
    def locate(frame: bytes) -> Span:
        end = frame.find(closing)
        return 0, end if end >= 0 else len(frame)

    return locate


def _from_byte(first: int, last: int | None) -> Locate:
    end_of = _to_byte(last) if last is not None else None

    def locate(frame: bytes) -> Span | None:
        start = first if first >= 0 else len(frame) + first
        if not 0 <= start < len(frame):
            return None
        end = end_of(frame)[1] if end_of else len(frame)
        return start, end if end > start else start

    return locate


def _to_byte(last: int) -> Callable[[bytes], Span]:
    if last >= 0:
        return lambda frame: (0, min(last, len(frame)))
    return lambda frame: (0, max(0, len(frame) + last))


def _explain_point(point: _Point, kind: Kind, frame: bytes) -> PointResult:
    key, locate, parse, source = point
    type_name = source.type or "hex"
    span = locate(frame)
    if span is None:
        return PointResult(key, kind, type_name, "absent", None, b"", None, _why_absent(source, frame))
    field = frame[span[0] : span[1]]
    try:
        value = parse(field)
    except ValueError as error:
        return PointResult(key, kind, type_name, "error", span, field, None, _sentence(source, field, error))
    if value is None:
        return PointResult(key, kind, type_name, "absent", span, field, None, "JSON null, which is no value")
    return PointResult(key, kind, type_name, "value", span, field, value, "")


def _why_absent(source: DataPoint, frame: bytes) -> str:
    if source.from_delimiter:
        return f"fromDelimiter {shown(source.from_delimiter.encode())} is not in the frame"
    return f"a frame of {len(frame)} bytes is too short for fromByte {source.from_byte}"


def _sentence(source: DataPoint, field: bytes, error: ValueError) -> str:
    expected = parser_of(source.type)[1]
    detail = f" ({error})" if source.type == "json" else ""
    return f"found {shown(field)}, expected {expected}{detail}"
