"""The monitor's core: hears all heartbeats and answers the call `status`. Pure.

The reply's body is JSON: {"devices": [{"name", "port", "state", "is_served", "reason", "for_s", "frame_age_s",
"backlog", "dead_letters", "conversion_errors"}], "processes": [{"kind", "name", "device", "pid", "host", "state",
"uptime_s", "counters", "facts"}], "link": {"state", "epoch", …}, "backlog": {"frames", "bytes"}}. Programs read it too
(`serialgw status --json`), so keys may be added, and none changes its meaning. Hosted connectors, and the devices that
they serve, stand among the devices; the `port` of such a device is its connector.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from common.core.counters import new_counts, totals
from common.core.events import (
    Arrived,
    Blocked,
    CommonEffect,
    CommonEvent,
    Drain,
    Exit,
    Junk,
    Reconnected,
    Send,
    Start,
    Tick,
    Writable,
)
from common.core.membership import Membership
from common.wire.calls import Status, Watched, body_of, host_of, reader_of, refuse, reply, unknown_verb
from common.wire.messages import Heartbeat, Identity, Plane, Request
from services.monitor.core.counters import MonitorCounts
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.core.gateway.table import Table
from services.monitor.core.news import DeviceNews
from services.monitor.core.standing import Standings


class Show(msgspec.Struct, frozen=True):
    """Effect: this is what there is to be seen from now on."""

    snapshot: Snapshot


class Tell(msgspec.Struct, frozen=True):
    """Effect: whoever looks after the processes is told this order."""

    order: str


MonitorEffect = CommonEffect | Show | Tell


class MonitorCore:
    """Knows the last heartbeat of every process. Nobody depends on it: it can be killed at any time."""

    def __init__(
        self, identity: Identity, devices: Iterable[str], connectors: Iterable[str] = (), *, tells: bool = False
    ) -> None:
        """`devices`: names of the configured devices, `connectors` of the hosted connectors; their processes are shown
        even if they never beat. `tells`: whoever looks after the processes wants to hear how the gateway stands."""
        names, hosted = list(devices), list(connectors)
        # Those with nothing to tell beat once in a while only.
        self._membership = Membership(identity, {}, [*map(reader_of, names), *map(host_of, hosted)])
        self._table = Table(names, hosted)
        self._news = DeviceNews()
        self._standings = Standings() if tells else None
        self._counters = new_counts(MonitorCounts)

    def handle(self, event: CommonEvent, now_s: float) -> list[MonitorEffect]:
        """The effects of an event, in the order in which they are to be performed."""
        effects: list[MonitorEffect] = [*self._membership.handle(event, now_s)]
        match event:
            case Start():
                pass  # The membership has begun.
            case Arrived(message=Heartbeat() as beat):
                self._counters["heartbeats"] += 1
                self._table.hear(beat, now_s)
            case Arrived(plane=Plane.CALLS, message=Request() as request):
                effects += self._answer(request)
            case Tick():
                self._table.age(now_s)
                snapshot = self._table.snapshot()
                effects += self._news.tell((row.name, row.state, row.for_s) for row in snapshot.devices)
                effects.append(Show(snapshot))
                if self._standings is not None and (order := self._standings.tell(snapshot, now_s)):
                    effects.append(Tell(order))
            case Drain():
                return [*effects, Exit(0)]
            case Arrived() | Junk() | Reconnected():
                # Only the membership is concerned.
                pass
            case Blocked() | Writable():
                # What was not sent is not kept: the next beat comes, and the asker asks again.
                pass
            case _:
                assert_never(event)
        # At no other event: a beat moves the deadline, before which heartbeats are read and processes found late.
        if isinstance(event, Start | Tick) and self._membership.is_due(now_s):
            effects += self._membership.beat(now_s, {}, totals(self._counters))
        return effects

    @property
    def next_deadline_s(self) -> float | None:
        return self._membership.next_deadline_s

    def _answer(self, request: Request) -> list[Send]:
        """The answer to `status`, and to who says what is configured now; to anything else an error."""
        self._counters["requests"] += 1
        match body_of(request, Status, Watched):
            case Watched(devices=devices, connectors=connectors):
                self._table.configure(devices, connectors)
                return [Send(Plane.CALLS, reply(request, None))]
            case Status():
                return [Send(Plane.CALLS, reply(request, msgspec.json.encode(self._table.show())))]
            case _:
                return [Send(Plane.CALLS, refuse(request, unknown_verb(request.verb)))]
