"""What a changed configuration means for the processes: who comes, who goes, and who has to start anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from common.config.models import Device, Gateway, Storage
from services.port_reader.core.swaps import why_not
from services.publisher.core.known import known_of


class Difference(NamedTuple):
    """From one configuration to another; port readers by the first device on their line, in the order of the
    configuration."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Those whose port readers have to start anew. Converters learn of it from them."""
    publisher: bool
    monitor: bool
    """It has to start anew; of who comes and goes it is told."""
    hosts_added: tuple[str, ...] = ()
    """Hosted connectors, as the three of devices."""
    hosts_removed: tuple[str, ...] = ()
    hosts_changed: tuple[str, ...] = ()
    levels: bool = False
    """How much processes log; none of them starts anew for it."""
    swapped: tuple[str, ...] = ()
    """Devices whose port readers go on, and go by another section from the next frame on."""
    names: bool = False
    """Other devices or connectors than before are to be watched by the monitor."""
    known: bool = False
    """The publisher is told of devices that come, go, or are others to it; it goes on, unless it has to start anew."""
    limits: bool = False
    """Journals keep more or less than before; who has them goes on."""

    @property
    def is_empty(self) -> bool:
        return not any(self)


def difference(before: Gateway, after: Gateway) -> Difference:
    """Who is concerned. A port reader that is not concerned does not hear of it."""
    devices = _Named({line[0].name: line for line in before.lines}, {line[0].name: line for line in after.lines})
    hosts = _Named({one.name: one for one in before.hosted}, {one.name: one for one in after.hosted})
    everyone = place_of(before.storage) != place_of(after.storage)
    changed = devices.changed(everyone)
    taken = {name: _swaps(devices.old[name], devices.new[name]) for name in changed if not everyone}
    return Difference(
        added=devices.added,
        removed=devices.removed,
        changed=tuple(name for name in changed if not taken.get(name)),
        publisher=_publishers(before) != _publishers(after),
        monitor=before.web != after.web,
        hosts_added=hosts.added,
        hosts_removed=hosts.removed,
        hosts_changed=hosts.changed(everyone),
        levels=before.log_levels != after.log_levels,
        swapped=tuple(name for swaps in taken.values() for name in swaps),
        names=_names(before) != _names(after) or hosts.is_another_list,
        limits=before.storage != after.storage and not everyone,
        known=known_of(before) != known_of(after),
    )


def together(first: Difference, second: Difference) -> Difference:
    """What both ask for, of a gateway of which it is not known whether the one or the other configuration is at work.
    Whoever may have to start anew does."""
    return Difference(*(_both(one, other) for one, other in zip(first, second, strict=True)))


def _both(one: Any, other: Any) -> Any:
    return one or other if isinstance(one, bool) else tuple(dict.fromkeys((*one, *other)))


def _swaps(before: Sequence[Device], after: Sequence[Device]) -> list[str]:
    """The devices of one line whose sections their reader takes while it is at work; [] where it has to start anew."""
    if [device.name for device in before] != [device.name for device in after]:
        return []
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return [] if any(why_not(old, new, before) for old, new in pairs) else [new.name for _, new in pairs]


def place_of(storage: Storage) -> tuple[str, str | None, str]:
    """What a journal is opened with; its limits are taken at work."""
    return storage.type, storage.data_dir, storage.durability


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
    """What the publisher goes by and takes at its start only."""
    connectors = [msgspec.structs.replace(connector, devices=(), file="") for connector in gateway.connectors]
    hosted = [
        (one.name, one.type, one.report_strategy, one.remote_logging, one.log_level if one.remote_logging else "")
        for one in gateway.hosted
    ]
    return gateway.platform, connectors, hosted
