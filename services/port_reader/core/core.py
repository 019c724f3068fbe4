"""The port reader's decisions: one serial line, the streams of the devices on it, its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, assert_never

import msgspec

from common.config.models import Device, device_of, section_of
from common.core.counters import new_counts
from common.core.errors import WireError
from common.core.events import Arrived, Drain, Note, Start, Tick, answer
from common.core.wall_clock import WallClock
from common.stream.device_stream import KeptDevice
from common.stream.events import ForMember, KeepSection, OfMember, SectionKept, SourceEvent
from common.stream.limits import Limits
from common.stream.numbers import StreamState
from common.stream.source import SERVED, Source
from common.wire import calls
from common.wire.calls import SHUTTING_DOWN, Encode, EncodeUpdate, body_of
from common.wire.messages import Identity, Request
from common.wire.states import PortReaderState
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.events import (
    Chunk,
    Confirmed,
    Effect,
    Event,
    LineDamaged,
    LineGap,
    LineRead,
    LineRefused,
    Opened,
    OpenFailed,
    PortEvent,
    PortLost,
    ReadOut,
    Rest,
    WriteDrained,
    WriteFailed,
    WritePending,
)
from services.port_reader.core.exchange import Search, search_plainly
from services.port_reader.core.incoming.choice import incoming_of
from services.port_reader.core.members import Owner
from services.port_reader.core.pace import ReadPace
from services.port_reader.core.port import Port, PortMeans, byte_seconds
from services.port_reader.core.resting import Resting
from services.port_reader.core.standstill import Standstill

TCP: Final = ("socket://", "rfc2217://", "tcp-listen://")
"""Nothing is lost on such a line while nobody reads it: it waits at the other end."""
_SERVED: Final = (calls.Exchange, calls.TakeSection, *SERVED)
_SERVED_WITH_CALLS: Final = (*_SERVED, Encode, EncodeUpdate)
"""By a reader that converts its devices' calls itself."""


class LineMember(NamedTuple):
    """One device on the line, and what its journal said when it was opened (its generation is raised already)."""

    device: Device
    section_hash: str
    state: StreamState
    lock: str = ""
    """Names the flock that proves that no other process has this device; "" for the first one, whose is the
    process's."""


