"""What has happened lately, for whoever comes later: the newest events, of each device so many. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, get_args

Kind = Literal["device", "port", "platform", "process", "change", "log"]
"""What an event is about: a device and what comes of it, its port, the platform, a process, what somebody has changed
over HTTP, or what a process has logged as a warning or an error."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
EventLevel = Literal["info", "warning", "error"]
MOST_EVENTS: Final = 5_000
"""All together: what a person still reads, and 2 MiB of memory."""
MOST_OF_A_DEVICE: Final = 200
"""Of one device: one whose plug is loose is not to push out what has happened to all others."""
MOST_OF_THE_GATEWAY: Final = 1_000
"""Of those that are about no device."""
MOST_TEXT: Final = 500
"""Characters of an event's text; the log has the rest."""


class Happened(NamedTuple):
    """One thing that has happened."""

    ms: int
    """When, in milliseconds since 1970."""
    kind: Kind
    level: EventLevel
    device: str
    """The device, or hosted connector's stream; "" for none."""
    process: str
    """The address of the process that it is about, or that has said it; "" for none."""
    before: str
    """How it was before; "" where that is not known, or there is no such thing."""
    after: str
    """How it is since then; "" for what is said, and is no state."""
    text: str
    """The reason, or what was said: a sentence, or "" where there is nothing to say."""


class Event(NamedTuple):
    """What has happened, with its number: later ones have higher numbers, also those of a later monitor."""

    id: int
    what: Happened

    def show(self) -> dict[str, object]:
        """As JSON."""
        what = self.what
        return {
            "id": self.id,
            "ms": what.ms,
            "kind": what.kind,
            "level": what.level,
            "device": what.device,
            "process": what.process,
            "from": what.before,
            "to": what.after,
            "text": what.text,
        }


class Chronicle:
    """Keeps the newest events. `dropped` counts those that were pushed out."""

    def __init__(self, first_id: int) -> None:
        """`first_id`: higher than all numbers that were given before."""
        self._next_id = first_id
        self._events: OrderedDict[int, Event] = OrderedDict()
        self._of: dict[str, deque[int]] = {}
        """Device, or "" → its events, oldest first."""
        self.dropped = 0

    def add(self, happened: Iterable[Happened]) -> bool:
        """Keeps these; False for none."""
        begun = self._next_id
        for what in happened:
            event = Event(self._next_id, what._replace(text=_shortened(what.text)))
            self._next_id += 1
            self._events[event.id] = event
            own = self._of.setdefault(what.device, deque())
            own.append(event.id)
            if len(own) > (MOST_OF_A_DEVICE if what.device else MOST_OF_THE_GATEWAY):
                self._drop(own[0])
            elif len(self._events) > MOST_EVENTS:
                self._drop(next(iter(self._events)))
        return self._next_id > begun

    def _drop(self, number: int) -> None:
        """The oldest of a device, which the oldest of all is, too."""
        device = self._events.pop(number).what.device
        own = self._of[device]
        own.popleft()
        if not own:
            del self._of[device]
        self.dropped += 1

    @property
    def kept(self) -> tuple[Event, ...]:
        """All that are kept, oldest first."""
        return tuple(self._events.values())


def chosen(
    events: Sequence[Event], limit: int, *, device: str = "", kind: str = "", before: int | None = None
) -> tuple[list[Event], bool]:
    """The newest `limit` of some events (oldest first) that fit, newest first, and whether there are more. `before`: of
    those with lower numbers only."""
    found: list[Event] = []
    for event in reversed(events):
        if before is not None and event.id >= before:
            continue
        if (device and event.what.device != device) or (kind and event.what.kind != kind):
            continue
        if len(found) == limit:
            return found, True
        found.append(event)
    return found, False


def later(events: Sequence[Event], than: int, most: int) -> tuple[list[Event], int]:
    """The events (oldest first) with higher numbers, oldest first: the newest `most` of them, and how many more there
    are."""
    found: list[Event] = []
    for event in reversed(events):
        if event.id <= than:
            break
        found.append(event)
    return found[:most][::-1], max(0, len(found) - most)


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
