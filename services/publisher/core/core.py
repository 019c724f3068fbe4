"""The publisher's decisions: readings in order to the platform, acks to the readers, calls both ways. Pure.

`PublisherCore` is run by `common.io.loop` and by the simulation alike. It hears
`common.core.events` and `services.publisher.core.events` and orders their effects. What has arrived is only noted; the
work is done once per turn of the loop, at `RoundOver`, or else at `Tick`: `next_deadline_s` is 0 while there is
something to do. So readings of many devices that came together leave together, and one report stands for many batches.

Topics wanted on the events plane: `beat.broker.` and `beat.port_reader.`; the latter tell a new publisher which
devices are connected but silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

from common.config.models import PAYLOAD_GUESS_BYTES
from common.config.models import Platform as PlatformConfig
from common.core.counters import new_counts, totals
from common.core.events import Arrived, Blocked, Drain, Exit, Junk, Note, Send, Start, Tick, Writable
from common.core.membership import Membership
from common.wire.calls import Beat, body_of, reader_of
from common.wire.messages import (
    Entry,
    FrameBatch,
    Heartbeat,
    Identity,
    Message,
    Plane,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
)
from common.wire.states import PortReaderState, PublisherState, facts_of, state_of
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Dialect, SessionLimits
from services.publisher.core.downlink import Downlink
from services.publisher.core.events import (
    CheckLink,
    DisconnectPlatform,
    Effect,
    Event,
    LinkDown,
    LinkEvent,
    LinkOpened,
    LinkRefused,
    LinkUp,
    PacketRefused,
    PlatformMessage,
    PubAck,
    Publish,
    RoundOver,
)
from services.publisher.core.ordering import Ordering, Run
from services.publisher.core.outbox.batching import Batching
from services.publisher.core.outbox.packing import Packing
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.session.acceptance import MOST_IN_FLIGHT, Acceptance
from services.publisher.core.session.link import Link

DRAIN_S: Final = 3.0
"""At the end what is in hand may take so long to be accepted."""
EVENTS_PER_TURN: Final = 64
"""Events after which the turn's work is done even though more may be waiting; what time decides waits for `Tick`."""
PACKET_OVERHEAD_BYTES: Final = 64
"""Topic and header of a PUBLISH, which count into the other side's maximum packet size."""
MQTT_PACKET_BYTES: Final = 268_435_455
"""What MQTT itself allows."""
STOOD_STILL_S: Final = 2.0
"""A process that beats each second and hears nothing for longer was stopped: what it finds in its sockets may be as
old."""
STALE_FOR_S: Final = 0.5
"""So long after a stop the sockets are taken to hold what came during it."""
DEAD_NOTED_S: Final = 60.0
RETAINED_NOTED: Final = 16
MOST_BLOCKED: Final = 2_000


