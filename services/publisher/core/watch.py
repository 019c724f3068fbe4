"""What is noted of devices beside their readings: what comes of their frames, who is silent, how many come. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from common.wire.calls import hosted_stream
from common.wire.messages import Heartbeat
from common.wire.states import ConnectorHostState, PortReaderState, YieldSeen, state_of
from services.publisher.core.activity import Activity
from services.publisher.core.events import MachineSeen
from services.publisher.core.statistics import GatewayStatistics
from services.publisher.core.stream import Release
from services.publisher.core.yields import Yields


class DeviceWatch:
    """Everybody who is to know that a run of a device has come; `activity` and `statistics` where they are wanted."""

    def __init__(self, activity: Activity | None, statistics: GatewayStatistics | None) -> None:
        self._yields = Yields()
        self._activity = activity
        self._statistics = statistics

    def note(self, device: str, release: Release, now_s: float) -> None:
        """A run of a device has come, in its order."""
        self._yields.note(device, release, now_s)
        if self._activity is not None:
            self._activity.note(device, release, now_s)
        if self._statistics is not None:
            self._statistics.note(device, release)

    def hear_source(self, beat: Heartbeat) -> PortReaderState | ConnectorHostState | None:
        """A source's heartbeat: how much waits in its journal. What it says besides, given back."""
        reader = state_of(beat, PortReaderState) if beat.kind == "port_reader" else None
        host = state_of(beat, ConnectorHostState) if beat.kind == "connector_host" else None
        if self._statistics is not None:
            if reader is not None:
                self._statistics.hear_reader(beat.name, reader.backlog)
            if host is not None:
                self._statistics.hear_reader(hosted_stream(beat.name), host.backlog)
        return reader or host

    def forget(self, devices: Iterable[str]) -> None:
        """These devices are configured no more."""
        gone = list(devices)
        self._yields.forget(gone)
        if self._statistics is not None:
            self._statistics.forget(gone)

    def connection_begun(self, now_s: float) -> None:
        """A new connection to the platform."""
        if self._statistics is not None:
            self._statistics.connection_begun(now_s)

    def tell(self, event: MachineSeen, now_s: float, is_up: bool) -> None:
        """The machine was looked at, so the statistics can be told; `is_up`: whether the platform is there."""
        if self._statistics is not None:
            self._statistics.tell(event, now_s, is_up)

    def look(self, now_s: float, is_up: bool) -> None:
        """To be called each second; `is_up`: whether the platform is there."""
        if self._activity is not None:
            self._activity.look(now_s)
        if self._statistics is not None:
            self._statistics.look(now_s, is_up)

    def seen(self, now_s: float) -> dict[str, YieldSeen]:
        """What the heartbeat says of devices' frames."""
        return self._yields.seen(now_s)
