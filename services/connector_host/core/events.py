"""What the connector host's core hears and orders: its connector's part of it, and all of it (`Event`, `Effect`)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from common.stream.events import SourceEffect, SourceEvent
from common.wire.entries import Mark

CallKind = Literal["rpc", "connector", "attributes", "keys"]
"""What of the connector is called: a method of a device, one of the connector itself, its attribute updates, or which
shared attributes it wants of a device."""


class Said(NamedTuple):
    """One entry that the connector has handed over: it says something of one device."""

    device: str
    device_type: str
    data: bytes
    """What is journaled, see `common.wire.entries`; b"" for a mark, which the core words itself."""
    mark: Mark = ""


class Submission(NamedTuple):
    """What one call of the connector's has handed over. Whoever called waits for `Settle` with this ticket."""

    ticket: int
    said: tuple[Said, ...]


# Events


class Submitted(Struct, frozen=True):
    """The connector's threads have handed these over, at `clock_ms`."""

    submissions: list[Submission]
    clock_ms: int


class Committed(Struct, frozen=True):
    """The journal has committed everything below this number."""

    end: int


class ConnectorOpened(Struct, frozen=True):
    """The connector was made, and its `open` has returned."""

    wants_shared: bool = False
    """True if it has a `get_device_shared_attributes_keys`."""


class ConnectorFailed(Struct, frozen=True):
    """The connector can't go on."""

    reason: str
    """What failed, where, and why: a sentence."""
    is_final: bool
    """True if a new start would find the same, as where its class does not load."""


class ConnectorClosed(Struct, frozen=True):
    """Its `close` has returned, and it says that it has stopped."""


class Returned(Struct, frozen=True):
    """A handler of the connector has returned, or raised; or it was not called, because the call's time was over."""

    number: int
    kind: CallKind
    data: bytes = b""
    """What it returned, as JSON; b"" for None, and for what can't be written so."""
    shown: str = ""
    """What it returned, for a sentence."""
    is_error: bool = False
    """True if that is an object with "error" in it, which is an answer in any case."""
    error: str = ""
    """Why it raised; "" where it did not."""
    is_skipped: bool = False
    """True if it was not called."""


class Replied(Struct, frozen=True):
    """The connector has answered a call by `send_rpc_reply`."""

    device: str
    """"" for a call to the connector itself."""
    request: str
    data: bytes
    """JSON."""


class AttributesAsked(Struct, frozen=True):
    """The connector asks what the platform has of a device's attributes; `CallBack` answers it."""

    number: int
    device: str
    keys: list[str]
    is_client: bool


class DevicesKept(Struct, frozen=True):
    """The devices were written, or not."""

    error: str


# Effects


class Settle(Struct, frozen=True):
    """What was handed over with these tickets is on the disk; or it is not, and why."""

    tickets: list[int]
    error: str = ""


class CallConnectorCode(Struct, frozen=True):
    """Calls a handler of the connector, in its turn, unless its time is over by then; `Returned` follows."""

    number: int
    kind: CallKind
    content: bytes
    """The handler's argument, as JSON."""
    deadline_s: float


class CallBack(Struct, frozen=True):
    """Hands the answer to a question of the connector's to what it has left for it."""

    number: int
    content: bytes
    """JSON as the platform has said it; b"" where there is no answer."""
    error: str = ""
    """Why not."""


class CloseConnector(Struct, frozen=True):
    """Has the connector close; `ConnectorClosed` follows when it has."""


class KeepDevices(Struct, frozen=True):
    """Writes the devices; `DevicesKept` follows."""

    content: bytes
    """What the file is to say; b"": it is removed, which a full disk does not hinder."""


class ShowLink(Struct, frozen=True):
    """Whether the platform is reached, for a connector that asks."""

    is_up: bool


ConnectorEvent = (
    Submitted
    | Committed
    | ConnectorOpened
    | ConnectorFailed
    | ConnectorClosed
    | Returned
    | Replied
    | AttributesAsked
    | DevicesKept
)
Event = SourceEvent | ConnectorEvent
ConnectorEffect = Settle | CallConnectorCode | CallBack | CloseConnector | KeepDevices | ShowLink
Effect = SourceEffect | ConnectorEffect
