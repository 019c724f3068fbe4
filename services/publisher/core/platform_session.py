"""The publisher's side of the platform: one connection after the other, and what goes over it. Pure.

Here the parts of `session` are put together: the link, what is in flight, who may publish next, what was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from common.config.models import Platform as PlatformConfig
from common.core.events import Level
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects import Counted, DeviceDropped, Dialect, SessionLimits
from services.publisher.core.events import (
    CheckLink,
    DisconnectPlatform,
    LinkDown,
    LinkOpened,
    LinkRefused,
    LinkUp,
    Probed,
    PubAck,
    Publish,
)
from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outbox.parcels import Parcel
from services.publisher.core.outlet import Outlet
from services.publisher.core.replies import Replies
from services.publisher.core.session.acceptance import Acceptance
from services.publisher.core.session.choice import Choice
from services.publisher.core.session.faults import Place
from services.publisher.core.session.flights import MOST_IN_FLIGHT, BackingOff, Publishes
from services.publisher.core.session.limits import PayloadLimits
from services.publisher.core.session.link import Link
from services.publisher.core.session.pacing import Paces
from services.publisher.core.session.rates import MARK, Rates
from services.publisher.core.session.suspicion import Suspicion
from services.publisher.core.yields import Waiting

EARLY_MARKS: Final = 5
"""Announcements that do not wait for the platform's first word on its limits: fewer than any that are in use allow."""
REFUSED_FROM: Final = 128
"""MQTT itself says that a reason code below is success; the dialect knows what the others mean."""


