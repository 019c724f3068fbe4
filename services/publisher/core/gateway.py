"""What the publisher knows of the gateway as a whole: for a platform that asks, and for calls to devices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.publisher.core.counters import PublisherCounts
from services.publisher.core.names import KeptNames, Named
from services.publisher.core.outbox.table import LaneTable

UNNAMED_CONNECTOR: Final = "serial"
"""The connector of a device whose own is not known, such as one of a journal that is only sent to its end."""


class GatewayCalls:
    """`services.publisher.core.dialects.GatewayFacts`, and which configured device serves another.

    `names` are those that users' converters have given in this life or an earlier one, `connectors` the configured
    devices' connectors, `version` is the release that runs. `events` counts for each source of frames how many have
    come and how many of them are settled.
    """

    def __init__(
        self,
        table: LaneTable,
        names: KeptNames,
        counters: PublisherCounts,
        *,
        connectors: Mapping[str, str],
        version: str,
        events: Callable[[], Mapping[str, tuple[int, int]]] = dict,
    ) -> None:
        self._table = table
        self._names = names
        self._counters = counters
        self._connectors = connectors
        self._version = version
        self._events = events

    @property
    def version(self) -> str:
        """The release that runs; "" if nobody has said it."""
        return self._version

    @property
    def received(self) -> int:
        """Readings, counted when their stream's order was restored."""
        return self._counters["readings_received"]

    @property
    def accepted(self) -> int:
        """Telemetry items for which the platform has said so."""
        return self._counters["readings_accepted"]

    def devices(self) -> dict[str, str]:
        """Devices that are connected, those that users' converters have named among them, and their connectors."""
        lanes = self._table.lanes.values()
        return {lane.name: self._connectors.get(lane.source, UNNAMED_CONNECTOR) for lane in lanes if lane.is_open}

    def events(self) -> dict[str, tuple[int, int]]:
        """(frames that have come, frames that are settled) of each connector; 0 for one that has said nothing."""
        found = dict.fromkeys(self._connectors.values(), (0, 0))
        for source, (produced, sent) in self._events().items():
            connector = self._connectors.get(source, UNNAMED_CONNECTOR)
            before = found.get(connector, (0, 0))
            found[connector] = (before[0] + produced, before[1] + sent)
        return found

    def shown(self, device: str) -> str:
        """What the platform calls this device of ours."""
        return self._names.shown(device)

    def named(self, device: str) -> Named | None:
        """The configured device that serves this one, and its type, where a user's converter has named it; None for a
        device that is called by its own name, and for one that nobody knows."""
        if device in self._connectors:
            return None
        lane = self._table.lanes.get(device)
        if lane is not None and lane.source != device:
            return Named(lane.source, lane.device_type)
        return self._names.get(device)
