"""What the converter's core hears and orders besides `common.events`: users' code, the frames socket, the slot's notes.

Users' code is not pure, so the core orders it by an effect and hears the result as an event; the built-in converter is
pure and the core runs it itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from common.config.models import Device, Rpc
from common.messages import UserReading


class PoisonNote(NamedTuple):
    """A frame that was in users' code when a converter process died."""

    id: str
    """One per death: the instance of the process that died. The `note` request carries it over all repeats."""
    device: str
    journal: str
    generation: int
    numbers: list[int]


class PullFrom(NamedTuple):
    """Effect: take frames from this endpoint, and from no other."""

    endpoint: str


class ForgetNote(NamedTuple):
    """Effect: the reader knows of this death; strike it from the slot's note file."""

    id: str


class ConvertWithUserCode(NamedTuple):
    """Effect: users' code converts `frames`, whose numbers begin with `first`; answered by `UserConverted`.

    The shell may stop after any frame but the first, when its time slice is over; the core orders the rest later.
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


class UserFrame(NamedTuple):
    """What users' code made of one frame: readings (none: nothing to publish), or why it is a dead letter."""

    readings: list[UserReading]
    error: str = ""


class UserConverted(NamedTuple):
    """Event: results of the first `len(frames)` (at least one) frames of a `ConvertWithUserCode`."""

    job: int
    frames: list[UserFrame]
    answer: tuple[Any, str] | None = None
    """(value that JSON can carry, "") or (None, why there is none); for `answer_to`."""


class EncodeWithUserCode(NamedTuple):
    """Effect: a user's downlink converter makes bytes of params; answered by `UserAnswered`."""

    job: int
    device: Device
    section: str
    rpc: Rpc
    params: Any


class DecodeWithUserCode(NamedTuple):
    """Effect: a user's uplink converter makes a value of an RPC's answer; answered by `UserAnswered`."""

    job: int
    device: Device
    section: str
    rpc: Rpc
    frame: bytes


class UserAnswered(NamedTuple):
    """Event: the bytes of an `EncodeWithUserCode` or the value of a `DecodeWithUserCode`, or `error`."""

    job: int
    value: Any
    error: str = ""
