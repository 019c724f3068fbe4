"""What a changed configuration means for the processes: who comes, who goes, and who has to start anew. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from common.config.framing import Framing
from common.config.models import Device, Gateway, Line

_LINE_ONLY = {
    "line": Line(),
    "framing": Framing(),
    "byteorder": "big",
    "uplink_queue_size": 0,
    "log_level": "",
    "raw": {},
}
"""Fields of a device that are its port reader's and its converters' business alone."""


class Difference(NamedTuple):
    """From one configuration to another; devices by name, in the order of the configuration."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Those whose port readers have to start anew. Converters learn of it from them."""
    publisher: bool
    monitor: bool

    @property
    def is_empty(self) -> bool:
        return not any(self)


def difference(before: Gateway, after: Gateway) -> Difference:
    """Who is concerned. A port reader that is not concerned does not hear of it."""
    old = {device.name: device for device in before.devices}
    new = {device.name: device for device in after.devices}
    everyone = before.storage != after.storage
    return Difference(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in new if name in old and (everyone or old[name] != new[name])),
        publisher=_publishers(before) != _publishers(after),
        monitor=list(old) != list(new),
    )


def _publishers(gateway: Gateway) -> Any:
    """What the publisher goes by."""
    connectors = [msgspec.structs.replace(connector, devices=(), file="") for connector in gateway.connectors]
    return gateway.platform, connectors, [_without_line(device) for device in gateway.devices]


def _without_line(device: Device) -> Any:
    return msgspec.structs.replace(device, **_LINE_ONLY)
