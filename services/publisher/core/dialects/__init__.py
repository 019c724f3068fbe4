"""The seam behind which a platform's topics and payloads stand.

A dialect is a pure object: it makes `Outgoing` messages from readings and turns what comes in into one of the
downlinks below. Another platform is another module here with a class that has the methods of `Dialect`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Outgoing(NamedTuple):
    """A message for the platform."""

    topic: str
    payload: bytes


class DeviceRpc(NamedTuple):
    """Downlink: the platform calls a device's method. `params` is JSON, b"null" where there are none."""

    device: str
    request: int | str
    method: str
    params: bytes


class DeviceAttributes(NamedTuple):
    """Downlink: the platform has changed attributes of a device; `data` is a JSON object."""

    device: str
    data: bytes


class GatewayRpc(NamedTuple):
    """Downlink: a call to the gateway itself. `request` is the last level of the topic."""

    request: str
    method: str


class SessionLimits(NamedTuple):
    """Downlink: what the platform takes; None for what it does not say."""

    max_payload_bytes: int | None
    max_in_flight: int | None


class DeviceDropped(NamedTuple):
    """Downlink: the platform has ended a device's session; it has to be announced again."""

    device: str
    reason: int


class Ignored(NamedTuple):
    """Downlink: nothing to do, for instance our own message that a plain MQTT broker sends back."""

    what: str


class RpcRefused(NamedTuple):
    """Downlink: a call to a device that is answered with an error at once."""

    device: str
    request: int
    reason: str


class Unusable(NamedTuple):
    """Downlink: nothing that can be understood, and why."""

    reason: str


Downlink = DeviceRpc | DeviceAttributes | GatewayRpc | SessionLimits | DeviceDropped | RpcRefused | Ignored | Unusable


class Split(NamedTuple):
    """A telemetry item cut into items of the same time, and the keys whose value alone is too large."""

    entries: list[bytes]
    too_large: list[str]


class Dialect(Protocol):
    """Topics and payloads of one kind of platform. No method raises for what a device or the platform said."""

    @property
    def subscriptions(self) -> Sequence[tuple[str, bool]]:
        """(topic filter, True if our own messages on it are not wanted back)."""
        ...

    def quote(self, name: str) -> bytes:
        """A device's name as it stands in payloads, made once per device."""
        ...

    def entries(self, ts_ms: Sequence[int], telemetry: Sequence[bytes]) -> list[bytes]:
        """One telemetry item per reading, b"" where the reading has none."""
        ...

    def split(self, entry: bytes, limit_bytes: int) -> Split:
        """Cuts one item by key so that each piece has at most `limit_bytes`."""
        ...

    def keys(self, attributes: bytes) -> Mapping[str, bytes] | None:
        """Each attribute's JSON value; None if the bytes are no JSON object."""
        ...

    def telemetry(self, parts: Sequence[tuple[bytes, Sequence[bytes]]]) -> Outgoing:
        """One message of (quoted name, items) parts."""
        ...

    def attributes(self, parts: Sequence[tuple[bytes, Mapping[str, bytes]]]) -> Outgoing:
        """One message of (quoted name, JSON values by key) parts."""
        ...

    def connect(self, quoted: bytes, device_type: str) -> Outgoing:
        """Announces a device."""
        ...

    def disconnect(self, quoted: bytes) -> Outgoing:
        """Says that a device is gone."""
        ...

    def rpc_reply(self, device: str, request: int | str, data: bytes) -> Outgoing:
        """The answer to a `DeviceRpc`; `data` is JSON."""
        ...

    def gateway_reply(self, request: str, data: bytes) -> Outgoing:
        """The answer to a `GatewayRpc`; `data` is JSON."""
        ...

    def limits_request(self) -> Outgoing | None:
        """Asks for `SessionLimits`; None if the platform has none."""
        ...

    def parse(self, topic: str, payload: bytes, size_bytes: int = 0) -> Downlink:
        """What a message from the platform says; `size_bytes` where it had more than its payload's beginning."""
        ...
