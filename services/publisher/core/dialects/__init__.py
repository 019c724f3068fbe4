"""The seam behind which everything stands that one kind of platform has to itself.

A dialect is a pure object. It makes `Outgoing` messages from readings, turns what comes in into one of the downlinks
below, and says what the platform's refusals mean. What it does not do: keep order, keep one unaccepted publish per
device, wait, repeat, slow down, or look for bad records. That is the core's, and the same for all platforms.

Another platform is another module here with a class that has the members of `Dialect`. `tests/conformance` runs the
whole core over each dialect of its registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from common.core.rate_text import Pairs

Refusal = Literal["rate", "bad", "unclear", "wait"]
"""What a PUBACK with a failure code says about the publish:

- `rate`: too much at once. A close that follows belongs to it; if the connection stands, something in it is bad.
- `bad`: a record of it can never be taken. It is looked for, and becomes a dead letter.
- `unclear`: as `rate`, but nothing is said of a rate: some record is not taken now, and none is a dead letter for that.
- `wait`: its devices can't be served now, and are tried again later.
"""
Verdict = Literal["accepted", "rate", "bad", "unclear", "wait"]
"""A PUBACK's meaning: acceptance, or one of the refusals."""


class Outgoing(NamedTuple):
    """A message for the platform."""

    topic: str
    payload: bytes
    retain: bool = False
    """True if the MQTT broker is to keep it for whoever subscribes later."""


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


class AttributesAnswer(NamedTuple):
    """Downlink: the answer to `Dialect.ask_attributes`. It has no more than the platform knows."""

    device: str
    request: int
    values: bytes
    """A JSON object; b"" where there is none."""
    value: bytes = b""
    """A JSON value without its name: that of the only attribute that was asked for; b"" where there is none."""


class GatewayRpc(NamedTuple):
    """Downlink: a call to the gateway itself, which `Dialect.gateway_reply` answers, or to a connector that it hosts.
    `request` is the call's id, `params` JSON."""

    request: str
    method: str
    params: bytes = b"null"


class SessionRates(NamedTuple):
    """How much the platform takes in a time, as (how many, in how many seconds); () is no limit. What each is stands at
    `common.config.models.RateLimits`."""

    messages: Pairs = ()
    data: Pairs = ()
    points: Pairs = ()
    device_messages: Pairs = ()
    device_data: Pairs = ()
    device_points: Pairs = ()


class Counted(NamedTuple):
    """What a publish counts for, where the platform limits rates."""

    is_own: bool
    """True if it says something of the gateway itself; False: of its devices."""
    messages: int = 0
    """Messages that are no data."""
    data: int = 0
    """Messages of data; one for each device in it."""
    points: int = 0
    """Values in these."""


class GatewayRestart(NamedTuple):
    """Downlink: the platform wants the gateway's processes restarted; `Dialect.gateway_done` answers it. `request` is
    the call's id."""

    request: str
    after_s: float
    """How long to wait before it is begun."""


class ForgetCredentials(NamedTuple):
    """Downlink: the gateway is to forget the credentials that the platform has given it;
    `Dialect.credentials_forgotten` answers it. `request` is the call's id."""

    request: str


class GatewayAttributes(NamedTuple):
    """Downlink: attributes of the gateway itself, as the platform has set them, by itself or because it was asked;
    `data` is a JSON object."""

    data: bytes


class DeviceRenamed(NamedTuple):
    """Downlink: somebody has given a device another name on the platform. `Dialect.gateway_done` answers it."""

    request: str
    old: str
    new: str


class DeviceDeleted(NamedTuple):
    """Downlink: somebody has deleted a device on the platform. `Dialect.gateway_done` answers it."""

    request: str
    device: str


class SessionLimits(NamedTuple):
    """Downlink: what the platform takes; None for what it does not say."""

    max_payload_bytes: int | None
    max_in_flight: int | None
    rates: SessionRates | None = None


class DeviceDropped(NamedTuple):
    """Downlink: the platform has ended a device's session; it has to be announced again."""

    device: str
    reason: int
    """The platform's own number, for the log."""
    is_rate: bool = False
    """True if the device has said too much at once, and is to wait before it is announced again."""


class Ignored(NamedTuple):
    """Downlink: nothing to do, for instance our own message that a plain MQTT broker sends back."""

    what: str


class RpcRefused(NamedTuple):
    """Downlink: a call to a device that is answered with an error at once."""

    device: str
    request: int | str
    reason: str


class Unusable(NamedTuple):
    """Downlink: nothing that can be understood, and why."""

    reason: str


Downlink = (
    DeviceRpc
    | DeviceAttributes
    | AttributesAnswer
    | GatewayRpc
    | GatewayRestart
    | ForgetCredentials
    | GatewayAttributes
    | SessionLimits
    | DeviceDropped
    | DeviceRenamed
    | DeviceDeleted
    | Ignored
    | RpcRefused
    | Unusable
)
"""What a message from the platform can be."""


class Split(NamedTuple):
    """A telemetry item in pieces, and the keys that are too large even by themselves."""

    entries: list[bytes]
    too_large: list[str]


class Shape(NamedTuple):
    """How a message of data is filled: what its syntax costs in bytes, and how much it holds by its nature."""

    around_bytes: int
    """Around everything."""
    device_bytes: int
    """Beside its label, for each device. Each item costs a byte more than its own, for what parts it from the next."""
    most_devices: int | None = None
    """None: as many as fit. 1 for a platform with a topic per device."""
    most_readings: int | None = None
    """None: as many as fit. 1 for a platform that takes one reading a message."""


