"""How full a publish is: takes from lanes what fits one message, splits what does not, buries what never will. Pure.

Sizes are counted before anything is written: the dialect's `shape` says what its syntax costs. They are upper bounds,
so that no message is larger than the limit, unless that leaves less than `LEAST_ROOM_BYTES` beside a device's name.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple

from common.core.dead_kinds import TOO_LARGE
from services.publisher.core.dialects import Dialect
from services.publisher.core.outbox.dead_letters import DeadLetters
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.parcels import AttributesPart, Parcel, Part, TelemetryPart
from services.publisher.core.outbox.segments import Attributes

LEAST_ROOM_BYTES: Final = 64
"""For values, whatever the limit and the device's name leave."""


class Packing(NamedTuple):
    """When and how full a message of data goes out."""

    limit_bytes: int
    """Largest payload."""
    most_readings: int
    """Telemetry items in one message."""
    most_attributes: int
    """Attributes in one message."""
    most_devices: int | None
    """Devices in one message; None: as many as fit."""
    delay_s: float
    """How long a reading may wait for others while another publish is in flight."""
    most_points: int | None = None
    """Values in one message, where the platform counts them; None: any number."""


class Refused(NamedTuple):
    """What the platform will never take: a device's telemetry of one number, or one of its attributes."""

    device: str
    number: int = 0
    key: str | None = None
    """The attribute; None for telemetry."""


class Packer:
    """Makes parcels. What it takes from a lane is gone there until the parcel is given back."""

    def __init__(self, dialect: Dialect, dead_letters: DeadLetters) -> None:
        self._dialect = dialect
        self._shape = dialect.shape
        self._dead_letters = dead_letters

    def take(self, lanes: list[Lane], packing: Packing, now_s: float) -> Parcel | None:
        """The next publish of data: of the first lane, and of the others where they fit. None if there was only what
        has now become a dead letter."""
        # A message holds telemetry or attributes; lanes that have the other kind to say wait for their own.
        kind = lanes[0].kind
        if kind == "telemetry":
            return self._pack_telemetry(lanes, packing, now_s)
        return self._pack_attributes(lanes, packing, now_s) if kind == "attributes" else None

    def _pack_telemetry(self, lanes: list[Lane], packing: Packing, now_s: float) -> Parcel | None:
        """Fills a message lane by lane. The first lane always gets in: its first item is split if need be."""
        room = packing.limit_bytes - self._shape.around_bytes
        device_bytes, most_readings = self._shape.device_bytes, packing.most_readings
        count = points = 0
        parts: list[Part] = []
        payload: list[tuple[bytes, list[bytes]]] = []
        for lane in lanes:
            most = min(most_readings - count, lane.standing.cap or most_readings)
            space = room - len(lane.label) - device_bytes
            if not payload:
                space = max(space, LEAST_ROOM_BYTES)
            if most < 1 or space < 1:
                break
            if lane.kind != "telemetry":
                continue
            if not payload and not self._make_fit(lane, space, packing.most_points, now_s):
                return None
            if packing.most_points is not None:
                most = self._within(lane, most, packing.most_points - points)
            taken, entries = _take_telemetry(lane, space, most)
            if packing.most_points is not None:
                points += sum(map(self._dialect.points, entries))
            if entries:
                parts += taken
                payload.append((lane.label, entries))
                count += len(entries)
                room = space - sum(map(len, entries)) - len(entries)
        if not payload:
            return None
        return Parcel("telemetry", self._dialect.telemetry(payload), tuple(parts), count, points)

    def first_points(self, lane: Lane) -> int:
        """How many values the first thing has that the lane would publish."""
        for items in lane.segments[0].items if lane.kind == "telemetry" else ():
            for entry in islice(items.entries, items.pos, None):
                if entry:
                    return self._dialect.points(entry)
        return 1

    def _within(self, lane: Lane, most: int, room: int) -> int:
        """How many of a lane's items, at most `most`, have together no more values than there is room for."""
        count = 0
        for items in lane.segments[0].items:
            for entry in filter(None, islice(items.entries, items.pos, None)):
                room -= self._dialect.points(entry)
                if count == most or room < 0:
                    return count
                count += 1
        return count

    def _make_fit(self, lane: Lane, space: int, most_points: int | None, now_s: float) -> bool:
        """Splits the lane's first item where it is above a limit; False if nothing of it can be published."""
        items = next(items for items in lane.segments[0].items if items.live)
        index = next(index for index in range(items.pos, len(items.entries)) if items.entries[index])
        entry = items.entries[index]
        if len(entry) + 1 <= space and (most_points is None or self._dialect.points(entry) <= most_points):
            return True
        split = self._dialect.split(entry, space - 1, most_points)
        if split.too_large:
            keys = ", ".join(split.too_large[:5])
            reason = f"{TOO_LARGE}: {keys}"
            self._dead_letters.bury(items.run, items.numbers[index], reason, now_s)
        items.replace(index, split.entries)
        return bool(split.entries)

    def _pack_attributes(self, lanes: list[Lane], packing: Packing, now_s: float) -> Parcel | None:
        """Fills a message lane by lane, and stops at the first lane of which nothing fits."""
        room = packing.limit_bytes - self._shape.around_bytes
        count = 0
        parts: list[Part] = []
        payload: list[tuple[bytes, dict[str, bytes]]] = []
        for lane in lanes:
            if lane.kind != "attributes":
                continue
            room -= len(lane.label) + self._shape.device_bytes
            if not payload:
                room = max(room, LEAST_ROOM_BYTES)
                self._drop_large_attributes(lane, room, now_s)
            taken, size = self._take_attributes(lane, room, packing.most_attributes - count)
            if not taken.values:
                break
            room -= size
            count += len(taken.values)
            parts.append(AttributesPart(lane, lane.segments[0], taken))
            payload.append((lane.label, taken.values))
        if not payload:
            return None
        return Parcel("attributes", self._dialect.attributes(payload), tuple(parts))

    def _take_attributes(self, lane: Lane, room: int, most: int) -> tuple[Attributes, int]:
        """(as many of a lane's attributes as fit, their bytes). With the last of them go the runs that said them: while
        some are left, the runs wait for those."""
        waiting = lane.segments[0].attributes
        taken = Attributes()
        size = 0
        most = min(most, lane.standing.cap or most)
        for key, value in waiting.values.items():
            size_now = size + self._dialect.attribute_bytes(key, value)
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

    def _drop_large_attributes(self, lane: Lane, room: int, now_s: float) -> None:
        """An attribute can't be split, so one that fills more than a message alone is a dead letter."""
        waiting = lane.segments[0].attributes
        large = [key for key, value in waiting.values.items() if self._dialect.attribute_bytes(key, value) > room]
        for key in large:
            self._bury_attribute(waiting, key, f"{TOO_LARGE}: {key}", now_s)

    def _bury_attribute(self, attributes: Attributes, key: str, reason: str, now_s: float) -> None:
        """Drops one attribute; the last number of the last run that said it becomes the dead letter. Its runs are held
        until everything before is accepted; see `LaneTable.settle`."""
        del attributes.values[key]
        if not attributes.runs:
            return  # No reading said it: it is ours, of whose device this is.
        self._dead_letters.bury(attributes.runs[-1], attributes.runs[-1].end - 1, reason, now_s)

    def bury_head(self, parcel: Parcel, reason: str, now_s: float) -> list[Refused]:
        """Makes the one record of a parcel that was given back a dead letter; what that was."""
        part = parcel.parts[0]
        if isinstance(part, AttributesPart):
            key = next(iter(part.taken.values))
            self._bury_attribute(part.segment.attributes, key, reason, now_s)
            return [Refused(part.lane.name, key=key)]
        found: list[Refused] = []
        # Parts before it may hold items that say nothing.
        for part in parcel.parts:
            if isinstance(part, TelemetryPart) and (index := _first_live(part)) is not None:
                number = part.items.numbers[index]
                self._dead_letters.bury(part.items.run, number, reason, now_s)
                part.items.replace(index, [])
                found.append(Refused(part.lane.name, number))
        return found


