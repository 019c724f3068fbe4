"""Modbus: answers to reads become the values of data points, and values of calls become requests. Pure.

An answer does not say which registers it holds: the origin of the frame does, which is the name of the read. One that
reads more than it was asked for by a point says the values of all points that lie in it whole.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from common.config.asking import Asking, Register
from common.config.models import DataPoint, Device, Rpc
from common.config.point_models import FLOATS, INTEGERS, Meaning, Order, Place
from common.conversion.grammar.binary import arranged
from common.conversion.grammar.explaining import explained
from common.conversion.grammar.locators import Reading, compile_readings
from common.conversion.grammar.views import View
from common.conversion.outcomes import ABSENT, BatchResult, Lack, PointResult
from common.conversion.values import encode_json
from common.core import modbus
from common.core.errors import ConversionError
from common.core.modbus import BIT_TABLES, Protocol, Span, Table, bytes_of_answer, pdu_of, span_of
from common.wire.calls import Exchange

SPANS_KEPT: Final = 256
"""Reads whose points are kept ready: a device has few, and a section that was changed has others."""
ONE_REGISTER: Final = 2
"""Bytes."""
_RTU_HEAD_BYTES: Final = 3
"""Unit, function, and how many bytes of values follow."""
NO_REGISTER: Final = "this call names no register"


class PlacedPoint(NamedTuple):
    """A data point, and what of the device it is."""

    point: DataPoint
    span: Span


def spanned(point: DataPoint) -> PlacedPoint:
    """What a point with a `register` takes. Raises ValueError for a place that is none."""
    if point.place is None or point.place.by != "register":
        raise ValueError("a point of a Modbus device needs a register")
    table, first = modbus.place_of(point.place.text)
    return PlacedPoint(point, Span(table, first, count_of(table, point.type, point.place.length)))


def count_of(table: Table, kind: str, length: int | None = None) -> int:
    """How many registers a value of this type takes; `length` in bytes, of texts and bytes."""
    if table in BIT_TABLES:
        return 1
    size = INTEGERS[kind][0] if kind in INTEGERS else FLOATS.get(kind, length or ONE_REGISTER)
    return -(-size // ONE_REGISTER)


class RegisterConverter:
    """Answers of one Modbus device to readings. Without state but for what it keeps ready."""

    def __init__(self, device: Device, asking: Asking) -> None:
        """Raises ConversionError for points that can't be read: the configuration's reader refuses all that is known
        of that."""
        self._device = device
        self._protocol = protocol_of(asking)
        try:
            self._telemetry = [spanned(point) for point in device.all_telemetry]
            self._attributes = [spanned(point) for point in device.all_attributes]
            compile_readings([self._in_answer(one, one.span) for one in (*self._telemetry, *self._attributes)])
            for one in (*self._telemetry, *self._attributes):
                encode_json(one.point.key)
        except (ValueError, KeyError) as error:
            raise ConversionError(f"register: {error}") from None
        self._ready: dict[Span, tuple[list[Reading], list[Reading]]] = {}

    def convert_batch(self, frames: Sequence[bytes], ts_ms: Sequence[int] = (), origin: str = "") -> BatchResult:
        """Converts each frame by the read that it answers. What answers a call, or nothing, gives no values: whoever
        called has got it. Raises nothing."""
        span = span_of(origin)
        none = [b""] * len(frames)
        if span is None:
            return BatchResult(none, none, {}, 0, 0, "")
        readings = self._readings_in(span)
        telemetry: list[bytes] = []
        attributes: list[bytes] = []
        dead: dict[int, str] = {}
        errors, nothing, sample = 0, 0, ""
        for index, frame in enumerate(frames):
            try:
                _, pdu = pdu_of(self._protocol, frame)
                data = bytes_of_answer(span, pdu)
            except ValueError as error:
                dead[index] = f"{origin}: {error}"
                telemetry.append(b"")
                attributes.append(b"")
                continue
            view = _view(data)
            said: list[bytes] = []
            reasons: list[str] = []
            for points in readings:
                values: dict[str, Any] = {}
                for reading in points:
                    try:
                        value = reading.take(view)
                    except ValueError as error:
                        reasons.append(f"{reading.key}: {error}")
                        continue
                    if value.__class__ is not Lack:
                        values[reading.key] = value
                    else:
                        nothing += value is not ABSENT
                said.append(encode_json(values) if values else b"")
            if reasons:
                errors += len(reasons)
                if any(said):
                    sample = sample or reasons[0]
                else:
                    dead[index] = "; ".join(reasons)
            telemetry.append(said[0])
            attributes.append(said[1])
        return BatchResult(telemetry, attributes, dead, errors, 0, sample, nothing=nothing)

    def explain(self, frame: bytes, origin: str) -> list[PointResult]:
        """What each point finds in the answer to a read. Places are those in the frame of Modbus RTU; of Modbus ASCII,
        whose frames are digits, those in the values. Raises ValueError for what is no answer to the read."""
        span = span_of(origin)
        if span is None:
            raise ValueError("it answers no question to this device")
        data = bytes_of_answer(span, pdu_of(self._protocol, frame)[1])
        telemetry, attributes = self._readings_in(span)
        view = _view(data)
        points = [*explained(telemetry, "telemetry", view), *explained(attributes, "attribute", view)]
        return [_in_frame(point, span, frame) for point in points] if self._protocol == "modbus-rtu" else points

    def refusal_of(self, frame: bytes) -> str:
        """What a frame refuses, in words; "" for one that does not."""
        try:
            return modbus.exception_of(pdu_of(self._protocol, frame)[1])
        except ValueError:
            return ""

    def _readings_in(self, span: Span) -> tuple[list[Reading], list[Reading]]:
        """The points that lie in a read, telemetry and attributes, ready for its answers."""
        found = self._ready.get(span)
        if found is None:
            if len(self._ready) >= SPANS_KEPT:
                self._ready.clear()
            telemetry, attributes = (
                compile_readings([self._in_answer(one, span) for one in points if _is_in(one.span, span)])
                for points in (self._telemetry, self._attributes)
            )
            found = self._ready[span] = telemetry, attributes
        return found

    @staticmethod
    def _in_answer(placed: PlacedPoint, span: Span) -> DataPoint:
        """The point as a place in the values of an answer."""
        point, own = placed
        if own.table in BIT_TABLES:
            meaning = point.meaning if point.meaning.map else replace(point.meaning, bit=0)
            return replace(point, type="uint8", place=Place(by="at", at=own.first - span.first, meaning=meaning))
        at = ONE_REGISTER * (own.first - span.first)
        kind = point.type or ("" if point.meaning.bit is not None or point.meaning.bits is not None else "uint16")
        length = point.place.length if point.place is not None else None
        if kind in INTEGERS and INTEGERS[kind][0] == 1:
            # The low byte of the register.
            at += 1
        if kind not in INTEGERS and kind not in FLOATS:
            length = length or ONE_REGISTER
        return replace(point, type=kind, place=Place(by="at", at=at, length=length, meaning=point.meaning))


def _is_in(inner: Span, outer: Span) -> bool:
    return inner.table == outer.table and outer.first <= inner.first and inner.end <= outer.end


def _in_frame(point: PointResult, read: Span, frame: bytes) -> PointResult:
    """The point with its place in the frame of Modbus RTU that carries the values: of coils that of the byte they share
    with others."""
    if point.span is None:
        return point
    start, end = point.span
    if read.table in BIT_TABLES:
        start, end = start // 8, start // 8 + 1
    start, end = start + _RTU_HEAD_BYTES, end + _RTU_HEAD_BYTES
    return point._replace(span=(start, end), field=frame[start:end])


def _view(data: bytes) -> View:
    view = View(data, lambda frame: (0, len(frame)))
    view.decoded(data)
    return view


# Calls


def request_of(register: Register, value: object) -> bytes:
    """What is asked of a device for a call or an attribute update: a read where `value` is None and no write is meant,
    else a write of it. Raises ConversionError for what can't be written there."""
    span = Span(register.table, register.first, register.count)
    function = register.function
    if function in (1, 2, 3, 4) or (not function and value is None):
        return modbus.read_pdu(span)
    if register.table in BIT_TABLES:
        values = value if isinstance(value, list) else [value] * register.count
        if len(values) != register.count:
            raise ConversionError(f"params: found {len(values)} values, expected {register.count}")
        return modbus.write_coils(register.first, [_switch(one) for one in values], as_many=function == 15)
    return modbus.write_registers(register.first, _written(register, value), as_many=function == 16)


