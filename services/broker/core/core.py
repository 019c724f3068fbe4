"""The broker's core: registers processes, hands frames to converters, passes readings and calls on. Pure.

Everything else runs through here, so it does little: it opens headers, never bodies, and keeps nothing that the others
can't say again. It does not register with itself; its own heartbeat goes out like everybody's.

All conclusions from time (late, lost, no longer settling, expired) are drawn at `Tick` only, when everything that had
arrived has been handled. Ticks come each second, four times as often in the first two seconds, so that processes notice
a new broker soon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, assert_never

from common.core.counters import new_counts, totals
from common.core.events import Arrived, Drain, Exit, Junk, Level, Note, Send, Start, Tick
from common.core.hashes import short_hash
from common.core.liveness import BEAT_S, Liveness
from common.core.version import PROTOCOL, RELEASE
from common.wire.calls import QUEUE_FULL
from common.wire.messages import (
    PUBLISHER,
    Heartbeat,
    Identity,
    Plane,
    Register,
    Registered,
    Reply,
    Request,
)
from common.wire.states import ConverterState, state_of
from services.broker.core.counters import BrokerCounts
from services.broker.core.dispatch import Dispatcher
from services.broker.core.epochs import Epochs, epoch_of
from services.broker.core.events import (
    CallArrived,
    CloseFrames,
    Effect,
    Event,
    FramesArrived,
    FramesBlocked,
    FramesWritable,
    OpenFrames,
    ReadingsArrived,
    ReadingsBlocked,
    ReadingsWritable,
    RestFrames,
    SendFrames,
    SendTo,
    Unreachable,
)
from services.broker.core.gathering import Gathering
from services.broker.core.member import Member
from services.broker.core.own_state import Waiting, own_facts
from services.broker.core.readings_queue import ReadingsQueue
from services.broker.core.registry import Admission, Registry
from services.broker.core.routing import Router

SETTLE_S: Final = 2 * BEAT_S
"""A new broker waits this long before it says that somebody is not there."""
SETTLING_BEAT_S: Final = BEAT_S / 4
"""A new broker beats faster until it knows everyone: a process that hears it registers again."""
FIRST_PROTOCOL: Final = 1
"""What processes speak that don't say which protocol they speak."""
DRAIN_S: Final = 1.0
"""How long what is queued has to go out after SIGTERM."""


