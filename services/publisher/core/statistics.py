"""What the gateway tells the platform of itself: attributes at each connection, telemetry once a period. Pure.

The keys are those that ThingsBoard's gateway dashboards read, with the meanings and the forms that they have there.
Counters begin anew with each period, as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict

import msgspec

from common.config.models import Statistics as StatisticsConfig
from common.wire.messages import Entry
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect, GatewayFacts
from services.publisher.core.events import LookAtMachine, MachineSeen
from services.publisher.core.outlet import Outlet
from services.publisher.core.replies import Replies
from services.publisher.core.stream import Release

UNITS: Final = "BKMGTPE"
"""Sizes are told as people read them: `3.8G`."""


class ConnectorCounts(TypedDict):
    """What has come of one connector's devices in a period, under ThingsBoard's names."""

    connectorMsgsReceived: int
    convertersMsgProcessed: int
    convertersMsgDropped: int
    convertersErrors: int
    storageMsgPushed: int


class GatewayStatistics:
    """Counts, and lets the shell look at the machine when something is to be told."""

    def __init__(
        self,
        config: StatisticsConfig,
        dialect: Dialect,
        *,
        gateway: GatewayFacts,
        connectors: Mapping[str, str],
        replies: Replies,
        counters: PublisherCounts,
        out: Outlet,
    ) -> None:
        """`connectors`: each configured device's connector. What is told goes out among the `replies`."""
        self._period_s = config.period_s
        self._dialect = dialect
        self._gateway = gateway
        self._connectors = connectors
        self._replies = replies
        self._counters = counters
        self._out = out
        self._counts: dict[str, ConnectorCounts] = {}
        self._backlogs: dict[str, int] = {}
        """Port reader, or stream of a hosted connector → entries that the platform has not accepted."""
        self._last: PublisherCounts = counters.copy()
        self._last_seen: MachineSeen | None = None
        self._due_s: float | None = None
        """When telemetry is to be told next; None before the first connection."""
        self._is_new = False
        """True if this connection has not heard our attributes."""

    # What is counted.

    def note(self, device: str, release: Release) -> None:
        """A run of a device has come: only its frames count."""
        if release.kind not in (Entry.FRAMES, Entry.ANSWER):
            return
        name = self._connectors.get(device, "")
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = _no_counts()
        body = release.body
        frames = len(body.telemetry)
        counts["connectorMsgsReceived"] += frames
        counts["convertersMsgProcessed"] += frames - len(body.dead)
        counts["convertersMsgDropped"] += len(body.dead)
        counts["storageMsgPushed"] += frames - len(body.dead)
        if body.faults is not None:
            counts["convertersErrors"] += body.faults.errors

    def hear_reader(self, name: str, backlog: int) -> None:
        """A port reader, or a hosted connector by its stream's name, says how much waits in its journal."""
        self._backlogs[name] = backlog

    def forget(self, devices: Iterable[str]) -> None:
        """These devices are configured no more: nothing is said of what waited for them last."""
        for device in devices:
            self._backlogs.pop(device, None)

    # When it is told.

    def connection_begun(self, now_s: float) -> None:
        """The platform is there: it is told what kind of gateway this is."""
        self._is_new = True
        if self._due_s is None:
            self._due_s = now_s + self._period_s
        self._out.order(LookAtMachine())

    def look(self, now_s: float, is_up: bool) -> None:
        """To be called each second. While there is no connection nothing is told, and the counters go on."""
        if is_up and self._due_s is not None and now_s >= self._due_s and not self._is_new:
            self._out.order(LookAtMachine())

    def tell(self, seen: MachineSeen, now_s: float, is_up: bool) -> None:
        """What the machine looks like; now it can be told."""
        if not is_up:
            return
        if self._is_new:
            self._is_new = False
            message = self._dialect.own_attributes(_encoded(self._attributes(seen)))
            if message is not None:
                self._replies.add(message, now_s)
        if self._due_s is not None and now_s >= self._due_s:
            self._due_s = now_s + self._period_s
            message = self._dialect.own_telemetry([(None, _encoded(self._telemetry(seen)))])
            if message is not None:
                self._replies.add(message, now_s)
            self._last = self._counters.copy()
            self._counts = {}
        self._last_seen = seen

    def _attributes(self, seen: MachineSeen) -> dict[str, Any]:
        return {
            "Version": self._gateway.version,
            "totalMemory": human(seen.memory_bytes),
            "totalDisk": human(seen.disk_bytes),
            "cpuCount": seen.cpus,
        }

    def _telemetry(self, seen: MachineSeen) -> dict[str, Any]:
        counters, last = self._counters, self._last
        connected = self._gateway.devices()
        names = set(self._connectors.values())
        active = names & set(connected.values())
        produced = counters["readings_received"] - last["readings_received"]
        accepted = counters["readings_accepted"] - last["readings_accepted"]
        return {
            "eventsProduced": produced,
            "eventsSent": accepted,
            "connectedDevices": len(connected),
            "activeConnectors": len(active),
            "inactiveConnectors": len(names - active),
            "totalConnectors": len(names),
            "machineStats": self._machine(seen),
            "serviceStats": {
                "storageMsgPulled": produced,
                "storageMsgCount": sum(self._backlogs.values()),
                "platformMsgPushed": counters["publishes"] - last["publishes"],
                "platformAttrProduced": counters["attributes_published"] - last["attributes_published"],
                "platformTsProduced": counters["readings_published"] - last["readings_published"],
            },
            "connectorsStats": self._counts,
        }

    def _machine(self, seen: MachineSeen) -> dict[str, Any]:
        counters, last, before = self._counters, self._last, self._last_seen
        cpu = 0.0
        if before is not None and seen.at_s > before.at_s:
            cpu = max(0.0, (seen.own_cpu_s - before.own_cpu_s) / (seen.at_s - before.at_s) * 100)
        rss = seen.own_memory.get("rss", 0)
        return {
            "totalCpuUsage": round(seen.load * 100 / max(1, seen.cpus), 2),
            "diskUsage": _percent(seen.disk_bytes - seen.free_disk_bytes, seen.disk_bytes),
            "freeMemory": _percent(seen.memory_bytes - seen.free_memory_bytes, seen.memory_bytes),
            "freeDisk": human(seen.free_disk_bytes),
            "gwProcessCpuUsage": round(cpu, 1),
            "gwMemory": _percent(rss, seen.memory_bytes),
            "gwProcessMemoryFullInfo": seen.own_memory,
            "msgsSentToPlatform": counters["publishes"] - last["publishes"],
            "msgsReceivedFromPlatform": counters["messages_received"] - last["messages_received"],
        }


def _no_counts() -> ConnectorCounts:
    return ConnectorCounts(
        connectorMsgsReceived=0,
        convertersMsgProcessed=0,
        convertersMsgDropped=0,
        convertersErrors=0,
        storageMsgPushed=0,
    )


def _encoded(values: Mapping[str, Any]) -> dict[str, bytes]:
    """Each value as JSON."""
    return {key: msgspec.json.encode(value) for key, value in values.items()}


def _percent(part: float, whole: float) -> float:
    return round(part * 100 / whole, 1) if whole else 0.0


def human(size_bytes: float) -> str:
    """A size with one digit behind the point and the letter of its unit, of 1,024 each."""
    size, unit = float(size_bytes), UNITS[0]
    for unit in UNITS:
        if size < 1024 or unit == UNITS[-1]:
            break
        size /= 1024
    return f"{size:.1f}{unit}"
