"""What the monitor counts."""

from __future__ import annotations

from typing import Annotated, TypedDict

from common.core.counters import Counter


class MonitorCounts(TypedDict):
    """Totals since its start; the heartbeat carries them."""

    requests: Annotated[int, Counter("requests", "for the state of everything")]
    heartbeats: Annotated[int, Counter("heartbeats", "heard from anyone")]
