"""The publisher's decisions: readings in order to the platform, acks to the readers, calls both ways. Pure.

`PublisherCore` is run by `common.io.loop` and by the simulation alike. It hears `common.core.events` and
`services.publisher.core.events`, hands each event to the part whose business it is, and gives back what these parts
have put into its `Outlet`.

What has arrived is only noted; the work is done once per turn of the loop, at `RoundOver`, or else at `Tick`:
`next_deadline_s` is 0 while there is something to do. So readings of many devices that came together leave together,
and one report stands for many batches.

Topics wanted on the events plane: `beat.broker.`, `beat.port_reader.` and `beat.connector_host.`; port readers' tell a
new publisher which devices are connected but silent, and both say how much waits in their journals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, assert_never

from common.config.models import Platform as PlatformConfig
from common.core.counters import new_counts, totals
from common.core.deadlines import earliest
from common.core.errors import WireError
from common.core.events import Arrived, Blocked, Drain, Exit, Junk, Send, Start, Tick, Writable, answer
from common.core.membership import Membership
from common.wire.calls import SHUTTING_DOWN, Beat, Configured, TakeDevices, body_of, reader_of, refuse, reply
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
from common.wire.states import ConnectorHostState, PortReaderState, PublisherState, facts_of
from services.publisher.core.activity import Activity
from services.publisher.core.connecting import Connecting
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import (
    AttributesAnswer,
    DeviceAttributes,
    DeviceDeleted,
    DeviceDropped,
    DeviceRenamed,
    DeviceRpc,
    Dialect,
    ForgetCredentials,
    GatewayAttributes,
    GatewayRestart,
    GatewayRpc,
    Ignored,
    RpcRefused,
    SessionLimits,
    Unusable,
)
from services.publisher.core.dialects.provisioning import Ask, ProvisioningWords
from services.publisher.core.downlink import Downlink
from services.publisher.core.events import (
    ConfiguredRead,
    CredentialsKept,
    CredentialsRemoved,
    DisconnectPlatform,
    Effect,
    Event,
    LinkDown,
    LinkEvent,
    LinkOpened,
    LinkRefused,
    LinkUp,
    LogLines,
    MachineSeen,
    NamesKept,
    PacketRefused,
    PlatformMessage,
    Probed,
    PubAck,
    RoundOver,
    SupervisorAsked,
)
from services.publisher.core.filtering import DeviceFilter
from services.publisher.core.gateway import GatewayCalls
from services.publisher.core.hosted_keys import HostedKeys
from services.publisher.core.known import KnownParts
from services.publisher.core.names import KeptNames, Named
from services.publisher.core.notices import Notices
from services.publisher.core.ordering import Ordering, Unwanted
from services.publisher.core.outbox.dead_letters import DeadLetters
from services.publisher.core.outbox.intake import Intake
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outlet import Outlet
from services.publisher.core.platform_session import PlatformSession
from services.publisher.core.questions import Questions
from services.publisher.core.remote import Remote, RemoteSetup
from services.publisher.core.replies import Replies
from services.publisher.core.session.faults import Place
from services.publisher.core.session.provisioning import Provisioner
from services.publisher.core.shared_attributes import SharedAttributes
from services.publisher.core.standstill import LinkStandstill
from services.publisher.core.statistics import GatewayStatistics
from services.publisher.core.strategies import Strategies
from services.publisher.core.stream import Release
from services.publisher.core.taking import Taking
from services.publisher.core.watch import DeviceWatch

DRAIN_S: Final = 3.0
"""How long the publisher waits at its end for the platform to accept what it has."""
EVENTS_PER_TURN: Final = 64
"""Events after which the turn's work is done even though more may be waiting; what time decides waits for `Tick`."""


OtherLinkEvent = LinkOpened | LinkUp | LinkDown | LinkRefused | Probed | PlatformMessage | PacketRefused
"""What names a connection, but for PUBACKs."""


