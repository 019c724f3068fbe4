"""Calls of a device whose converters are all built in: they are converted here, in its port reader.

A call to a converter and back takes two hops through the broker each way, and each hop wakes up a process that slept:
of the ten of a call that wants an answer four are spared. To be imported at the first call only: most readers never get
one, and what they load counts.
"""

from __future__ import annotations

from typing import Final, assert_never

from common.config.asking import Asking
from common.config.models import Device
from common.conversion.calls import (
    called_as,
    convert_answer,
    exchange_for,
    no_entry,
    read_json,
    rpc_of,
    rpc_writes,
    success,
    update_writes,
)
from common.core.errors import ConversionError
from common.core.events import Note
from common.wire.calls import METHOD_NOT_FOUND, Encode, EncodeUpdate, Exchange, refuse, reply
from common.wire.messages import Reply, Request

SUCCESS: Final = b'{"success":true}'
"""The reply to an attribute update that the device has taken."""


def exchange_of(device: Device, request: Request, asked: Encode | EncodeUpdate, notes: list[Note]) -> Exchange:
    """What a call comes to on the line; `notes` takes what is to be logged.

    Raises ConversionError with the text that the platform gets.
    """
    device = called_as(device, asked.called, asked.called_type)
    if device.asking is not None and device.asking.protocol:
        return _exchange_by_registers(device, device.asking, request, asked, notes)
    match asked:
        case Encode(method=method, params=params):
            rpc = rpc_of(device, method)
            if rpc is None:
                raise ConversionError(METHOD_NOT_FOUND)
            return exchange_for(rpc_writes(device, rpc, params), rpc)
        case EncodeUpdate(data=data):
            writes, unknown = update_writes(device, data)
            if unknown:
                facts = {"device": device.name, "attributes": unknown, "id": request.id}
                notes.append(Note("warning", "update.no_entry", facts))
            if not writes:
                raise ConversionError(no_entry(unknown))
            return exchange_for(writes, None)
        case _:
            assert_never(asked)


def _exchange_by_registers(
    device: Device, asking: Asking, request: Request, asked: Encode | EncodeUpdate, notes: list[Note]
) -> Exchange:
    """The same for a Modbus device, whose calls read and write registers."""
    from common.conversion.grammar.registers import call_exchange, update_exchange

    if isinstance(asked, Encode):
        rpc = rpc_of(device, asked.method)
        if rpc is None:
            raise ConversionError(METHOD_NOT_FOUND)
        return call_exchange(asking, rpc, read_json(asked.params))
    data = read_json(asked.data)
    if not isinstance(data, dict):
        raise ConversionError("an attribute update is no object")
    exchange, unknown = update_exchange(device, asking, data)
    if unknown:
        notes.append(
            Note("warning", "update.no_entry", {"device": device.name, "attributes": unknown, "id": request.id})
        )
    if exchange is None:
        raise ConversionError(no_entry(unknown))
    return exchange


def reply_of(device: Device, request: Request, method: str, frame: bytes) -> Reply:
    """The end of a call: what its answer says, or why it says nothing."""
    if device.asking is not None and device.asking.protocol:
        from common.conversion.grammar.registers import call_answer

        try:
            value = call_answer(device, device.asking, method, frame)
        except ConversionError as error:
            return refuse(request, str(error))
        return reply(request, success(value) if method else SUCCESS)
    rpc = rpc_of(device, method)
    if rpc is None:
        return refuse(request, METHOD_NOT_FOUND)
    if any(message.error for message in device.messages):
        # Here: few devices have such a message.
        from common.conversion.joint import refusal_in

        if meant := refusal_in(device, frame):
            return refuse(request, meant)
    try:
        return reply(request, success(convert_answer(rpc, frame)))
    except ConversionError as error:
        return refuse(request, str(error))
