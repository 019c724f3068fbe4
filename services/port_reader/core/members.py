"""The devices on one line, each with a stream of its own: whose a frame is, and how it gets there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from common.config.models import Device
from common.core.events import Send
from common.stream.events import SetLineState, SourceEffect
from common.stream.items import Item, items_of
from common.stream.source import Source

Owner = Callable[[bytes], int]
"""Whose a frame is that nobody has asked for: a place among the devices."""
Placed = tuple[int, Item]
"""Entries, and the place of the device that they belong to."""


class LineKeeper(Protocol):
    """What the journal is to remember of a line."""

    def state_after_append(self, now_s: float) -> bytes:
        """The state that goes with an append, whose commit has room for it anyway."""
        ...

    def state_change(self, now_s: float) -> bytes | None:
        """The state if it needs a commit of its own now; None if not."""
        ...


class Members:
    """The devices on one line. Most lines have one; a bus has several.

    What the journal keeps about the line stands in the first device's alone: it is the line's, and two
    copies would contradict each other after a death between two commits.
    """

    def __init__(self, devices: Sequence[Device], source: Source, line: LineKeeper, owner: Owner | None) -> None:
        """`owner` None: all frames are the first device's."""
        self.devices = tuple(devices)
        self.names = ", ".join(device.name for device in devices)
        self._source = source
        self._line = line
        self._owner = owner if len(devices) > 1 else None

    def replace(self, place: int, device: Device) -> None:
        """The device at this place is configured so from now on; its name stays."""
        self.devices = (*self.devices[:place], device, *self.devices[place + 1 :])

    def follow(self, line: LineKeeper) -> None:
        """Another knows from now on what is to be remembered of the line."""
        self._line = line

    @property
    def is_unwritable(self) -> bool:
        """True while the journal that keeps the line's state can't be written."""
        return self._source.streams[0].uplink.is_down

    def place_of(self, device: str) -> int:
        """The place of a device by its name; the first where none has it."""
        return next((place for place, one in enumerate(self.devices) if one.name == device), 0)

    def of(self, device: str) -> Device:
        """The device of this name; the first where none has it."""
        return self.devices[self.place_of(device)]

    def placed(self, frames: list[bytes]) -> list[Placed]:
        """Frames as entries of the devices that they belong to, in order."""
        if self._owner is None:
            return [(0, item) for item in items_of(frames)]
        runs: list[tuple[int, list[bytes]]] = []
        for frame in frames:
            place = self._owner(frame)
            if runs and runs[-1][0] == place:
                runs[-1][1].append(frame)
            else:
                runs.append((place, [frame]))
        return [(place, item) for place, run in runs for item in items_of(run)]

    def put_frames(self, frames: list[bytes], clock_ms: int, now_s: float) -> list[SourceEffect]:
        """Frames to the streams that they belong to."""
        if self._owner is not None:
            return self.put(self.placed(frames), clock_ms, now_s)
        if not frames:
            return self.remember(now_s)
        commits = self._source.commit(items_of(frames), clock_ms, self._line.state_after_append(now_s), now_s)
        return [*commits, *self._source.move(now_s)]

    def put(
        self, entries: list[Placed], clock_ms: int, now_s: float, between: Sequence[Send] = ()
    ) -> list[SourceEffect]:
        """Entries to the streams that they belong to. Commits the entries, sends `between`, then sends the entries."""
        effects: list[SourceEffect] = []
        by_place: dict[int, list[Item]] = {}
        for place, item in entries:
            by_place.setdefault(place, []).append(item)
        for place, items in by_place.items():
            effects += self._source.commit(items, clock_ms, self._state(now_s, place), now_s, place)
        effects += [] if 0 in by_place else self.remember(now_s)
        effects += between
        for place in by_place:
            effects += self._source.move(now_s, place)
        return effects

    def put_each(
        self, items: Callable[[Device], Item], clock_ms: int, now_s: float, concerns: Callable[[int], bool]
    ) -> list[SourceEffect]:
        """One entry to the stream of each device that it concerns: what happened to the line has happened to all, as
        far as they were there."""
        placed = [(place, items(device)) for place, device in enumerate(self.devices) if concerns(place)]
        return self.put(placed, clock_ms, now_s)

    def line_state(self, now_s: float) -> bytes:
        """What is to be remembered of the line now."""
        return self._line.state_after_append(now_s)

    def remember(self, now_s: float) -> list[SourceEffect]:
        """What the journal has to know about the line though no entry goes along."""
        state = self._line.state_change(now_s)
        return [] if state is None else [SetLineState(state)]

    def _state(self, now_s: float, place: int) -> bytes:
        """What goes with an append to this device's journal."""
        return b"" if place else self._line.state_after_append(now_s)
