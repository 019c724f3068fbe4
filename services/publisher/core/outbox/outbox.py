"""Everything that waits for the platform: a lane per device, and which of them have something to publish. Pure.

Many devices share a message, and each device has one unanswered publish at most. Telemetry of a lane goes out first,
attributes at its end or at every fifth turn; `connect` and `disconnect` stand where the stream has them.

All that was made of a run's numbers (telemetry of its device, attributes, readings of other devices) has to be accepted
before the run is settled, or superseded; `services.publisher.core.stream` keeps that count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from common.wire.calls import hosted_connector
from common.wire.messages import Entry, ReadingBody, UserReading
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect
from services.publisher.core.filtering import DeviceFilter
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.dead_letters import DeadLetters
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.packing import Packer, Packing
from services.publisher.core.outbox.parcels import MarkPart, Parcel
from services.publisher.core.outbox.reports import DeviceReports, Reported, Reports
from services.publisher.core.outbox.segments import Items, Segment
from services.publisher.core.strategies import NOTHING, Strategies, read_brought
from services.publisher.core.stream import ReadingStream, Release, Run

DEFAULT_TYPE: Final = "default"
SERIAL: Final = "serial"
"""The type of our own connectors."""
MOST_LANES: Final = 10_000
"""Devices of all lines together, those that users' converters name among them; each is 2 KiB here."""
SPARE_LANES: Final = 1_000
"""Room is made when no more than this are left, since saying goodbye to a device takes the platform a moment."""
FORGOTTEN_AT_ONCE: Final = 100
"""How many named devices are looked at, and make room, at a time: once for every half as many new ones."""
MOST_REFUSED: Final = 256
"""Devices that the heartbeat names as refused; more of them have one common cause."""
TOO_MANY: Final = f"users' converters have named more than {MOST_LANES} devices, and all have something to publish"


