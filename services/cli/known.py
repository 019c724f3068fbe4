"""What a running gateway has, for whoever named something that it does not have: devices, and their methods."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import simplejson

from common.config.active import ACTIVE_NAME, read_active
from common.config.models import Device, Rpc
from common.core.errors import GatewayError
from common.io.client import Client, json_of
from common.wire.calls import Status
from common.wire.messages import MONITOR

ANSWER_S: Final = 5.0
"""The monitor answers at once, or is not there."""
NEXT: Final = "`serialgw status` shows how they are"
"""What a person may do who has named a device that is not there."""


def running_devices(client: Client) -> list[str]:
    """The devices with a port reader, by the monitor's word: those of the configuration, and what earlier ones left;
    hosted connectors too, which have journals of their own. Raises LinkError, GatewayError."""
    reply = client.call(MONITOR, "", Status(), ANSWER_S)
    if reply.error:
        raise GatewayError(f"the monitor can't be asked which devices there are: {reply.error}")
    processes = simplejson.loads(json_of(reply))["processes"]
    return sorted(process["device"] for process in processes if process["device"])


def no_device(name: str, known: Iterable[str]) -> str:
    """The sentence for a device that is not there, with those that are."""
    names = ", ".join(known)
    if not names:
        return f'there is no device "{name}": the gateway has none; {NEXT}'
    return f'there is no device "{name}"; there is: {names} ({NEXT})'


def configured_device(data_dir: Path, name: str) -> Device | None:
    """The device as the gateway of this data directory was started with it; None where that is not known, as of
    processes that were started one by one."""
    active = read_active(data_dir / ACTIVE_NAME)
    devices = () if active is None else active.gateway.devices
    return next((device for device in devices if device.name == name), None)


def no_method(device: Device, method: str) -> str:
    """The sentence for a method that a device does not have, with those that it has and what they take."""
    if not device.rpcs:
        return f'{device.name} has no method "{method}": its configuration has no serverSideRpc'
    return "\n".join(
        [
            f'{device.name} has no method "{method}"; it has:',
            *(f"  {rpc.method} {params_of(device, rpc)}" for rpc in device.rpcs),
        ]
    )


def params_of(device: Device, rpc: Rpc) -> str:
    """What a method takes as PARAMS, in words."""
    if rpc.template is not None:
        if "${params." in rpc.template:
            names = [part.partition("}")[0] for part in rpc.template.split("${params.")[1:]]
            members = ", ".join(f'"{name}": …' for name in dict.fromkeys(names))
            return f"'{{{members}}}'"
        return "PARAMS" if "${params}" in rpc.template else "(without PARAMS)"
    if device.has_user_downlink:
        return f"PARAMS, which {device.downlink_converter} writes"
    return "NUMBER" if rpc.type in ("int", "float", "double") else "'\"text\"'"
