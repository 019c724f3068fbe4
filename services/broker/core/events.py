"""What the broker's core hears and orders, beside `Start`, `Tick`, `Drain`, `Send` (its heartbeat), `Note` and `Exit`.

`parts` are the raw wire parts of a message, passed through so that forwarding encodes nothing; a test that runs the
core without a wire leaves them () and uses the message. A `route` is the ROUTER's name for one connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from common.core.events import Arrived, Drain, Exit, Junk, Note, Send, Start, Tick
from common.wire.messages import FrameBatch, Message, ReadingBatch

Parts = Sequence[bytes]
"""A message as it came from the wire: header and body."""


class FramesArrived(NamedTuple):
    """A port reader's batch."""

    batch: FrameBatch
    parts: Parts = ()


class ReadingsArrived(NamedTuple):
    """A converter's batch."""

    batch: ReadingBatch
    parts: Parts = ()


class CallArrived(NamedTuple):
    """A message on the ROUTER: `Register`, `Request` or `Reply`; anything else counts as junk."""

    route: bytes
    message: Message


class FramesBlocked(NamedTuple):
    """A `SendFrames` was not sent, with its own fields; nothing is sent to this converter before `FramesWritable`."""

    converter: str
    instance: str
    batch: FrameBatch
    parts: Parts
    order: int


class FramesWritable(NamedTuple):
    """A converter that was blocked takes batches again."""

    converter: str


class ReadingsBlocked(NamedTuple):
    """A `ForwardReadings` was not sent; nothing is sent to the publisher before `ReadingsWritable`."""

    batch: ReadingBatch
    parts: Parts = ()


class ReadingsWritable(NamedTuple):
    """The publisher takes readings again."""


class Unreachable(NamedTuple):
    """A `SendTo` was not sent: that connection is `gone`, or its queue is `full`."""

    route: bytes
    message: Message
    why: Literal["gone", "full"]


class SendTo(NamedTuple):
    """Effect: send on the ROUTER now, or hear `Unreachable`."""

    route: bytes
    message: Message


class OpenFrames(NamedTuple):
    """Effect: bind a PUSH socket for this converter at the endpoint of this name. A name is never used twice."""

    converter: str
    endpoint: str


class CloseFrames(NamedTuple):
    """Effect: close this converter's PUSH socket and forget what waits in it."""

    converter: str


class SendFrames(NamedTuple):
    """Effect: send on this converter's PUSH socket now, or hear `FramesBlocked` with the same fields."""

    converter: str
    instance: str
    batch: FrameBatch
    parts: Parts
    order: int
    """Where the batch stood among all; puts it back in its place."""


class RestFrames(NamedTuple):
    """Effect: take no frames before this time, unless a timer fires: what has come until then is taken together."""

    until_s: float


class ForwardReadings(NamedTuple):
    """Effect: send to the publisher now, or hear `ReadingsBlocked`."""

    batch: ReadingBatch
    parts: Parts = ()


Event = (
    Start
    | Tick
    | Drain
    | Arrived
    | Junk
    | FramesArrived
    | ReadingsArrived
    | CallArrived
    | FramesBlocked
    | FramesWritable
    | ReadingsBlocked
    | ReadingsWritable
    | Unreachable
)
"""Not `Blocked`, `Writable` and `Reconnected`: its heartbeat is sent or lost, and it is what the others connect to."""
Effect = Send | Note | Exit | SendTo | OpenFrames | CloseFrames | SendFrames | RestFrames | ForwardReadings
