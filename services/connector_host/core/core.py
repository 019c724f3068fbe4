"""The connector host's decisions: what a user's connector hands over, its devices, the calls to it. Pure.

A connector host is a source without a line. The user's code runs in threads that the shell has; what they do comes here
as events, and what is to be done with them goes there as effects.

    loading -> open -> closing -> draining -> (exit 0)       SIGTERM: `close`, then what is left is sent
    any -> failed -> draining -> (exit 1 or 78)              it can't go on: said, then what is left is sent
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

from common.conversion.values import encode_json
from common.core.counters import new_counts
from common.core.deadlines import earliest
from common.core.errors import WireError
from common.core.events import Arrived, Drain, Exit, Note, Start, Tick
from common.core.wall_clock import WallClock
from common.stream.device_stream import KeptDevice as KeptStream
from common.stream.events import SourceEvent
from common.stream.items import Item, items_of
from common.stream.limits import Limits
from common.stream.source import SERVED, Source
from common.wire.calls import (
    SHUTTING_DOWN,
    CallConnector,
    Encode,
    EncodeUpdate,
    SharedKeys,
    body_of,
    not_connected,
    unknown_device,
)
from common.wire.entries import pack_entry
from common.wire.messages import Entry, Heartbeat, Identity, Reply, Request
from common.wire.states import ConnectorHostState, PublisherState, state_of
from services.connector_host.core.calls import Asked, UserCalls
from services.connector_host.core.counters import ConnectorHostCounts
from services.connector_host.core.devices import MOST_DEVICES, DeviceTable, KeptDevice
from services.connector_host.core.events import (
    AttributesAsked,
    CloseConnector,
    Committed,
    ConnectorClosed,
    ConnectorEvent,
    ConnectorFailed,
    ConnectorOpened,
    DevicesKept,
    Effect,
    Event,
    KeepDevices,
    Replied,
    Returned,
    Said,
    Settle,
    ShowLink,
    Submission,
    Submitted,
)
from services.connector_host.core.life import CLOSE_S, Life
from services.connector_host.core.questions import Questions
from services.connector_host.core.submissions import NOT_WRITTEN, Waiters

LOOK_S: Final = 1.0
"""How often it is looked at how the connector does."""
MOST_TOLD: Final = 100
"""Devices whose names the heartbeat carries."""
EXIT_FAILED: Final = 1
"""A new start may do better."""
EXIT_FINAL: Final = 78
"""The number of `common.io.exits.EXIT_CONFIG`: a new start would find the same."""
RUN_ENDED: Final = "its run() has ended, although nobody has stopped it: nothing more comes of it"
_SERVED: Final = (*SERVED, Encode, EncodeUpdate, CallConnector, SharedKeys)


class ConnectorFacts:
    """What the configuration says of the connector."""

    def __init__(self, name: str, kind: str, class_name: str, file: str, memory_limit_mb: int | None = None) -> None:
        self.name = name
        self.kind = kind
        self.class_name = class_name
        self.file = file
        self.memory_limit_mb = memory_limit_mb


class ConnectorHostCore:
    """One hosted connector. `Start` comes first, and `Tick` at `next_deadline_s`."""

    def __init__(
        self,
        identity: Identity,
        facts: ConnectorFacts,
        kept: KeptStream,
        *,
        devices: Mapping[str, KeptDevice] | None = None,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        draw: Callable[[], float] = lambda: 0.5,
        gauges: Callable[[], dict[str, int]] = dict,
        has_ended: Callable[[], bool] = lambda: False,
        wall_offset_ms: float | None = None,
        is_left: bool = False,
    ) -> None:
        """`devices`: those that an earlier process has kept. `gauges`: counters that only the shell has. `has_ended`
        says whether the connector is a thread whose `run` has returned. `is_left`: the connector is no longer
        configured, and only what its journal holds is sent."""
        self._facts = facts
        self.counters = new_counts(ConnectorHostCounts)
        self._gauges = gauges
        self._has_ended = has_ended
        self._clock = WallClock(wall_offset_ms)
        self._source = Source(
            identity,
            [kept],
            {"section": kept.section_hash, "own_calls": True, "temporary": is_left},
            limits=limits,
            counters=self.counters,
            draw=draw,
            gauges=gauges,
            clock=self._clock,
            is_left=is_left,
        )
        self._uplink = self._source.streams[0].uplink
        self._waiters = Waiters()
        self._table = DeviceTable(devices or {})
        self._calls = UserCalls(facts.name, self.counters)
        self._questions = Questions(identity, facts.name)
        self._is_left = is_left
        self._epoch = ""
        """The publisher that was told of the devices."""
        self._is_link_up = False
        self._life = Life()
        self._wants_shared = False
        self._entry_s: float | None = None
        self._look_s = 0.0

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in order."""
        effects: list[Effect] = [*self._source.begin(event, now_s)]
        effects += self._handle(event, now_s)
        effects += self._settle(now_s)
        effects += self._source.finish(self._state, now_s, is_busy=self._life.until_s is not None)
        if self._life.code and effects and isinstance(effects[-1], Exit):
            effects[-1] = Exit(self._life.code)
        return effects

    @property
    def next_deadline_s(self) -> float | None:
        return earliest(
            self._source.next_deadline_s,
            self._waiters.next_deadline_s,
            self._calls.next_deadline_s,
            self._questions.next_deadline_s,
            self._table.due_s,
            self._life.until_s,
            self._look_s,
        )

    def _handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        match event:
            case Arrived(message=Request() as request):
                return self._serve(request, now_s)
            case Arrived(message=Reply() as reply) if self._questions.is_open(reply.id):
                return self._questions.reply(reply, now_s)
            case Arrived(message=Heartbeat(kind="publisher") as beat):
                return [*self._source.handle(event, now_s), *self._hear_publisher(beat, now_s)]
            case Tick():
                return [*self._source.handle(event, now_s), *self._keep_time(now_s)]
            case Start():
                self._look_s = now_s
                self._life.begin(now_s)
                return self._source.handle(event, now_s)
            case Drain():
                return self._drain(now_s)
        if isinstance(event, SourceEvent):
            return self._source.handle(event, now_s)
        return self._hear(event, now_s)

    def _hear(self, event: ConnectorEvent, now_s: float) -> Sequence[Effect]:
        """What the connector does, and what became of our own effects."""
        match event:
            case Submitted(submissions, clock_ms):
                self._clock.set(clock_ms, now_s)
                return self._take(submissions, clock_ms, now_s)
            case Committed(end):
                return _settled(self._waiters.committed(end))
            case Returned():
                return self._calls.returned(event)
            case Replied():
                return self._calls.replied(event)
            case AttributesAsked():
                return self._questions.begin(event, now_s)
            case ConnectorOpened(wants_shared):
                self._wants_shared = wants_shared
                self._life.opened(now_s)
                self._source.show(now_s)
                return [Note("info", "connector.opened", self._named())]
            case ConnectorFailed(reason, is_final):
                return self._fail(reason, EXIT_FINAL if is_final else EXIT_FAILED, now_s)
            case ConnectorClosed():
                return self._closed(now_s)
            case DevicesKept(error):
                self._table.kept(error, now_s)
                return [Note("warning", "devices.not_kept", self._named(reason=error))] if error else []
            case _:
                assert_never(event)

    # What is handed over

    def _take(self, submissions: list[Submission], clock_ms: int, now_s: float) -> Sequence[Effect]:
        """One commit for all that has come together."""
        self.counters["submissions"] += len(submissions)
        tickets = [submission.ticket for submission in submissions]
        if self._source.is_draining:
            return self._refuse(tickets, SHUTTING_DOWN)
        frames, refused = [], []
        for submission in submissions:
            found = self._frames_of(submission.said, now_s)
            if found is None:
                refused.append(submission.ticket)
            else:
                frames += found
        kept = [ticket for ticket in tickets if ticket not in refused]
        effects: list[Effect] = [*self._refuse(refused, f"it has more than {MOST_DEVICES} devices")]
        if not frames:
            return [*effects, *_settled(kept)]
        if not self._uplink.can_take:
            return [*effects, *self._refuse(kept, NOT_WRITTEN)]
        self._entry_s = now_s
        end = self._uplink.stream.next_number + len(frames)
        # They wait before the journal says that it has them.
        self._waiters.add(kept, end, now_s)
        effects += self._source.put(items_of(frames), clock_ms, b"", now_s)
        return effects

    def _frames_of(self, said: tuple[Said, ...], now_s: float) -> list[bytes] | None:
        """What is journaled of one call; None where it names more devices than there may be."""
        if any(one.mark != "disconnect" and not self._table.has_room(one.device) for one in said):
            return None
        frames: list[bytes] = []
        for one in said:
            if one.mark == "disconnect":
                if self._table.remove(one.device, now_s):
                    frames.append(pack_entry(one.device, one.device_type, mark="disconnect"))
                continue
            if self._table.add(one.device, one.device_type, now_s):
                frames.append(self._announcement(one.device, one.device_type))
            if not one.mark:
                frames.append(one.data)
        return frames

    def _announcement(self, device: str, device_type: str) -> bytes:
        """The entry that says that a device is there, and, as the reference does, by which connector."""
        return announcement(device, device_type, self._facts.kind, self._facts.name)

    def _refuse(self, tickets: list[int], error: str) -> list[Effect]:
        self.counters["submissions_failed"] += len(tickets)
        return [Settle(tickets, error)] if tickets else []

    def _settle(self, now_s: float) -> list[Effect]:
        """Those that wait for the journal need not where the platform has it, and do not where that takes too long."""
        base = self._uplink.stream.next_number - self._uplink.backlog
        effects: list[Effect] = [*_settled(self._waiters.committed(base))]
        if late := self._waiters.expire(now_s):
            effects += self._refuse(late, NOT_WRITTEN)
        return effects

    # Devices

    def _hear_publisher(self, beat: Heartbeat, now_s: float) -> Sequence[Effect]:
        """The connector may ask whether the platform is reached, and a new publisher has to be told of the devices."""
        state = state_of(beat, PublisherState)
        if state is None:
            return []
        effects: list[Effect] = []
        if (is_up := state.link == "up") != self._is_link_up:
            self._is_link_up = is_up
            effects.append(ShowLink(is_up))
        if state.epoch not in ("", self._epoch) and not self._source.is_draining and not self._is_left:
            self._epoch = state.epoch
            effects += self._tell_devices(now_s)
        return effects

    def _tell_devices(self, now_s: float) -> Sequence[Effect]:
        """A new publisher knows nothing of the devices, and can pass on calls only to those that it has announced."""
        frames = [pack_entry(name, kind, mark="connect") for name, kind in self._table.connected]
        if not frames or not self._uplink.can_take:
            return []
        return self._source.put(items_of(frames), self._clock.at_ms(now_s) or 0, b"", now_s)

    # Calls

    def _serve(self, request: Request, now_s: float) -> Sequence[Effect]:
        source = self._source
        try:
            asked = body_of(request, *_SERVED)
        except WireError as error:
            return [source.refuse(request, str(error))]
        match asked:
            case Encode() | EncodeUpdate() | CallConnector() | SharedKeys():
                return self._call(request, asked, now_s)
            case _:
                return source.serve(request, asked, now_s)

    def _call(self, request: Request, asked: Asked, now_s: float) -> Sequence[Effect]:
        if self._source.is_draining or self._life.phase == "closing":
            return [self._source.refuse(request, SHUTTING_DOWN)]
        if not self._life.is_open or self._life.fault:
            return [self._source.refuse(request, not_connected(request.device))]
        if isinstance(asked, Encode | EncodeUpdate) and not asked.called:
            return [self._source.refuse(request, unknown_device(request.device))]
        return self._calls.begin(request, asked, now_s)

    # Time, and the end

    def _keep_time(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        notes, stuck = self._calls.expire(now_s)
        effects += [*notes, *self._questions.expire(now_s)]
        if stuck:
            effects += self._fail(stuck, EXIT_FAILED, now_s)
        if self._table.due_s is not None and now_s >= self._table.due_s:
            effects.append(KeepDevices(self._table.keep(now_s)))
        if self._life.is_late(now_s):
            effects += self._end_phase(now_s)
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            effects += self._look(now_s)
        return effects

    def _end_phase(self, now_s: float) -> list[Effect]:
        """The connector has not closed in time, or has been shown long enough as one that can't go on."""
        if self._life.phase == "closing":
            why = f"close() has not come back, or is_stopped() stays false, after {CLOSE_S:g} s"
            return [Note("warning", "connector.not_closed", self._named(reason=why)), *self._closed(now_s)]
        self._life.end()
        return [*self._source.drain(now_s)]

    def _look(self, now_s: float) -> Sequence[Effect]:
        """How the connector does."""
        if self._life.phase != "running" or self._source.is_draining:
            return []
        limit = self._facts.memory_limit_mb
        used = self._gauges().get("memory_bytes", 0) // (1024 * 1024)
        if limit is not None and used > limit:
            return self._fail(f"it takes {used} MB of memory, and memoryLimitMB is {limit}", EXIT_FAILED, now_s)
        if self._life.is_open and not self._life.warning and self._has_ended():
            self._life.warning = RUN_ENDED
            self._source.show(now_s)
            return [Note("warning", "connector.ended", self._named(reason=RUN_ENDED))]
        return []

    def _fail(self, reason: str, code: int, now_s: float) -> Sequence[Effect]:
        """The connector can't go on. That is shown for a while, and what waits is sent as far as it goes; its devices
        stay connected, as the next process has them again, unless that can't be."""
        if self._source.is_draining or not self._life.fail(reason, code, now_s):
            return []
        self._source.show(now_s)
        effects: list[Effect] = [Note("error", "connector.failed", self._named(reason=reason))]
        effects += self._calls.refuse_all(not_connected(self._source.streams[0].device))
        return [*effects, *self._say_gone(now_s)] if code == EXIT_FINAL else effects

    def _drain(self, now_s: float) -> Sequence[Effect]:
        """It is told to end: the connector closes first. Told twice, it ends at once."""
        if self._life.phase == "closing" or self._source.is_draining:
            return [Exit(self._life.code)]
        self._life.close(now_s)
        if self._life.phase == "over":
            return self._source.drain(now_s)
        # Its end may follow at once, and would else look like one without a word.
        self._source.show(now_s)
        return [*self._calls.refuse_all(SHUTTING_DOWN), CloseConnector()]

    def _closed(self, now_s: float) -> Sequence[Effect]:
        """The connector is closed, or has had its time. Its devices are gone behind the last that they said."""
        if self._life.phase != "closing":
            return []
        self._life.end()
        return [*self._say_gone(now_s), *self._source.drain(now_s)]

    def _say_gone(self, now_s: float) -> Sequence[Effect]:
        if not len(self._table):
            return []
        self._table.end(now_s)
        entries = [Item(Entry.LOST, [b"the connector was stopped"])]
        put = self._source.put(entries, self._clock.at_ms(now_s) or 0, b"", now_s)
        return [*put, KeepDevices(self._table.keep(now_s))]

    def _named(self, **facts: str) -> dict[str, str]:
        return {"connector": self._facts.name, "class": self._facts.class_name, **facts}

    def _state(self, now_s: float) -> ConnectorHostState:
        """What the heartbeat says."""
        facts, uplink, life = self._facts, self._uplink, self._life
        in_flight, in_flight_bytes = uplink.in_flight
        connected = self._table.connected
        return ConnectorHostState(
            connector=facts.name,
            type=facts.kind,
            class_name=facts.class_name,
            file=facts.file,
            opened=life.is_open,
            draining=self._source.is_draining or life.phase == "closing",
            fault=life.fault,
            warning=life.warning,
            wants_shared=self._wants_shared,
            since_s=now_s - life.since_s,
            entry_s=None if self._entry_s is None else now_s - self._entry_s,
            devices=len(connected),
            some=dict(connected[:MOST_TOLD]),
            journal=uplink.stream.journal,
            generation=uplink.stream.generation,
            backlog=uplink.backlog,
            backlog_bytes=uplink.backlog_bytes,
            in_flight=in_flight,
            in_flight_bytes=in_flight_bytes,
            journal_writable=not uplink.is_down,
            oldest_s=uplink.oldest_s(now_s),
            most_backlog=uplink.limits.max_records,
            most_backlog_bytes=uplink.limits.max_bytes,
            delivered=uplink.delivered,
            dead=dict(uplink.dead),
        )


def announcement(device: str, device_type: str, connector_type: str, connector: str) -> bytes:
    """The entry that says that a device is there; as in the reference, the platform hears by which connector."""
    by = b'{"connectorType":%b,"connectorName":%b}' % (encode_json(connector_type), encode_json(connector))
    return pack_entry(device, device_type, mark="connect", attributes=by)


def _settled(tickets: list[int]) -> list[Effect]:
    return [Settle(tickets)] if tickets else []
