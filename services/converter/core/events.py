"""What the converter's core hears and orders of users' code, the frames socket and the slot's poison file.

Users' code is not pure, and may never come back: it runs in **hosts**, processes of their own, one for each device that
has some. The core orders it by an effect and hears the result as an event, late or never; the built-in converter is
pure and the core runs it itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from common.config.models import Device, Rpc
from common.core.events import Arrived, Blocked, CommonEffect, Drain, Junk, Start, Tick, Writable
from common.wire.messages import UserReading


class Death(NamedTuple):
    """A frame that was in users' code when the process of that died, or was ended."""

    id: str
    """One per death, made of the names of the process that died. The `note` request carries it over all repeats."""
    device: str
    journal: str
    generation: int
    numbers: list[int]


class PullFrom(NamedTuple):
    """Effect: take frames from this endpoint, and from no other."""

    endpoint: str


class ForgetDeath(NamedTuple):
    """Effect: the reader knows of this death; strike it from the slot's poison file."""

    id: str


class ConvertWithUserCode(NamedTuple):
    """Effect: users' code converts `frames`, whose numbers begin with `first`; answered by `UserConverted`.

    The host may stop after any frame but the first, when its time slice is over; the core orders the rest later.
    With `answer_to`, `frames` is one frame, and it is converted as that RPC's answer as well.
    """

    job: int
    device: Device
    section: str
    journal: str
    generation: int
    first: int
    frames: list[bytes]
    answer_to: Rpc | None
    host: int = 0
    """The number of the host that does it; one that does not run yet is started. So in the orders below."""


class UserFrame(NamedTuple):
    """What users' code made of one frame: readings (none: nothing to publish), or why it is a dead letter."""

    readings: list[UserReading]
    error: str = ""


class UserConverted(NamedTuple):
    """Event: results of the first `len(frames)` (at least one) frames of a `ConvertWithUserCode`."""

    job: int
    frames: list[UserFrame]
    answer: tuple[object, str] | None = None
    """(value that JSON can carry, "") or (None, why there is none); for `answer_to`."""
    host: int = 0


class EncodeWithUserCode(NamedTuple):
    """Effect: a user's downlink converter makes bytes of params; answered by `UserAnswered`."""

    job: int
    device: Device
    section: str
    rpc: Rpc
    params: object
    host: int = 0
    called: tuple[str, str] = ("", "")
    """(name, type) by which the device was called, where a converter has named that; empty for its own."""


class DecodeWithUserCode(NamedTuple):
    """Effect: a user's uplink converter makes a value of an RPC's answer; answered by `UserAnswered`."""

    job: int
    device: Device
    section: str
    rpc: Rpc
    frame: bytes
    host: int = 0


class UserAnswered(NamedTuple):
    """Event: the bytes of an `EncodeWithUserCode` or the value of a `DecodeWithUserCode`, or `error`."""

    job: int
    value: Any
    error: str = ""
    host: int = 0


Order = ConvertWithUserCode | EncodeWithUserCode | DecodeWithUserCode


class EndHost(NamedTuple):
    """Effect: this host's process ends now, from outside, whatever it is in; followed by `HostEnded`."""

    host: int
    why: str


class HostLoading(NamedTuple):
    """Event: this host loads users' code, which takes its time and is no frame's fault."""

    host: int


class HostReady(NamedTuple):
    """Event: this host has loaded users' code and begins with its order."""

    host: int


class HostEnded(NamedTuple):
    """Event: this host's process is gone, or could not be started; nothing more comes from it."""

    host: int
    death: Death | None
    """The frame that it was in."""
    why: str


HostEvent = UserConverted | UserAnswered | HostLoading | HostReady | HostEnded
Event = Start | Tick | Drain | Arrived | Blocked | Writable | Junk | HostEvent
"""Not `Reconnected`: this shell does not watch for it; the next registration finds a new broker."""
Effect = CommonEffect | PullFrom | ForgetDeath | Order | EndHost
