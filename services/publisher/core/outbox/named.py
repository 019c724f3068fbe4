"""The devices that a user's converter or connector names in the readings of another. Pure.

They come and go with the one that serves them, and there may be many: those that have been silent longest make room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from common.wire.messages import UserReading
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.filtering import DeviceFilter
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.reporting import Reporting
from services.publisher.core.outbox.segments import Segment
from services.publisher.core.outbox.table import LaneTable
from services.publisher.core.stream import Run

MOST_LANES: Final = 10_000
"""Devices of all lines together, those that users' converters name among them; each is 2 KiB here."""
SPARE_LANES: Final = 1_000
"""Room is made when no more than this are left, since saying goodbye to a device takes the platform a moment."""
FORGOTTEN_AT_ONCE: Final = 100
"""How many named devices are looked at, and make room, at a time: once for every half as many new ones."""


class NamedDevices:
    """Announces named devices and says goodbye to them; knows whether there is room for another."""

    def __init__(
        self,
        table: LaneTable,
        reporting: Reporting,
        names: KeptNames,
        types: Mapping[str, str],
        counters: PublisherCounts,
        *,
        device_filter: DeviceFilter | None,
    ) -> None:
        """`names` hears of each device that is named; `types` are the configured devices, which never make room.
        `device_filter`: which are left out."""
        self._table = table
        self._reporting = reporting
        self._names = names
        self._types = types
        self._counters = counters
        self._filter = device_filter
        self._named = 0
        """Devices named anew while there was little room."""

    def take(self, source: str, run: Run, reading: UserReading, now_s: float) -> Lane:
        """The lane of the device that a reading of `source` speaks of, which is there from now on."""
        lanes = self._table.lanes
        if reading.device != source and reading.device in lanes:
            # The one that was named longest ago stands first.
            lanes[reading.device] = lanes.pop(reading.device)
        lane = self._table.lane(reading.device, reading.device_type)
        lane.source = source
        was_there, was_type = lane.is_there, lane.device_type
        lane.is_ended = False
        if reading.device != source:
            lane.device_type = reading.device_type or lane.device_type
            self._names.learn(reading.device, source, reading.device_type, now_s)
        if reading.mark == "connect" and (not was_there or lane.device_type != was_type):
            run.holds += 1
            lane.segments.append(Segment("connect", lane.device_type, (run,), holds=True))
        return lane

    def announce(self, source: str, now_s: float) -> None:
        """The devices that a user's converter has named in this device's readings, in this life of the publisher or in
        an earlier one, are there with it: the platform passes on only calls to devices that were announced."""
        for name, named in self._names.of(source):
            # A name may be older than the list that leaves its device out.
            if self._filter is not None and self._filter.leaves_out(name, source):
                continue
            lane = self._table.lanes.get(name)
            if lane is None:
                if len(self._table.lanes) >= MOST_LANES - SPARE_LANES:
                    return
                lane = self._table.lane(name, named.device_type)
                lane.source = source
            if lane.source == source and not lane.is_there:
                lane.segments.append(Segment("connect", lane.device_type))
                lane.is_ended = False
                self._table.settle(lane, now_s)

    def end_all(self, source: str, now_s: float) -> None:
        """The devices that a user's converter has named in this device's readings are gone with it."""
        for lane in self._table.lanes.values():
            if lane.source == source and lane.name != source and lane.is_there:
                self._reporting.report_rest(lane, now_s)
                self._table.end(lane, now_s)

    def withdraw(self, source: str, run: Run, device: str, now_s: float) -> None:
        """A hosted connector says that one of its devices is gone. One that another names by now stays."""
        lane = self._table.lanes.get(device)
        if lane is not None and lane.source != source:
            return
        self._names.forget(device, source, now_s)
        if lane is None or not lane.is_there:
            return
        # Before the goodbye: what is reported behind it would announce the device again.
        self._reporting.report_rest(lane, now_s)
        run.holds += 1
        lane.segments.append(Segment("disconnect", runs=(run,), holds=True))
        lane.is_ended = True
        self._table.settle(lane, now_s)

    def has_room(self, now_s: float) -> bool:
        """True if a device may be named anew."""
        if len(self._table.lanes) < MOST_LANES - SPARE_LANES:
            return True
        self._named += 1
        if self._named % (FORGOTTEN_AT_ONCE // 2) == 0:
            self._make_room(now_s)
        return len(self._table.lanes) < MOST_LANES

    def _make_room(self, now_s: float) -> None:
        """Forgets named devices that have been silent longest and have nothing here; those that the platform takes for
        connected are disconnected first."""
        looked_at = 0
        for lane in list(self._table.lanes.values()):
            if lane.name == lane.source or lane.name in self._types or lane.unaccepted or lane.has_data:
                continue
            looked_at += 1
            if lane.is_open:
                self._reporting.report_rest(lane, now_s)
                self._table.end(lane, now_s)
            else:
                del self._table.lanes[lane.name]
                self._counters["devices_forgotten"] += 1
            if looked_at >= FORGOTTEN_AT_ONCE:
                return
