"""The converter's core: frames to readings, params to bytes, answers to values. Pure.

- A `FrameBatch` is answered by one `ReadingBatch` (more where that would be too large): converted, or of length 0 where
  its section was not to be had in 5 s, it can't be read, or it holds a frame whose death is unanswered. Batches of any
  epoch are converted.
- Built-in conversion happens in `handle`; users' code in hosts, one for each device, in slices between which calls get
  their turn. A host that does not answer in time is ended, and its frame reported; nothing else waits for that.
- A new broker knows nothing of what the old one handed out: everything held is dropped, and the reader sends it again.
- After `Drain` it beats with `draining`, finishes what it holds, and exits when nothing came for 0.1 s, or after 2 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import assert_never

from common.config.names import BUILTIN_ENTRIES
from common.core.counters import new_counts, totals
from common.core.deadlines import earliest
from common.core.errors import ConversionError, WireError
from common.core.events import Arrived, Blocked, CommonEffect, Drain, Exit, Junk, Note, Send, Start, Tick, Writable
from common.core.membership import Membership
from common.wire.calls import Exchange, verb_of
from common.wire.messages import (
    FrameBatch,
    FrameBody,
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
from common.wire.states import ConverterState, facts_of
from services.converter.core.batches import (
    NEEDS_SECTION,
    PASSED,
    UserJob,
    convert_batch,
    open_batch,
    pass_entry,
)
from services.converter.core.calls import CallConverter
from services.converter.core.complaints import Complaints
from services.converter.core.counters import ConverterCounts
from services.converter.core.deaths import Deaths
from services.converter.core.events import (
    ConvertWithUserCode,
    Death,
    DecodeWithUserCode,
    Effect,
    EncodeWithUserCode,
    Event,
    HostEnded,
    HostLoading,
    HostReady,
    PullFrom,
    UserAnswered,
    UserConverted,
)
from services.converter.core.held import HeldBatches
from services.converter.core.hosted_entries import read_entries
from services.converter.core.lanes import ANSWER_S, Lanes
from services.converter.core.leaving import DRAIN_QUIET_S, Leaving
from services.converter.core.outgoing import OutgoingReadings
from services.converter.core.sections import WAIT_FOR_SECTION_S, Compiled, Sections


class ConverterCore:
    """One converter process: what it holds, and to whom it passes it on.

    Hears `common.core.events` and, as results of its own effects, what becomes of orders to users' code and of the
    hosts that they run in. Its address is `converter:SLOT`; the pool's slots share the devices' batches among them.
    """

    def __init__(
        self,
        identity: Identity,
        new_id: Callable[[], str],
        deaths: Sequence[Death] = (),
        answer_s: float = ANSWER_S,
    ) -> None:
        """`new_id` mints correlation ids, `deaths` are those that no reader has answered yet, from the process before
        this one, and `answer_s` is how long users' code may take over one order before its host is ended.
        """
        self.counters = new_counts(ConverterCounts)
        self._identity = identity
        self._member = Membership(identity, {})
        self._sections = Sections(identity.address, new_id, self.counters)
        self._job_numbers = count(1)
        self._lanes = Lanes(self.counters, answer_s)
        self._calls = CallConverter(self._sections, self._lanes, self.counters, self._job_numbers)
        self._deaths = Deaths(identity.address, deaths, self.counters)
        self._held = HeldBatches()
        self._outgoing = OutgoingReadings(identity, self.counters)
        self._endpoint = ""
        """Where frames come from: each broker names its own."""
        self._user_devices: set[str] = set()
        self._complaints = Complaints()
        self._leaving = Leaving()

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in order.

        Frames are the hot path: they end no wait, so times are only looked at with other events.
        """
        had_broker = bool(self._member.broker)
        effects: list[Effect] = []
        effects += self._member.handle(event, now_s)
        if had_broker and not self._member.broker:
            effects += self._drop_everything()
        effects += self._react(event, now_s)
        if type(event) is not Arrived or event.plane is not Plane.FRAMES:
            # Frames end no wait; the next `Tick` comes when their turn is over.
            effects += self._keep_time(now_s)
        effects += self._lanes.go(now_s)
        return effects

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [self._member.next_deadline_s, self._lanes.next_deadline_s, self._sections.next_deadline_s]
        deadlines += [self._calls.next_deadline_s, self._deaths.next_deadline_s if self._member.broker else None]
        deadlines += [held.deadline_s for held in self._held.batches]
        if self._leaving.since_s is not None:
            deadlines.append(self._leaving.deadline_s(is_idle=self._is_idle))
        return earliest(*deadlines)

    def _react(self, event: Event, now_s: float) -> Sequence[Effect]:
        """What the event itself leads to, by its type."""
        match event:
            case Arrived(message=message):
                return self._take(message, now_s)
            case UserConverted():
                return self._take_slice(event, now_s)
            case UserAnswered():
                self._lanes.returned(event.job, event.host, now_s)
                return self._calls.user_answered(event, now_s)
            case HostLoading(host=host):
                self._lanes.loading(host, now_s)
            case HostReady(host=host):
                self._lanes.ready(host, now_s)
            case HostEnded():
                return self._take_end(event, now_s)
            case Blocked(plane=plane, message=message):
                self._keep(plane, message, now_s)
            case Writable(plane=Plane.READINGS):
                return self._outgoing.send_again()
            case Writable(plane=Plane.CALLS):
                return self._calls.send_again(now_s)
            case Drain() if self._leaving.since_s is None:
                self._leaving.begin(now_s)
                return [Note("info", "process.draining", {"held": len(self._held)}), *self._beat(now_s)]
            case Tick() | Start() | Junk():
                # Only time and the membership are concerned.
                pass
            case Writable():
                # A beat that was not sent is not kept: the next one comes.
                pass
            case Drain():
                # It drains already.
                pass
            case _:
                assert_never(event)
        return []

    def _take(self, message: Message, now_s: float) -> Sequence[Effect]:
        """A message, by its type."""
        match message:
            case FrameBatch():
                return self._take_batch(message, now_s)
            case Request():
                return self._calls.take(message, now_s)
            case Reply():
                return self._deaths.answer(message) or self._take_section(message, now_s)
            case Registered(accepted=True, frames_endpoint=endpoint) if endpoint and endpoint != self._endpoint:
                self._endpoint = endpoint
                return [PullFrom(endpoint)]
            case Registered() | Heartbeat() | StreamReport() | ReadingBatch() | Register() | Tap():
                # The membership's, or for others: nobody sends us these.
                return []
            case _:
                assert_never(message)

    # Batches

    def _take_batch(self, batch: FrameBatch, now_s: float) -> Sequence[Send | Note]:
        """Converts a batch, passes it on, or holds it until its section is known."""
        self.counters["batches_in"] += 1
        self._leaving.quiet_s = now_s + DRAIN_QUIET_S
        try:
            body = open_batch(batch)
        except WireError as error:
            return [
                *self._complaints.say(batch, "batch.unreadable", str(error), now_s),
                *self._outgoing.give_back(batch),
            ]
        if batch.kind in NEEDS_SECTION:
            compiled = self._sections.find(batch.section)
            if compiled is not None:
                return self._convert(batch, body, compiled, now_s)
            if not self._held.put(batch, body, now_s):
                return self._outgoing.give_back(batch)
            return self._sections.ask(batch.section, batch.device, now_s)
        if batch.kind not in PASSED:
            why = f"entry kind {batch.kind} is unknown to this version"
            return [*self._complaints.say(batch, "batch.unreadable", why, now_s), *self._outgoing.give_back(batch)]
        return self._outgoing.put_out(batch, pass_entry(batch, body))

    def _take_section(self, reply: Reply, now_s: float) -> list[Send | Note]:
        """What waited for a section goes on."""
        try:
            section = self._sections.answer(reply)
        except ConversionError as error:
            return [Note("error", "section.unreadable", {"id": reply.id, "reason": str(error)})]
        compiled = self._sections.find(section) if section is not None else None
        if section is None or compiled is None:
            return []
        ready = self._held.take(section)
        effects = [effect for held in ready for effect in self._convert(held.batch, held.body, compiled, now_s)]
        return effects + self._calls.resume(section, compiled, now_s)

    def _convert(self, batch: FrameBatch, body: FrameBody, compiled: Compiled, now_s: float) -> Sequence[Send | Note]:
        """Converts a batch at once if that is built in, else queues it for the device's users' code."""
        if compiled.device.has_user_uplink:
            return self._queue_job(batch, body, compiled)
        if compiled.device.converter == BUILTIN_ENTRIES:
            readings, sample = read_entries(body, self.counters)
        else:
            readings, sample = convert_batch(batch, body, compiled, self.counters)
        notes = self._complaints.say(batch, "conversion.failed", sample, now_s) if sample else []
        return [*notes, *self._outgoing.put_out(batch, readings)]

    def _queue_job(self, batch: FrameBatch, body: FrameBody, compiled: Compiled) -> list[Send]:
        """Queues a batch for users' code. One with a frame that died unanswered, or one too many, is given back."""
        if self._deaths.concerns(batch):
            return self._outgoing.give_back(batch)
        self._user_devices.add(batch.device)
        job = UserJob(next(self._job_numbers), batch, body, compiled)
        return [] if self._lanes.put_job(job) else self._outgoing.give_back(batch)

    def _take_slice(self, event: UserConverted, now_s: float) -> list[Send | Note]:
        """Users' code has returned: the batch goes out, or on with the next slice."""
        job = self._lanes.returned(event.job, event.host, now_s)
        if job is None:
            return []
        sample = job.take(event, self.counters)
        effects: list[Send | Note] = []
        if sample:
            effects += self._complaints.say(job.batch, "conversion.failed", sample, now_s)
        if job.is_finished:
            self._lanes.finished(job)
            effects += self._outgoing.put_out(job.batch, job.readings())
        return effects

    def _take_end(self, event: HostEnded, now_s: float) -> list[Send | Note]:
        """A host is gone: its reader hears of the frame that it was in, and sends all of that batch again."""
        device, order, job, was_ready = self._lanes.ended(event, now_s)
        facts = {"device": device, "reason": event.why}
        effects: list[Send | Note] = []
        death = event.death
        if death is None and was_ready and isinstance(order, ConvertWithUserCode):
            # Nothing says which frame it was, as where there is no room for a poison file: all of them are suspects.
            numbers = list(range(order.first, order.first + len(order.frames)))
            death_id = f"note-{self._identity.instance}-order-{order.job}"
            death = Death(death_id, device, order.journal, order.generation, numbers)
        if death is not None:
            facts["numbers"] = ",".join(map(str, death.numbers))
            self._deaths.add(death)
        effects.append(Note("warning" if order is not None else "info", "host.ended", facts))
        match order:
            case EncodeWithUserCode() | DecodeWithUserCode():
                why = f"the process of the converter ended: {event.why}"
                effects += self._calls.user_answered(UserAnswered(order.job, None, why), now_s)
            case ConvertWithUserCode():
                if job is not None:
                    effects += self._outgoing.give_back(job.batch)
            case None:
                # It was at nothing.
                pass
            case _:
                assert_never(order)
        concerned = self._lanes.drop_jobs(lambda job: self._deaths.concerns(job.batch))
        return [*effects, *(effect for job in concerned for effect in self._outgoing.give_back(job.batch))]

    def _keep(self, plane: Plane, message: Message, now_s: float) -> None:
        """Keeps what could not be sent; what is repeated anyway is not kept."""
        self.counters["sends_blocked"] += 1
        if isinstance(message, ReadingBatch):
            self._outgoing.unsent.append(message)
        elif isinstance(message, Reply) or (isinstance(message, Request) and message.verb == verb_of(Exchange)):
            self._calls.keep_unsent(message, now_s)

    def _drop_everything(self) -> list[Note]:
        """Forgets what an earlier broker handed out: the new one has no account of it."""
        dropped = len(self._held) + self._lanes.clear() + len(self._outgoing.unsent) + self._calls.forget()
        self.counters["dropped_for_new_broker"] += dropped
        self._held.clear()
        self._outgoing.unsent.clear()
        return [Note("info", "broker.changed", {"dropped": dropped})]

    # Time

    def _keep_time(self, now_s: float) -> list[Effect]:
        """Ends waits whose time is over, and asks, reports and beats when it is time for that."""
        effects: list[Effect] = []
        for held in self._held.take_late(now_s):
            why = f"section {held.batch.section} did not come in {WAIT_FOR_SECTION_S:g} s"
            effects += [
                *self._complaints.say(held.batch, "section.missing", why, now_s),
                *self._outgoing.give_back(held.batch),
            ]
        effects += self._calls.expire(now_s)
        effects += self._lanes.late(now_s)
        self._lanes.rested(now_s)
        self._sections.keep_questions([*self._held.sections, *self._calls.wanted_sections])
        effects += self._sections.ask_again(now_s)
        if self._member.broker:
            effects += self._deaths.report(now_s)
        if self._member.is_due(now_s):
            effects += self._beat(now_s)
        effects += self._finish_drain(now_s)
        return effects

    def _finish_drain(self, now_s: float) -> list[Send | Exit]:
        """Ends the process when its drain is over; callers that still wait are told."""
        if self._leaving.since_s is None or not self._leaving.is_over(now_s, is_idle=self._is_idle):
            return []
        return [*self._calls.refuse_all(), Exit(0)]

    @property
    def _is_idle(self) -> bool:
        """True if nothing is held, under way or unsent."""
        return self._calls.is_idle and self._lanes.is_idle and not (self._held or self._outgoing.unsent)

    def _beat(self, now_s: float) -> list[CommonEffect]:
        """The heartbeat. `held` tells the broker which of the credit that it misses is here."""
        state = ConverterState(
            slot=self._identity.name,
            draining=self._leaving.since_s is not None,
            held=len(self._held) + self._lanes.held + len(self._outgoing.unsent),
            user_devices=sorted(self._user_devices),
            hosts=list(self._lanes.devices),
        )
        return self._member.beat(now_s, facts_of(state), totals(self.counters))
