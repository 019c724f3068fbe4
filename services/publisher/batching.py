"""What goes into the next publish: lanes per device, many devices in one message, one unaccepted publish per device.
Pure.

A `Parcel` is one publish. Telemetry, then attributes of a lane go out in turn; `connect` and `disconnect` stand where
the stream has them. Whatever was made of a run's numbers (telemetry of its device, attributes, readings of other
devices) has to be accepted before the run is settled; `services.publisher.ordering` keeps that count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from common.messages import Entry, ReadingBody, UserReading
from services.publisher.lanes import (
    Attributes,
    AttributesPart,
    Chunk,
    Kind,
    Lane,
    MarkPart,
    Part,
    Segment,
    TelemetryPart,
)
from services.publisher.ordering import Release, Run
from services.publisher.platforms import Outgoing, Platform

DEFAULT_TYPE: Final = "default"
BRACKETS_BYTES: Final = 2
"""`{` and `}` around a message."""
NAME_BYTES: Final = 4
"""`:[`, `]` and a comma for each device of a message."""
LEAST_ROOM_BYTES: Final = 64
"""For values, whatever the limit and the device's name leave."""


class Packing(NamedTuple):
    """When and how full a message goes out."""

    limit_bytes: int
    most: int
    """Readings in one message."""
    delay_s: float
    """How long a reading may wait for others while another publish is in flight."""


ParcelKind = Literal["connect", "disconnect", "telemetry", "attributes", "reply"]


class Parcel(NamedTuple):
    """One publish and what it says. A `reply` (also a question to the platform) belongs to no lane."""

    kind: ParcelKind
    message: Outgoing
    parts: tuple[Part, ...] = ()
    items: int = 0
    """Telemetry items in it."""

    @property
    def lanes(self) -> list[Lane]:
        """Its devices, each once, in order."""
        return list(dict.fromkeys(part.lane for part in self.parts))

    @property
    def records(self) -> int:
        """How many things it holds that can be accepted or refused by themselves."""
        if self.kind == "attributes":
            return sum(len(part.taken.values) for part in self.parts if isinstance(part, AttributesPart))
        return self.items or 1

    @property
    def is_data(self) -> bool:
        return self.kind in ("telemetry", "attributes")


