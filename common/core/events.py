"""What every core hears and orders. Each service adds its own to it, and has a union of both.

A core is handed events one by one and answers each with effects, which its shell performs in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar, final

from msgspec import Struct

from common.wire.messages import Message, Plane, Reply

Level = Literal["debug", "info", "warning", "error"]


class Start(Struct, frozen=True):
    """The first event of every core."""


class Tick(Struct, frozen=True):
    """`next_deadline_s` has come, and everything that had arrived before it has been handled."""


class Drain(Struct, frozen=True):
    """SIGTERM or SIGINT: finish what is begun, then `Exit`."""


class Arrived(Struct, frozen=True):
    """A message came in on a plane."""

    plane: Plane
    message: Message


class Blocked(Struct, frozen=True):
    """A `Send` was not sent: the high-water mark is reached or nobody is connected. `Writable` follows."""

    plane: Plane
    message: Message


class Writable(Struct, frozen=True):
    """A plane that was blocked takes messages again."""

    plane: Plane


class Reconnected(Struct, frozen=True):
    """The calls plane has a connection again: to the same broker, or to another."""


class Junk(Struct, frozen=True):
    """Something that is no message of ours came in on a plane."""

    plane: Plane
    reason: str


class Send(Struct, frozen=True):
    """Effect: send now or hear `Blocked`; never a wait."""

    plane: Plane
    message: Message
    is_urgent: bool = False
    """Somebody waits for just this: what the process does next must not keep it waiting. A shell whose process has more
    to do may ignore it."""


def answer(message: Reply) -> Send:
    """Sends a reply to whoever waits for it."""
    return Send(Plane.CALLS, message, True)


class Note(Struct, frozen=True):
    """Effect: one log line, `event key=value …`."""

    level: Level
    event: str
    facts: dict[str, Any]


@final
class Exit(Struct, frozen=True):
    """Effect: leave the loop with this exit code."""

    code: int


CommonEvent = Start | Tick | Drain | Arrived | Blocked | Writable | Reconnected | Junk
"""What every core hears; the broker's has events of its own for what it sends."""
CommonEffect = Send | Note | Exit

Event_contra = TypeVar("Event_contra", contravariant=True)
Effect_co = TypeVar("Effect_co", covariant=True)


class Core(Protocol[Event_contra, Effect_co]):
    """What `common.io.loop` runs and what the simulation runs."""

    def handle(self, event: Event_contra, now_s: float) -> Sequence[Effect_co]:
        """The effects of an event, in the order in which they are to be performed."""
        ...

    @property
    def next_deadline_s(self) -> float | None:
        """When to send `Tick`, in the time of `now_s`; None for never."""
        ...
