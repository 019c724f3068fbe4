"""What every core hears and orders; each service adds its own. Cores: `handle(event, now_s) -> list[Effect]`."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

from common.wire.messages import Message, Plane

Level = Literal["debug", "info", "warning", "error"]


class Start(NamedTuple):
    """The first event of every core."""


class Tick(NamedTuple):
    """`next_deadline_s` has come, and everything that had arrived before it has been handled."""


class Drain(NamedTuple):
    """SIGTERM or SIGINT: finish what is begun, then `Exit`."""


class Arrived(NamedTuple):
    """A message came in on a plane."""

    plane: Plane
    message: Message


class Blocked(NamedTuple):
    """A `Send` was not sent: the high-water mark is reached or nobody is connected. `Writable` follows."""

    plane: Plane
    message: Message


class Writable(NamedTuple):
    """A plane that was blocked takes messages again."""

    plane: Plane


class Reconnected(NamedTuple):
    """The calls plane has a connection again: to the same broker, or to another."""


class Junk(NamedTuple):
    """Something that is no message of ours came in on a plane."""

    plane: Plane
    reason: str


class Send(NamedTuple):
    """Effect: send now or hear `Blocked`; never a wait."""

    plane: Plane
    message: Message


class Note(NamedTuple):
    """Effect: one log line, `event key=value …`."""

    level: Level
    event: str
    facts: dict[str, Any]


class Exit(NamedTuple):
    """Effect: leave the loop with this exit code."""

    code: int


class Core(Protocol):
    """What `common.io.loop` runs and what the simulation runs."""

    def handle(self, event: Any, now_s: float) -> list[Any]:
        """The effects of an event, in the order in which they are to be performed."""
        ...

    @property
    def next_deadline_s(self) -> float | None:
        """When to send `Tick`, in the time of `now_s`; None for never."""
        ...
