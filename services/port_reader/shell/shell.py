"""What the port reader does to the world: the line, the journal, its sockets."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import Final, Never

import zmq

from common.config.models import Device
from common.core.errors import LinkError
from common.core.events import Blocked, Exit, Note, Send, Writable
from common.io.clock import monotonic_s, suspended_s, wall_ms
from common.io.endpoints import Endpoints
from common.io.journal.journal import Journal
from common.io.journal.pages import Breathe
from common.io.journal.store import Store
from common.io.logs import log_note
from common.io.sockets import Channel, ConnectionWatch, TapWatch, connect, connect_events
from common.io.sources import Sources
from common.stream.events import (
    Append,
    Bury,
    Fetch,
    FindLetters,
    FindSection,
    ForMember,
    JournalEvent,
    JournalFailed,
    KeepJournal,
    Listen,
    MarkSettled,
    OfMember,
    RaiseGeneration,
    SetLineState,
    Strike,
    Trim,
)
from common.wire.messages import Entry, Plane
from common.wire.taps import taps_of_frames
from services.port_reader.core.events import (
    CancelWrite,
    CheckWrite,
    Chunk,
    ClosePort,
    Effect,
    Event,
    LineGap,
    LineRead,
    Opened,
    OpenFailed,
    OpenPort,
    PortLost,
    ReadOut,
    Rest,
    WriteDrained,
    WriteFailed,
    WritePending,
    WritePort,
)
from services.port_reader.shell.performers import Performers
from services.port_reader.shell.serial_line import READ_BYTES, SerialLine, open_line

BEATS: Final = (b"beat.publisher.", b"beat.broker.")
READS: Final = 4
"""Full reads in a row before other sources get their turn."""
READS_BEFORE_WRITE: Final = 16
SUSPENDED_S: Final = 0.1
"""The two clocks that tell of it are not read at the same moment."""
CONTINUED_S: Final = 1.0
"""What comes so long after this process was continued has come after it: a line rests for less."""
LATE_S: Final = 0.1
"""What comes so long after the end of a rest did not come during it."""


class PortReaderShell:
    """Performs the core's effects and turns the line into events."""

    def __init__(
        self,
        device: Device,
        journals: Sequence[Journal],
        endpoints: Endpoints,
        sources: Sources[Event],
        *,
        logger: logging.Logger,
        breathe: Breathe,
    ) -> None:
        """`device`: one of those on the line, whose settings are all theirs. `journals`: one for each, in the order in
        which the core knows them."""
        self._device = device
        self._journals = journals
        self._stores = [Store(one.device, one, logger, breathe) for one in journals]
        self._logger = logger
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._line: SerialLine | None = None
        self._is_resting = False
        """True after a read that was followed by a rest, until there is something again."""
        self._rests_until_s = 0.0
        self._suspended_s = suspended_s()
        self._continued_s = float("-inf")
        """The last time that this process went on of which the core was told."""
        self._sources = sources
        topics = [*BEATS, *(f"ack.{journal.state.journal}.".encode() for journal in journals)]
        self._events_out, self._events_in = connect_events(self._context, endpoints, topics)
        self._taps = TapWatch(self._events_out)
        self._channels: dict[Plane, Channel] = {
            Plane.FRAMES: connect(self._context, zmq.PUSH, Plane.FRAMES, endpoints.frames_in),
            Plane.CALLS: connect(self._context, zmq.DEALER, Plane.CALLS, endpoints.calls),
            Plane.EVENTS: self._events_out,
        }
        self._connections = ConnectionWatch(self._channels[Plane.CALLS])
        sources.add_reader(self._channels[Plane.CALLS].socket, self._receive_calls)
        sources.add_reader(self._connections.socket, self._connections.receive)
        sources.add_reader(self._events_in.socket, self._events_in.receive)
        sources.add_reader(self._events_out.socket, self._taps.receive)
        self._performers = self._all_performers().table

    def _all_performers(self) -> Performers[Effect]:
        store = self._stores[0].perform
        performers = (
            Performers[Never]({})
            .on(Send, self._send)
            .on(Append, self._append)
            .on(Trim, store)
            .on(MarkSettled, store)
            .on(Bury, store)
            .on(SetLineState, store)
            .on(RaiseGeneration, store)
            .on(KeepJournal, store)
            .on(Fetch, store)
            .on(Strike, store)
            .on(FindSection, store)
            .on(FindLetters, store)
            .on(Note, self._note)
            .on(Exit, self._exit)
            .on(OpenPort, self._open_port)
            .on(ClosePort, self._close_port)
            .on(Rest, self._rest)
            .on(Listen, self._listen)
            .on(ForMember, self._for_member)
            .on(ReadOut, self._read_out)
            .on(WritePort, self._write_port)
            .on(CheckWrite, self._check_write)
            .on(CancelWrite, self._cancel_write)
        )
        # Said apart: in a `return` mypy would guess the last kind from what is to be returned.
        return performers  # noqa: RET504

    def _for_member(self, effect: ForMember) -> Iterable[Event]:
        """The journal of one of several devices."""
        member, order = effect.member, effect.effect
        events = self._append(order, member) if isinstance(order, Append) else self._stores[member].perform(order)
        return [OfMember(member, event) for event in events]

    @property
    def gauges(self) -> dict[str, int]:
        """What only the shell can count (`JournalCounts`)."""
        return {
            "wakeups": self._sources.wakeups,
            "dead_letters_kept": sum(journal.letters_kept[0] for journal in self._journals),
            "dead_letters_shed": sum(journal.letters_shed for journal in self._journals),
            "dead_letters_damaged": sum(journal.letters_damaged for journal in self._journals),
            "blocks_damaged": sum(journal.rows_damaged for journal in self._journals),
        }

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns the events that follow at once."""
        return self._performers[type(effect)](effect)

    def close(self) -> None:
        """Lets go of everything but the journal. Messages that are on their way get a moment to leave."""
        self._close_port(ClosePort())
        self._context.destroy(linger=500)

    def _note(self, note: Note) -> Iterable[Event]:
        log_note(self._logger, note)
        return ()

    def _exit(self, _: Exit) -> Iterable[Event]:
        """Nothing: the loop has left."""
        return ()

    # Sockets

    def _receive_calls(self) -> Iterable[Event]:
        # Somebody waits for what a call does; what the publisher has said meanwhile changes nothing about it.
        yield from self._channels[Plane.CALLS].receive_ready()
        yield from self._hear()

    def _hear(self) -> Iterable[Event]:
        """What the others have said meanwhile."""
        yield from self._events_in.receive()

    def _listen(self, effect: Listen) -> Iterable[Event]:
        for topic in BEATS:
            self._events_in.socket.setsockopt(zmq.SUBSCRIBE if effect.beats else zmq.UNSUBSCRIBE, topic)
        self._sources.rest(self._events_in.socket, effect.until_s)
        return ()

    def _send(self, effect: Send) -> Iterable[Event]:
        channel = self._channels[effect.plane]
        if channel.send(effect.message):
            if effect.is_urgent:
                # ZeroMQ's own thread passes it on, and may have to share this core [seen: 0.27 ms of each].
                os.sched_yield()
            return ()
        self._sources.add_writer(channel.socket, lambda: self._writable(channel))
        return (Blocked(effect.plane, effect.message),)

    def _writable(self, channel: Channel) -> Iterable[Event]:
        self._sources.remove_writer(channel.socket)
        return (Writable(channel.plane),)

    # Journal

    def _append(self, effect: Append, member: int = 0) -> Iterable[JournalEvent]:
        following = self._stores[member].perform(effect)
        if any(type(event) is JournalFailed for event in following):
            return following
        device = self._journals[member].device
        if device in self._taps:
            for block in effect.blocks:
                if block.kind in (Entry.FRAMES, Entry.ANSWER):
                    for tap in taps_of_frames(device, block.body, block.length):
                        self._events_out.send(tap)
        return following

    # Line

    def _open_port(self, _: OpenPort) -> Iterable[Event]:
        try:
            line = open_line(self._device.line)
        except LinkError as error:
            return (OpenFailed(str(error)),)
        self._line = line
        if line.is_connecting:
            self._sources.add_writer(line.fd, self._connected)
            return ()
        self._sources.add_reader(line.fd, self._readable)
        return (Opened(wall_ms()),)

    def _connected(self) -> Iterable[Event]:
        """A connection that was begun has succeeded or failed."""
        line = self._open_line
        self._sources.remove_writer(line.fd)
        try:
            line.finish_connecting()
        except LinkError as error:
            self._close_port(ClosePort())
            return (OpenFailed(str(error)),)
        self._sources.add_reader(line.fd, self._readable)
        return (Opened(wall_ms()),)

    def _close_port(self, _: ClosePort) -> Iterable[Event]:
        line, self._line = self._line, None
        if line is not None:
            self._sources.remove_reader(line.fd)
            self._sources.remove_writer(line.fd)
            line.close()
        return ()

    def _readable(self) -> Iterable[Event]:
        """What is there, in chunks. A write that has drained meanwhile is said first. What others have said comes
        before what a line said while it rested, but no frame that has just come waits for it."""
        has_rested = self._is_resting and monotonic_s() < self._rests_until_s + LATE_S
        if has_rested:
            yield from self._hear()
        if self._line is not None and self._line.is_writing:
            yield from (event for event in self._progress() if not isinstance(event, WritePending))
        yield from self._read(READS)
        if not has_rested:
            yield from self._hear()

    def _read(self, reads: int) -> Iterable[Event]:
        for _ in range(reads):
            line = self._line
            if line is None:
                return
            try:
                data = line.read()
            except LinkError as error:
                yield PortLost(str(error), wall_ms())
                return
            if data:
                self._is_resting = False
                if line.is_serial and (gap := self._gap(line)):
                    yield gap
                yield Chunk(data, wall_ms())
            if len(data) < READ_BYTES // 2 or self._is_resting:
                return

    def _gap(self, line: SerialLine) -> LineGap | None:
        """Why bytes may be missing before or among those that were just read; None for no reason."""
        if line.has_overrun():
            return LineGap("the driver lost bytes of the line")
        before_s, self._suspended_s = self._suspended_s, suspended_s()
        if self._suspended_s > before_s + SUSPENDED_S:
            return LineGap("the machine was suspended")
        continued_s = self._sources.continued_s
        if continued_s > self._continued_s and monotonic_s() < continued_s + CONTINUED_S:
            self._continued_s = continued_s
            return LineGap("nobody could read the line for too long", is_anywhere=False)
        return None

    def _read_out(self, _: ReadOut) -> Iterable[Event]:
        return (*self._read(READS_BEFORE_WRITE), LineRead())

    def _rest(self, effect: Rest) -> Iterable[Event]:
        self._sources.rest(self._events_in.socket, effect.reports_until_s)
        if effect.line_until_s is not None and self._line is not None:
            self._is_resting, self._rests_until_s = True, effect.line_until_s
            self._sources.rest(self._line.fd, effect.line_until_s, deep=True)
        return ()

    def _write_port(self, effect: WritePort) -> Iterable[Event]:
        if self._line is None:
            return (WriteFailed("the port is closed"),)
        # What has come before the write is no answer to it.
        events = list(self._read(READS_BEFORE_WRITE))
        if any(isinstance(event, PortLost) for event in events):
            return events
        self._line.begin_write(effect.data)
        # From now on its answer may come.
        self._is_resting = False
        self._sources.rest(self._line.fd, monotonic_s())
        return [*events, *self._progress()]

    def _check_write(self, _: CheckWrite) -> Iterable[Event]:
        return self._progress()

    def _cancel_write(self, _: CancelWrite) -> Iterable[Event]:
        if self._line is not None:
            self._line.cancel_write()
            self._sources.remove_writer(self._line.fd)
        return ()

    def _progress(self) -> Iterable[Event]:
        """Writes what the line takes, and says how far it is."""
        line = self._line
        if line is None or not line.is_writing:
            return ()
        try:
            unwritten, left_bytes = line.write_more()
        except LinkError as error:
            line.cancel_write()
            self._sources.remove_writer(line.fd)
            return (WriteFailed(str(error)),)
        if unwritten:
            self._sources.add_writer(line.fd, self._progress)
        else:
            self._sources.remove_writer(line.fd)
        return (WritePending(left_bytes),) if left_bytes else (WriteDrained(),)

    @property
    def _open_line(self) -> SerialLine:
        if self._line is None:
            raise RuntimeError("no port is open")
        return self._line
