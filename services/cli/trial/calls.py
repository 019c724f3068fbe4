"""What a configuration makes of a call, and of its answer: the steps that a port reader and a converter share."""

from __future__ import annotations

import re
from typing import TypedDict

from common.config.models import Device, Gateway, Rpc
from common.conversion.calls import convert_answer, rpc_of, sent
from common.conversion.downlink import encode_rpc
from common.conversion.grammar.registers import protocol_of
from common.conversion.joint import refusal_in
from common.conversion.values import encode_json
from common.core.byte_text import bytes_of, pattern_of
from common.core.errors import ConversionError
from common.core.modbus import Protocol, frame_of, pdu_of
from common.core.quoting import shown
from common.core.sending import escaped_in
from common.wire.calls import METHOD_NOT_FOUND
from services.cli.trial.pieces import whole_frame
from services.cli.trial.users import users_converter


class Called(TypedDict, total=False):
    """A call as `--json` prints it. Without an error it has the bytes, and the result if an answer was given;
    `escaped`: what of the bytes stands for which, where `send` escapes."""

    bytes_hex: str
    escaped: dict[str, str]
    note: str
    """What a line would make of the answer, where that is not just what was given."""
    result: object
    error: str


def try_call(gateway: Gateway, device: Device, method: str, params: object, answer: bytes | None) -> Called:
    """Encodes the call, and decodes the answer if there is one; what fails ends it with the platform's error text."""
    called: Called = {}
    try:
        rpc = rpc_of(device, method)
        if rpc is None:
            raise ConversionError(METHOD_NOT_FOUND)
        written = _encode(gateway, device, rpc, params)
        called["bytes_hex"] = written.hex()
        if device.asking is not None and device.asking.send_escapes and not _is_encoded_by_user(device, rpc):
            asking = device.asking
            found = escaped_in(written, asking.send_start, asking.send_escapes, asking.send_end)
            called["escaped"] = {f"{byte:02X}": instead.hex().upper() for byte, instead in found}
        if answer is not None:
            frame, note = _framed(device, rpc, answer)
            if note:
                called["note"] = note
            called["result"] = _convert_answer(gateway, device, rpc, frame)
    except ConversionError as error:
        called["error"] = str(error)
    return called


def called_as_json(called: Called) -> str:
    """A call on one line, for a program."""
    return encode_json(called).decode()


def called_as_text(device: Device, called: Called) -> str:
    """A call for a person: what is written, the result, the error, each on its line."""
    lines = []
    if "bytes_hex" in called:
        written = bytes.fromhex(called["bytes_hex"])
        lines.append(f"written to {device.name}, {len(written)} bytes: {shown(written)}  (hex {called['bytes_hex']})")
    if called.get("escaped"):
        pairs = (f"{byte} as {bytes.fromhex(instead).hex(' ').upper()}" for byte, instead in called["escaped"].items())
        lines.append(f"escaped: {', '.join(pairs)}")
    if "note" in called:
        lines.append(f"note: {called['note']}")
    if "result" in called:
        lines.append(f"result: {encode_json(called['result']).decode()}")
    if "error" in called:
        lines.append(f"error: {called['error']}")
    return "\n".join(lines)


def _encode(gateway: Gateway, device: Device, rpc: Rpc, params: object) -> bytes:
    """The bytes for the device, by a register, a template, our rules or users' code. Raises ConversionError."""
    if device.asking is not None and device.asking.protocol:
        # Here: few devices speak it.
        from common.conversion.grammar.registers import call_exchange

        return b"".join(call_exchange(device.asking, rpc, params).writes)
    name = device.downlink_converter
    if name is not None and _is_encoded_by_user(device, rpc):
        return users_converter(gateway, device, name).encode_rpc(rpc, params)
    return sent(device, encode_rpc(device, rpc, params))


def _is_encoded_by_user(device: Device, rpc: Rpc) -> bool:
    """True if users' code says what is written, all of it."""
    return rpc.template is None and device.has_user_downlink


def _framed(device: Device, rpc: Rpc, answer: bytes) -> tuple[bytes, str]:
    """(the frame that the line would make of an answer, a note). Raises ConversionError for what would be none: damaged
    as it is, nobody would be given it, and the call would wait out its time."""
    if device.asking is not None and device.asking.protocol:
        return _framed_by_protocol(protocol_of(device.asking), answer), ""
    until = bytes_of(rpc.response_until_delimiter) if rpc.response_until_delimiter else b""
    if not device.framing.shapes or (until and until in answer):
        return answer, ""
    piece = whole_frame(answer, device)
    if piece.dead:
        raise ConversionError(f"answer: {piece.dead}")
    return piece.frame, piece.note


def _framed_by_protocol(protocol: Protocol, answer: bytes) -> bytes:
    """The same answer: only its question tells how long it is, but for its checksum. Raises ConversionError."""
    try:
        unit, pdu = pdu_of(protocol, answer)
    except ValueError as error:
        raise ConversionError(f"answer: {error}") from None
    right = frame_of(protocol, unit, pdu)
    typed = answer if protocol == "modbus-rtu" else answer.strip().upper() + b"\r\n"
    if typed != right:
        raise ConversionError(f"answer: its checksum is wrong; with the right one it is {right.hex(' ').upper()}")
    return answer


def _convert_answer(gateway: Gateway, device: Device, rpc: Rpc, answer: bytes) -> object:
    """The value of an answer that matches the RPC's pattern. Raises ConversionError.

    On a line, a frame that does not match is no answer but telemetry, and the call waits on; here it is an error.
    """
    if not device.has_user_uplink and (meant := refusal_in(device, answer)):
        raise ConversionError(meant)
    if rpc.response_pattern is not None and not re.search(pattern_of(rpc.response_pattern).encode(), answer):
        raise ConversionError(f"found {shown(answer)}, which does not match responsePattern {rpc.response_pattern}")
    if device.asking is not None and device.asking.protocol:
        from common.conversion.grammar.registers import call_answer

        return call_answer(device, device.asking, rpc.method, answer)
    if device.has_user_uplink:
        return users_converter(gateway, device, device.converter).convert_answer(rpc, answer)
    return convert_answer(rpc, answer)
