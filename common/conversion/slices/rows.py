"""The built-in uplink converter: a device's data points, compiled once, turn frames into values.

Pure. What a data point is, and its three outcomes in a frame, is told in `common.conversion.slices.points`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from common.config.models import Device
from common.conversion.outcomes import BatchResult, Kind, PointResult
from common.conversion.printed import is_blank
from common.conversion.slices.columns import columns_of
from common.conversion.slices.points import Point, compile_points, explain_point, sentence_of
from common.conversion.values import encode_json, is_binary, reads_blanks


class _Faults:
    """What went wrong in the frames of a batch; `reasons` is emptied after each frame."""

    __slots__ = ("absent", "reasons")

    def __init__(self) -> None:
        self.absent: dict[str, int] = {}
        self.reasons: list[str] = []

    def lacks(self, key: str) -> None:
        """A frame says nothing of this data point."""
        self.absent[key] = self.absent.get(key, 0) + 1


class DeviceConverter:
    """Frames of one device to telemetry and attributes. Without state: the same frame gives the same bytes."""

    __slots__ = (
        *("_attributes", "_columns", "_delimiter", "_looks_for_blanks", "_read_attributes", "_read_telemetry"),
        *("_read_blank_attributes", "_read_blank_telemetry", "_reads_blanks", "_telemetry"),
    )

    def __init__(self, telemetry: Sequence[Point], attributes: Sequence[Point], delimiter: bytes = b"") -> None:
        self._telemetry = telemetry
        self._attributes = attributes
        self._read_telemetry = _reader_of(telemetry)
        self._read_attributes = _reader_of(attributes)
        self._delimiter = delimiter
        ready = [point for point in (*telemetry, *attributes) if reads_blanks(point.source, delimiter)]
        self._reads_blanks = {point.key for point in ready}
        """Keys of the points to which a frame of blanks may say something."""
        self._read_blank_telemetry = _reader_of([point for point in telemetry if point in ready])
        self._read_blank_attributes = _reader_of([point for point in attributes if point in ready])
        sources = [point.source for point in telemetry], [point.source for point in attributes]
        self._looks_for_blanks = not all(map(is_binary, [*sources[0], *sources[1]]))
        self._columns = columns_of(*sources, delimiter)

    def convert_batch(self, frames: Sequence[bytes], ts_ms: Sequence[int] = (), origin: str = "") -> BatchResult:
        """Converts each frame; a key that occurs twice in a kind keeps its last value. When a frame came, and what was
        asked, changes nothing here. Raises nothing.

        Where every point of every frame has its value, only the last frame's attributes come out: they win anyway.
        """
        if self._columns is not None and frames and (found := self._columns.convert(frames)) is not None:
            telemetry, last = found
            return BatchResult(telemetry, [b""] * (len(frames) - 1) + [last], {}, 0, 0, "")
        return self.convert_each(frames)

    def convert_each(self, frames: Sequence[bytes]) -> BatchResult:
        """Converts frame by frame, the way that can say what went wrong where; the same values as the fast way
        gives."""
        read_telemetry, read_attributes = self._read_telemetry, self._read_attributes
        faults = _Faults()
        telemetry: list[bytes] = []
        attributes: list[bytes] = []
        dead: dict[int, str] = {}
        errors = 0
        error_sample = ""
        blanks = blank = 0
        for frame in frames:
            if self._looks_for_blanks and is_blank(frame, self._delimiter):
                values = self._read_blank_telemetry(frame, faults)
                properties = self._read_blank_attributes(frame, faults)
                # A blank line where a code is awaited is no fault.
                faults.reasons.clear()
                blanks += 1
                blank += not (values or properties)
                telemetry.append(values)
                attributes.append(properties)
                continue
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
        absent = faults.absent
        never: Sequence[str] = ()
        if absent:
            told, all_told = len(frames) - blanks, len(frames)
            never = [key for key, count in absent.items() if count >= (all_told if key in self._reads_blanks else told)]
        return BatchResult(telemetry, attributes, dead, errors, sum(absent.values()), error_sample, blank, never)

    def refusal_of(self, frame: bytes) -> str:
        """ "": without messages no frame is known as a refusal."""
        return ""

    def explain(self, frame: bytes) -> list[PointResult]:
        """What each data point finds in `frame`, telemetry first, in the order of the configuration."""
        return [self._explain_point(point, "telemetry", frame) for point in self._telemetry] + [
            self._explain_point(point, "attribute", frame) for point in self._attributes
        ]

    def _explain_point(self, point: Point, kind: Kind, frame: bytes) -> PointResult:
        if not is_blank(frame, self._delimiter):
            return explain_point(point, kind, frame)
        result = explain_point(point, kind, frame) if reads_blanks(point.source, self._delimiter) else None
        return _blank(point, kind) if result is None or result.status == "error" else result


def compile_device(device: Device) -> DeviceConverter:
    """Prepares a device's data points for `convert_batch`, once for all its batches. Raises ConversionError for a key
    that JSON can't carry."""
    telemetry, attributes = compile_points(device.telemetry), compile_points(device.attributes)
    return DeviceConverter(telemetry, attributes, device.framing.delimiter)


def _blank(point: Point, kind: Kind) -> PointResult:
    """What a data point finds in a frame that says nothing to it."""
    return PointResult(point.key, kind, point.source.type or "hex", "blank", None, b"", None, "the frame says nothing")


def merge_attributes(fragments: Sequence[bytes]) -> bytes:
    """One JSON object out of many, b"" among them: the last value of each key. b"" if there is none."""
    latest_first = list(dict.fromkeys(fragment for fragment in reversed(fragments) if fragment))
    if len(latest_first) <= 1:
        return latest_first[0] if latest_first else b""
    merged: dict[str, msgspec.Raw] = {}
    for fragment in reversed(latest_first):
        merged.update(_decode_members(fragment))
    return encode_json(merged)


_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _reader_of(points: Sequence[Point]) -> Callable[[bytes, _Faults], bytes]:
    """The hot path: a closure over the points; a frame to the JSON object of their values, b"" for none."""
    if not points:
        return lambda _frame, _faults: b""

    def read(frame: bytes, faults: _Faults) -> bytes:
        values = {}
        for key, locate, parse, source in points:
            span = locate(frame)
            if span is None:
                faults.lacks(key)
                continue
            start, end = span
            try:
                value = parse(frame[start:end])
            except ValueError as error:
                faults.reasons.append(f"{key}: {sentence_of(source, frame[start:end], error)}")
                continue
            if value is None:
                faults.lacks(key)
            else:
                values[key] = value
        return encode_json(values) if values else b""

    return read