class PlatformSession:
    """Begins and ends sessions with the platform, and publishes what the outbox and the replies hold.

    Publishes share the slots that the platform gives (`Publishes.limit`); announcements go before data, and replies and
    the rest in turns. What was not accepted when a connection ends goes back to where it came from.
    """

    def __init__(
        self,
        config: PlatformConfig,
        dialect: Dialect,
        *,
        outbox: Outbox,
        replies: Replies,
        counters: PublisherCounts,
        out: Outlet,
        draw: Callable[[], float],
    ) -> None:
        """`draw` gives numbers in [0, 1) for the jitter of reconnecting."""
        self._dialect = dialect
        self._outbox = outbox
        self._replies = replies
        self._counters = counters
        self._out = out
        self._limits = PayloadLimits(config, dialect.shape)
        self.flights = Publishes()
        self._rates = Rates(config.rate_limits)
        self.paces, backing_off = Paces(self._rates), BackingOff()
        suspicion = Suspicion(outbox, backing_off, counters, out)
        self._choice = Choice(outbox, self.flights, suspicion, self.paces, backing_off)
        self.acceptance = Acceptance(
            outbox=outbox,
            flights=self.flights,
            suspicion=suspicion,
            paces=self.paces,
            backing_off=backing_off,
            counters=counters,
            out=out,
        )
        self.link = Link(Place.of(config), draw, out)
        self._waiting = Waiting()
        self._token = 0
        """The last one that was given to a publish."""
        self._early = EARLY_MARKS
        """Announcements that may still go out before the platform has said for the first time what it takes."""
        self._reply_turn = True
        """True if it is the replies' turn to be published, where both wait."""

    # Connections.

    def hear(self, event: LinkOpened | LinkUp | LinkDown | LinkRefused | Probed, now_s: float) -> None:
        """What happens on the current connection, but for its beginning (`begin`). Changes nothing where it does not
        fit the state that the connection is in: it comes too late then, and the attempt was given up or has ended."""
        state = self.link.state
        match event:
            case LinkOpened() if state == "connecting":
                self.link.opened(now_s)
            case LinkRefused() if state == "connecting":
                self.link.refused(event, now_s)
            case LinkDown() if state != "down":
                self.end(event, now_s)
            case Probed() if state == "down":
                self.link.probed(event, now_s)
            case _:
                pass

    def begin(self, event: LinkUp, now_s: float) -> None:
        """The connection stands. What the dialect says first goes before all else; devices are announced anew."""
        self._counters["reconnects"] += self.link.established > 0
        # 0 would be no platform at all.
        self.flights.limit = max(1, min(MOST_IN_FLIGHT, event.receive_maximum))
        self._limits.begin(event.maximum_packet_bytes)
        self._replies.put_first(self._dialect.greeting, now_s)
        self._outbox.connection_begun(now_s)
        self.link.up(event, now_s, asks_limits=self._dialect.asks_limits)

    def end(self, event: LinkDown, now_s: float, blame: bool = True) -> None:
        """The connection has ended, or could not be made. `blame` False: it was our own doing, or the time ran out, and
        no device is suspected. Replies that were in flight go out again; a greeting is the next connection's own."""
        greeting = self._dialect.greeting
        was_publishing = any(flight.parcel.kind != "reply" for flight in self.flights.in_flight.values())
        self._rates.ended(now_s)
        for flight in reversed(self.acceptance.close(now_s, blame)):
            if flight.parcel.message not in greeting:
                self._replies.put_back(flight.parcel.message, flight.since_s)
        if self.acceptance.was_rate:
            # The connection was good; what goes over the next one has its pace.
            self.link.prove()
        self.link.down(event, now_s, was_rate=self.acceptance.was_rate, was_publishing=was_publishing)

    def hear_limits(self, limits: SessionLimits, now_s: float) -> None:
        """The platform has said what it takes: data need not wait for that any more."""
        self.link.end_limits_wait()
        self._rates.hear(limits.rates, now_s)
        if limits.max_payload_bytes:
            self._limits.hear(limits.max_payload_bytes)
        if limits.max_in_flight:
            self.flights.limit = max(1, min(self.flights.limit, limits.max_in_flight))

    def drop(self, notice: DeviceDropped, now_s: float) -> None:
        """The platform has ended a device's session, which is worth a warning only once until it accepts data again."""
        lane = self._outbox.table.lanes.get(notice.device)
        is_news = lane is None or not lane.standing.dropped
        if lane:
            self.acceptance.drop(lane, now_s, notice.is_rate)
        level: Level = "warning" if is_news else "debug"
        self._out.note(level, "device.dropped", device=notice.device, reason=notice.reason)

    def check(self, now_s: float) -> None:
        """Lets the shell keep a standing connection alive; to be called each second."""
        self.link.check(now_s)
        if self.link.state == "up":
            self._out.order(CheckLink(self.link.connection))

    def look(self, now_s: float) -> float:
        """For how many seconds something has waited for the platform while it accepted nothing; to be called each
        second."""
        table = self._outbox.table
        is_waiting = bool(self.flights.unaccepted or table.data or table.marks)
        return self._waiting.look(now_s, accepted=self._counters["readings_accepted"], is_waiting=is_waiting)

    # What time and the platform decide.

    def acknowledge(self, event: PubAck, now_s: float) -> None:
        """PUBACK on this connection. Data that is accepted proves the connection to be a good one."""
        code = event.code
        self._rates.answered(event.token, now_s)
        verdict = "accepted" if code < REFUSED_FROM else self._dialect.refusal(code)
        accepted = self._counters["readings_accepted"]
        if not self.link.has_accepted and verdict == "accepted":
            flight = self.flights.in_flight.get(event.token)
            if flight is not None and flight.parcel.kind != "reply":
                self.link.accepted()
        self.acceptance.acknowledge(event.token, verdict, code, protocol=self.link.protocol, now_s=now_s)
        if accepted < self._counters["readings_accepted"]:
            self.link.prove()

    def expire(self, now_s: float) -> None:
        """What time has decided about publishes whose PUBACK has come. A connection on which one was never acknowledged
        is given up."""
        accepted = self._counters["readings_accepted"]
        self.acceptance.expire(now_s)
        if accepted < self._counters["readings_accepted"]:
            self.link.prove()
        if self.link.state == "up" and self.acceptance.is_stuck(now_s):
            self._out.order(DisconnectPlatform(self.link.connection))
            event = LinkDown(self.link.connection, "", reached=True, kind="unacknowledged")
            self.end(event, now_s, blame=False)

    def next_deadline_s(self, now_s: float) -> float | None:
        """When time alone may change what can be published; the link has its own."""
        choice_s = self._choice.next_deadline_s(self._limits.packing, now_s, self.link.may_send_data(now_s))
        if not self._replies.waiting or not self.may_publish:
            return choice_s
        reply_s = self._rates.ready_s(self._next_reply, now_s)
        if reply_s <= now_s or reply_s == inf:
            return choice_s
        return reply_s if choice_s is None else min(choice_s, reply_s)

    # Publishing.

    @property
    def may_publish(self) -> bool:
        """True if a publish could go out now."""
        return self.link.state == "up" and self.flights.has_slot

    def told_bytes(self, now_s: float) -> int:
        """How large a message of the gateway's own may be now; 0 while none may go out: there is no connection, or its
        limits are not known yet."""
        return self._limits.packing.limit_bytes if self.link.state == "up" and self.link.may_send_data(now_s) else 0

    @property
    def is_drained(self) -> bool:
        """True if everything was accepted, or nothing can be: there is no connection."""
        is_empty = self._outbox.table.is_empty and not self.flights.unaccepted and not self._replies.waiting
        return self.link.state != "up" or is_empty

    def publish(self, now_s: float) -> None:
        """Publishes as much as there are slots; replies and the rest in turns, so that neither keeps the other from
        them."""
        # True until there was nothing but replies: what may go out changes with each publish.
        has_more = True
        while self.link.state == "up" and self.flights.has_slot:
            may_reply = self._may_reply(now_s)
            if not has_more and not may_reply:
                return
            if may_reply and (self._reply_turn or not has_more):
                self._publish_reply(now_s)
                self._reply_turn = False
                continue
            self._reply_turn = True
            parcel = self._next_parcel(now_s)
            has_more = parcel is not None
            if parcel is not None:
                self._send(parcel, now_s)

    def publish_replies(self, now_s: float) -> None:
        """Publishes the replies that need not wait for the turn's end: as many as leave slots for the rest."""
        while self.link.state == "up" and self.flights.has_reply_slot and self._may_reply(now_s):
            self._publish_reply(now_s)

    def _may_reply(self, now_s: float) -> bool:
        """True if a reply waits, and the platform takes it now."""
        return bool(self._replies.waiting) and self._rates.may_say(self._next_reply, now_s)

    @property
    def _next_reply(self) -> Counted:
        """What the reply that is due counts for."""
        return self._dialect.counted(self._replies.waiting[0][1])

    def _publish_reply(self, now_s: float) -> None:
        self._send(Parcel("reply", self._replies.waiting.popleft()[1]), now_s)

    def _send(self, parcel: Parcel, now_s: float) -> None:
        """Orders the publish under a token of its own, by which its PUBACK is known."""
        self._token += 1
        self._rates.sent(self._token, self._counted(parcel), now_s)
        self.acceptance.sent(self._token, parcel, now_s)
        self._counters["publishes"] += 1
        self._counters["bytes_published"] += len(parcel.message.payload)
        self._counters["readings_published"] += parcel.items
        if parcel.kind == "attributes":
            self._counters["attributes_published"] += parcel.records
        self._out.order(Publish(self.link.connection, self._token, *parcel.message))

    def _may_mark(self, now_s: float) -> bool:
        """True if devices may be announced. The platform counts that, too: what it takes has to be known for many."""
        return bool(self._early) or not self._rates.is_new or self.link.may_send_data(now_s)

    def _counted(self, parcel: Parcel) -> Counted:
        """What a publish counts for at the platform."""
        if parcel.is_mark:
            return MARK
        if parcel.is_data:
            points = parcel.points if parcel.kind == "telemetry" else parcel.records
            return Counted(is_own=False, data=len(parcel.lanes), points=points)
        return self._dialect.counted(parcel.message)

    def _next_parcel(self, now_s: float) -> Parcel | None:
        """An announcement, or else data; None if there is nothing that may go out now."""
        choice, packing = self._choice, self._limits.packing
        while (not self._rates.is_new or self._early or self.link.may_send_data(now_s)) and (
            lane := choice.choose_mark(now_s)
        ):
            if parcel := self._outbox.pack_mark(lane, now_s):
                self._early = max(0, self._early - 1)
                return parcel
        while self.link.may_send_data(now_s) and (lanes := choice.choose_data(packing, now_s)):
            # None where the first reading has become a dead letter: look again.
            if parcel := self._outbox.pack(lanes, choice.narrow(packing, now_s), now_s):
                return parcel
        return None