class PublisherCore:
    """One publisher of one epoch.

    `config` says host, port and packing (never read: the secrets in it); `dialect` the topics and payloads of its kind
    of platform; `types` the device type of each configured device, `connectors` their connectors' names, `shared`
    the attributes that each can be told; `draw` gives numbers in [0, 1) for jitter, `version` is our own when a
    platform asks; `names` is what an earlier publisher has kept of the devices that users' converters have named.
    `answer_times`: how many seconds an answer may take, by device and method. `strategies`: of the devices that do not
    report all that they say. `remote`: what the platform may ask of the gateway as a whole. `hosts`: the names of the
    hosted connectors of each type; their streams are among `types` and `connectors`. `units`: the attribute `units` of
    devices that have one, a JSON object.
    `renamed`: what the platform calls the devices that it calls otherwise, as an earlier publisher has kept it.
    `provisioning`: what the platform is asked for first, by a gateway that has no credentials.
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
        units: Mapping[str, bytes] | None = None,
        shared: Mapping[str, Sequence[str]] | None = None,
        version: str = "",
        names: Mapping[str, Named] | None = None,
        answer_times: Mapping[tuple[str, str], float] | None = None,
        strategies: Mapping[str, Strategies] | None = None,
        remote: RemoteSetup = RemoteSetup(),  # noqa: B008 (it never changes)
        hosts: Mapping[str, Sequence[str]] | None = None,
        renamed: Mapping[str, str] | None = None,
        provisioning: tuple[ProvisioningWords, Ask] | None = None,
    ) -> None:
        self._config = config
        self._dialect = dialect
        known = KnownParts(
            dict(types),
            dict(connectors) if connectors is not None else dict.fromkeys(types, "serial"),
            dict(shared or {}),
            dict(units or {}),
            dict(answer_times or {}),
            dict(strategies) if strategies is not None else None,
        )
        self._known = known
        # Readers of connected but silent devices beat rarely, so they are asked for a beat.
        # The broker, which reads no configuration, hears here how long frames may wait.
        detail = {"company_ms": round(config.broker_company_s * 1000)}
        self._membership = Membership(identity, detail, map(reader_of, types))
        self._out = out = Outlet()
        self._counters = counters = new_counts(PublisherCounts)
        self._ordering = Ordering(epoch, counters, out)
        self._names = KeptNames(names or {}, known.types, counters, out, renamed)
        dead_letters = DeadLetters(counters, out)
        self._outbox = Outbox(
            dialect,
            known.types,
            dead_letters,
            counters,
            names=self._names,
            strategies=known.strategies,
            connectors=known.connectors if connectors is not None else None,
            kinds={name: kind for kind, hosted in (hosts or {}).items() for name in hosted},
            units=known.units,
        )
        device_filter = DeviceFilter(config.filtering, known.connectors, counters, out) if config.filtering else None
        self._intake = Intake(
            self._outbox,
            dialect=dialect,
            names=self._names,
            types=known.types,
            dead_letters=dead_letters,
            counters=counters,
            device_filter=device_filter,
        )
        activity = (
            Activity(config.inactivity_timeout_s, config.inactivity_period_s, self._outbox, out)
            if config.inactivity_timeout_s is not None
            else None
        )
        replies = Replies(counters)
        self._session = PlatformSession(
            config, dialect, outbox=self._outbox, replies=replies, counters=counters, out=out, draw=draw
        )
        gateway = GatewayCalls(
            self._outbox.table,
            self._names,
            counters,
            connectors=known.connectors,
            version=version,
            events=self._ordering.counts,
        )
        self._remote = Remote(remote, dialect, replies, known.connectors, out)
        statistics = (
            GatewayStatistics(
                config.statistics,
                dialect,
                gateway=gateway,
                connectors=known.connectors,
                replies=replies,
                counters=counters,
                out=out,
            )
            if config.statistics
            else None
        )
        number, table = count(1).__next__, self._outbox.table
        self._shared = SharedAttributes(dialect, known.shared, replies, self._names.shown, number)
        self._hosted_keys = HostedKeys(self._shared, table, out, f"keys-{epoch[:8]}")
        self._downlink = Downlink(
            dialect,
            replies=replies,
            gateway=gateway,
            shared=self._shared,
            questions=Questions(
                dialect, replies, out, number=number, shown=self._names.shown, is_announced=table.is_announced
            ),
            counters=counters,
            out=out,
            prefix=f"rpc-{epoch[:8]}",
            answer_times=known.answer_times,
            hosts=hosts or {},
        )
        self._notices = Notices(
            dialect, self._names, self._outbox, replies, out, follows_renaming=config.follows_renaming
        )
        self._connecting = Connecting(
            self._session.link, Provisioner(Place.of(config), *provisioning, draw, out) if provisioning else None
        )
        self._standstill = LinkStandstill()
        self._watch = DeviceWatch(activity, statistics)
        self._taking = Taking(
            known,
            outbox=self._outbox,
            names=self._names,
            shared=self._shared,
            device_filter=device_filter,
            forget=self._watch.forget,
            out=out,
        )
        self._events = 0
        """Events since the last turn."""
        self._now_s = 0.0
        """When the last turn was."""
        self._drain_until_s: float | None = None
        """When the end comes in any case; None while nobody has asked for it."""

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in the order in which they are to be performed.

        Raises nothing for what a device, a client or the platform has said; anything raised is a bug. The first cases
        are the frequent ones.
        """
        self._standstill.notice(now_s)
        out = self._out
        out.effects += self._membership.handle(event, now_s)
        match event:
            case Arrived(message=ReadingBatch() as batch):
                self._take(batch, now_s)
            case PubAck() if self._is_ours(event) and self._session.link.state == "up":
                self._session.acknowledge(event, now_s)
                if self._session.acceptance.announced:
                    self._welcome(now_s)
            case RoundOver():
                if self._events:
                    self._work(now_s)
                return out.take()
            case Tick():
                self._turn(now_s)
                return out.take()
            case Arrived(message=Request() as request) if body_of(request, Beat):
                out.effects += self._membership.answer(request, now_s)
            case Arrived(message=Request() as request) if body_of(request, Configured):
                self._remote.changed()
                out.order(answer(reply(request, None)))
            case Arrived(message=Request(verb="take_devices") as request):
                self._take_devices(request, now_s)
            case Arrived(message=message):
                self._hear_message(message, now_s)
                # Somebody waits for these; they are not put off till the turn's end.
                self._session.publish_replies(now_s)
            case LinkOpened() | LinkUp() | LinkDown() | LinkRefused() | Probed() | PlatformMessage() | PacketRefused():
                self._hear_link(event, now_s)
            case PubAck():
                pass  # Of a connection that is over, or that carries no readings.
            case CredentialsKept():
                self._connecting.kept(event, now_s)
            case CredentialsRemoved():
                self._connecting.forget()
                self._remote.forgotten(event, now_s)
            case Blocked(plane=Plane.CALLS, message=Request() | Reply() as message):
                self._downlink.hold(message)
                return out.take()
            case Writable(plane=Plane.CALLS):
                self._downlink.send_held(now_s)
            case Start():
                self._taking.departures.configured_anew(now_s)
                self._remote.start()
                self._connecting.link.start(now_s)
            case LogLines():
                self._remote.log.take(event)
            case ConfiguredRead():
                self._remote.read(event, now_s)
            case SupervisorAsked():
                self._remote.asked(event, now_s)
                self._session.publish_replies(now_s)
            case MachineSeen():
                self._watch.tell(event, now_s, self._session.link.state == "up")
            case NamesKept():
                self._names.kept(event, now_s)
            case Drain() if self._drain_until_s is None:
                self._drain_until_s = now_s + DRAIN_S
                self._downlink.end_all(now_s)
                self._outbox.reporting.report_all(now_s)
            case Blocked() | Writable():
                pass  # What is neither a call nor an answer is sent again anyway.
            case Junk():
                pass  # Membership has counted it.
            case Drain():
                pass  # It has begun already.
            case _:
                assert_never(event)
        self._events += 1
        if self._events >= EVENTS_PER_TURN:
            self._work(now_s)
        return out.take()

    @property
    def next_deadline_s(self) -> float | None:
        """When to send `Tick`; 0.0 while there is work for this turn of the loop."""
        if self._events:
            return 0.0
        due_s = earliest(
            self._membership.next_deadline_s,
            self._connecting.next_deadline_s,
            self._session.next_deadline_s(self._now_s),
            self._downlink.next_deadline_s,
            self._hosted_keys.due_s,
            self._ordering.next_report_s,
            self._outbox.reporting.due_s,
            self._drain_until_s,
            self._names.due_s,
        )
        told_s = self._remote.next_deadline_s
        return due_s if told_s is None or not self._session.told_bytes(self._now_s) else min(due_s, told_s)

    # What arrives.

    def _take(self, batch: ReadingBatch, now_s: float) -> None:
        """Readings: what is in order goes to the outbox. While this process ends, nothing is taken; it comes again."""
        if self._drain_until_s is not None:
            return
        for found in self._ordering.take(batch, now_s):
            match found:
                case Release(kind=Entry.ANSWER, body=body) if body.answer:
                    self._intake.add(self._take_answer(found, body.answer, now_s), batch.device, now_s)
                case Release():
                    self._watch.note(batch.device, found, now_s)
                    self._taking.departures.note(batch.device, now_s)
                    self._intake.add(found, batch.device, now_s)
                case Unwanted(stream=stream, end=end):
                    self._intake.forget(stream, end, now_s)
                case _:
                    assert_never(found)

    def _take_devices(self, request: Request, now_s: float) -> None:
        """Other devices are configured now. A publisher that ends takes nothing: the next one reads it."""
        try:
            said = body_of(request, TakeDevices)
            why = SHUTTING_DOWN if self._drain_until_s is not None else ""
            why = why or (self._taking.take(said, now_s) if isinstance(said, TakeDevices) else "")
        except WireError as error:
            why = str(error)
        self._membership.asks = tuple(map(reader_of, self._known.types))
        self._out.order(answer(refuse(request, why) if why else reply(request, None)))

    def _take_answer(self, release: Release, answer: tuple[str, bytes], now_s: float) -> Release:
        """A device's answer that was journaled. If it has answered its call already, nothing of it is published."""
        if self._downlink.take_answer(*answer, can_reply=self._session.may_publish, now_s=now_s):
            return release
        self._counters["dead_letters"] -= len(release.body.dead)
        return release.silenced()

    def _hear_message(self, message: Message, now_s: float) -> None:
        """What other processes say, but for readings."""
        match message:
            case Request():
                self._downlink.hear_client(message, now_s, self._drain_until_s is not None)
            case Reply():
                self._downlink.hear_reply(message, now_s)
                self._hosted_keys.reply(message, now_s)
            case Heartbeat(kind="port_reader" | "connector_host"):
                match self._watch.hear_source(message):
                    case PortReaderState(connected=True, device=device):
                        self._taking.departures.note(device or message.name, now_s)
                        # It is announced, though its stream has said nothing of that to this publisher.
                        self._intake.connected(device or message.name, now_s)
                    case ConnectorHostState() as host:
                        self._hosted_keys.hear_host(message.name, message.instance, host, now_s)
            case Heartbeat() | Registered():
                pass  # Membership has taken what is in it.
            case ReadingBatch() | FrameBatch() | StreamReport() | Tap() | Register():
                pass  # Readings are taken elsewhere; the rest is for others.
            case _:
                assert_never(message)

    # The platform.

    def _is_ours(self, event: LinkEvent) -> bool:
        """False for an event of a connection that was given up: such events may still be on their way to us."""
        return event.connection == self._session.link.connection

    def _hear_link(self, event: OtherLinkEvent, now_s: float) -> None:
        """What happens on the connection that counts. A message is nothing to us before CONNACK, and once this process
        is ending."""
        if self._connecting.is_asking:
            self._connecting.hear(event, now_s)
            return
        if not self._is_ours(event):
            return
        match event:
            case PlatformMessage(is_retained=True):
                self._downlink.ignore_retained(event.topic)
            case PlatformMessage():
                if self._session.link.state == "up" and self._drain_until_s is None:
                    self._hear_platform(event, now_s)
            case PacketRefused():
                self._counters["packets_refused"] += 1
            case LinkUp() if self._session.link.state == "connecting":
                self._downlink.drop_stale_replies(now_s)
                self._shared.connection_begun()
                self._downlink.questions.connection_begun()
                self._session.begin(event, now_s)
                self._remote.connection_begun(now_s)
                self._watch.connection_begun(now_s)
            case LinkOpened() | LinkUp() | LinkDown() | LinkRefused() | Probed():
                self._session.hear(event, now_s)
            case _:
                assert_never(event)

    def _hear_platform(self, event: PlatformMessage, now_s: float) -> None:
        """A message from the platform: a call, or a word about the session."""
        self._counters["messages_received"] += 1
        said = self._dialect.parse(event.topic, event.payload, event.size_bytes)
        match said:
            case DeviceRpc() | DeviceAttributes() | AttributesAnswer() | RpcRefused():
                ours = said._replace(device=self._names.ours(said.device))
                self._downlink.hear_platform(ours, now_s, self._standstill.waited_s(now_s))
            case GatewayRpc():
                self._downlink.hear_platform(said, now_s, self._standstill.waited_s(now_s))
            case GatewayRestart():
                self._remote.restart(said)
            case ForgetCredentials():
                self._remote.forget_credentials(said)
            case GatewayAttributes():
                self._remote.hear(said, now_s)
            case DeviceRenamed() | DeviceDeleted():
                self._notices.hear(said, now_s)
            case SessionLimits():
                self._session.hear_limits(said, now_s)
            case DeviceDropped():
                self._session.drop(said._replace(device=self._names.ours(said.device)), now_s)
            case Unusable(reason=reason):
                self._counters["downlink_junk"] += 1
                self._out.note("warning", "downlink.junk", topic=event.topic, reason=reason)
            case Ignored():
                pass
            case _:
                assert_never(said)

    def _welcome(self, now_s: float) -> None:
        """Devices have just been announced: what the platform changed while they, or we, were away is asked for, and it
        is told whose they are."""
        announced = self._session.acceptance.announced
        for device in announced:
            source = self._outbox.table.lane(device).source
            self._shared.connected(device, source, now_s)
            self._hosted_keys.announced(device, source)
            self._downlink.questions.announced(device, now_s)
            self._outbox.introduce(device, now_s)
        announced.clear()
        self._hosted_keys.work(now_s)

    # The work.

    def _turn(self, now_s: float) -> None:
        """What time has decided, when everything that had arrived was handled, and then the work.

        What has arrived comes first: a PUBACK that was in the socket is no PUBACK that is missing.
        """
        self._now_s = now_s
        self._downlink.expire(now_s)
        if self._hosted_keys.due_s is not None:
            self._hosted_keys.work(now_s)
        self._session.expire(now_s)
        self._outbox.reporting.report_due(now_s)
        if self._drain_until_s is None:
            self._connecting.tick(now_s)
        if self._membership.is_due(now_s):
            self._beat(now_s)
        self._work(now_s, is_over=self._drain_until_s is not None and now_s >= self._drain_until_s)

    def _work(self, now_s: float, is_over: bool = False) -> None:
        """What there is to publish, to report and to say; the end, where that was all (`is_over`: in any case)."""
        self._events, self._now_s = 0, now_s
        if self._names.due_s is not None and now_s >= self._names.due_s:
            # Before the platform is told of them: it may call them from then on.
            self._names.keep(now_s)
        if self._remote.has_news:
            self._remote.work(now_s, self._session.told_bytes(now_s))
        self._session.publish(now_s)
        self._out.effects += [Send(Plane.EVENTS, report) for report in self._ordering.changed_reports(now_s)]
        self._out.end_turn()
        if is_over or (self._drain_until_s is not None and self._session.is_drained):
            self._out.order(DisconnectPlatform(self._session.link.connection))
            self._out.note("info", "process.drained")
            self._out.end_turn()
            self._out.order(Exit(0))

    def _beat(self, now_s: float) -> None:
        """The heartbeat, and with it what the connection and the readers have to hear each second."""
        link = self._connecting.link
        state = PublisherState(
            epoch=self._ordering.epoch,
            # Nothing can be published over the connection by which credentials are asked for.
            link="connecting" if self._connecting.is_asking and link.state == "up" else link.state,
            fault=link.fault,
            protocol=link.protocol,
            host=self._config.host,
            port=self._config.port,
            devices=sum(lane.is_open for lane in self._outbox.table.lanes.values()),
            in_flight=self._session.flights.unaccepted,
            backlog=self._ordering.unsettled,
            calls=len(self._downlink.calls),
            yields=self._watch.seen(now_s),
            refused=self._outbox.table.refused,
            left_out=self._intake.left_out,
            unaccepted_s=self._session.look(now_s),
            published=self._session.acceptance.tally.durations.said,
            refused_codes=dict(self._session.acceptance.tally.codes),
            interval_s=self._session.paces.interval_s,
            called=self._downlink.tally.durations.said,
            calls_ended=dict(self._downlink.tally.ends),
        )
        self._out.effects += self._membership.beat(now_s, facts_of(state), totals(self._counters))
        self._watch.look(now_s, self._session.link.state == "up")
        self._taking.look(now_s)
        self._session.check(now_s)
        self._out.effects += [Send(Plane.EVENTS, report) for report in self._ordering.all_reports(now_s)]
