"""What can be called at a device, and set, as a page asks for it. Pure."""

from __future__ import annotations

from typing import Any, Final

from common.config.models import Device, Rpc

_NUMBERS: Final = frozenset({"int", "float", "double"})


def forms_of(device: Device) -> dict[str, Any]:
    """`calls`: method, what its params are (`number`, `text`, `json`, `none`) and whether it is answered; `settings`:
    the attributes that are written to the device when they are changed."""
    calls = [
        {"method": rpc.method, "params": _params(device, rpc), "is_answered": rpc.with_response, "hint": _hint(rpc)}
        for rpc in device.rpcs
    ]
    return {"calls": calls, "settings": [update.attribute for update in device.attribute_updates]}


def line_of(device: Device) -> dict[str, Any]:
    """How its port is opened."""
    line = device.line
    stops = f"{line.stopbits:g}"
    return {"port": line.port, "form": f"{line.baudrate} {line.bytesize}{line.parity}{stops}", "type": device.type}


def _params(device: Device, rpc: Rpc) -> str:
    if device.has_user_downlink:
        return "json"
    if rpc.template is not None:
        if "${params." in rpc.template:
            return "json"
        if "${params}" not in rpc.template:
            return "none"
    if rpc.register is not None:
        return "json"
    return "number" if rpc.type in _NUMBERS else "text"


def _hint(rpc: Rpc) -> str:
    """What a person may need to know to fill it in."""
    return rpc.template or ""
