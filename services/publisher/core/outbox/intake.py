"""What arrives, run by run: it is queued in the lanes of the devices that it speaks of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from common.core.dead_kinds import NO_ROOM
from common.wire.calls import hosted_connector
from common.wire.messages import Entry, ReadingBody, UserReading
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect
from services.publisher.core.filtering import DeviceFilter
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.dead_letters import DeadLetters
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.named import MOST_LANES, NamedDevices
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outbox.reports import DeviceReports
from services.publisher.core.outbox.segments import Items, Segment
from services.publisher.core.strategies import NOTHING, read_brought
from services.publisher.core.stream import ReadingStream, Release, Run

TOO_MANY: Final = f"{NO_ROOM} {MOST_LANES} devices, and all have something to publish"


class Intake:
    """Queues what streams say, but for what is left out and what a report strategy keeps back.

    What a run says is several things where its readings have attributes, or speak of other devices: each of these holds
    the run until it is accepted.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        dialect: Dialect,
        names: KeptNames,
        types: Mapping[str, str],
        dead_letters: DeadLetters,
        counters: PublisherCounts,
        device_filter: DeviceFilter | None = None,
    ) -> None:
        """`names` hears of each device that a converter names; `types`: the device type of each configured device;
        `device_filter`: which are left out."""
        self._table = outbox.table
        self._reports = outbox.reports
        self._reporting = outbox.reporting
        self._named = NamedDevices(outbox.table, outbox.reporting, names, types, counters, device_filter=device_filter)
        self._dialect = dialect
        self._types = types
        self._dead_letters = dead_letters
        self._counters = counters
        self._filter = device_filter

    @property
    def left_out(self) -> dict[str, str]:
        """Device that is left out → the connector whose list denies it."""
        return dict(self._filter.told) if self._filter is not None else {}

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
        lane = self._table.lane(device)
        lane.source = device
        lane.is_ended = False
        if kind is Entry.OPENED:
            lane.queue_mark(Segment("connect", body.device_type or self._types.get(device, ""), (run,)))
            self._named.announce(device, now_s)
        elif kind is Entry.LOST:
            self._reporting.report_rest(lane, now_s)
            lane.queue_mark(Segment("disconnect", runs=(run,)))
            self._named.end_all(device, now_s)
        else:
            self._add_readings(lane, run, body, now_s)
        self._table.settle(lane, now_s)

    def _hear_connector(self, run: Run, kind: Entry, stream: str, now_s: float) -> None:
        """A hosted connector has begun or ended. It is no device itself; those that it serves are gone with it."""
        if kind is Entry.LOST:
            self._named.end_all(stream, now_s)
        run.done = run.end
        run.stream.advance()

    def _add_others(self, release: Release, device: str, device_filter: DeviceFilter, now_s: float) -> None:
        """Queues what a run of a device that is left out says of other devices. The rest counts as settled."""
        run, kind, body = release
        if kind is Entry.OPENED:
            self._named.announce(device, now_s)
        elif kind is Entry.LOST:
            self._named.end_all(device, now_s)
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
            self._named.withdraw(source, run, reading.device, now_s)
            return
        if self._filter is not None and self._filter.leaves_out(reading.device, source):
            self._filter.count(1)
            return
        if reading.device not in self._table.lanes and not self._named.has_room(now_s):
            self._counters["devices_refused"] += 1
            self._dead_letters.bury(run, number, TOO_MANY, now_s)
            return
        lane = self._named.take(source, run, reading, now_s)
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
        self._table.settle(lane, now_s)

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

    def connected(self, device: str, now_s: float) -> None:
        """A device's port reader says that the device is there."""
        if self._filter is not None and self._filter.leaves_out(device, device):
            return
        lane = self._table.lane(device)
        if not lane.is_open and not lane.is_ended:
            lane.connected()
            self._table.settle(lane, now_s)
            if lane.is_open:
                self._named.announce(device, now_s)

    def forget(self, stream: ReadingStream, end: int, now_s: float) -> None:
        """Drops what this stream said below `end`: without this the time without a platform would fill the memory."""
        for lane in self._table.lanes.values():
            if stream.device in (lane.name, lane.source):
                lane.forget(stream, end)
                # What was to be reported may be among it.
                self._reports.forget(lane.name)
                self._table.settle(lane, now_s)