def exchange_for(asking: Asking, requests: Sequence[bytes], method: str, timeout_s: float) -> Exchange:
    """What the device's port reader is to do with these requests, one after the other: each is answered, and a refusal
    ends the call. The device says itself what an answer looks like: its address, and what it was asked."""
    protocol, unit = protocol_of(asking), asking.address or 0
    frames = [modbus.frame_of(protocol, unit, request) for request in requests]
    answers = [modbus.answer_regex(protocol, unit, request) for request in requests]
    refusals = [modbus.refusal_regex(protocol, unit, request) for request in requests]
    patterns = [f"{answer}|{refusal}" for answer, refusal in zip(answers, refusals, strict=True)]
    return Exchange(
        frames[:1],
        method,
        with_response=True,
        timeout_s=timeout_s,
        pattern=patterns[0],
        then=list(zip(frames[1:], patterns[1:], strict=True)),
        good="|".join(answers),
    )


def call_exchange(asking: Asking, rpc: Rpc, params: object) -> Exchange:
    """What a call comes to on the line. Raises ConversionError with what is wrong with the params."""
    if rpc.register is None:
        raise ConversionError(NO_REGISTER)
    request = request_of(rpc.register, params)
    return exchange_for(asking, [request], rpc.method, rpc.response_timeout_s)


