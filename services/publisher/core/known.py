"""What the publisher knows of the configured devices, and how it takes another list of them while it is at work. Pure.

Whoever needs a part of it holds the mapping, which changes in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from common.config.models import Device, Gateway
from common.wire.calls import hosted_stream
from services.publisher.core.strategies import Strategies, strategies_of

REFUSES_STRATEGIES: Final = "report strategies are switched on or off for all devices"


class KnownDevice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One configured device; or a hosted connector's stream, which has no type."""

    type: str
    connector: str
    shared: list[str] = []
    """The attributes that it can be told."""
    answer_times: dict[str, float] = {}
    """Method → how many seconds its answer may take, where one is wanted."""
    units: dict[str, str] = {}
    """Key → unit, where the platform is to be told; {}: it is not."""
    strategies: Strategies | None = None
    """None: each value is sent on as it comes."""


class KnownDevices(msgspec.Struct, frozen=True):
    """All of them, by name."""

    devices: dict[str, KnownDevice]
    has_strategies: bool = True
    """False where the configuration switches report strategies off, those that converters bring too."""


def known_of(gateway: Gateway) -> KnownDevices:
    """What a publisher of this configuration knows of its devices."""
    strategies = strategies_of(gateway)
    found = {device.name: _known(device, (strategies or {}).get(device.name)) for device in gateway.devices}
    for hosted in gateway.hosted:
        stream = hosted_stream(hosted.name)
        found[stream] = KnownDevice("", hosted.name, strategies=(strategies or {}).get(stream))
    return KnownDevices(found, has_strategies=strategies is not None)


def _known(device: Device, strategies: Strategies | None) -> KnownDevice:
    return KnownDevice(
        device.type,
        device.connector_name,
        [update.attribute for update in device.attribute_updates],
        {rpc.method: rpc.response_timeout_s for rpc in device.rpcs if rpc.with_response},
        device.units,
        strategies,
    )


class KnownParts(NamedTuple):
    """The same, part by part, each by the device's name."""

    types: dict[str, str]
    connectors: dict[str, str]
    shared: dict[str, Sequence[str]]
    units: dict[str, bytes]
    """A JSON object."""
    answer_times: dict[tuple[str, str], float]
    """By device and method."""
    strategies: dict[str, Strategies] | None
    """None: there are none, and those that converters bring have no effect."""

    @classmethod
    def of(cls, known: KnownDevices) -> KnownParts:
        """From what was said."""
        devices = known.devices
        return cls(
            {name: one.type for name, one in devices.items()},
            {name: one.connector for name, one in devices.items()},
            {name: one.shared for name, one in devices.items()},
            {name: msgspec.json.encode(one.units) for name, one in devices.items() if one.units},
            {(name, method): time_s for name, one in devices.items() for method, time_s in one.answer_times.items()},
            {name: one.strategies for name, one in devices.items() if one.strategies is not None}
            if known.has_strategies
            else None,
        )

    def take(self, other: KnownParts) -> None:
        """Becomes the other, in place. Whether there are strategies at all has to be the same."""
        for mine, its in zip(self, other, strict=True):
            _become(mine, its)

    def others(self, other: KnownParts) -> Iterator[str]:
        """The devices that are others, new, or gone."""
        mine, its = dict(self._by_name()), dict(other._by_name())
        yield from (name for name in dict.fromkeys((*mine, *its)) if mine.get(name) != its.get(name))

    def _by_name(self) -> Iterator[tuple[str, object]]:
        for name, kind in self.types.items():
            strategies = self.strategies.get(name) if self.strategies is not None else None
            yield (
                name,
                (kind, self.connectors.get(name), [*self.shared.get(name, ())], self.units.get(name), strategies),
            )


def _become(mine: object, its: object) -> None:
    if isinstance(mine, dict) and isinstance(its, Mapping):
        mine.clear()
        mine.update(its)


def encode_known(known: KnownDevices) -> bytes:
    """For the calls plane."""
    return msgspec.json.encode(known)


def decode_known(content: bytes) -> KnownDevices:
    """From the calls plane. Raises ValueError, with a sentence, for what is no such thing."""
    try:
        return msgspec.json.decode(content, type=KnownDevices)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"what is said of the devices can't be read: {error}") from None