class BrokerCore:
    """The one process that everyone connects to. What it forgets when it dies is said again by the others."""

    def __init__(self, identity: Identity, endpoint_of: Callable[[str], str]) -> None:
        """`endpoint_of` names the frames endpoint for a tag of 8 hexadecimal digits."""
        self.identity = identity
        self.counters = new_counts(BrokerCounts)
        self._endpoint_of = endpoint_of
        self._registry = Registry()
        self._dispatcher = Dispatcher(self.counters)
        self._gathering = Gathering()
        self._epochs = Epochs()
        self._readings = ReadingsQueue(self.counters)
        self._router = Router(self._registry, self._dispatcher.converter_for, self.counters)
        self._now_s = 0.0
        """The time of the event at hand."""
        self._started_s = 0.0
        self._beat_s = 0.0
        self._exit_s: float | None = None
        """When a drain ends in any case; None while there is none."""
        self._overfull: set[str] = set()
        """Devices with a full queue, which was noted, until the queue has been empty at a beat."""
        self._noted_junk: set[Plane] = set()
        """Planes on which junk was logged: one line for each is enough, the counter says how much there is."""

    def handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        """The effects of an event, in the order in which they are to be performed."""
        self._now_s = now_s
        effects = self._react(event, now_s)
        if self._exit_s is not None and (self._is_empty() or now_s >= self._exit_s):
            return [*effects, Exit(0)]
        return effects

    @property
    def next_deadline_s(self) -> float | None:
        return self._beat_s if self._exit_s is None else min(self._beat_s, self._exit_s)

    def _react(self, event: Event, now_s: float) -> Sequence[Effect]:
        match event:
            case FramesArrived():
                until_s = self._gathering.rest_until_s(event.batch, now_s)
                effects = self._take_frames(event)
                return effects if until_s is None else [RestFrames(until_s), *effects]
            case ReadingsArrived():
                return self._take_readings(event)
            case Arrived(message=Heartbeat() as beat):
                return self._hear(beat, now_s)
            case CallArrived():
                return self._take_call(event, now_s)
            case FramesBlocked():
                self.counters["batches_out"] -= 1
                self.counters["batches_blocked"] += 1
                self._dispatcher.put_back(event)
                return self._hand_out()
            case FramesWritable(converter=name):
                self._dispatcher.unblock(name)
                return self._hand_out()
            case ReadingsBlocked():
                self._readings.put_back(event, self._has_publisher())
            case ReadingsWritable():
                return self._readings.unblock()
            case Unreachable():
                return self._unreachable(event, now_s)
            case Start():
                self._started_s = self._beat_s = now_s
            case Tick():
                return self._tick(now_s)
            case Drain():
                return self._drain(now_s)
            case Junk(plane=plane, reason=reason):
                return self._junk(plane, reason)
            case Arrived(plane=plane, message=message):
                return self._junk(plane, f"found {type(message).__name__}, which has no business here")
            case _:
                assert_never(event)
        return []

    def _take_frames(self, event: FramesArrived) -> Sequence[Effect]:
        """A reader's batch: queued and handed out, or dropped if its epoch is over or its device has too much here."""
        batch = event.batch
        self.counters["batches_in"] += 1
        self.counters["frames_in"] += batch.length
        if self._epochs.is_old(batch.epoch):
            self.counters["frames_stale"] += batch.length
            return []
        if self._dispatcher.add(batch, event.parts):
            return self._hand_out()
        self.counters["batches_dropped"] += 1
        self.counters["frames_dropped"] += batch.length
        if batch.device in self._overfull:
            return []
        self._overfull.add(batch.device)
        # Nothing is lost: the reader sends them again.
        return [Note("warning", "frames.dropped", {"device": batch.device, "reason": QUEUE_FULL})]

    def _hand_out(self) -> list[SendFrames]:
        """Whatever can go out now goes out; called after everything that may have made room."""
        sent = self._dispatcher.hand_out(self._now_s)
        self.counters["batches_out"] += len(sent)
        return sent

    def _take_readings(self, event: ReadingsArrived) -> list[Effect]:
        """A converter's answer: passed on, and its credit given back.

        A converter that lost its identity is not believed any more: its successor answers for the same batches.
        """
        batch = event.batch
        self.counters["readings_in"] += batch.length
        if self._registry.is_superseded(batch.instance):
            self.counters["readings_dropped"] += batch.length
            return []
        effects: list[Effect] = []
        if batch.length > 0:
            effects += self._readings.add(event, self._has_publisher())
        if self._dispatcher.give_back(batch):
            effects += self._hand_out()
        return effects

    def _take_call(self, event: CallArrived, now_s: float) -> Sequence[Effect]:
        """A message on the calls plane, by its type; a superseded process may register again, and nothing else."""
        match event.message:
            case Register() as register:
                return self._register(register, event.route, now_s)
            case Request() | Reply() if self._registry.is_superseded_route(event.route):
                return []
            case Request() as request:
                return self._router.request(request, now_s)
            case Reply() as reply:
                return self._router.reply(reply, now_s)
            case other:
                return self._junk(Plane.CALLS, f"found {type(other).__name__}, which has no business here")

    def _register(self, message: Register, route: bytes, now_s: float) -> list[Effect]:
        """Takes a process in, or refuses it with the reason, which it logs before it ends.

        Two protocols are never mixed: a batch that one side reads otherwise than the other wrote is worse than none.
        """
        protocol = message.detail.get("protocol", FIRST_PROTOCOL)
        if protocol == PROTOCOL:
            admission = self._registry.register(message, route, now_s)
        else:
            found = f"it speaks protocol {protocol}, the broker of serialgw {RELEASE} speaks {PROTOCOL}"
            admission = Admission(None, f"{found}: stop the whole gateway and run it again")
        address = f"{message.kind}:{message.name}"
        if admission.member is None:
            self.counters["registrations_refused"] += 1
            facts = {"address": address, "pid": message.pid, "reason": admission.reason}
            refusal = Registered(address, False, admission.reason, self.identity.instance, "")
            return [SendTo(route, refusal), Note("info", "process.refused", facts)]
        effects: list[Effect] = []
        if admission.is_new:
            effects += self._welcome(admission.member, admission.replaced)
        endpoint = self._frames_endpoint(admission.member)
        effects.append(SendTo(route, Registered(address, True, "", self.identity.instance, endpoint)))
        return [*effects, *self._router.retry(now_s), *self._hand_out()]

    def _welcome(self, member: Member, replaced: Member | None) -> list[Effect]:
        """What an instance that is new here changes: a converter gets a socket of its own, readings for an earlier
        publisher go."""
        self.counters["registrations"] += 1
        self.counters["takeovers"] += replaced is not None
        effects: list[Effect] = []
        if member.kind == "converter":
            self._dispatcher.attach(member)
            if replaced is not None:
                effects.append(CloseFrames(member.name))
            effects.append(OpenFrames(member.name, self._frames_endpoint(member)))
        if member.address == PUBLISHER:
            # Readings for the publisher before have the wrong epoch.
            self._readings.clear()
            self._gathering.take_wait(member.company_s)
        level: Level = "debug" if member.kind == "client" else "info"
        facts: dict[str, str | int] = {"address": member.address, "pid": member.pid}
        if replaced is not None:
            facts["instead_of_pid"] = replaced.pid
        return [*effects, Note(level, "process.registered", facts)]

    def _frames_endpoint(self, member: Member) -> str:
        """A new name for each pair of broker and converter instances: a process that is still connected to an old one
        must get nothing, and a socket that closes late must not remove the file of the next."""
        if member.kind != "converter":
            return ""
        who = f"{self.identity.instance} {member.instance} {member.name}"
        return self._endpoint_of(short_hash(who.encode(), 8))

    def _hear(self, beat: Heartbeat, now_s: float) -> list[Effect]:
        """A heartbeat may bring back a process that was late, restore lost credit, or name a publisher's new epoch."""
        heard = self._registry.hear(beat, now_s)
        if heard is None:
            return []
        member, before = heard
        effects: list[Effect] = [*_liveness_note(member, before)]
        if member.kind == "converter":
            state = state_of(beat, ConverterState)
            held = None if state is None else state.held
            restored = 0 if held is None else self._dispatcher.compare(member.name, beat.instance, held, now_s)
            self.counters["credits_restored"] += restored
            if restored or before != "alive" or member.draining:
                effects += self._hand_out()
        elif member.kind == "publisher" and self._epochs.hear(epoch_of(beat)):
            # Otherwise slow users' code would be busy for minutes with frames whose readings the new publisher drops.
            self.counters["frames_stale"] += self._dispatcher.drop(lambda batch: self._epochs.is_old(batch.epoch))
        return effects

    def _unreachable(self, event: Unreachable, now_s: float) -> list[Effect]:
        """A call that could not be sent: the process behind a connection that is gone is lost, and the call finds
        another way."""
        effects: list[Effect] = []
        if event.why == "gone":
            for member in self._registry.disconnect(event.route, now_s):
                effects += self._lose(member)
        return [*effects, *self._router.unreachable(event, now_s), *self._hand_out()]

    def _tick(self, now_s: float) -> list[Effect]:
        """Draws all conclusions from time, in the order in which they may lead to work for others."""
        effects: list[Effect] = []
        for member in self._registry.age(now_s):
            if member.liveness == "lost":
                effects += self._lose(member)
            elif member.kind != "client" and not member.temporary:
                effects.append(Note("info", "process.late", {"address": member.address, "pid": member.pid}))
        if self._router.is_settling and now_s >= self._started_s + SETTLE_S:
            self._router.is_settling = False
        effects += self._router.retry(now_s)
        self._dispatcher.take_back_late(now_s)
        self._dispatcher.release_late(now_s)
        effects += self._hand_out()
        if now_s >= self._beat_s:
            self._overfull = {device for device in self._overfull if self._dispatcher.has_queued(device)}
            effects += self._beat(now_s)
        return effects

    def _lose(self, member: Member) -> list[Note]:
        """A member is lost: nothing is sent to it until it is heard again."""
        if member.address == PUBLISHER:
            self._readings.clear()
        if member.kind == "client":
            return []
        if member.temporary:
            # The log of supervisord says how it ended; nobody has to do anything about it.
            return [Note("info", "process.left", {"address": member.address, "pid": member.pid})]
        return [Note("warning", "process.lost", {"address": member.address, "pid": member.pid})]

    def _drain(self, now_s: float) -> list[Effect]:
        """Takes no new requests from now on, lets queues run empty, and ends after DRAIN_S in any case."""
        if self._exit_s is None:
            self._exit_s = now_s + DRAIN_S
        self._router.is_draining = True
        return [Note("info", "broker.drain", {"queued_bytes": self._queued_bytes()}), *self._router.retry(now_s)]

    def _junk(self, plane: Plane, reason: str) -> list[Note]:
        """Counts what is no message of ours, and logs the first of each plane."""
        self.counters["junk_messages"] += 1
        if plane in self._noted_junk:
            return []
        self._noted_junk.add(plane)
        return [Note("warning", "wire.junk", {"plane": plane.value, "reason": reason})]

    def _beat(self, now_s: float) -> list[Send]:
        """The broker's own heartbeat, by which others know that it is there and which instance it is."""
        self._beat_s = now_s + (SETTLING_BEAT_S if self._router.is_settling else BEAT_S)
        who = self.identity
        uptime_s = now_s - self._started_s
        beat = Heartbeat(
            who.kind, who.name, who.instance, who.pid, who.host, uptime_s, self._facts(), totals(self.counters)
        )
        return [Send(Plane.EVENTS, beat)]

    def _facts(self) -> dict[str, Any]:
        dispatcher, router = self._dispatcher, self._router
        waiting = Waiting(dispatcher.queued_devices, self._queued_bytes(), router.held)
        is_draining = self._exit_s is not None
        return own_facts(dispatcher.converters, self._registry.members, waiting, router.is_settling, is_draining)

    def _has_publisher(self) -> bool:
        """True if readings have somewhere to go; without one they are dropped and come again."""
        return self._registry.find_live(PUBLISHER) is not None

    def _queued_bytes(self) -> int:
        return self._dispatcher.queued_bytes + self._readings.queued_bytes

    def _is_empty(self) -> bool:
        return self._queued_bytes() == 0


def _liveness_note(member: Member, before: Liveness) -> list[Note]:
    """One line when somebody is back."""
    if before == "alive" or member.kind == "client":
        return []
    return [Note("info", "process.returned", {"address": member.address, "pid": member.pid, "was": before})]
