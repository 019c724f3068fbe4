"""Everything that waits for the platform: a lane per device, and which of them have something to publish. Pure.

Many devices share a message, and each device has one unanswered publish at most. Telemetry of a lane goes out first,
attributes at its end or at every fifth turn; `connect` and `disconnect` stand where the stream has them.

All that was made of a run's numbers (telemetry of its device, attributes, readings of other devices) has to be accepted
before the run is settled, or superseded; `services.publisher.core.stream` keeps that count.

`intake` queues what streams say, with `named` for the devices that others name, and `reporting` what was kept back and
is due; all of them write into the `table` of lanes. What leaves, and what the platform does with devices, is the
outbox's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from common.wire.calls import hosted_connector
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.dead_letters import DeadLetters
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.packing import Packer, Packing
from services.publisher.core.outbox.parcels import MarkPart, Parcel
from services.publisher.core.outbox.reporting import Reporting
from services.publisher.core.outbox.reports import Reports
from services.publisher.core.outbox.table import LaneTable
from services.publisher.core.strategies import Strategies

SERIAL: Final = "serial"
"""The type of our own connectors."""


class Outbox:
    """All lanes, what leaves them, and what the platform does with their devices.

    Whatever happens to a lane goes through the outbox or a part of this folder, which updates the lane and settles it.
    So `table.marks` and `table.data` are always right, and nobody else has to remember to bring them up to date.
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
        connectors: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
        units: Mapping[str, bytes] | None = None,
    ) -> None:
        """`types`: the device type of each configured device; `names` knows what the platform calls them. `strategies`:
        of configured devices that do not report all they say; None: nobody has any. `connectors`: the platform is told
        of each device whose connector it is, by the configured device that serves it; None: it is not. `kinds`: the
        type of each hosted connector; all others are serial. `units`: a JSON object of the units of a device's values,
        for those of which the platform is told it in the attribute `units`."""
        self._connectors = connectors
        self._kinds = kinds or {}
        self._units = {} if units is None else units
        self._dialect = dialect
        self._packer = Packer(dialect, dead_letters)
        self.table = LaneTable(dialect, types, names)
        self.reports = Reports(strategies, counters)
        self.reporting = Reporting(self.table, self.reports, dialect)

    # What the platform does with devices.

    def dropped(self, lane: Lane, now_s: float) -> None:
        """The platform has ended the device's session."""
        lane.dropped()
        self.table.settle(lane, now_s)

    def fall_silent(self, lane: Lane, now_s: float) -> None:
        """A device has said nothing for so long that the platform is to take it for disconnected, until it does."""
        self.reporting.report_rest(lane, now_s)
        self.table.end(lane, now_s)

    def renamed(self, device: str, now_s: float) -> None:
        """The platform calls this device by another name from now on, under which it is announced."""
        lane = self.table.lanes.get(device)
        if lane is not None:
            lane.label = self.table.label_of(device)
            self.dropped(lane, now_s)

    def deleted(self, device: str, now_s: float) -> None:
        """The platform knows this device no more: it is announced, and so created, with its next reading."""
        lane = self.table.lanes.get(device)
        if lane is not None:
            # What was reported is gone there: an unchanged value is news again.
            self.reporting.report_rest(lane, now_s)
            lane.label = self.table.label_of(device)
            lane.deleted()
            self.table.settle(lane, now_s)

    def introduce(self, device: str, now_s: float) -> None:
        """The platform has accepted a device's announcement: the first time it is told whose it is."""
        lane = self.table.lanes.get(device)
        if self._connectors is None or lane is None or lane.is_introduced:
            return
        head = lane.segments[0]
        if not head.mark:
            lane.is_introduced = True
            kind = self._kinds.get(hosted_connector(lane.source) or "", SERIAL)
            values = self._dialect.introduction(self._connectors.get(lane.source, ""), kind)
            if (units := self._units.get(lane.source)) is not None:
                values = {**values, "units": units}
            head.attributes.values = {**values, **head.attributes.values}
            self.table.settle(lane, now_s)

    def connection_begun(self, now_s: float) -> None:
        """A new connection to the platform: every device that is open has to be announced again."""
        self.reports.session_begun()
        for lane in self.table.lanes.values():
            lane.connection_begun()
            self.table.settle(lane, now_s)

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
        self.table.settle(lane, now_s)
        return None

    def pack(self, lanes: list[Lane], packing: Packing, now_s: float) -> Parcel | None:
        """The next publish of data: of the first lane, and of the others where they fit. None if there was only what
        has now become a dead letter."""
        parcel = self._packer.take(lanes, packing, now_s)
        if parcel is None:
            self.table.settle(lanes[0], now_s)
            return None
        return self._send(parcel)

    def first_points(self, lane: Lane) -> int:
        """How many values the first thing has that a lane with data would publish."""
        return self._packer.first_points(lane)

    def _send(self, parcel: Parcel) -> Parcel:
        for lane in parcel.lanes:
            lane.sent(parcel.kind)
            self.table.unlist(lane)
        return parcel

    def bury_head(self, parcel: Parcel, reason: str, now_s: float) -> None:
        """Makes the one record of a parcel that was given back a dead letter: the platform does not know what it
        says."""
        for device, number, key in self._packer.bury_head(parcel, reason, now_s):
            if (reports := self.reports.known(device)) is None:
                continue
            if key is None:
                reports.unsay(number)
            else:
                reports.unsay_attribute(key)
        self.table.settle(parcel.lanes[0], now_s)

    def answer(self, parcel: Parcel, now_s: float) -> None:
        """The platform has taken the parcel: its lanes may go on, though it may not be accepted for good yet."""
        for lane in parcel.lanes:
            lane.answered(parcel.kind)
            self.table.settle(lane, now_s)

    def accept(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is accepted for good."""
        for part in parcel.parts:
            part.accept()
        for lane in parcel.lanes:
            lane.accepted()
            self.table.settle(lane, now_s)

    def give_back(self, parcel: Parcel, now_s: float) -> None:
        """The parcel is not accepted: what it says is first in its lanes again. Latest parcel first."""
        for part in reversed(parcel.parts):
            part.give_back()
        for lane in parcel.lanes:
            lane.given_back()
            self.table.settle(lane, now_s)
