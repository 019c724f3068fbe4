"""What a changed configuration means for the processes: who comes, who goes, and who has to start anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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
    """From one configuration to another; port readers by the first device on their line, in the order of the
    configuration."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Those whose port readers have to start anew. Converters learn of it from them."""
    publisher: bool
    monitor: bool
    hosts_added: tuple[str, ...] = ()
    """Hosted connectors, as the three of devices."""
    hosts_removed: tuple[str, ...] = ()
    hosts_changed: tuple[str, ...] = ()
    levels: bool = False
    """How much processes log; none of them starts anew for it."""

    @property
    def is_empty(self) -> bool:
        return not any(self)


def difference(before: Gateway, after: Gateway) -> Difference:
    """Who is concerned. A port reader that is not concerned does not hear of it."""
    devices = _Named({line[0].name: line for line in before.lines}, {line[0].name: line for line in after.lines})
    hosts = _Named({one.name: one for one in before.hosted}, {one.name: one for one in after.hosted})
    everyone = before.storage != after.storage
    return Difference(
        added=devices.added,
        removed=devices.removed,
        changed=devices.changed(everyone),
        publisher=_publishers(before) != _publishers(after),
        monitor=_names(before) != _names(after) or hosts.is_another_list or before.web != after.web,
        hosts_added=hosts.added,
        hosts_removed=hosts.removed,
        hosts_changed=hosts.changed(everyone),
        levels=before.log_levels != after.log_levels,
    )


def _names(gateway: Gateway) -> list[str]:
    return [device.name for device in gateway.devices]


class _Named(NamedTuple):
    """Things by their names, before and after."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]

    @property
    def added(self) -> tuple[str, ...]:
        return tuple(name for name in self.new if name not in self.old)

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(name for name in self.old if name not in self.new)

    def changed(self, everyone: bool) -> tuple[str, ...]:
        """Those that are others under the same name; all that have stayed, where something concerns everyone."""
        return tuple(name for name, one in self.new.items() if name in self.old and (everyone or self.old[name] != one))

    @property
    def is_another_list(self) -> bool:
        return list(self.old) != list(self.new)


def _publishers(gateway: Gateway) -> Any:
    """What the publisher goes by."""
    connectors = [msgspec.structs.replace(connector, devices=(), file="") for connector in gateway.connectors]
    hosted = [
        (one.name, one.type, one.report_strategy, one.remote_logging, one.log_level if one.remote_logging else "")
        for one in gateway.hosted
    ]
    return gateway.platform, connectors, hosted, [_without_line(device) for device in gateway.devices]


def _without_line(device: Device) -> Any:
    return msgspec.structs.replace(device, **_LINE_ONLY)