class PublisherCore:
    """One publisher of one epoch.

    `config` says host, port and packing (never read: the secrets in it); `dialect` the topics and
    payloads of its kind of platform; `types` the device type of each configured
    device, `connectors` their connectors' names; `draw` gives numbers in [0, 1) for jitter, `version` our own
    when a platform asks.
    """

    def __init__(
        self,
        identity: Identity,
        epoch: str,
        config: PlatformConfig,
        dialect: Dialect,
        types: Mapping[str, str],
        *,
        draw: Callable[[], float],
        connectors: Mapping[str, str] | None = None,
        version: str = "",
    ) -> None:
        self._config = config
        self._types = types
        # Those who are connected but silent beat once in a while only.
        self._membership = Membership(identity, {}, map(reader_of, types))
        self._counters = new_counts(PublisherCounts)
        self._dialect = dialect
        self._ordering = Ordering(epoch, self._counters)
        self._batching = Batching(self._dialect, types, self._bury, self._counters)
        self._acceptance = Acceptance(self._batching, self._counters, self._note)
        self._downlink = Downlink(
            self._dialect,
            self._batching,
            self._acceptance,
            self._counters,
            self._note,
            prefix=f"rpc-{epoch[:8]}",
            connectors=connectors if connectors is not None else dict.fromkeys(types, "serial"),
            version=version,
        )
        self._link = Link(draw)
        self._packing = self._default_packing()
        self._packet_bytes = MQTT_PACKET_BYTES
        self._token = 0
        self._events = 0
        """Events since the last turn."""
        self._now_s = 0.0
        self._handled_s: float | None = None
        self._stood_s = 0.0
        self._stale_until_s = 0.0
        """How long we stood still, and until when what is heard may be as old."""
        self._retained: set[str] = set()
        """Topics of which it was said that a message on them is old."""
        self._reply_turn = True
        """True if it is the replies' turn to be published, where both wait."""
        self._dead_noted_s: dict[str, float] = {}
        """When the next dead letter of a device is worth a line; the counter and the reader have them all."""
        self._owed: list[Send | Note] = []
        """Effects of what was only noted, due at the end of the turn."""
        self._blocked: deque[Request | Reply] = deque(maxlen=MOST_BLOCKED)
        self._drain_until_s: float | None = None

    def _default_packing(self) -> Packing:
        config = self._config
        delay_s = config.min_pack_send_delay_ms / 1000
        return Packing(config.max_payload_size_bytes, config.min_pack_size_to_send, delay_s)

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in the order in which they are to be performed."""
        self._notice_stop(now_s)
        effects: list[Effect] = [*self._membership.handle(event, now_s)]
        match event:
            case Arrived(message=ReadingBatch() as batch):
                self._take(batch, now_s)
            case PubAck() if self._is_ours(event) and self._link.state == "up":
                self._acknowledge(event, now_s)
            case RoundOver():
                return effects + self._work(now_s) if self._events else effects
            case Tick():
                return effects + self._turn(now_s)
            case Arrived(message=Request() as request) if body_of(request, Beat):
                effects += self._membership.answer(request, now_s)
            case Arrived(message=message):
                effects += self._hear(message, now_s)
                # Somebody waits for these; they are not put off till the turn's end.
                effects += self._publish_replies(now_s)
            case PacketRefused() if self._is_ours(event):
                self._counters["packets_refused"] += 1
            case LinkOpened() | LinkUp() | LinkDown() | LinkRefused() | PlatformMessage() if self._is_ours(event):
                effects += self._hear_link(event, now_s)
            case Blocked(plane=Plane.CALLS, message=Request() | Reply() as message):
                self._blocked.append(message)
                return effects
            case Writable(plane=Plane.CALLS):
                effects += self._send_blocked(now_s)
            case Start():
                self._link.start(now_s)
            case Drain() if self._drain_until_s is None:
                self._drain_until_s = now_s + DRAIN_S
                effects += self._downlink.end_all(now_s)
            case PubAck() | LinkOpened() | LinkUp() | LinkDown() | LinkRefused() | PlatformMessage() | PacketRefused():
                pass  # Of a connection that is over.
            case Blocked() | Writable():
                pass  # What is neither a call nor an answer is said again anyway.
            case Junk():
                pass  # Membership has counted it.
            case Drain():
                pass  # It has begun already.
            case _:
                assert_never(event)
        self._events += 1
        return effects + self._work(now_s) if self._events >= EVENTS_PER_TURN else effects

    @property
    def next_deadline_s(self) -> float | None:
        """When to send `Tick`; 0.0 while there is work for this turn of the loop."""
        if self._events:
            return 0.0
        now_s = self._now_s
        times = (
            self._membership.next_deadline_s,
            self._link.next_deadline_s,
            self._acceptance.next_deadline_s(self._packing, now_s, self._link.may_send_data(now_s)),
            self._downlink.calls.next_deadline_s,
            self._ordering.next_report_s,
            self._drain_until_s,
        )
        return min(time_s for time_s in times if time_s is not None)

    def _notice_stop(self, now_s: float) -> None:
        since_s = 0.0 if self._handled_s is None else now_s - self._handled_s
        if since_s > STOOD_STILL_S:
            self._stood_s, self._stale_until_s = since_s, now_s + STALE_FOR_S
        self._handled_s = now_s

    # What arrives.

    def _take(self, batch: ReadingBatch, now_s: float) -> None:
        if self._drain_until_s is not None:
            return
        releases = self._ordering.take(batch, now_s)
        for stream, end in self._ordering.take_unwanted():
            self._batching.forget(stream, end, now_s)
        for release in releases:
            body = release.body
            if release.kind is Entry.ANSWER and body.answer:
                can_reply = self._link.state == "up" and self._acceptance.has_slot
                effects, is_telemetry = self._downlink.take_answer(*body.answer, can_reply=can_reply, now_s=now_s)
                self._owed += effects
                if not is_telemetry:
                    body = body.replace(telemetry=[b""] * len(body.telemetry), attributes=b"", user={})
            self._batching.add(release._replace(body=body), batch.device, now_s)

    def _hear(self, message: Message, now_s: float) -> list[Send]:
        match message:
            case Request():
                return self._downlink.hear_client(message, now_s, self._drain_until_s is not None)
            case Reply():
                return self._downlink.hear_reply(message, now_s)
            case Heartbeat(kind="port_reader"):
                self._hear_reader(message, now_s)
            case Heartbeat() | Registered():
                pass  # Membership has taken what is in it.
            case ReadingBatch() | FrameBatch() | StreamReport() | Tap() | Register():
                pass  # Readings are taken elsewhere; the rest is for others.
            case _:
                assert_never(message)
        return []

    def _hear_reader(self, beat: Heartbeat, now_s: float) -> None:
        """A device that is connected is announced, though its stream has said nothing of that to this publisher."""
        state = state_of(beat, PortReaderState)
        if state is None or not state.connected:
            return
        lane = self._batching.lane(state.device or beat.name)
        if not lane.open and not lane.is_marked:
            lane.open = True
            self._batching.touch(lane, now_s)

    def _send_blocked(self, now_s: float) -> list[Send]:
        effects: list[Send] = []
        while self._blocked:
            message: Request | Reply | None = self._blocked.popleft()
            if isinstance(message, Request):
                message = self._downlink.calls.renew(message, now_s)
            if message:
                effects.append(Send(Plane.CALLS, message))
        return effects

    def _bury(self, run: Run, number: int, reason: str) -> None:
        self._counters["dead_letters"] += 1
        run.stream.bury(number, reason)
        device = run.stream.device
        if self._now_s < self._dead_noted_s.get(device, 0.0):
            return
        self._dead_noted_s[device] = self._now_s + DEAD_NOTED_S
        self._note(Note("warning", "reading.dead_letter", {"device": device, "number": number, "reason": reason}))

    def _note(self, note: Note) -> None:
        self._owed.append(note)

    # The link.

    def _is_ours(self, event: LinkEvent) -> bool:
        return event.connection == self._link.connection

    def _hear_link(
        self, event: LinkOpened | LinkUp | LinkDown | LinkRefused | PlatformMessage, now_s: float
    ) -> Sequence[Send | Note]:
        match event:
            case LinkOpened() if self._link.state == "connecting":
                self._link.opened(now_s)
            case LinkUp() if self._link.state == "connecting":
                return self._begin_session(event, now_s)
            case LinkRefused() if self._link.state == "connecting":
                return self._link.refused(event, now_s)
            case LinkDown() if self._link.state != "down":
                return self._end_session(event, now_s, blame=True)
            case PlatformMessage(is_retained=True):
                return self._ignore_retained(event)
            case PlatformMessage() if self._link.state == "up" and self._drain_until_s is None:
                return self._hear_platform(event, now_s)
            case LinkOpened() | LinkUp() | LinkRefused() | LinkDown():
                pass  # Too late: the attempt was given up, or has ended.
            case PlatformMessage():
                pass  # Not before CONNACK, and nothing new while this process ends.
            case _:
                assert_never(event)
        return []

    def _ignore_retained(self, event: PlatformMessage) -> list[Note]:
        """It was carried out, or answered, when it was said; each new connection brings it again."""
        self._counters["retained_ignored"] += 1
        if event.topic in self._retained or len(self._retained) >= RETAINED_NOTED:
            return []
        self._retained.add(event.topic)
        advice = "an empty retained message on this topic removes it"
        return [Note("warning", "downlink.retained", {"topic": event.topic, "then": "ignored", "advice": advice})]

    def _begin_session(self, event: LinkUp, now_s: float) -> list[Note]:
        self._counters["reconnects"] += self._link.established > 0
        self._acceptance.limit = max(1, min(MOST_IN_FLIGHT, event.receive_maximum))
        self._packing = self._default_packing()
        self._packet_bytes = (event.maximum_packet_bytes or MQTT_PACKET_BYTES) - PACKET_OVERHEAD_BYTES
        self._limit_payload(self._packet_bytes)
        question = self._dialect.limits_request()
        self._downlink.drop_stale_replies(now_s)
        if question:
            self._downlink.replies.appendleft((now_s, question))
        self._batching.forget_announcements(now_s)
        return self._link.up(event, now_s, asks_limits=question is not None)

    def _end_session(self, event: LinkDown, now_s: float, blame: bool) -> list[Note]:
        question = self._dialect.limits_request()
        for flight in reversed(self._acceptance.close(now_s, blame)):
            if flight.parcel.message != question:
                self._downlink.replies.appendleft((flight.since_s, flight.parcel.message))
        if self._acceptance.was_rate:
            # The connection was good; what goes over the next one has its pace.
            self._link.prove()
        return self._link.down(event, now_s)

    def _limit_payload(self, limit_bytes: int) -> None:
        self._packing = self._packing._replace(limit_bytes=min(self._packing.limit_bytes, limit_bytes))

    def _hear_payload_limit(self, limit_bytes: int) -> None:
        """The platform's own word. It counts also above our limit where that is only the reference's guess; the number
        of readings that goes with it grows in proportion."""
        if self._config.max_payload_size_bytes == PAYLOAD_GUESS_BYTES:
            limit_bytes = min(limit_bytes, self._packet_bytes)
            most = self._config.min_pack_size_to_send * max(1, limit_bytes // PAYLOAD_GUESS_BYTES)
            self._packing = self._packing._replace(limit_bytes=limit_bytes, most=most)
        else:
            self._limit_payload(limit_bytes)

    def _hear_platform(self, event: PlatformMessage, now_s: float) -> Sequence[Send | Note]:
        answer = self._dialect.parse(event.topic, event.payload, event.size_bytes)
        if not isinstance(answer, SessionLimits):
            waited_s = self._stood_s if now_s < self._stale_until_s else 0.0
            return self._downlink.hear_platform(answer, event.topic, now_s, waited_s)
        self._link.end_limits_wait()
        if answer.max_payload_bytes:
            self._hear_payload_limit(answer.max_payload_bytes)
        if answer.max_in_flight:
            self._acceptance.limit = max(1, min(self._acceptance.limit, answer.max_in_flight))
        return []

    def _acknowledge(self, event: PubAck, now_s: float) -> None:
        accepted = self._counters["readings_accepted"]
        self._acceptance.acknowledge(event.token, event.code, self._link.protocol, now_s)
        if accepted < self._counters["readings_accepted"]:
            self._link.prove()

    # The work.

    def _turn(self, now_s: float) -> list[Effect]:
        """What time has decided, when everything that had arrived was handled, and then the work."""
        self._now_s = now_s
        accepted = self._counters["readings_accepted"]
        self._acceptance.expire(now_s)
        if accepted < self._counters["readings_accepted"]:
            self._link.prove()
        effects: list[Effect] = [*self._downlink.expire(now_s)]
        if self._link.state == "up" and self._acceptance.is_stuck(now_s):
            effects.append(DisconnectPlatform(self._link.connection))
            event = LinkDown(self._link.connection, "a publish was never acknowledged", reached=True)
            effects += self._end_session(event, now_s, blame=False)
        effects += self._link.tick(now_s) if self._drain_until_s is None else []
        if self._membership.is_due(now_s):
            effects += self._beat(now_s)
        is_over = self._drain_until_s is not None and now_s >= self._drain_until_s
        return effects + self._work(now_s, is_over)

    def _work(self, now_s: float, is_over: bool = False) -> list[Effect]:
        """What there is to publish, to report and to say; the end, where that was all (`is_over`: in any case)."""
        self._events, self._now_s = 0, now_s
        effects: list[Effect] = [*self._publish(now_s)]
        effects += [Send(Plane.EVENTS, report) for report in self._ordering.changed_reports(now_s)]
        effects += self._owed
        effects += self._ordering.take_notes()
        self._owed = []
        if is_over or (self._drain_until_s is not None and self._is_drained):
            effects += [DisconnectPlatform(self._link.connection), Note("info", "process.drained", {}), Exit(0)]
        return effects

    @property
    def _is_drained(self) -> bool:
        is_empty = self._batching.is_empty and not self._acceptance.unaccepted and not self._downlink.replies
        return self._link.state != "up" or is_empty

    def _publish(self, now_s: float) -> list[Publish]:
        """Replies and the rest in turns, so that neither keeps the other from the slots."""
        effects: list[Publish] = []
        replies = self._downlink.replies
        has_more = True
        while self._link.state == "up" and self._acceptance.has_slot and (has_more or replies):
            if replies and (self._reply_turn or not has_more):
                effects += self._publish_reply(now_s)
                self._reply_turn = False
                continue
            self._reply_turn = True
            parcel = self._next_parcel(now_s)
            has_more = parcel is not None
            if parcel is not None:
                effects.append(self._send(parcel, now_s))
        return effects

    def _publish_reply(self, now_s: float) -> list[Publish]:
        return [self._send(Parcel("reply", self._downlink.replies.popleft()[1]), now_s)]

    def _publish_replies(self, now_s: float) -> list[Publish]:
        """The replies that need not wait for the turn's end: as many as leave slots for the rest."""
        effects: list[Publish] = []
        while self._downlink.replies and self._link.state == "up" and self._acceptance.has_reply_slot:
            effects += self._publish_reply(now_s)
        return effects

    def _send(self, parcel: Parcel, now_s: float) -> Publish:
        self._token += 1
        self._acceptance.sent(self._token, parcel, now_s)
        self._counters["publishes"] += 1
        self._counters["bytes_published"] += len(parcel.message.payload)
        self._counters["readings_published"] += parcel.items
        return Publish(self._link.connection, self._token, *parcel.message)

    def _next_parcel(self, now_s: float) -> Parcel | None:
        """Announcements, then data; replies have gone before."""
        if lane := self._acceptance.choose_mark(now_s):
            return self._batching.pack_mark(lane)
        while self._link.may_send_data(now_s) and (lanes := self._acceptance.choose_data(self._packing, now_s)):
            if parcel := self._batching.pack(lanes, self._acceptance.narrow(self._packing)):
                return parcel
            # Its first reading has become a dead letter: look again.
            self._batching.touch(lanes[0], now_s)
        return None

    def _beat(self, now_s: float) -> list[Effect]:
        link = self._link
        state = PublisherState(
            epoch=self._ordering.epoch,
            link=link.state,
            fault=link.fault,
            protocol=link.protocol,
            host=self._config.host,
            port=self._config.port,
            devices=sum(lane.open for lane in self._batching.lanes.values()),
            in_flight=self._acceptance.unaccepted,
            backlog=self._ordering.unsettled,
            calls=len(self._downlink.calls),
        )
        effects: list[Effect] = [*self._membership.beat(now_s, facts_of(state), totals(self._counters))]
        if link.state == "up":
            effects.append(CheckLink(link.connection))
        return effects + [Send(Plane.EVENTS, report) for report in self._ordering.all_reports(now_s)]
