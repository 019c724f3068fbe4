"""Devices that are configured no more, and those that they serve: the goodbye to them, and an end to their lanes. Pure.

Mostly a device's stream says itself that its port was closed, behind all that it had to send. A port reader that was
killed says nothing; whoever sends what is left in its journal has no port.

Until then all is kept that belongs to the device: it may be back in a moment, of which its stream says nothing.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.reporting import Reporting
from services.publisher.core.outbox.table import LaneTable

FAREWELL_S: Final = 30.0
"""A device that is configured no more, and of which nothing was heard for so long, is gone: longer than any two beats
of a port reader are apart, and than a reader needs to start and send what is left."""


class Departures:
    """Sources of frames that are not configured; nothing is done while there are none."""

    def __init__(self, table: LaneTable, reporting: Reporting, names: KeptNames, configured: Container[str]) -> None:
        """`names` lets go of those that a device serves once it is gone. `configured`: the devices, and the streams of
        hosted connectors."""
        self._table = table
        self._reporting = reporting
        self._names = names
        self._configured = configured
        self._heard: dict[str, float] = {}
        """Such a source → when anything was heard of it."""

    def note(self, source: str, now_s: float) -> None:
        """A run of it has come, or its port reader says that it is connected."""
        if source not in self._configured:
            self._heard[source] = now_s

    def configured_anew(self, now_s: float) -> None:
        """Other devices are configured now; to be called at the start, too: what an earlier publisher has kept may be
        of one that has just gone."""
        for source in {lane.source for lane in self._table.lanes.values()} | self._names.sources:
            if source not in self._configured:
                self._heard.setdefault(source, now_s)

    def look(self, now_s: float) -> list[str]:
        """To be called each second: says goodbye to who is gone, and forgets the lanes of those to whom that was said;
        the names of these."""
        if not self._heard:
            return []
        self._heard = {source: at_s for source, at_s in self._heard.items() if source not in self._configured}
        forgotten = []
        late = {source for source, at_s in self._heard.items() if now_s - at_s >= FAREWELL_S}
        for lane in [lane for lane in self._table.lanes.values() if lane.source in late] if late else ():
            if lane.is_there and not lane.has_data and not lane.unaccepted:
                self._reporting.report_rest(lane, now_s)
                self._table.end(lane, now_s)
            elif is_over(lane):
                del self._table.lanes[lane.name]
                forgotten.append(lane.name)
        left = {lane.source for lane in self._table.lanes.values()} if late else late
        for source in late - left:
            del self._heard[source]
            self._names.left(source, now_s)
        return forgotten


def is_over(lane: Lane) -> bool:
    """True if the platform takes the device for disconnected, and nothing of it is on its way or waits."""
    return not lane.is_open and not lane.has_data and not lane.unaccepted and lane.sending == "idle"