def is_full(lanes: list[Lane], packing: Packing) -> bool:
    """True if these lanes have enough for a full message, so that to wait for more would be of no use."""
    count = size = 0
    for lane in lanes:
        more, bytes_more = lane.waiting
        count += more
        size += bytes_more
        if count >= packing.most_readings or size >= packing.limit_bytes:
            return True
    return False


def _take_telemetry(lane: Lane, space: int, most: int) -> tuple[list[Part], list[bytes]]:
    """(parts, items): as many of a lane's items as fit into `space` bytes, at most `most`, in order. Takes nothing if
    no item fits. Whole runs go at once where they fit, which is the common case and costs nothing per item."""
    head = lane.segments[0]
    taken: list[Part] = []
    entries: list[bytes] = []
    while head.items and most > 0:
        items = head.items[0]
        start, stop = items.pos, items.reach(space, most)
        if stop == start:
            break
        passed = items.go_to(stop)
        taken.append(TelemetryPart(lane, head, items, start, stop))
        entries += passed
        most -= len(passed)
        space -= sum(map(len, passed)) + len(passed)
        if stop < len(items.entries):
            break
        head.items.popleft()
    if not entries:
        for part in reversed(taken):
            part.give_back()
        return [], []
    return taken, entries


def _first_live(part: TelemetryPart) -> int | None:
    """The index of the part's first item that says something; None if there is none."""
    return next((index for index in range(part.start, part.stop) if part.items.entries[index]), None)
