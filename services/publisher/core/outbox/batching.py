"""Which devices have something to publish: a lane per device, many devices in one message, one unaccepted publish per
device. Pure.

Telemetry of a lane goes out first, attributes at its end or at every fifth turn; `connect` and `disconnect` stand where
the stream has them. All that was made of a run's numbers (telemetry of its device, attributes, readings of other
devices) has to be accepted before the run is settled, or superseded; `services.publisher.core.ordering` keeps
that count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from common.wire.messages import Entry, ReadingBody, UserReading
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect
from services.publisher.core.ordering import Release, Run, Stream
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.packing import Bury, Packer, Packing
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.outbox.segments import Chunk, Segment

DEFAULT_TYPE: Final = "default"
MOST_LANES: Final = 10_000
"""Devices of all lines together, those that users' converters name among them; each is 2 KiB here."""
SPARE_LANES: Final = 1_000
"""So long before that room is made, for saying goodbye to a device takes the platform a moment."""
FORGOTTEN_AT_ONCE: Final = 100
"""Named devices that make room together, for each half as many new ones: looking at all of them takes time."""
TOO_MANY: Final = f"users' converters have named more than {MOST_LANES} devices, and all have something to publish"


class Batching:
    """All lanes, and which of them have something to publish."""

    def __init__(self, dialect: Dialect, types: Mapping[str, str], bury: Bury, counters: PublisherCounts) -> None:
        self._dialect = dialect
        self._types = types
        self._bury = bury
        self._counters = counters
        self._named = 0
        """Devices named anew while there was little room."""
        self._packer = Packer(dialect, bury)
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
            lane = self.lanes[name] = Lane(name, self._dialect.quote(name), kind)
        return lane

    def add(self, release: Release, device: str, now_s: float) -> None:
        """Queues what a run says. A run that says nothing is done at once."""
        run, kind, body = release
        lane = self.lane(device)
        lane.source = device
        lane.is_marked = lane.is_marked or kind in (Entry.OPENED, Entry.LOST)
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
            last = lane.segments[-1]
            is_ended = last.mark == "disconnect" and not last.chunks and not last.attributes.values
            if lane.source == source and lane.name != source and (lane.open or lane.has_data) and not is_ended:
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
        chunk = Chunk(run, self._dialect.entries(body.ts_ms, body.telemetry), range(run.first, run.end), holds=False)
        if chunk.live:
            lane.segments[-1].chunks.append(chunk)
        else:
            run.done = run.end
        run.holds -= 1
        run.stream.advance()

    def _add_user_reading(
        self, source: str, run: Run, number: int, *, ts_ms: int, reading: UserReading, now_s: float
    ) -> None:
        if reading.device not in self.lanes and not self._has_room(now_s):
            self._counters["devices_refused"] += 1
            self._bury(run, number, TOO_MANY)
            return
        if reading.device != source and reading.device in self.lanes:
            # The one that was named longest ago stands first.
            self.lanes[reading.device] = self.lanes.pop(reading.device)
        lane = self.lane(reading.device, reading.device_type)
        lane.source = source
        if reading.device != source and reading.device_type:
            lane.device_type = reading.device_type
        times = [ts_ms if ts is None else ts for ts, _ in reading.telemetry]
        entries = self._dialect.entries(times, [values for _, values in reading.telemetry])
        if any(entries):
            run.holds += 1
            lane.segments[-1].chunks.append(Chunk(run, entries, [number] * len(entries), holds=True))
        if reading.attributes:
            self._add_attributes(lane, run, reading.attributes, number)
        self.touch(lane, now_s)

    def _has_room(self, now_s: float) -> bool:
        """True if a device may be named anew."""
        if len(self.lanes) < MOST_LANES - SPARE_LANES:
            return True
        self._named += 1
        if self._named % (FORGOTTEN_AT_ONCE // 2) == 0:
            self._make_room(now_s)
        return len(self.lanes) < MOST_LANES

    def _make_room(self, now_s: float) -> None:
        """Forgets named devices that have been silent longest and have nothing here; those that the platform takes for
        connected are disconnected first."""
        looked_at = 0
        for lane in list(self.lanes.values()):
            if lane.name == lane.source or lane.name in self._types or lane.busy or lane.unaccepted or lane.has_data:
                continue
            looked_at += 1
            if lane.open or lane.announced:
                lane.segments.append(Segment("disconnect"))
                self.touch(lane, now_s)
            else:
                del self.lanes[lane.name]
                self._counters["devices_forgotten"] += 1
            if looked_at >= FORGOTTEN_AT_ONCE:
                return

    def _add_attributes(self, lane: Lane, run: Run, attributes: bytes, number: int) -> None:
        values = self._dialect.keys(attributes)
        if values is None:
            self._bury(run, number, "attributes are no JSON object")
        elif values:
            run.holds += 1
            lane.segments[-1].attributes.add(values, run)

    def forget(self, stream: Stream, end: int, now_s: float) -> None:
        """Drops what this stream said below `end`: without this the time without a platform would fill the memory."""
        for lane in self.lanes.values():
            if stream.device in (lane.name, lane.source):
                lane.forget(stream, end)
                self.touch(lane, now_s)

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

    def pack_mark(self, lane: Lane) -> Parcel:
        """The publish of a lane's `connect` or `disconnect`."""
        return self._send(self._packer.take_mark(lane))

    def pack(self, lanes: list[Lane], packing: Packing) -> Parcel | None:
        """The next publish of data: of the first lane, and of the others where they fit. None if there was only what
        has now become a dead letter."""
        parcel = self._packer.take(lanes, packing)
        return self._send(parcel) if parcel else None

    def _send(self, parcel: Parcel) -> Parcel:
        for lane in parcel.lanes:
            lane.busy = True
            lane.unaccepted += 1
            if parcel.is_data:
                lane.telemetry_run = lane.telemetry_run + 1 if parcel.kind == "telemetry" else 0
            self.marks.pop(lane, None)
            self.data.pop(lane, None)
        return parcel

    def bury_head(self, parcel: Parcel, reason: str) -> None:
        """Makes the one record of a parcel that was given back a dead letter."""
        self._packer.bury_head(parcel, reason)

    def answer(self, parcel: Parcel, now_s: float) -> None:
        """The platform has taken the parcel: its lanes may go on, though it may not be accepted for good yet."""
        for lane in parcel.lanes:
            lane.busy = False
            if parcel.kind == "connect":
                lane.open, lane.announced = True, not lane.is_void
            elif parcel.kind == "disconnect":
                lane.announced = lane.open = False
            lane.is_void = False
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
            lane.announced = lane.is_void = False
            self.touch(lane, now_s)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to publish and nothing unaccepted."""
        return not any(lane.unaccepted or lane.has_data for lane in self.lanes.values())