class Outbox:
    """All lanes, and which of them have something to publish.

    Whatever happens to a lane goes through the outbox, which updates the lane and looks at it again (`settle_head`).
    So `marks` and `data` are always right, and nobody else has to remember to bring them up to date.
    """

    def __init__(
        self,
        dialect: Dialect,
        types: Mapping[str, str],
        dead_letters: DeadLetters,
        counters: PublisherCounts,
        *,
        names: KeptNames,
        strategies: Mapping[str, Strategies] | None = None,
        device_filter: DeviceFilter | None = None,
        connectors: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """`types`: the device type of each configured device; `names` hears of each device that a converter names, and
        knows what the platform calls them. `strategies`: of configured devices that do not report all they say; None:
        nobody has any. `device_filter`: which are left out. `connectors`: the platform is told of each device whose
        connector it is, by the configured device that serves it; None: it is not. `kinds`: the type of each hosted
        connector; all others are serial."""
        self._filter = device_filter
        self._connectors = connectors
        self._kinds = kinds or {}
        self._dialect = dialect
        self._types = types
        self._dead_letters = dead_letters
        self._counters = counters
        self._names = names
        self._named = 0
        """Devices named anew while there was little room."""
        self._packer = Packer(dialect, dead_letters)
        self._reports = Reports(strategies, counters)
        self.lanes: dict[str, Lane] = {}
        self.marks: dict[Lane, float] = {}
        """Lanes that wait to say connect or disconnect, and since when."""
        self.data: dict[Lane, float] = {}
        """Lanes that have telemetry or attributes to publish, and since when; the longest waiting first."""

    # What arrives.

    def lane(self, name: str, device_type: str = "") -> Lane:
        """The lane of a device, begun where it is new."""
        lane = self.lanes.get(name)
        if lane is None:
            kind = device_type or self._types.get(name, DEFAULT_TYPE)
            lane = self.lanes[name] = Lane(name, self._dialect.label(self._names.shown(name)), kind)
        return lane

    def add(self, release: Release, device: str, now_s: float) -> None:
        """Queues what a run says. A run that says nothing is done at once."""
        run, kind, body = release
        if kind in (Entry.OPENED, Entry.LOST) and hosted_connector(device) is not None:
            self._hear_connector(run, kind, device, now_s)
            return
        # A hosted connector is no device that could be left out; its devices are looked at one by one.
        if self._filter is not None and hosted_connector(device) is None and self._filter.leaves_out(device, device):
            self._add_others(release, device, self._filter, now_s)
            return
        lane = self.lane(device)
        lane.source = device
        lane.is_ended = False
        if kind is Entry.OPENED:
            lane.queue_mark(Segment("connect", body.device_type or self._types.get(device, ""), (run,)))
            self._announce_named_by(device, now_s)
        elif kind is Entry.LOST:
            self._report_rest(lane, now_s)
            lane.queue_mark(Segment("disconnect", runs=(run,)))
            self._end_named_by(device, now_s)
        else:
            self._add_readings(lane, run, body, now_s)
        self.settle_head(lane, now_s)

    def _hear_connector(self, run: Run, kind: Entry, stream: str, now_s: float) -> None:
        """A hosted connector has begun or ended. It is no device itself; those that it serves are gone with it."""
        if kind is Entry.LOST:
            self._end_named_by(stream, now_s)
        run.done = run.end
        run.stream.advance()

    def _add_others(self, release: Release, device: str, device_filter: DeviceFilter, now_s: float) -> None:
        """Queues what a run of a device that is left out says of other devices. The rest counts as settled."""
        run, kind, body = release
        if kind is Entry.OPENED:
            self._announce_named_by(device, now_s)
        elif kind is Entry.LOST:
            self._end_named_by(device, now_s)
        else:
            device_filter.count(sum(map(bool, body.telemetry)) or bool(body.attributes))
        run.holds += 1
        for index, readings in body.user.items():
            for reading in readings:
                self._add_user_reading(
                    device, run, run.first + index, ts_ms=body.ts_ms[index], reading=reading, now_s=now_s
                )
        run.done = run.end
        run.holds -= 1
        run.stream.advance()

    def _end_named_by(self, source: str, now_s: float) -> None:
        """The devices that a user's converter has named in this device's readings are gone with it."""
        for lane in self.lanes.values():
            is_named = lane.source == source and lane.name != source
            if is_named and (lane.is_open or lane.has_data) and not lane.is_ending:
                self._end(lane, now_s)

    def _end(self, lane: Lane, now_s: float) -> None:
        """Says goodbye to a device behind all that waits for it."""
        self._report_rest(lane, now_s)
        lane.segments.append(Segment("disconnect"))
        lane.is_ended = True
        self.settle_head(lane, now_s)

    def _announce_named_by(self, source: str, now_s: float) -> None:
        """The devices that a user's converter has named in this device's readings, in this life of the publisher or in
        an earlier one, are there with it: the platform passes on only calls to devices that were announced."""
        for name, named in self._names.of(source):
            # A name may be older than the list that leaves its device out.
            if self._filter is not None and self._filter.leaves_out(name, source):
                continue
            lane = self.lanes.get(name)
            if lane is None:
                if len(self.lanes) >= MOST_LANES - SPARE_LANES:
                    return
                lane = self.lane(name, named.device_type)
                lane.source = source
            if lane.source == source and (lane.is_ended or not (lane.is_open or lane.has_data)):
                lane.segments.append(Segment("connect", lane.device_type))
                lane.is_ended = False
                self.settle_head(lane, now_s)

    def _add_readings(self, lane: Lane, run: Run, body: ReadingBody, now_s: float) -> None:
        run.holds += 1
        for index, readings in body.user.items():
            number = run.first + index
            for reading in readings:
                self._add_user_reading(lane.name, run, number, ts_ms=body.ts_ms[index], reading=reading, now_s=now_s)
        reports = self._reports.of(lane.name, lane.name)
        times, telemetry = body.ts_ms, body.telemetry
        numbers: Sequence[int] = range(run.first, run.end)
        if reports is not None:
            times, telemetry, numbers = reports.pass_run(run, times, telemetry, now_s)
        if body.attributes:
            self._add_attributes(lane, run, body.attributes, number=run.end - 1, now_s=now_s, reports=reports)
        items = Items(run, self._dialect.entries(times, telemetry), numbers, holds=False)
        if reports is not None:
            self._reports.look(reports)
        if items.live:
            lane.segments[-1].items.append(items)
        else:
            run.done = run.end
        run.holds -= 1
        run.stream.advance()

    def _add_user_reading(
        self, source: str, run: Run, number: int, *, ts_ms: int, reading: UserReading, now_s: float
    ) -> None:
        if reading.mark == "disconnect":
            self._withdraw(source, run, reading.device, now_s)
            return
        if self._filter is not None and self._filter.leaves_out(reading.device, source):
            self._filter.count(1)
            return
        if reading.device not in self.lanes and not self._has_room(now_s):
            self._counters["devices_refused"] += 1
            self._dead_letters.bury(run, number, TOO_MANY, now_s)
            return
        if reading.device != source and reading.device in self.lanes:
            # The one that was named longest ago stands first.
            self.lanes[reading.device] = self.lanes.pop(reading.device)
        lane = self.lane(reading.device, reading.device_type)
        lane.source = source
        was_ended, lane.is_ended = lane.is_ended, False
        was_type = lane.device_type
        if reading.device != source:
            lane.device_type = reading.device_type or lane.device_type
            self._names.learn(reading.device, source, reading.device_type, now_s)
        if reading.mark == "connect":
            is_there = not was_ended and (lane.is_open or lane.has_data)
            if not is_there or lane.device_type != was_type:
                run.holds += 1
                lane.segments.append(Segment("connect", lane.device_type, (run,), holds=True))
        reports = self._reports.of(lane.name, source, bool(reading.strategies))
        if reports is not None:
            reports.bring(read_brought(reading.strategies) if reading.strategies else NOTHING)
        if reports is None:
            times = [ts_ms if ts is None else ts for ts, _ in reading.telemetry]
            telemetry = [values for _, values in reading.telemetry]
        else:
            times, telemetry, _ = reports.pass_entries(run, number, ts_ms, reading.telemetry, now_s)
        entries = self._dialect.entries(times, telemetry)
        if any(entries):
            run.holds += 1
            lane.segments[-1].items.append(Items(run, entries, [number] * len(entries), holds=True))
        if reading.attributes:
            self._add_attributes(lane, run, reading.attributes, number=number, now_s=now_s, reports=reports)
        if reports is not None:
            reports.bring(NOTHING)
            self._reports.look(reports)
        self.settle_head(lane, now_s)

    def _withdraw(self, source: str, run: Run, device: str, now_s: float) -> None:
        """A hosted connector says that one of its devices is gone. One that another names by now stays."""
        lane = self.lanes.get(device)
        if lane is not None and lane.source != source:
            return
        self._names.forget(device, source, now_s)
        if lane is None or lane.is_ended or not (lane.is_open or lane.has_data or lane.unaccepted):
            return
        run.holds += 1
        lane.segments.append(Segment("disconnect", runs=(run,), holds=True))
        lane.is_ended = True
        self.settle_head(lane, now_s)

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
            if lane.name == lane.source or lane.name in self._types or lane.unaccepted or lane.has_data:
                continue
            looked_at += 1
            if lane.is_open:
                self._end(lane, now_s)
            else:
                del self.lanes[lane.name]
                self._counters["devices_forgotten"] += 1
            if looked_at >= FORGOTTEN_AT_ONCE:
                return

    def _add_attributes(
        self,
        lane: Lane,
        run: Run,
        attributes: bytes,
        *,
        number: int,
        now_s: float,
        reports: DeviceReports | None = None,
    ) -> None:
        values = self._dialect.keys(attributes)
        if values is None:
            self._dead_letters.bury(run, number, "attributes are no JSON object", now_s)
            return
        if reports is not None:
            values = reports.pass_attributes(run, number, values)
        if values:
            run.holds += 1
            lane.segments[-1].attributes.add(values, run)

    # What is reported without a frame.

    @property
    def report_due_s(self) -> float | None:
        """When a period ends at which something is to be reported; None where none runs."""
        return self._reports.next_due_s

    def report_due(self, now_s: float) -> None:
        """Queues what is reported because its period has ended."""
        for reports in self._reports.due(now_s):
            lane = self.lanes.get(reports.name)
            if lane is not None:
                self._add_reported(lane, reports, reports.take_due(now_s, self._is_reporting(lane)), now_s)
                self._reports.look(reports)

    def report_all(self, now_s: float) -> None:
        """Queues all that waits for the end of a period, since this process ends."""
        for reports in self._reports.end():
            lane = self.lanes.get(reports.name)
            if lane is not None:
                self._add_reported(lane, reports, reports.take_news(now_s), now_s)

    def _report_rest(self, lane: Lane, now_s: float) -> None:
        """A device is gone: what it has said and nobody has reported is queued before the goodbye."""
        reports = self._reports.of(lane.name, lane.source)
        if reports is not None:
            self._add_reported(lane, reports, reports.take_news(now_s), now_s)
            self._reports.forget(lane.name)

    @staticmethod
    def _is_reporting(lane: Lane) -> bool:
        """True while what was reported without a frame waits in the lane: it is not to pile up there."""
        return any(items.is_report for segment in lane.segments for items in segment.items)

    def _add_reported(self, lane: Lane, reports: DeviceReports, found: list[Reported], now_s: float) -> None:
        for run, number, at_ms, telemetry, attributes in found:
            if telemetry:
                run.holds += 1
                items = Items(run, self._dialect.entries([at_ms], [telemetry]), [number], holds=True, is_report=True)
                lane.segments[-1].items.append(items)
            if attributes:
                run.holds += 1
                lane.segments[-1].attributes.add(attributes, run)
        if found:
            reports.let_go()
            self.settle_head(lane, now_s)

    def forget(self, stream: ReadingStream, end: int, now_s: float) -> None:
        """Drops what this stream said below `end`: without this the time without a platform would fill the memory."""
        for lane in self.lanes.values():
            if stream.device in (lane.name, lane.source):
                lane.forget(stream, end)
                # What was to be reported may be among it.
                self._reports.forget(lane.name)
                self.settle_head(lane, now_s)

    # What changes which lanes have something to publish.

    def settle_head(self, lane: Lane, now_s: float) -> None:
        """Passes over what says nothing at the head of a lane, and lists the lane by what comes next.

        What says nothing (items that gave no telemetry or became dead letters, attributes of which none is left) counts
        as accepted, and segments that are empty end, but only when nothing before them is unaccepted: numbers settle in
        order. A lane with an unanswered publish is in no list.
        """
        if lane.sending != "idle":
            kind = None
        else:
            self._pass_empty(lane)
            kind = lane.kind
        self._list(self.marks, lane, kind in ("connect", "disconnect"), now_s)
        self._list(self.data, lane, kind in ("telemetry", "attributes"), now_s)

    @staticmethod
    def _pass_empty(lane: Lane) -> None:
        while True:
            head = lane.segments[0]
            if not lane.unaccepted:
                while head.items and not head.mark and not head.items[0].live:
                    items = head.items.popleft()
                    items.go_to(len(items.entries))
                    items.accept(len(items.entries))
                if head.attributes.runs and not head.attributes.values:
                    # All that was left of them has become dead letters.
                    head.attributes.accept()
            if len(lane.segments) == 1 or not head.is_empty:
                return
            lane.segments.popleft()

    @staticmethod
    def _list(listed: dict[Lane, float], lane: Lane, wanted: bool, now_s: float) -> None:
        if not wanted:
            listed.pop(lane, None)
        elif lane not in listed:
            listed[lane] = now_s

    def connected(self, device: str, now_s: float) -> None:
        """A device's port reader says that the device is there."""
        if self._filter is not None and self._filter.leaves_out(device, device):
            return
        lane = self.lane(device)
        if not lane.is_open and not lane.is_ended:
            lane.connected()
            self.settle_head(lane, now_s)
            if lane.is_open:
                self._announce_named_by(device, now_s)

    def dropped(self, lane: Lane, now_s: float) -> None:
        """The platform has ended the device's session."""
        lane.dropped()
        self.settle_head(lane, now_s)

    def fall_silent(self, lane: Lane, now_s: float) -> None:
        """A device has said nothing for so long that the platform is to take it for disconnected, until it does."""
        self._end(lane, now_s)

    def renamed(self, device: str, now_s: float) -> None:
        """The platform calls this device by another name from now on, under which it is announced."""
        lane = self.lanes.get(device)
        if lane is not None:
            lane.label = self._dialect.label(self._names.shown(device))
            self.dropped(lane, now_s)

    def deleted(self, device: str, now_s: float) -> None:
        """The platform knows this device no more: it is announced, and so created, with its next reading."""
        lane = self.lanes.get(device)
        if lane is not None:
            # What was reported is gone there: an unchanged value is news again.
            self._report_rest(lane, now_s)
            lane.label = self._dialect.label(self._names.shown(device))
            lane.deleted()
            self.settle_head(lane, now_s)

    def introduce(self, device: str, now_s: float) -> None:
        """The platform has accepted a device's announcement: the first time it is told whose it is."""
        lane = self.lanes.get(device)
        if self._connectors is None or lane is None or lane.is_introduced:
            return
        head = lane.segments[0]
        if not head.mark:
            lane.is_introduced = True
            kind = self._kinds.get(hosted_connector(lane.source) or "", SERIAL)
            values = self._dialect.introduction(self._connectors.get(lane.source, ""), kind)
            head.attributes.values = {**values, **head.attributes.values}
            self.settle_head(lane, now_s)

    def connection_begun(self, now_s: float) -> None:
        """A new connection to the platform: every device that is open has to be announced again."""
        self._reports.session_begun()
        for lane in self.lanes.values():
            lane.connection_begun()
            self.settle_head(lane, now_s)

    # What leaves, and what becomes of it.

    def pack_mark(self, lane: Lane, now_s: float) -> Parcel | None:
        """The publish of a lane's `connect` or `disconnect`. None where the platform is not told of such: then the mark
        counts as accepted, and the lane may have another thing to publish now."""
        kind, segment = lane.take_mark()
        dialect = self._dialect
        message = dialect.announce(lane.label, lane.device_type) if kind == "connect" else dialect.withdraw(lane.label)
        part = MarkPart(lane, kind, segment)
        if message is not None:
            return self._send(Parcel(kind, message, (part,)))
        lane.answered(kind)
        part.accept()
        self.settle_head(lane, now_s)
        return None

    def pack(self, lanes: list[Lane], packing: Packing, now_s: float) -> Parcel | None:
        """The next publish of data: of the first lane, and of the others where they fit. None if there was only what
        has now become a dead letter."""
        parcel = self._packer.take(lanes, packing, now_s)
        if parcel is None:
            self.settle_head(lanes[0], now_s)
            return None
        return self._send(parcel)

    def first_points(self, lane: Lane) -> int:
        """How many values the first thing has that a lane with data would publish."""
        return self._packer.first_points(lane)

    def _send(self, parcel: Parcel) -> Parcel:
        for lane in parcel.lanes:
            lane.sent(parcel.kind)
            self.marks.pop(lane, None)
            self.data.pop(lane, None)
        return parcel

    def bury_head(self, parcel: Parcel, reason: str, now_s: float) -> None:
        """Makes the one record of a parcel that was given back a dead letter."""
        self._packer.bury_head(parcel, reason, now_s)
        self.settle_head(parcel.lanes[0], now_s)

    def answer(self, parcel: Parcel, now_s: float) -> None:
        """The platform has taken the parcel: its lanes may go on, though it may not be accepted for good yet."""
        for lane in parcel.lanes:
            lane.answered(parcel.kind)
            self.settle_head(lane, now_s)

    def accept(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is accepted for good."""
        for part in parcel.parts:
            part.accept()
        for lane in parcel.lanes:
            lane.accepted()
            self.settle_head(lane, now_s)

    def give_back(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is not accepted: what it says is first in its lanes again. Latest parcel first."""
        for part in reversed(parcel.parts):
            part.give_back()
        for lane in parcel.lanes:
            lane.given_back()
            self.settle_head(lane, now_s)

    @property
    def refused(self) -> dict[str, str]:
        """Device that is kept back after refusals → why it was refused. One that has nothing to say is none of them."""
        refused = [lane for lane in (*self.marks, *self.data) if lane.standing.refusals]
        return {lane.name: lane.standing.refused_for for lane in refused[:MOST_REFUSED]}

    def is_announced(self, device: str, source: str) -> bool:
        """True if this connection has accepted the announcement of a device that `source` serves."""
        lane = self.lanes.get(device)
        return lane is not None and lane.source == source and lane.presence == "announced"

    def announced_by(self, source: str) -> list[str]:
        """The devices that `source` serves and that this connection knows."""
        return [lane.name for lane in self.lanes.values() if lane.source == source and lane.presence == "announced"]

    @property
    def left_out(self) -> dict[str, str]:
        """Device that is left out → the connector whose list denies it."""
        return self._filter.told if self._filter is not None else {}

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to publish and nothing unaccepted."""
        return not any(lane.unaccepted or lane.has_data for lane in self.lanes.values())