class PortReaderCore:
    """One serial port: framing, numbering, the window, one exchange at a time.

    `Start` comes first, and `Tick` at `next_deadline_s`. Effects are performed in order; an `Append` stands before the
    `Send`s of the same entries, so that they are committed first.
    """

    def __init__(
        self,
        identity: Identity,
        members: Sequence[LineMember],
        *,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        draw: Callable[[], float] = lambda: 0.5,
        gauges: Callable[[], dict[str, int]] = dict,
        has_port: bool = True,
        wall_offset_ms: float | None = None,
        ports: int = 1,
        search: Search = search_plainly,
        owner: Owner | None = None,
    ) -> None:
        """`members`: at least one, all of one port; the settings of the line are the first one's.

        `draw` gives numbers in [0, 1) for jitter, `gauges` counters of the shell. Without a port it drains the journals
        and exits. `wall_offset_ms`: the wall clock less `now_s` in ms; None: not known before the port is open.
        `ports`: how many readers share the machine. `search` finds the patterns of answers in bounded time. `owner`
        says whose a frame is that nobody asked for; None: the first one's.
        """
        device = members[0].device
        self._device = device
        self._has_port = has_port
        self.counters = new_counts(PortReaderCounts)
        own_calls = not any(member.device.has_user_converter for member in members)
        self._served = _SERVED_WITH_CALLS if own_calls else _SERVED
        clock = WallClock(wall_offset_ms)
        self._source = Source(
            identity,
            [_kept(member) for member in members],
            {
                "section": members[0].section_hash,
                "pinned": device.has_user_converter,
                "own_calls": own_calls,
                "temporary": not has_port,
            },
            limits=limits,
            counters=self.counters,
            draw=draw,
            gauges=gauges,
            clock=clock,
            is_left=not has_port,
        )
        devices = [member.device for member in members]
        self._port = _port_of(
            devices,
            self._source,
            members[0].state.line_state,
            self.counters,
            PortMeans(clock, draw, search, owner),
        )
        pace = ReadPace(self._port.byte_s, limits.window_frames, ports, limits.company_s)
        self._resting = Resting(pace, self._source.listening)
        self._standstill = Standstill(self._port.byte_s)
        self._is_reading_out = False
        self._swaps = 0
        """How many sections were taken since the start."""

    def handle(self, event: Event, now_s: float) -> list[Effect]:
        """The effects of an event, in order. The source comes first and last with every event: who is there and what is
        heard; the beat, and the end."""
        if self._standstill.has_been(now_s, self._due_s) and not self._device.line.port.startswith(TCP):
            self._port.doubt("nobody could read the line for too long", is_anywhere=False)
        effects: list[Effect] = [*self._source.begin(event, now_s, is_said=type(event) is Chunk)]
        effects += self._handle(event, now_s)
        return [
            *effects,
            *self._source.finish(self._state, now_s, is_busy=self._is_reading_out, other_state=self._state),
        ]

    @property
    def next_deadline_s(self) -> float | None:
        port_s, source_s = self._port.next_deadline_s, self._source.next_deadline_s
        return source_s if port_s is None else min(port_s, source_s)

    def _due_s(self, since_s: float) -> float:
        """By when an event would have come, were we not kept from running since `since_s`."""
        deadlines = self._resting.ends_after(since_s)
        deadline_s = self.next_deadline_s
        return min(deadlines if deadline_s is None else [deadline_s, *deadlines])

    def _handle(self, event: Event, now_s: float) -> Sequence[Effect]:
        """What is the line's, to the port; what is any source's, to the source; what is both's, in that order."""
        match event:
            case Chunk():
                # Journaled and sent first; only then it is known how much is under way, and how long the line may rest.
                return [*self._port.read(event, now_s), *self._rest(event, now_s)]
            case Arrived(message=Request() as request):
                return self._serve(request, now_s)
            case Tick():
                effects = [*self._port.tick(now_s), *self._source.handle(event, now_s)]
                return [*effects, *self._resting.after_tick(self._source.backlog, now_s)]
            case Start() if self._has_port:
                # What the journal has lost is told before anything new comes.
                return [*self._source.handle(event, now_s), *self._port.open(now_s)]
            case Drain():
                return self._drain(now_s)
            case SectionKept():
                return self._take_section(event, 0, now_s)
            case OfMember(member=member, event=SectionKept() as kept):
                return self._take_section(kept, member, now_s)
        if isinstance(event, SourceEvent):
            return self._source.handle(event, now_s)
        return self._handle_port(event, now_s)

    def _handle_port(self, event: PortEvent, now_s: float) -> list[Effect]:
        """What happened to the port, beside what came in on it."""
        port = self._port
        match event:
            case Opened():
                return port.opened(event, now_s)
            case OpenFailed():
                return port.open_failed(event.reason, now_s)
            case PortLost():
                return port.lost(event, now_s)
            case LineGap():
                port.doubt(event.reason, is_anywhere=event.is_anywhere)
                return []
            case LineDamaged():
                port.damaged(event.errors, now_s)
                return []
            case LineRefused():
                return [*port.refused(event.settings)]
            case LineRead():
                port.watch(now_s)
                return self._read_out(now_s) if self._is_reading_out else []
            case WriteDrained():
                return port.write_drained(now_s)
            case WritePending(left_bytes=left):
                return port.write_pending(left, now_s)
            case WriteFailed(reason=reason):
                return port.write_failed(reason, now_s)
            case Confirmed():
                return port.confirmed(event, now_s)
            case _:
                assert_never(event)

    def _rest(self, chunk: Chunk, now_s: float) -> list[Rest]:
        """How long the line, and what the publisher says, may wait after a read."""
        if self._source.is_draining:
            return self._resting.reports(0.0, now_s)
        may_rest = not self._port.is_exchanging and not self._port.ends_by_silence
        until = self._resting.after_read(len(chunk.data), self._source.progress, now_s, may_rest=may_rest)
        if until and until[0].line_until_s is not None:
            self._port.rest(until[0].line_until_s)
        return until

    def _serve(self, request: Request, now_s: float) -> Sequence[Effect]:
        """A call: the line's own verbs are served here, those of every source there. A reader that is told to end takes
        nothing that would still have to be written to the device."""
        source = self._source
        try:
            asked = body_of(request, *self._served)
        except WireError as error:
            return [source.refuse(request, str(error))]
        match asked:
            case calls.Exchange() | Encode() | EncodeUpdate() | calls.TakeSection() if source.is_draining:
                return [source.refuse(request, SHUTTING_DOWN)]
            case calls.Exchange():
                return self._port.exchange(request, asked, now_s)
            case Encode() | EncodeUpdate():
                return self._port.call(request, asked, now_s)
            case calls.TakeSection(section=section):
                return self._keep_section(request, section)
            case _:
                return source.serve(request, asked, now_s)

    def _keep_section(self, request: Request, section: bytes) -> list[Effect]:
        """A device is to be configured otherwise: its journal is told first, as frames are to name that section."""
        # Here: most readers never hear of it, and a port reader keeps what it has loaded.
        from services.port_reader.core.swaps import MOST_SWAPS, fault_of, why_not

        devices = self._port.devices
        place = next((place for place, one in enumerate(devices) if one.name == request.device), None)
        if place is None or not self._has_port:
            return [self._source.refuse(request, calls.unknown_device(request.device))]
        try:
            device = device_of(section)
        except msgspec.DecodeError as error:
            return [self._source.refuse(request, f"{calls.MALFORMED}: {error}")]
        if fault := fault_of(device):
            return [self._source.refuse(request, f"{calls.MALFORMED}: {fault}")]
        if device == devices[place]:
            return [answer(calls.reply(request, None))]
        why = "it has taken many already" if self._swaps >= MOST_SWAPS else why_not(devices[place], device, devices)
        if why:
            return [self._source.refuse(request, f"only a reader that is started anew goes by this section: {why}")]
        keep = KeepSection(section, request)
        return [ForMember(place, keep) if place else keep]

    def _take_section(self, kept: SectionKept, place: int, now_s: float) -> list[Effect]:
        """The journal knows the section: from the next frame on it is the device's."""
        device = device_of(kept.section)
        self._swaps += 1
        effects: list[Effect] = self._port.part_with(place, device, now_s)
        effects += self._source.take_section(place, kept.name, kept.section, now_s)
        effects += self._port.take_device(place, device, now_s)
        if place == 0:
            self._device = device
        self._resting.set_speed(self._port.byte_s)
        self._standstill.set_speed(self._port.byte_s)
        note = Note("info", "section.taken", {"device": device.name, "section": kept.name})
        return [*effects, note, answer(calls.reply(kept.request, None))]

    def _drain(self, now_s: float) -> list[Effect]:
        """It is told to end. What the line has said by now is read and journaled before the port is closed."""
        was_draining = self._source.is_draining
        effects: list[Effect] = [*self._source.drain(now_s)]
        if was_draining:
            return effects
        effects += self._resting.reports(0.0, now_s)
        if not self._port.is_connected:
            return [*effects, *self._port.drain(now_s)]
        self._is_reading_out = True
        return [*effects, ReadOut()]

    def _read_out(self, now_s: float) -> list[Effect]:
        """All that had come when we were told to end is read: the line can go."""
        self._is_reading_out = False
        return self._port.drain(now_s)

    def _state(self, now_s: float, place: int = 0) -> PortReaderState:
        """What the heartbeat of one of the devices says: of its journal and what waits in it, and of the line."""
        stream = self._source.streams[place]
        uplink = stream.uplink
        frames, size = uplink.in_flight
        line = self._port.seen(now_s, place)
        return PortReaderState(
            device=stream.device,
            port=self._device.line.port,
            **line._asdict(),
            draining=self._source.is_draining,
            held=self._resting.is_held,
            temporary=not self._has_port,
            journal=uplink.stream.journal,
            generation=uplink.stream.generation,
            backlog=uplink.backlog,
            backlog_bytes=uplink.backlog_bytes,
            in_flight=frames,
            in_flight_bytes=size,
            journal_writable=not uplink.is_down,
            oldest_s=uplink.oldest_s(now_s),
            most_backlog=uplink.limits.max_records,
            most_backlog_bytes=uplink.limits.max_bytes,
            delivered=uplink.delivered,
            dead=dict(uplink.dead),
        )


def _port_of(
    devices: list[Device],
    source: Source,
    line_state: bytes,
    counters: PortReaderCounts,
    means: PortMeans,
) -> Port:
    """The line, as what its devices need it to be."""
    framing, byte_s = devices[0].framing, byte_seconds(devices[0].line)
    if all(device.asking is None for device in devices):
        line = incoming_of(framing, line_state, byte_s)
        return Port(devices, source, line, counters, means)
    # Here: lines on which nothing is asked need none of it, and a port reader keeps what it has loaded.
    from services.port_reader.core.asking_port import AskingPort, split_line_state

    line_state, repeats = split_line_state(devices, line_state)
    line = incoming_of(framing, line_state, byte_s)
    return AskingPort(devices, source, line, counters, means, repeats=repeats)


def _kept(member: LineMember) -> KeptDevice:
    """A member as a source knows it, which has no devices. The section is put together when somebody asks for it: most
    never are, and each would take a kilobyte."""
    device = member.device
    section = partial(section_of, device)
    return KeptDevice(device.name, member.section_hash, section, member.state, device.has_user_converter, member.lock)