class GatewayFacts(Protocol):
    """What the gateway can say of itself when the platform asks."""

    @property
    def version(self) -> str:
        """The release that runs."""
        ...

    @property
    def received(self) -> int:
        """Readings that have come from the devices since the publisher's start."""
        ...

    @property
    def accepted(self) -> int:
        """Telemetry items that the platform has accepted since the publisher's start."""
        ...

    def devices(self) -> dict[str, str]:
        """Each connected device and the name of its connector."""
        ...

    def events(self) -> dict[str, tuple[int, int]]:
        """Connector → (frames of it that have come, frames of it that are settled) since the publisher's start."""
        ...


class Dialect(Protocol):
    """A kind of platform: its topics, its payloads and its words. The attributes never change while we run."""

    shape: Shape
    subscriptions: Sequence[tuple[str, bool]]
    """(topic filter, True if our own messages on it are not wanted back)."""
    will: Outgoing | None
    """What the MQTT broker says for us when the connection breaks; None: nothing."""
    greeting: Sequence[Outgoing]
    """What is said first on each connection, before announcements and data: a birth message, questions."""
    asks_limits: bool
    """True if a `greeting` asks for `SessionLimits`: data waits for the answer, for two seconds at most."""
    call_time_s: float
    """So long the platform waits for the answer to a call, which does not say its own time."""

    def refusal(self, code: int) -> Refusal:
        """What a PUBACK's reason code of 128 or more means; below, MQTT itself says that it is acceptance."""
        ...

    def label(self, name: str) -> bytes:
        """A device's name as the methods below want it, made once per device."""
        ...

    def entries(self, ts_ms: Sequence[int], telemetry: Sequence[bytes]) -> list[bytes]:
        """One telemetry item per reading, b"" where the reading has none. `telemetry` are JSON objects."""
        ...

    def split(self, entry: bytes, limit_bytes: int, most_points: int | None = None) -> Split:
        """Cuts one item by key so that each piece has at most `limit_bytes` and so many values; None: any number."""
        ...

    def points(self, entry: bytes) -> int:
        """How many values one item has, as the platform counts them."""
        ...

    def counted(self, message: Outgoing) -> Counted:
        """What a message counts for that is no data of devices, no announcement and no goodbye."""
        ...

    def keys(self, attributes: bytes) -> Mapping[str, bytes] | None:
        """Each attribute's JSON value; None if the bytes are no JSON object."""
        ...

    def attribute_bytes(self, key: str, value: bytes) -> int:
        """How much one attribute takes of a message, with what parts it from the next."""
        ...

    def telemetry(self, parts: Sequence[tuple[bytes, Sequence[bytes]]]) -> Outgoing:
        """One message of (label, items) parts, within what `shape` allows."""
        ...

    def attributes(self, parts: Sequence[tuple[bytes, Mapping[str, bytes]]]) -> Outgoing:
        """One message of (label, JSON values by key) parts, within what `shape` allows."""
        ...

    def announce(self, label: bytes, device_type: str) -> Outgoing | None:
        """Says that a device is there. None: the platform is not told, and the device's data may go out at once."""
        ...

    def introduction(self, connector: str, kind: str) -> Mapping[str, bytes]:
        """Attributes that say whose device one is, told after its first announcement; {} for none. `kind`: the
        connector's type."""
        ...

    def withdraw(self, label: bytes) -> Outgoing | None:
        """Says that a device is gone; None: the platform is not told."""
        ...

    def ask_attributes(
        self, request: int, device: str, keys: Sequence[str], *, is_client: bool = False
    ) -> Outgoing | None:
        """Asks for the present values of attributes that the platform can change, or, with `is_client`, of those that
        the device has said; None: it can't be asked."""
        ...

    def rpc_reply(self, device: str, request: int | str, data: bytes) -> Outgoing:
        """The answer to a `DeviceRpc`; `data` is JSON."""
        ...

    def rpc_error(self, device: str, request: int | str, error: str) -> Outgoing:
        """The answer to a `DeviceRpc` or `RpcRefused` that has failed."""
        ...

    def gateway_reply(self, call: GatewayRpc, facts: GatewayFacts) -> Outgoing:
        """The answer to a call to the gateway itself, an error for a method that there is not."""
        ...

    def gateway_done(self, request: str, error: str = "") -> Outgoing:
        """The answer to a call to the gateway itself that was carried out, or why it is not."""
        ...

    def credentials_forgotten(self, request: str, found: bool, error: str) -> Outgoing:
        """The answer to `ForgetCredentials`. `found`: there were some; `error`: why they are still there, or ""."""
        ...

    def ask_own_attributes(self, request: int, keys: Sequence[str]) -> Outgoing | None:
        """Asks for attributes that the platform has set for the gateway itself; None: it can't be asked."""
        ...

    def own_attributes(self, values: Mapping[str, bytes]) -> Outgoing | None:
        """Attributes that the gateway says of itself, JSON values by key; None: there is no place for them."""
        ...

    def own_telemetry(self, items: Sequence[tuple[int | None, Mapping[str, bytes]]]) -> Outgoing | None:
        """Telemetry of the gateway itself: (milliseconds, JSON values by key) each, no milliseconds for what is so now;
        None: there is no place for it."""
        ...

    def connector_reply(self, request: str, data: bytes) -> Outgoing:
        """The answer of a hosted connector to a `GatewayRpc`; `data` is JSON, b"" where no connector has said
        anything."""
        ...

    def connector_error(self, request: str, error: str, is_late: bool) -> Outgoing:
        """The answer to a `GatewayRpc` that no hosted connector has answered; `is_late`: the time was over."""
        ...

    def parse(self, topic: str, payload: bytes, size_bytes: int = 0) -> Downlink:
        """What a message from the platform says; `size_bytes` where it had more than its payload's beginning.

        Raises nothing: bytes that can't be understood are `Unusable`, with a reason.
        """
        ...
