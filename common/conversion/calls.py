"""A call's built-in steps: params to what is written to the device, its answer to a value. Pure.

Where all of a device's converters are built in its port reader takes them; a converter process takes those of users'
converters.
"""

from __future__ import annotations

from typing import Final

import simplejson
from msgspec.structs import replace

from common.config.models import DataPoint, Device, Rpc
from common.conversion.downlink import NOT_DEFINED, encode_attribute_update, encode_rpc
from common.conversion.slices.points import Point, compile_points, explain_point
from common.conversion.values import encode_json
from common.core.byte_text import bytes_of, pattern_of
from common.core.errors import ConversionError, printable
from common.wire.calls import NO_DATA, Exchange

TOO_DEEP: Final = "nested too deeply"


def called_as(device: Device, name: str, device_type: str) -> Device:
    """The device under the name by which it was called: a converter may have named others in its readings, which it
    serves. Without a name it is its own."""
    return replace(device, name=name, type=device_type or device.type) if name else device


def rpc_of(device: Device, method: str) -> Rpc | None:
    """The device's RPC of this name."""
    return next((rpc for rpc in device.rpcs if rpc.method == method), None)


def read_json(text: bytes) -> object:
    """Raises ConversionError. Nothing at all is null: a call without params."""
    try:
        return simplejson.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"not JSON: {error}") from None


def rpc_writes(device: Device, rpc: Rpc, params: bytes) -> list[bytes]:
    """What is written to the device for a call. Raises ConversionError with the text that the platform gets."""
    try:
        return [sent(device, encode_rpc(device, rpc, read_json(params)))]
    except ConversionError as error:
        raise ConversionError(refusal(str(error))) from None
    except RecursionError:
        raise ConversionError(refusal(TOO_DEEP)) from None


def sent(device: Device, data: bytes) -> bytes:
    """What is written, as it stands on the line: with all that the device's `send` puts around it, escaped where it
    says so. Raises ConversionError for bytes that the checksum can't be added to."""
    asking = device.asking
    if asking is None:
        return data
    if asking.send_checksum is None and not asking.send_escapes and not asking.send_cobs:
        return asking.send_start + data + asking.send_end
    # Here: few devices want a checksum.
    from common.core.sending import framed

    try:
        return framed(
            data,
            start=asking.send_start,
            checksum=asking.send_checksum,
            escapes=asking.send_escapes,
            is_cobs=asking.send_cobs,
            end=asking.send_end,
        )
    except ValueError as error:
        raise ConversionError(f"the checksum can't be added: {error}") from None


def refusal(text: str) -> str:
    """The reply to params from which no bytes can be made."""
    return text if text in (NO_DATA, NOT_DEFINED) else f"params can't be converted: {text}"


def update_writes(device: Device, text: bytes) -> tuple[list[bytes], str]:
    """(what is written to the device for an attribute update, the attributes that no entry is configured for).

    Raises ConversionError if there is nothing to write.
    """
    data = read_json(text)
    if not isinstance(data, dict):
        raise ConversionError("an attribute update is no object")
    entries = [update for key in data for update in device.attribute_updates if update.attribute == key]
    try:
        writes = [sent(device, encode_attribute_update(device, update, data)) for update in entries]
    except RecursionError:
        raise ConversionError(TOO_DEEP) from None
    known = {update.attribute for update in entries}
    return writes, ",".join(key for key in data if key not in known)


def no_entry(unknown: str) -> str:
    """The reply to an attribute update that nothing is configured for."""
    return f"no attribute update is configured for {unknown or 'nothing'}"


def exchange_for(writes: list[bytes], rpc: Rpc | None) -> Exchange:
    """What the device's port reader is to do with these; without `rpc` it is an attribute update."""
    if rpc is None:
        return Exchange(writes)
    until = bytes_of(rpc.response_until_delimiter) if rpc.response_until_delimiter else b""
    pattern = pattern_of(rpc.response_pattern or "")
    return Exchange(writes, rpc.method, rpc.with_response, rpc.response_timeout_s, pattern, until)


def answer_point(rpc: Rpc) -> Point:
    """The RPC's `response…` keys as a data point, ready for frames. Raises ConversionError as `compile_points`."""
    point = DataPoint(
        key="answer",
        type=rpc.response_type,
        until_delimiter=rpc.response_until_delimiter,
        from_byte=rpc.response_from_byte,
        to_byte=rpc.response_to_byte,
        decimal=rpc.decimal,
        true_text=rpc.true_text,
        false_text=rpc.false_text,
    )
    return compile_points([point])[0]


def convert_answer(rpc: Rpc, frame: bytes) -> object:
    """The value of a device's answer, by the RPC's `response…` keys as a data point; bytes of JSON can carry it.

    Raises ConversionError if the place is not in the answer or its bytes are not what `responseType` says.
    """
    result = explain_point(answer_point(rpc), "telemetry", frame)
    if result.status == "error" or (result.status == "absent" and result.span is None):
        raise ConversionError(f"answer: {result.why}")
    return result.value


def success(value: object) -> bytes:
    """The JSON that the platform gets for an answer."""
    return encode_json({"result": value})


def failure(text: str) -> bytes:
    """The JSON that the platform gets for a call that failed."""
    return encode_json({"error": printable(text), "success": False})
