"""What the port reader does to the world: the journal, its sockets and, through `LineSource`, the line.

The hot path is `_send` and `_append`: each read of a busy line, and each frame of a quiet one, comes through both. So
effects are found in a table, and a message goes straight to its channel.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import Final, Never

import zmq

from common.config.models import Device
from common.core.events import Arrived, Exit, Junk, Note, Send
from common.io.endpoints import Endpoints
from common.io.journal.breath import Breathe
from common.io.journal.journal import Journal
from common.io.journal.store import Store
from common.io.shell import Planes
from common.io.sockets import ConnectionWatch
from common.io.sources import Sources
from common.stream.events import (
    Append,
    Bury,
    Fetch,
    FindLetters,
    ForMember,
    JournalEvent,
    JournalFailed,
    KeepJournal,
    KeepSection,
    Listen,
    LookUpSection,
    MarkSettled,
    OfMember,
    RaiseGeneration,
    SetLineState,
    Strike,
    Trim,
)
from common.wire.messages import Entry, Plane
from services.port_reader.core.events import (
    AdjustLine,
    CancelWrite,
    CheckWrite,
    ClosePort,
    Confirm,
    Confirmed,
    Effect,
    Event,
    OpenPort,
    ReadOut,
    Rest,
    WritePort,
)
from services.port_reader.shell.line_source import LineSource
from services.port_reader.shell.line_tap import LineTap
from services.port_reader.shell.performers import Performers

BEATS: Final = (b"beat.publisher.", b"beat.broker.")
"""The publisher's beat says how much it takes, and a new broker wants to be registered with."""
CLOSE_LINGER_MS: Final = 500
"""At the end the last batches and replies get this long to leave; the journal keeps what does not."""


class PortReaderShell:
    """Performs the effects of `PortReaderCore`, and turns the line into events."""

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
        """`device`: one of those on the line, whose settings are all theirs. `journals`: one for each device, in the
        order in which the core knows them. `breathe` is called now and then by work on a journal that may take seconds.
        """
        self._stores = [Store(journal.device, journal, logger, breathe) for journal in journals]
        self._sources = sources
        self._planes = Planes(endpoints, sources, logger)
        self._channels = self._planes.channels
        self._planes.add_push(Plane.FRAMES, endpoints.frames_in)
        self._calls = self._planes.add_calls(self._receive_calls)
        # A calm reader hears no heartbeats, and learns of a new broker by this.
        connections = ConnectionWatch(self._calls)
        sources.add_reader(connections.socket, connections.receive)
        # Acknowledgements come under the stream's own name: of 64 readers one is woken by each, not all.
        topics = [*BEATS, *(f"ack.{journal.state.journal}.".encode() for journal in journals)]
        self._events, self._taps = self._planes.add_events(topics)
        tap = LineTap([journal.device for journal in journals], self._taps, self._planes)
        self._line = LineSource(device.line, sources, self._events.socket, self._hear, tap)
        self._performers = self._all_performers().table

    def _all_performers(self) -> Performers[Effect]:
        planes, store, line = self._planes.perform, self._stores[0].perform, self._line
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
            .on(LookUpSection, store)
            .on(KeepSection, store)
            .on(FindLetters, store)
            .on(Note, planes)
            .on(Exit, planes)
            .on(OpenPort, line.open_port)
            .on(ClosePort, line.close_port)
            .on(Rest, line.rest)
            .on(Listen, self._listen)
            .on(ForMember, self._for_member)
            .on(ReadOut, line.read_out)
            .on(WritePort, line.write_port)
            .on(CheckWrite, line.check_write)
            .on(CancelWrite, line.cancel_write)
            .on(AdjustLine, line.adjust)
            .on(Confirm, self._confirm)
        )
        # mypy refuses a table that lacks a kind of effect, as `assert_never` does at the end of a `match`.
        # Said apart: in a `return` mypy would guess the last kind from what is to be returned.
        return performers  # noqa: RET504

    def _for_member(self, effect: ForMember) -> Iterable[Event]:
        """The journal of one of several devices."""
        member, order = effect.member, effect.effect
        events = self._append(order, member) if isinstance(order, Append) else self._stores[member].perform(order)
        return [OfMember(member, event) for event in events]

    @staticmethod
    def _confirm(effect: Confirm) -> Iterable[Event]:
        """Effects are performed in order, and what they lead to is told in order: a commit that has failed was told
        before this."""
        return (Confirmed(effect.member, effect.reply),)

    @property
    def gauges(self) -> dict[str, int]:
        """The counters of `SourceCounts` that only the shell knows, for the next heartbeat."""
        return {
            "wakeups": self._sources.wakeups,
            "dead_letters_kept": sum(store.journal.letters_kept[0] for store in self._stores),
            "dead_letters_shed": sum(store.journal.letters_shed for store in self._stores),
            "dead_letters_damaged": sum(store.journal.letters_damaged for store in self._stores),
            "blocks_damaged": sum(store.journal.rows_damaged for store in self._stores),
        }

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns the events that follow at once. A line's events come as it is read, one by
        one: the core handles each before the next is read."""
        return self._performers[type(effect)](effect)

    def close(self) -> None:
        """Lets go of everything but the journal. Messages that are on their way get a moment to leave."""
        self._line.close_port(ClosePort())
        self._planes.close(CLOSE_LINGER_MS)

    # Sockets

    def _receive_calls(self) -> Iterable[Arrived | Junk]:
        # Somebody waits for what a call does; what the publisher has said meanwhile changes nothing about it.
        yield from self._calls.receive_ready()
        yield from self._hear()

    def _hear(self) -> Iterable[Arrived | Junk]:
        """What the others have said meanwhile."""
        yield from self._events.receive()

    def _listen(self, effect: Listen) -> Iterable[Event]:
        """Subscribes to the others' beats, or to none of them."""
        for topic in BEATS:
            self._events.socket.setsockopt(zmq.SUBSCRIBE if effect.beats else zmq.UNSUBSCRIBE, topic)
        self._sources.rest(self._events.socket, effect.until_s)
        return ()

    def _send(self, effect: Send) -> Iterable[Event]:
        """Sends now, or answers `Blocked`."""
        channel = self._channels[effect.plane]
        if effect.plane is Plane.CALLS:
            self._planes.tell_step(effect.message)
        if channel.send(effect.message):
            if effect.is_urgent:
                # ZeroMQ's own thread passes it on, and may have to share this core [seen: 0.27 ms of each].
                os.sched_yield()
            return ()
        return self._planes.block(channel, effect.message)

    # Journal

    def _append(self, effect: Append, member: int = 0) -> Iterable[JournalEvent]:
        """Writes blocks to the journal, and shows them to whoever watches this device."""
        following = self._stores[member].perform(effect)
        if any(type(event) is JournalFailed for event in following):
            # Nobody sees a frame that is not on disk, not even who only watches.
            return following
        device = self._stores[member].device
        if device in self._taps:
            # Here: most lines are never watched, and a port reader keeps what it has loaded.
            from common.wire.taps import taps_of_frames

            for block in effect.blocks:
                if block.kind in (Entry.FRAMES, Entry.ANSWER):
                    for tap in taps_of_frames(device, block.body, block.length):
                        self._planes.send(Plane.EVENTS, tap)
        return following
