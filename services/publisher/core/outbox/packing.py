"""How full a publish is: takes from lanes what fits one message, splits what does not, buries what never will. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from services.publisher.core.dialects import Dialect
from services.publisher.core.ordering import Run
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.parcels import (
    AttributesPart,
    MarkPart,
    Parcel,
    Part,
    TelemetryPart,
)
from services.publisher.core.outbox.segments import Attributes

BRACKETS_BYTES: Final = 2
"""`{` and `}` around a message."""
NAME_BYTES: Final = 4
"""`:[`, `]` and a comma for each device of a message."""
LEAST_ROOM_BYTES: Final = 64
"""For values, whatever the limit and the device's name leave."""
Bury = Callable[[Run, int, str], None]
"""Called with (run, number, reason) for each dead letter."""


class Packing(NamedTuple):
    """When and how full a message goes out."""

    limit_bytes: int
    most: int
    """Readings, or attributes, in one message."""
    delay_s: float
    """How long a reading may wait for others while another publish is in flight."""


class Packer:
    """Makes parcels. What it takes from a lane is gone there until the parcel is given back."""

    def __init__(self, dialect: Dialect, bury: Bury) -> None:
        self._dialect = dialect
        self._bury = bury

    def take_mark(self, lane: Lane) -> Parcel:
        """The publish of a lane's `connect` or `disconnect`."""
        head = lane.segments[0]
        if lane.kind == "disconnect":
            head.mark = None
            return Parcel("disconnect", self._dialect.disconnect(lane.quoted), (MarkPart(lane, "disconnect", head),))
        segment = None
        if head.mark == "connect":
            lane.device_type = head.device_type or lane.device_type
            head.mark, segment = None, head
        message = self._dialect.connect(lane.quoted, lane.device_type)
        return Parcel("connect", message, (MarkPart(lane, "connect", segment),))

    def take(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
        """The next publish of data: of the first lane, and of the others where they fit. None if there was only what
        has now become a dead letter."""
        kind = lanes[0].kind
        if kind == "telemetry":
            return self._pack_telemetry(lanes, packing)
        return self._pack_attributes(lanes, packing) if kind == "attributes" else None

    def _pack_telemetry(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
        room = packing.limit_bytes - BRACKETS_BYTES
        count = 0
        parts: list[Part] = []
        payload: list[tuple[bytes, list[bytes]]] = []
        for lane in lanes:
            most = min(packing.most - count, lane.standing.cap or packing.most)
            space = room - len(lane.quoted) - NAME_BYTES
            if not payload:
                space = max(space, LEAST_ROOM_BYTES)
            if most < 1 or space < 1:
                break
            if lane.kind != "telemetry":
                continue
            if not payload and not self._make_fit(lane, space):
                return None
            taken, entries = _take_telemetry(lane, space, most)
            if entries:
                parts += taken
                payload.append((lane.quoted, entries))
                count += len(entries)
                room = space - sum(map(len, entries)) - len(entries)
        if not payload:
            return None
        return Parcel("telemetry", self._dialect.telemetry(payload), tuple(parts), count)

    def _make_fit(self, lane: Lane, space: int) -> bool:
        """Splits the lane's first item where it is above the limit; False if nothing of it can be published."""
        chunk = next(chunk for chunk in lane.segments[0].chunks if chunk.live)
        index = next(index for index in range(chunk.pos, len(chunk.entries)) if chunk.entries[index])
        if len(chunk.entries[index]) + 1 <= space:
            return True
        split = self._dialect.split(chunk.entries[index], space - 1)
        if split.too_large:
            keys = ", ".join(split.too_large[:5])
            self._bury(chunk.run, chunk.numbers[index], f"larger than the platform's limit: {keys}")
        chunk.replace(index, split.entries)
        return bool(split.entries)

    def _pack_attributes(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
        room = packing.limit_bytes - BRACKETS_BYTES
        count = 0
        parts: list[Part] = []
        payload: list[tuple[bytes, dict[str, bytes]]] = []
        for lane in lanes:
            if lane.kind != "attributes":
                continue
            room -= len(lane.quoted) + NAME_BYTES
            if not payload:
                room = max(room, LEAST_ROOM_BYTES)
                self._drop_large_attributes(lane, room)
            taken, size = self._take_attributes(lane, room, packing.most - count)
            if not taken.values:
                break
            room -= size
            count += len(taken.values)
            parts.append(AttributesPart(lane, lane.segments[0], taken))
            payload.append((lane.quoted, taken.values))
        if not payload:
            return None
        return Parcel("attributes", self._dialect.attributes(payload), tuple(parts))

    def _take_attributes(self, lane: Lane, room: int, most: int) -> tuple[Attributes, int]:
        waiting = lane.segments[0].attributes
        taken = Attributes()
        size = 0
        most = min(most, lane.standing.cap or most)
        for key, value in waiting.values.items():
            size_now = size + _attribute_bytes(self._dialect, key, value)
            if size_now > room or len(taken.values) >= most:
                break
            taken.values[key] = value
            size = size_now
        for key in taken.values:
            del waiting.values[key]
        if taken.values and waiting.values:
            waiting.is_split = True
        elif taken.values:
            taken.runs, waiting.runs, waiting.is_split = waiting.runs, [], False
        return taken, size

    def _drop_large_attributes(self, lane: Lane, room: int) -> None:
        waiting = lane.segments[0].attributes
        large = [key for key, value in waiting.values.items() if _attribute_bytes(self._dialect, key, value) > room]
        for key in large:
            self._bury_attribute(waiting, key, f"larger than the platform's limit: {key}")

    def _bury_attribute(self, attributes: Attributes, key: str, reason: str) -> None:
        """Drops one attribute; the last number of the last run that said it becomes the dead letter. Its runs are held
        until everything before is accepted; see `Lane`."""
        del attributes.values[key]
        self._bury(attributes.runs[-1], attributes.runs[-1].end - 1, reason)

    def bury_head(self, parcel: Parcel, reason: str) -> None:
        """Makes the one record of a parcel that was given back a dead letter."""
        part = parcel.parts[0]
        if isinstance(part, AttributesPart):
            self._bury_attribute(part.segment.attributes, next(iter(part.taken.values)), reason)
            return
        for part in parcel.parts:
            if isinstance(part, TelemetryPart) and (index := _first_live(part)) is not None:
                self._bury(part.chunk.run, part.chunk.numbers[index], reason)
                part.chunk.replace(index, [])


def is_full(lanes: list[Lane], packing: Packing) -> bool:
    """True if these lanes have enough for a full message."""
    count = size = 0
    for lane in lanes:
        more, bytes_more = lane.waiting
        count += more
        size += bytes_more
        if count >= packing.most or size >= packing.limit_bytes:
            return True
    return False


def _take_telemetry(lane: Lane, space: int, most: int) -> tuple[list[Part], list[bytes]]:
    """As many of a lane's items as fit into `space` bytes; takes nothing if no item fits."""
    head = lane.segments[0]
    taken: list[Part] = []
    entries: list[bytes] = []
    while head.chunks and most > 0:
        chunk = head.chunks[0]
        start, stop = chunk.pos, chunk.reach(space, most)
        if stop == start:
            break
        passed = chunk.go_to(stop)
        taken.append(TelemetryPart(lane, head, chunk, start, stop))
        entries += passed
        most -= len(passed)
        space -= sum(map(len, passed)) + len(passed)
        if stop < len(chunk.entries):
            break
        head.chunks.popleft()
    if not entries:
        for part in reversed(taken):
            part.give_back()
        return [], []
    return taken, entries


def _first_live(part: TelemetryPart) -> int | None:
    return next((index for index in range(part.start, part.stop) if part.chunk.entries[index]), None)


def _attribute_bytes(dialect: Dialect, key: str, value: bytes) -> int:
    return len(dialect.quote(key)) + len(value) + 2
