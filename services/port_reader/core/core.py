"""The port reader's decisions: one serial line, its stream, its calls.

    PortReaderCore(identity, device, section_hash, state, *, limits, draw, gauges, has_port, wall_offset_ms, ports)

`device` is the configured device, `section_hash` names its section, `state` is what the journal said when it was opened
(the generation is raised already), `draw` gives numbers in [0, 1) for jitter, `gauges` counters of the shell.
Without a port it drains the journal and exits.

Events and effects are the `Event` and `Effect` of `services.port_reader.core.events`. `Start` comes first; `Tick` at
`next_deadline_s`.
Effects are performed in order; `Append` before the `Send`s of the same entries, so that they are committed first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from common.config.models import Device, section_of
from common.core.counters import new_counts, totals
from common.core.errors import WireError
from common.core.events import (
    Arrived,
    Blocked,
    CommonEffect,
    Drain,
    Exit,
    Junk,
    Reconnected,
    Send,
    Start,
    Tick,
    Writable,
)
from common.core.liveness import BEAT_S, CALM_BEAT_S
from common.core.membership import Membership
from common.stream.counters import SourceCounts
from common.stream.dead_letters import Letters
from common.stream.events import (
    FetchFailed,
    FindSection,
    GapsFound,
    JournalBack,
    JournalBlocks,
    JournalFailed,
    LettersFound,
    SectionFound,
    StreamEffect,
)
from common.stream.numbers import StreamState
from common.stream.uplink import Uplink
from common.stream.window import SILENT_S, Limits
from common.wire import calls
from common.wire.calls import (
    EXPIRED,
    SHUTTING_DOWN,
    UNKNOWN_SECTION,
    Beat,
    DiedIn,
    Encode,
    EncodeUpdate,
    ListDeadLetters,
    RetryDeadLetters,
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
from common.wire.states import PortReaderState, PublisherState, facts_of, state_of
from services.port_reader.core.doubt import KERNEL_BYTES
from services.port_reader.core.events import (
    Chunk,
    Effect,
    Event,
    LineGap,
    LineRead,
    Opened,
    OpenFailed,
    PortEvent,
    PortLost,
    ReadOut,
    RestLine,
    RestReports,
    WriteDrained,
    WriteFailed,
    WritePending,
)
from services.port_reader.core.exchange import Search, search_plainly
from services.port_reader.core.pace import Pace
from services.port_reader.core.port import Port

SETTLE_S: Final = 3.0
"""How long a reader that is told to end waits for the platform to accept the rest."""
REPORTS_S: Final = 0.02
"""The publisher's news may wait so long while it is needed to send more: a window in that time is 200,000 frames/s."""
SLOW_REPORTS_S: Final = 0.2
"""The same while so little is on its way that nobody waits for it; less than the first resend."""
SLOW_BACKLOG: Final = 64
ROUNDED_S: Final = 0.01
"""A rest may end so much later: polls count in milliseconds, and other processes run first."""
CALM_BEATS: Final = 3
LEAST_GAP_S: Final = 1.0
"""A busy machine may keep a process waiting for less; a line that can't wait so long should be slower."""
TCP: Final = "socket://"
"""What such a line says while nobody reads it waits at the other end."""
LISTEN_S: Final = 1.5
"""Within this a publisher that lives is heard."""
CALLS_HELD: Final = 64
"""Steps of calls that wait for a broker that does not take them at this moment."""
_SERVED: Final = (calls.Exchange, calls.FindSection, DiedIn, ListDeadLetters, RetryDeadLetters, Beat)
_SERVED_WITH_CALLS: Final = (*_SERVED, Encode, EncodeUpdate)
"""By a reader that converts its device's calls itself."""