def update_exchange(device: Device, asking: Asking, data: dict[str, object]) -> tuple[Exchange | None, str]:
    """(what an attribute update comes to on the line, None for nothing; the attributes that nothing is configured for).
    Raises ConversionError for a value that can't be written."""
    updates = [one for key in data for one in device.attribute_updates if one.attribute == key and one.register]
    known = {one.attribute for one in updates}
    unknown = ",".join(key for key in data if key not in known)
    if not updates:
        return None, unknown
    requests = [request_of(one.register, data[one.attribute]) for one in updates if one.register is not None]
    return exchange_for(asking, requests, "", asking.timeout_s), unknown


def call_answer(device: Device, asking: Asking, method: str, frame: bytes) -> object:
    """What an answer says to whoever called `method`; "" for an attribute update. Raises ConversionError for a refusal,
    in words."""
    try:
        _, pdu = pdu_of(protocol_of(asking), frame)
    except ValueError as error:
        raise ConversionError(f"answer: {error}") from None
    rpc = next((one for one in device.rpcs if one.method == method), None)
    if rpc is not None and rpc.register is not None:
        return value_of(rpc.register, pdu)
    if refusal := modbus.exception_of(pdu):
        raise ConversionError(refusal)
    return True


def protocol_of(asking: Asking) -> Protocol:
    """The way in which the device frames what it says."""
    return "modbus-ascii" if asking.protocol == "modbus-ascii" else "modbus-rtu"


def value_of(register: Register, pdu: bytes) -> object:
    """What an answer to `request_of` says: the value that was read, true for a write that was taken. Raises
    ConversionError for a refusal, in words, and for what is no answer."""
    if refusal := modbus.exception_of(pdu):
        raise ConversionError(refusal)
    if not pdu or pdu[0] not in (1, 2, 3, 4):
        return True
    span = Span(register.table, register.first, register.count)
    try:
        data = bytes_of_answer(span, pdu)
        if span.table in BIT_TABLES:
            bits = [bool(byte) for byte in data]
            return bits[0] if len(bits) == 1 else bits
        [reading] = compile_readings([_point_of(register)])
        value = reading.take(_view(data))
    except (ValueError, KeyError) as error:
        raise ConversionError(f"answer: {error}") from None
    if value.__class__ is Lack:
        raise ConversionError(f"answer: {value.value}")
    return value


def _point_of(register: Register) -> DataPoint:
    """The value of an answer, as a data point."""
    meaning = Meaning(byteorder=register.byteorder, offset=register.offset, scale=register.scale)
    is_number = register.type in INTEGERS or register.type in FLOATS
    at = 1 if register.type in INTEGERS and INTEGERS[register.type][0] == 1 else 0
    length = None if is_number else ONE_REGISTER * register.count
    return DataPoint(key="answer", type=register.type, place=Place(by="at", at=at, length=length, meaning=meaning))


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "on", "1", "false", "off", "0"):
        return value.strip().lower() in ("true", "on", "1")
    raise ConversionError(f"params: found {str(value)[:40]!r}, expected true or false")


def _written(register: Register, value: object) -> bytes:
    """The bytes of a value for its registers."""
    size = ONE_REGISTER * register.count
    kind = register.type
    if kind == "string":
        if not isinstance(value, str):
            raise ConversionError(f"params: found {str(value)[:40]!r}, expected a text")
        data = value.encode()
        if len(data) > size:
            raise ConversionError(f"params: found a text of {len(data)} bytes, expected at most {size}")
        return data.ljust(size, b"\0")
    if kind == "hex":
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        if len(data) != size:
            raise ConversionError(f"params: found {str(value)[:40]!r}, expected {size} bytes in hexadecimal digits")
        return data
    number = _number_of(value) / register.scale - register.offset
    order: Order = register.byteorder
    if kind in FLOATS:
        try:
            packed = struct.pack(">f" if FLOATS[kind] == 4 else ">d", number)
        except OverflowError:
            raise ConversionError(f"params: found {number:g}, which {kind} can't hold") from None
        return packed[::-1] if order == "little" else arranged(order)(packed)
    bytes_, signed = INTEGERS[kind]
    whole = round(number)
    if abs(whole - number) > 1e-6 * max(1.0, abs(number)):
        raise ConversionError(f"params: found {number:g}, expected a whole number")
    try:
        packed = whole.to_bytes(max(bytes_, ONE_REGISTER), "big", signed=signed)
        whole.to_bytes(bytes_, "big", signed=signed)
    except OverflowError:
        raise ConversionError(f"params: found {whole}, which {kind} can't hold") from None
    return packed[::-1] if order == "little" else arranged(order)(packed)


def _number_of(value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise ConversionError(f"params: found {str(value)[:40]!r}, expected a number")
    return number
