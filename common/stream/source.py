"""What a process that journals is made of, as one core. Today only port readers have one; a connector host is next.

A source knows no device, no line and no disk. It is told entries (`put`); it numbers, journals and sends them, answers
what is asked about them, says that it lives, and knows when it may end. Whoever has one hands it every event:

    effects = source.begin(event, now_s)      who is there, and whether we listen
    effects += source.handle(event, now_s)    whatever is not the owner's own
    effects += source.finish(state, now_s)    the beat, and the end
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, assert_never, get_args

from common.core.counters import totals
from common.core.deadlines import earliest
from common.core.errors import WireError
from common.core.events import (
    Arrived,
    Blocked,
    Drain,
    Exit,
    Junk,
    Note,
    Reconnected,
    Send,
    Start,
    Tick,
    Writable,
    answer,
)
from common.core.membership import Membership
from common.core.wall_clock import WallClock
from common.stream.counters import SourceCounts
from common.stream.device_stream import DeviceStream, KeptDevice
from common.stream.ending import Ending
from common.stream.events import ForMember, JournalEffect, OfMember, SourceEffect, SourceEvent, StreamEffect
from common.stream.held_calls import HeldCalls
from common.stream.items import Item
from common.stream.limits import Limits
from common.stream.listening import Listening
from common.stream.numbers import Progress
from common.wire.calls import (
    EXPIRED,
    SHUTTING_DOWN,
    Beat,
    Body,
    DiedIn,
    FindSection,
    ListDeadLetters,
    RetryDeadLetters,
    TakeLimits,
    body_of,
    refuse,
    reply,
    unknown_verb,
)
from common.wire.messages import (
    PUBLISHER,
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
from common.wire.states import PublisherState, State, facts_of, state_of

SERVED: Final = (FindSection, DiedIn, ListDeadLetters, RetryDeadLetters, Beat, TakeLimits)
"""What every source is asked."""


class Source:
    """The streams of one process, and the process among the others.

    Most have one stream. A line with several devices has one for each, its *members*: what concerns the journal of any
    but the first travels in `ForMember` and `OfMember`.
    """

    def __init__(
        self,
        identity: Identity,
        kept: Sequence[KeptDevice],
        detail: Mapping[str, Any],
        *,
        limits: Limits,
        counters: SourceCounts,
        draw: Callable[[], float],
        gauges: Callable[[], dict[str, int]],
        clock: WallClock,
        is_left: bool,
    ) -> None:
        """`kept`: at least one. `detail`: what the broker is to know. `gauges`: counters that only the shell has.
        `is_left`: nothing new comes, and it ends once all is sent."""
        self.streams = tuple(
            DeviceStream(one, limits=limits, counters=counters, draw=draw, clock=clock, is_left=is_left) for one in kept
        )
        self._counters = counters
        self._gauges = gauges
        self._is_left = is_left
        self._membership = Membership(identity, {**detail}, [PUBLISHER])
        self._others = [
            Membership(_identity_of(identity, one), {**detail, "section": one.section_hash}) for one in kept[1:]
        ]
        """Each further device is a process of its own to all others: it registers and beats by its own name."""
        self._ending = Ending()
        self._broker = ""
        self._held_calls = HeldCalls()
        self.listening = Listening()

    @property
    def is_draining(self) -> bool:
        """True once it was told to end."""
        return self._ending.since_s is not None

    @property
    def backlog(self) -> int:
        """Entries of all streams that are not settled."""
        return sum(stream.uplink.backlog for stream in self.streams)

    @property
    def progress(self) -> Progress:
        """How far all streams are together."""
        if len(self.streams) == 1:
            return self.streams[0].uplink.progress
        each = [stream.uplink.progress for stream in self.streams]
        return Progress(
            read=sum(one.read for one in each),
            received=sum(one.received for one in each),
            # They count together.
            settled=each[0].settled,
            backlog=sum(one.backlog for one in each),
            waits=any(one.waits for one in each),
        )

    @property
    def next_deadline_s(self) -> float:
        streams = [stream.uplink.next_deadline_s for stream in self.streams]
        if self._others:
            streams += [other.next_deadline_s for other in self._others]
        return earliest(self._membership.next_deadline_s, self._ending.next_deadline_s, *streams)

    def begin(self, event: object, now_s: float, *, is_said: bool = False) -> list[SourceEffect]:
        """To be called first, with every event that the process hears. `is_said`: it only brings entries, as many
        others do."""
        effects: list[SourceEffect] = []
        calm = self.listening.calm
        if is_said and not calm.is_silent:
            # As others before it: the next beat comes soon enough.
            calm.has_said = True
        elif _is_news(event):
            self._membership.hurry(now_s)
            effects += self.listening.news(now_s)
        if self._others:
            return [*effects, *self._handle_memberships(event, now_s)]
        effects += self._membership.handle(event, now_s)
        return effects

    def _handle_memberships(self, event: object, now_s: float) -> list[SourceEffect]:
        """What concerns the memberships of several devices: each hears what the broker answers to it, and one of them
        tells of junk."""
        effects: list[SourceEffect] = []
        for membership in (self._membership, *self._others):
            if isinstance(event, Arrived) and isinstance(event.message, Registered):
                is_its = event.message.address == membership.identity.address
            else:
                is_its = membership is self._membership or not isinstance(event, Junk)
            if is_its:
                effects += membership.handle(event, now_s)
        return effects

    def finish(
        self,
        state: Callable[[float], State],
        now_s: float,
        *,
        is_busy: bool = False,
        other_state: Callable[[float, int], State] | None = None,
    ) -> list[SourceEffect]:
        """To be called last, after every event: the beat with the owner's `state` if it is due, and the end, unless the
        owner still has entries to put into a stream (`is_busy`). `other_state`: what the beats of further devices say,
        by their places."""
        effects: list[SourceEffect] = []
        is_due = self._membership.is_due(now_s)
        if is_due or (self._others and any(other.is_due(now_s) for other in self._others)):
            effects += self._beat(state(now_s), now_s, other_state)
        may_end = self._is_left or self._ending.since_s is not None
        if may_end and not is_busy and self._is_done(now_s):
            effects += self._each(lambda stream: stream.uplink.end())
            effects.append(Exit(0))
        return effects

    def handle(self, event: SourceEvent, now_s: float) -> Sequence[SourceEffect]:
        """Every event that is not the owner's own. A `Request` comes by `serve`, when the owner has read it."""
        match event:
            case Arrived(message=message):
                return self._take(message, now_s)
            case Tick():
                return self._tick(now_s)
            case Blocked(message=message):
                return self._hold(message, now_s)
            case Writable(plane=plane):
                return self._go_on(plane, now_s)
            case OfMember(member=member, event=of_journal):
                return self._of(member, self.streams[member].handle(of_journal, now_s))
            case Start():
                return self._each(lambda stream: self._start(stream, now_s))
            case Drain():
                return self.drain(now_s)
            case Reconnected() | Junk():
                # The membership has handled both: registration, and messages that nobody understands.
                return []
            case _:
                return self.streams[0].handle(event, now_s)

    def put(
        self, items: list[Item], clock_ms: int, line_state: bytes, now_s: float, member: int = 0
    ) -> Sequence[SourceEffect]:
        """Entries that came at `clock_ms`, for a member's stream."""
        return [*self.commit(items, clock_ms, line_state, now_s, member), *self.move(now_s, member)]

    def commit(
        self, items: list[Item], clock_ms: int, line_state: bytes, now_s: float, member: int = 0
    ) -> Sequence[SourceEffect]:
        """The first half of `put`: the entries are numbered and journaled. What is to be sent before them comes between
        this and `move`."""
        found = self.streams[member].uplink.commit(items, clock_ms, line_state, now_s)
        effects = self._of(member, found) if member else found
        if self.listening.hears_beats or not self.listening.calm.is_silent:
            return effects
        # Also where only time has made an entry: a new publisher has to be heard before anything reaches it.
        return [*self.listening.wake(now_s), *effects]

    def move(self, now_s: float, member: int = 0) -> Sequence[SourceEffect]:
        """The second half of `put`: they are sent, as far as there is room."""
        effects = self.streams[member].uplink.move(now_s)
        return self._of(member, effects) if member else effects

    def member_of(self, device: str) -> int:
        """The place of a device among the streams; the first where none has this name."""
        return next((place for place, stream in enumerate(self.streams) if stream.device == device), 0)

    def drain(self, now_s: float) -> list[SourceEffect]:
        """It is told to end; told twice, it ends at once."""
        if self.is_draining:
            return [Exit(0)]
        self._ending.begin(now_s, was_deaf=self.listening.calm.is_calm)
        return []

    def take_section(self, member: int, name: str, section: bytes, now_s: float) -> list[SourceEffect]:
        """A member's new entries are to be converted under this section, which its journal knows by this name. Who was
        told its section hears of it."""
        self.streams[member].take_section(name, section)
        membership = (self._membership, *self._others)[member]
        return [*membership.update({**membership.detail, "section": name}, now_s)]

    def show(self, now_s: float) -> None:
        """What the owner's state says is to be heard now, and not with the next beat."""
        for membership in (self._membership, *self._others):
            membership.show(now_s)

    def serve(self, request: Request, asked: Body | None, now_s: float) -> Sequence[SourceEffect]:
        """What every source is asked (`SERVED`); refuses anything else, and what this version does not know (None)."""
        match asked:
            case Beat():
                return [*self._membership.answer(request, now_s)]
            case RetryDeadLetters() if self.is_draining:
                return [self.refuse(request, SHUTTING_DOWN)]
            case TakeLimits():
                facts = {"records": asked.max_records, "bytes": asked.max_bytes, "ttl_s": asked.ttl_s}
                effects = self._each(lambda stream: stream.uplink.take_limits(asked, now_s))
                return [Note("info", "limits.taken", facts), *effects, answer(reply(request, None))]
            case FindSection() | DiedIn() | ListDeadLetters() | RetryDeadLetters():
                member = self.member_of(request.device) if len(self.streams) > 1 else 0
                return self._of(member, self.streams[member].serve(request, asked))
            case _:
                return [answer(refuse(request, unknown_verb(request.verb)))]

    def _serve_plainly(self, request: Request, now_s: float) -> Sequence[SourceEffect]:
        """A call to a source whose owner has no verbs of its own."""
        try:
            return self.serve(request, body_of(request, *SERVED), now_s)
        except WireError as error:
            return [self.refuse(request, str(error))]

    def refuse(self, request: Request, error: str) -> Send:
        """The answer to a call that is not taken, or that fails."""
        self._counters["exchanges_failed"] += 1
        return answer(refuse(request, error))

    def _start(self, stream: DeviceStream, now_s: float) -> list[StreamEffect]:
        effects = stream.uplink.start(now_s)
        return [*effects, *stream.uplink.leave(now_s)] if self._is_left else effects

    def _take(self, message: Message, now_s: float) -> Sequence[SourceEffect]:
        match message:
            case StreamReport():
                self._ending.hear(now_s)
                member = self._member_of_journal(message.journal)
                report = self.streams[member].uplink.report
                return self._of(member, report(message, now_s, self.listening.listened_s(now_s)))
            case Heartbeat(kind="publisher"):
                state = state_of(message, PublisherState)
                self._ending.hear(now_s, state.link if state else "")
                return self._each(lambda stream: stream.uplink.heartbeat(message, now_s))
            case Heartbeat(kind="broker", instance=instance):
                if self._broker not in ("", instance):
                    for stream in self.streams:
                        stream.uplink.broker_changed(now_s)
                self._broker = instance
                return []
            case Registered() | Heartbeat():
                # The membership has handled the first; other heartbeats do not concern us.
                return []
            case Reply():
                # To our asking for a beat, which says all that there is to know.
                return []
            case FrameBatch() | ReadingBatch() | Register() | Tap():
                # For others; nobody sends us any.
                return []
            case Request():
                return self._serve_plainly(message, now_s)
            case _:
                assert_never(message)

    def _tick(self, now_s: float) -> Sequence[SourceEffect]:
        """What is due. Whoever has to send something again, and is deaf, listens: there may be another publisher."""
        effects = self._each(lambda stream: stream.uplink.tick(now_s))
        if self.listening.hears_beats or not any(type(effect) is Send for effect in effects):
            return effects
        return [*self.listening.news(now_s), *effects]

    def _hold(self, message: Message, now_s: float) -> list[SourceEffect]:
        """A message was not sent."""
        if isinstance(message, FrameBatch):
            self.streams[self._member_of_journal(message.journal)].uplink.blocked(message)
        else:
            self._held_calls.hold(message, now_s)
        return []

    def _go_on(self, plane: Plane, now_s: float) -> Sequence[SourceEffect]:
        """A plane takes messages again."""
        if plane is Plane.FRAMES:
            return self._each(lambda stream: stream.uplink.writable(now_s))
        if plane is not Plane.CALLS:
            return []
        sends, expired = self._held_calls.release(now_s)
        return [*sends, *(self.refuse(request, EXPIRED) for request in expired)]

    def _beat(
        self, state: State, now_s: float, other_state: Callable[[float, int], State] | None
    ) -> list[SourceEffect]:
        """Beats less often once nothing has happened for some beats, and then does not listen either. What the process
        counts is in its first device's beat alone, so that nobody adds it up twice."""
        every_s, effects = self.listening.beat(now_s, is_quiet=not self.backlog and not self.is_draining)
        counters = {**totals(self._counters), **self._gauges()}
        beats = self._membership.beat(now_s, facts_of(state), counters, every_s)
        if self._others and other_state is not None:
            none = dict.fromkeys(counters, 0)
            for place, other in enumerate(self._others, 1):
                beats += other.beat(now_s, facts_of(other_state(now_s, place)), none, every_s)
        return [*effects, *beats]

    def _is_done(self, now_s: float) -> bool:
        """True if there is nothing left to wait for."""
        return self.backlog == 0 or self._ending.is_vain(now_s)

    def _member_of_journal(self, journal: str) -> int:
        if len(self.streams) == 1:
            return 0
        return next((at for at, stream in enumerate(self.streams) if stream.uplink.stream.journal == journal), 0)

    def _each(self, act: Callable[[DeviceStream], Sequence[StreamEffect]]) -> Sequence[SourceEffect]:
        """What an act on each stream comes to."""
        if len(self.streams) == 1:
            return act(self.streams[0])
        return [effect for at, stream in enumerate(self.streams) for effect in self._of(at, act(stream))]

    def _of(self, member: int, effects: Sequence[StreamEffect]) -> Sequence[SourceEffect]:
        """A member's effects. Those on a journal name the member, unless it is the first."""
        if not member:
            return effects
        return [ForMember(member, effect) if isinstance(effect, _ON_JOURNAL) else effect for effect in effects]


def _identity_of(first: Identity, kept: KeptDevice) -> Identity:
    """A further device of a process, as a process of its own."""
    return first.replace(name=kept.device, lock=kept.lock)


_ON_JOURNAL: Final = get_args(JournalEffect)


def _is_news(event: object) -> bool:
    """True for what others should hear of soon: everything but ticks and messages that others repeat anyway."""
    if type(event) is Arrived:
        return isinstance(event.message, Request)
    return type(event) is not Tick