class PortReaderCore:
    """One serial port: framing, numbering, the window, one exchange at a time."""

    def __init__(
        self,
        identity: Identity,
        device: Device,
        section_hash: str,
        state: StreamState,
        *,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        draw: Callable[[], float] = lambda: 0.5,
        gauges: Callable[[], dict[str, int]] = dict,
        has_port: bool = True,
        wall_offset_ms: float | None = None,
        ports: int = 1,
        search: Search = search_plainly,
    ) -> None:
        """`wall_offset_ms`: the wall clock less `now_s` in ms; None: not known before the port is open. `ports`: how
        many readers share the machine. `search` finds the patterns of answers in bounded time."""
        self._device = device
        self._section = section_hash
        self._gauges = gauges
        self._has_port = has_port
        self.counters = new_counts(SourceCounts)
        own_calls = not device.has_user_converter
        detail = {"section": section_hash, "pinned": device.has_user_converter, "own_calls": own_calls}
        self._served = _SERVED_WITH_CALLS if own_calls else _SERVED
        self._members = Membership(identity, detail, [PUBLISHER])
        self._uplink = Uplink(
            device, section_hash, state, limits=limits, counters=self.counters, draw=draw, wall_offset_ms=wall_offset_ms
        )
        self._letters = Letters(device.name, self._uplink, has_port)
        self._port = Port(device, state, self._uplink, self.counters, draw=draw, search=search)
        self._pace = Pace(self._port.byte_s, limits.window_frames, ports)
        self._calm = 0
        """Beats in a row with nothing to tell."""
        self._is_calm = False
        """True if the last beat said that the next one comes late."""
        self._broker = ""
        self._link = ""
        self._publisher_s = -SILENT_S
        self._unsent: deque[tuple[Request | Reply, float]] = deque(maxlen=CALLS_HELD)
        """Each with when it was held."""
        self._drain_s: float | None = None
        self._is_reading_out = False
        self._handled_s = 0.0
        self._rests_until_s = 0.0
        """Nobody reads the line before this."""
        self._kernel_s = max(LEAST_GAP_S, KERNEL_BYTES * self._port.byte_s)
        """The kernel keeps what the line says in this time."""
        self._reports_until_s = 0.0
        """Nobody listens to the publisher before this."""
        self._slow_since_s = float("inf")
        """Since when that is so, where it says nothing of the publisher. A busy line's reports are late where everyone
        is, and count as they come."""

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in order."""
        if _is_news(event):
            self._calm = 0
            self._members.hurry(now_s)
        if now_s - self._handled_s > self._kernel_s and now_s > self._due_s() + self._kernel_s:
            self._doubt_line()
        self._handled_s = now_s
        effects: list[Effect] = [*self._members.handle(event, now_s)]
        effects += self._handle(event, now_s)
        if self._members.is_due(now_s):
            effects += self._beat(now_s)
        if self._is_done(now_s):
            effects += [*self._uplink.end(), Exit(0)]
        return effects

    def _beat(self, now_s: float) -> list[CommonEffect]:
        """Less often once nothing has happened for some beats."""
        self._calm = 0 if self._uplink.backlog or self._drain_s is not None else self._calm + 1
        self._is_calm = self._calm > CALM_BEATS
        every_s = CALM_BEAT_S if self._is_calm else BEAT_S
        return self._members.beat(now_s, facts_of(self._state), {**totals(self.counters), **self._gauges()}, every_s)

    def _due_s(self) -> float:
        """By when an event would have come after the last one, were we not kept from running."""
        deadline_s = self.next_deadline_s
        rests = [until_s for until_s in (self._rests_until_s, self._reports_until_s) if until_s > self._handled_s]
        return min(rests) if deadline_s is None else min([deadline_s, *rests])

    def _doubt_line(self) -> None:
        """We stood still for longer than the kernel keeps what the line says."""
        if not self._device.line.port.startswith(TCP):
            self._port.doubt("nobody could read the line for too long", is_anywhere=False)

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [
            self._members.next_deadline_s,
            self._uplink.next_deadline_s,
            self._port.next_deadline_s,
            None if self._drain_s is None else self._drain_s + SETTLE_S,
        ]
        return min(deadline_s for deadline_s in deadlines if deadline_s is not None)

    def _handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        match event:
            case Chunk():
                return [*self._port.read(event, now_s), *self._rest(event, now_s)]
            case Arrived(message=message):
                return self._take(message, now_s)
            case Tick():
                return [*self._port.tick(now_s), *self._uplink.tick(now_s)]
            case Blocked(message=message):
                self._keep(message, now_s)
                return []
            case Writable(plane=plane):
                return self._uplink.writable(now_s) if plane is Plane.FRAMES else self._send_again(plane, now_s)
            case JournalBlocks():
                return self._uplink.load(event, now_s)
            case JournalFailed():
                return self._uplink.journal_failed(event, now_s)
            case FetchFailed():
                return self._uplink.fetch_failed(event, now_s)
            case JournalBack(end=end):
                return self._uplink.journal_back(end, now_s)
            case GapsFound():
                return self._uplink.gaps_found(event)
            case SectionFound():
                return [self._section_reply(event)]
            case LettersFound():
                return self._letters.found(event, now_s)
            case Start():
                return self._start(now_s)
            case Drain():
                return self._drain(now_s)
            case Reconnected() | Junk():
                # Whether we are registered, and what nobody understands, is the membership's affair.
                return []
            case _:
                return self._handle_port(event, now_s)

    def _rest(self, chunk: Chunk, now_s: float) -> Sequence[RestLine | RestReports]:
        """How long the line may wait, after a read."""
        if self._drain_s is not None:
            return self._rest_reports(now_s, 0.0)
        progress, waits = self._uplink.progress, self._uplink.waits_for_report
        rest_s = self._pace.rest_s(now_s, len(chunk.data), progress)
        if not rest_s or self._port.is_exchanging or self._port.ends_by_silence:
            return self._rest_reports(now_s, SLOW_REPORTS_S if progress.backlog <= SLOW_BACKLOG and not waits else 0.0)
        until_s = now_s + rest_s
        self._port.rest(until_s)
        self._rests_until_s = until_s
        self._reports_until_s, self._slow_since_s = min(until_s, now_s + REPORTS_S) if waits else until_s, float("inf")
        return [RestLine(until_s, self._reports_until_s)]

    def _rest_reports(self, now_s: float, rest_s: float) -> list[RestReports]:
        """What the publisher says of the little that is on its way may be heard with the next frame."""
        was_resting = now_s < self._reports_until_s
        self._reports_until_s, self._slow_since_s = now_s + rest_s, now_s
        return [RestReports(self._reports_until_s)] if rest_s or was_resting else []

    def _handle_port(self, event: PortEvent, now_s: float) -> list[Effect]:
        match event:
            case Opened():
                return self._port.opened(event, now_s)
            case OpenFailed():
                return self._port.open_failed(event.reason, now_s)
            case PortLost():
                return self._port.lost(event, now_s)
            case LineGap():
                self._port.doubt(event.reason, is_anywhere=event.is_anywhere)
                return []
            case LineRead():
                self._port.watch(now_s)
                return self._read_out(now_s) if self._is_reading_out else []
            case WriteDrained():
                return self._port.write_drained(now_s)
            case WritePending(left_bytes=left):
                return self._port.write_pending(left, now_s)
            case WriteFailed(reason=reason):
                return self._port.write_failed(reason, now_s)
            case _:
                assert_never(event)

    def _start(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = [*self._uplink.start(now_s)]
        if self._has_port:
            return [*effects, *self._port.open(now_s)]
        return [*effects, *self._uplink.leave(now_s)]

    def _take(self, message: Message, now_s: float) -> Sequence[Effect]:
        match message:
            case StreamReport():
                self._publisher_s = now_s
                was_resting = now_s <= self._reports_until_s + ROUNDED_S
                return self._uplink.report(message, now_s, min(now_s, self._slow_since_s) if was_resting else now_s)
            case Heartbeat(kind="publisher"):
                self._publisher_s = now_s
                state = state_of(message, PublisherState)
                self._link = state.link if state else ""
                return self._uplink.heartbeat(message, now_s)
            case Heartbeat(kind="broker", instance=instance):
                if self._broker not in ("", instance):
                    self._uplink.broker_changed(now_s)
                self._broker = instance
                return []
            case Request():
                return self._serve(message, now_s)
            case Registered() | Heartbeat():
                # The membership's, and what others beat, is nothing to us.
                return []
            case Reply():
                # To our asking for a beat, which says all that there is to know.
                return []
            case FrameBatch() | ReadingBatch() | Register() | Tap():
                # For others; nobody sends us any.
                return []
            case _:
                assert_never(message)

    def _serve(self, request: Request, now_s: float) -> Sequence[Effect]:
        try:
            asked = body_of(request, *self._served)
        except WireError as error:
            return [self._port.refuse(request, str(error))]
        match asked:
            case calls.Exchange() | Encode() | EncodeUpdate() | RetryDeadLetters() if self._drain_s is not None:
                return [self._port.refuse(request, SHUTTING_DOWN)]
            case calls.Exchange():
                return self._port.exchange(request, asked, now_s)
            case Encode() | EncodeUpdate():
                return self._port.call(request, asked, now_s)
            case ListDeadLetters():
                return self._letters.find_page(request, asked)
            case RetryDeadLetters():
                return self._letters.find_retried(request, asked)
            case Beat():
                return self._members.answer(request, now_s)
            case calls.FindSection(section=section):
                return self._find(request, section)
            case DiedIn(journal=journal, generation=generation, numbers=numbers):
                effects = self._uplink.note(request.id, journal, generation, numbers)
                return [*effects, Send(Plane.CALLS, reply(request, None))]
            case _:
                return [Send(Plane.CALLS, refuse(request, unknown_verb(request.verb)))]

    def _find(self, request: Request, section: str) -> list[StreamEffect]:
        if section == self._section:
            return [self._section_reply(SectionFound(request, section_of(self._device)))]
        return [FindSection(section, request)]

    def _section_reply(self, event: SectionFound) -> Send:
        request, section = event.request, event.section
        if section is None:
            return Send(Plane.CALLS, refuse(request, UNKNOWN_SECTION))
        return Send(Plane.CALLS, reply(request, section))

    def _keep(self, message: Message, now_s: float) -> None:
        if isinstance(message, FrameBatch):
            self._uplink.blocked(message)
        elif isinstance(message, Reply | Request):
            self._unsent.append((message, now_s))

    def _send_again(self, plane: Plane, now_s: float) -> list[Send]:
        """What could not be sent, the time that a request waited taken from what is left of it."""
        if plane is not Plane.CALLS:
            return []
        effects: list[Send] = []
        for message, since_s in self._unsent:
            if isinstance(message, Reply):
                effects.append(Send(Plane.CALLS, message))
            elif (left_s := message.time_left_s - (now_s - since_s)) > 0:
                effects.append(Send(Plane.CALLS, message.replace(time_left_s=left_s)))
            elif not body_of(message, Beat):
                # Nobody but this reader waits for the answer to a beat that it has asked for.
                effects.append(self._port.refuse(message, EXPIRED))
        self._unsent.clear()
        return effects

    def _drain(self, now_s: float) -> list[Effect]:
        if self._drain_s is not None:
            return [Exit(0)]
        self._drain_s = now_s
        if self._is_calm:
            # It has not listened: the publisher has a moment to show that it is there.
            self._publisher_s = max(self._publisher_s, now_s - SILENT_S + LISTEN_S)
        effects = self._rest_reports(now_s, 0.0)
        if not self._port.is_connected:
            return [*effects, *self._port.drain(now_s)]
        self._is_reading_out = True
        return [*effects, ReadOut()]

    def _read_out(self, now_s: float) -> list[Effect]:
        """All that had come when we were told to end is read: the line can go."""
        self._is_reading_out = False
        return self._port.drain(now_s)

    def _is_done(self, now_s: float) -> bool:
        """True if there is nothing left to wait for."""
        if self._is_reading_out:
            return False
        if self._uplink.backlog == 0:
            return self._drain_s is not None or not self._has_port
        if self._drain_s is None:
            return False
        is_heard = self._link == "up" and now_s < self._publisher_s + SILENT_S
        return not is_heard or now_s >= self._drain_s + SETTLE_S

    @property
    def _state(self) -> PortReaderState:
        uplink = self._uplink
        in_flight, in_flight_bytes = uplink.in_flight
        return PortReaderState(
            device=self._device.name,
            port=self._device.line.port,
            connected=self._port.is_connected,
            draining=self._drain_s is not None,
            held=self._pace.is_held,
            temporary=not self._has_port,
            journal=uplink.stream.journal,
            generation=uplink.stream.generation,
            backlog=uplink.backlog,
            backlog_bytes=uplink.backlog_bytes,
            in_flight=in_flight,
            in_flight_bytes=in_flight_bytes,
            journal_writable=not uplink.is_down,
        )


def _is_news(event: Event) -> bool:
    """True for what others should hear of soon: all but the passing of time and what they repeat."""
    if type(event) is Arrived:
        return isinstance(event.message, Request)
    return type(event) is not Tick
