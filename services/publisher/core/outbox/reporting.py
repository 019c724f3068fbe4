"""What is reported without a frame: because a period has ended, a device is gone, or this process ends. Pure."""

from __future__ import annotations

from services.publisher.core.dialects import Dialect
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.reports import DeviceReports, Reported, Reports
from services.publisher.core.outbox.segments import Items
from services.publisher.core.outbox.table import LaneTable


class Reporting:
    """Queues in the lanes what report strategies have kept back, when its time has come."""

    def __init__(self, table: LaneTable, reports: Reports, dialect: Dialect) -> None:
        self._table = table
        self._reports = reports
        self._dialect = dialect

    @property
    def due_s(self) -> float | None:
        """When a period ends at which something is to be reported; None where none runs."""
        return self._reports.next_due_s

    def report_due(self, now_s: float) -> None:
        """Queues what is reported because its period has ended."""
        for reports in self._reports.due(now_s):
            lane = self._table.lanes.get(reports.name)
            if lane is not None:
                self._add_reported(lane, reports, reports.take_due(now_s, self._is_reporting(lane)), now_s)
                self._reports.look(reports)

    def report_all(self, now_s: float) -> None:
        """Queues all that waits for the end of a period, since this process ends."""
        for reports in self._reports.end():
            lane = self._table.lanes.get(reports.name)
            if lane is not None:
                self._add_reported(lane, reports, reports.take_news(now_s), now_s)

    def report_rest(self, lane: Lane, now_s: float) -> None:
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
        for is_news, run, number, at_ms, telemetry, attributes in found:
            if telemetry:
                run.holds += 1
                items = Items(run, self._dialect.entries([at_ms], [telemetry]), [number], holds=True, is_report=True)
                lane.segments[-1].items.append(items)
            waiting = lane.segments[-1].attributes
            # What waits already goes out, and its run waits for that: a value that nobody waits for would free it.
            unsaid = {key: value for key, value in attributes.items() if is_news or key not in waiting.values}
            if unsaid:
                run.holds += 1
                waiting.add(unsaid, run)
        if found:
            reports.reported()
            self._table.settle(lane, now_s)