class Batching:
    """All lanes, and which of them have something to publish."""

    def __init__(self, platform: Platform, types: Mapping[str, str], bury: Callable[[Run, int, str], None]) -> None:
        self._platform = platform
        self._types = types
        self._bury = bury
        """Called with (run, number, reason) for each dead letter made here."""
        self.lanes: dict[str, Lane] = {}
        self.marks: dict[Lane, float] = {}
        """Lanes that wait to say connect or disconnect, and since when."""
        self.data: dict[Lane, float] = {}
        """Lanes that have telemetry or attributes to publish, and since when; the longest waiting first."""

    def lane(self, name: str, device_type: str = "") -> Lane:
        """The lane of a device, begun where it is new."""
        lane = self.lanes.get(name)
        if lane is None:
            kind = device_type or self._types.get(name, DEFAULT_TYPE)
            lane = self.lanes[name] = Lane(name, self._platform.quote(name), kind)
        return lane

    def add(self, release: Release, device: str, now_s: float) -> None:
        """Queues what a run says. A run that says nothing is done at once."""
        run, kind, body = release
        lane = self.lane(device)
        lane.source = device
        if kind is Entry.OPENED:
            lane.segments.append(Segment("connect", body.device_type or self._types.get(device, ""), (run,)))
        elif kind is Entry.LOST:
            lane.segments.append(Segment("disconnect", runs=(run,)))
            self._end_named_by(device, now_s)
        else:
            self._add_readings(lane, run, body, now_s)
        self.touch(lane, now_s)

    def _end_named_by(self, source: str, now_s: float) -> None:
        """The devices that a user's converter has named in this device's readings are gone with it."""
        for lane in self.lanes.values():
            if lane.source == source and lane.name != source and (lane.open or lane.has_data):
                lane.segments.append(Segment("disconnect"))
                self.touch(lane, now_s)

    def _add_readings(self, lane: Lane, run: Run, body: ReadingBody, now_s: float) -> None:
        run.holds += 1
        for index, readings in body.user.items():
            number = run.first + index
            for reading in readings:
                self._add_user_reading(lane.name, run, number, ts_ms=body.ts_ms[index], reading=reading, now_s=now_s)
        if body.attributes:
            self._add_attributes(lane, run, body.attributes, run.end - 1)
        chunk = Chunk(run, self._platform.entries(body.ts_ms, body.telemetry), range(run.first, run.end), holds=False)
        if chunk.live:
            lane.segments[-1].chunks.append(chunk)
        else:
            run.done = run.end
        run.holds -= 1
        run.stream.advance()

    def _add_user_reading(
        self, source: str, run: Run, number: int, *, ts_ms: int, reading: UserReading, now_s: float
    ) -> None:
        lane = self.lane(reading.device, reading.device_type)
        lane.source = source
        if reading.device != source and reading.device_type:
            lane.device_type = reading.device_type
        times = [ts_ms if ts is None else ts for ts, _ in reading.telemetry]
        entries = self._platform.entries(times, [values for _, values in reading.telemetry])
        if any(entries):
            run.holds += 1
            lane.segments[-1].chunks.append(Chunk(run, entries, [number] * len(entries), holds=True))
        if reading.attributes:
            self._add_attributes(lane, run, reading.attributes, number)
        self.touch(lane, now_s)

    def _add_attributes(self, lane: Lane, run: Run, attributes: bytes, number: int) -> None:
        values = self._platform.keys(attributes)
        if values is None:
            self._bury(run, number, "attributes are no JSON object")
        elif values:
            waiting = lane.segments[-1].attributes
            waiting.values.update(values)
            waiting.runs.append(run)
            run.holds += 1

    def touch(self, lane: Lane, now_s: float) -> None:
        """Looks again at what a lane has to publish; to be called after anything about it has changed."""
        kind = None if lane.busy else lane.kind
        self._list(self.marks, lane, kind in ("connect", "disconnect"), now_s)
        self._list(self.data, lane, kind in ("telemetry", "attributes"), now_s)

    @staticmethod
    def _list(listed: dict[Lane, float], lane: Lane, wanted: bool, now_s: float) -> None:
        if not wanted:
            listed.pop(lane, None)
        elif lane not in listed:
            listed[lane] = now_s

    def is_full(self, lanes: list[Lane], packing: Packing) -> bool:
        """True if these lanes have enough for a full message."""
        count = size = 0
        for lane in lanes:
            more, bytes_more = lane.waiting
            count += more
            size += bytes_more
            if count >= packing.most or size >= packing.limit_bytes:
                return True
        return False

    def pack_mark(self, lane: Lane) -> Parcel:
        """The publish of a lane's `connect` or `disconnect`."""
        head = lane.segments[0]
        if lane.kind == "disconnect":
            head.mark = None
            return self._send(
                "disconnect", self._platform.disconnect(lane.quoted), [MarkPart(lane, "disconnect", head)]
            )
        segment = None
        if head.mark == "connect":
            lane.device_type = head.device_type or lane.device_type
            head.mark, segment = None, head
        message = self._platform.connect(lane.quoted, lane.device_type)
        return self._send("connect", message, [MarkPart(lane, "connect", segment)])

    def pack(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
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
        return self._send("telemetry", self._platform.telemetry(payload), parts, count)

    def _make_fit(self, lane: Lane, space: int) -> bool:
        """Splits the lane's first item where it is above the limit; False if nothing of it can be published."""
        chunk = next(chunk for chunk in lane.segments[0].chunks if chunk.live)
        index = next(index for index in range(chunk.pos, len(chunk.entries)) if chunk.entries[index])
        if len(chunk.entries[index]) + 1 <= space:
            return True
        split = self._platform.split(chunk.entries[index], space - 1)
        if split.too_large:
            keys = ", ".join(split.too_large[:5])
            self._bury(chunk.run, chunk.numbers[index], f"larger than the platform's limit: {keys}")
        chunk.replace(index, split.entries)
        return bool(split.entries)

    def _pack_attributes(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
        room = packing.limit_bytes - BRACKETS_BYTES
        parts: list[Part] = []
        payload: list[tuple[bytes, dict[str, bytes]]] = []
        for lane in lanes:
            if lane.kind != "attributes":
                continue
            room -= len(lane.quoted) + NAME_BYTES
            if not payload:
                room = max(room, LEAST_ROOM_BYTES)
                self._drop_large_attributes(lane, room)
            taken, size = self._take_attributes(lane, room)
            if not taken.values:
                break
            room -= size
            parts.append(AttributesPart(lane, lane.segments[0], taken))
            payload.append((lane.quoted, taken.values))
        if not payload:
            return None
        return self._send("attributes", self._platform.attributes(payload), parts)

    def _take_attributes(self, lane: Lane, room: int) -> tuple[Attributes, int]:
        waiting = lane.segments[0].attributes
        taken = Attributes()
        size = 0
        for key, value in waiting.values.items():
            size_now = size + _attribute_bytes(self._platform, key, value)
            if size_now > room or len(taken.values) == lane.standing.cap:
                break
            taken.values[key] = value
            size = size_now
        for key in taken.values:
            del waiting.values[key]
        if not waiting.values:
            taken.runs, waiting.runs = waiting.runs, []
        return taken, size

    def _drop_large_attributes(self, lane: Lane, room: int) -> None:
        waiting = lane.segments[0].attributes
        large = [key for key, value in waiting.values.items() if _attribute_bytes(self._platform, key, value) > room]
        for key in large:
            self.bury_attribute(waiting, key, f"larger than the platform's limit: {key}")

    def bury_attribute(self, attributes: Attributes, key: str, reason: str) -> None:
        """Drops one attribute; the last number of the last run that said it becomes the dead letter."""
        del attributes.values[key]
        self._bury(attributes.runs[-1], attributes.runs[-1].end - 1, reason)
        if not attributes.values:
            attributes.accept()
            attributes.runs = []

    def _send(self, kind: Kind, message: Outgoing, parts: list[Part], count: int = 0) -> Parcel:
        parcel = Parcel(kind, message, tuple(parts), count)
        for lane in parcel.lanes:
            lane.busy = True
            lane.unaccepted += 1
            if parcel.is_data:
                lane.attributes_next = kind == "telemetry"
            self.marks.pop(lane, None)
            self.data.pop(lane, None)
        return parcel

    def bury_head(self, parcel: Parcel, reason: str) -> None:
        """Makes the one record of a parcel that was given back a dead letter."""
        part = parcel.parts[0]
        if isinstance(part, AttributesPart):
            self.bury_attribute(part.segment.attributes, next(iter(part.taken.values)), reason)
            return
        for part in parcel.parts:
            if isinstance(part, TelemetryPart) and (index := _first_live(part)) is not None:
                self._bury(part.chunk.run, part.chunk.numbers[index], reason)
                part.chunk.replace(index, [])

    def answer(self, parcel: Parcel, now_s: float) -> None:
        """The platform has taken the parcel: its lanes may go on, though it may not be accepted for good yet."""
        for lane in parcel.lanes:
            lane.busy = False
            if parcel.kind == "connect":
                lane.announced = lane.open = True
            elif parcel.kind == "disconnect":
                lane.announced = lane.open = False
            self.touch(lane, now_s)

    def accept(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is accepted for good."""
        for part in parcel.parts:
            part.accept()
        for lane in parcel.lanes:
            lane.unaccepted -= 1
            self.touch(lane, now_s)

    def give_back(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is not accepted: what it says is first in its lanes again. Latest parcel first."""
        for part in reversed(parcel.parts):
            part.give_back()
        for lane in parcel.lanes:
            lane.busy = False
            lane.unaccepted -= 1
            self.touch(lane, now_s)

    def forget_announcements(self, now_s: float) -> None:
        """A new connection: every device that is open has to be announced again."""
        for lane in self.lanes.values():
            lane.announced = False
            self.touch(lane, now_s)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to publish and nothing unaccepted."""
        return not any(lane.unaccepted or lane.has_data for lane in self.lanes.values())


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


def _attribute_bytes(platform: Platform, key: str, value: bytes) -> int:
    return len(platform.quote(key)) + len(value) + 2
