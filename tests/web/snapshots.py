"""A gateway as its monitor sees it, from heartbeats that a test makes up."""

from __future__ import annotations

from typing import Any

from common.wire.messages import Heartbeat
from common.wire.states import (
    BrokerState,
    ConnectorHostState,
    ConverterState,
    PortReaderState,
    PublisherState,
    State,
    facts_of,
)
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.core.gateway.table import Table

NOW_S = 1000.0


def beat(kind: str, name: str, state: State | None = None, **counters: int) -> Heartbeat:
    """A heartbeat of a process that has run for a minute."""
    facts: dict[str, Any] = {} if state is None else facts_of(state)
    return Heartbeat(kind, name, f"{kind}-{name}", 42, "here", 60.0, facts, counters)


def healthy() -> list[Heartbeat]:
    """A port reader, a connector and all that they need, all well."""
    line = PortReaderState(device="press", port="/dev/ttyUSB0", connected=True, byte_s=1.0, frame_s=2.0, backlog=3)
    return [
        beat("broker", "0", BrokerState()),
        beat("publisher", "0", PublisherState(link="up", protocol=5, host="example.org", port=1883)),
        beat("converter", "0", ConverterState(slot="0", held=1)),
        beat("port_reader", "press", line, frames_read=10, bytes_read=100, parity_errors=4),
        beat("connector_host", "Own", ConnectorHostState(connector="Own", opened=True, entry_s=5.0), submissions=7),
        beat("monitor", "0"),
    ]


def table_of(*beats: Heartbeat) -> Table:
    """A table that has heard these."""
    table = Table(["press"], ["Own"])
    for one in beats:
        table.hear(one, NOW_S)
    table.age(NOW_S)
    return table


def snapshot_of(*beats: Heartbeat, later_s: float = 0.0) -> Snapshot:
    """What there is to be seen `later_s` after these heartbeats have come."""
    table = table_of(*beats)
    table.age(NOW_S + later_s)
    return table.snapshot()
