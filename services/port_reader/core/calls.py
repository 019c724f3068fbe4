"""Calls of a device whose converters are all built in: they are converted here, in its port reader.

A call to a converter and back takes two hops through the broker each way, and each hop wakes up a process that slept:
of the ten of a call that wants an answer four are spared. To be imported at the first call only: most readers never get
one, and what they load counts.
"""

from __future__ import annotations

from typing import Any

from common.config.models import Device
from common.conversion.calls import (
    METHOD_NOT_FOUND,
    arguments_of,
    convert_answer,
    exchange_arguments,
    no_entry,
    rpc_of,
    rpc_writes,
    success,
    update_writes,
)
from common.core.errors import ConversionError, WireError, printable
from common.core.events import Note
from common.wire import codec
from common.wire.messages import Reply, Request


def exchange_of(device: Device, request: Request, notes: list[Note]) -> dict[str, Any]:
    """The arguments of the `exchange` that an `encode` or `encode_update` asks for; `notes` takes what is to be logged.

    Raises ConversionError with the text that the platform gets.
    """
    try:
        arguments = arguments_of(request)
    except WireError as error:
        raise ConversionError(f"malformed request: {error}") from None
    if request.verb == "encode_update":
        rpc = None
        writes, unknown = update_writes(device, arguments["data"])
        if unknown:
            facts = {"device": device.name, "attributes": unknown, "id": request.id}
            notes.append(Note("warning", "update.no_entry", facts))
        if not writes:
            raise ConversionError(no_entry(unknown))
    else:
        rpc = rpc_of(device, arguments["method"])
        if rpc is None:
            raise ConversionError(METHOD_NOT_FOUND)
        writes = rpc_writes(device, rpc, arguments["params"])
    return exchange_arguments(writes, rpc)


def reply_of(device: Device, call_id: str, reply_to: str, method: str, frame: bytes) -> Reply:
    """The end of a call: what its answer says, or why it says nothing."""
    rpc = rpc_of(device, method)
    try:
        if rpc is None:
            raise ConversionError(METHOD_NOT_FOUND)
        return Reply(call_id, reply_to, "", codec.pack(success(convert_answer(rpc, frame))))
    except ConversionError as error:
        return Reply(call_id, reply_to, printable(str(error)), b"")
