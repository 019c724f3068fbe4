"""What the connector host does to the world: its journal, its sockets, and the threads of the user's code."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final, assert_never

import zmq

from common.core.events import Exit, Note, Send
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
    JournalFailed,
    KeepJournal,
    KeepSection,
    Listen,
    LookUpSection,
    MarkSettled,
    RaiseGeneration,
    SetLineState,
    Strike,
    Trim,
)
from common.wire.messages import Plane
from services.connector_host.core.events import (
    CallBack,
    CallConnectorCode,
    CloseConnector,
    Committed,
    DevicesKept,
    Effect,
    Event,
    KeepDevices,
    Settle,
    ShowLink,
)
from services.connector_host.shell.devices_file import write_devices
from services.connector_host.shell.facade import Hosted
from services.connector_host.shell.users_code import UsersCode

BEATS: Final = (b"beat.publisher.", b"beat.broker.")
"""The publisher's beat says how much it takes, and a new broker wants to be registered with."""
CLOSE_LINGER_MS: Final = 500
"""At the end the last batches and replies get this long to leave; the journal keeps what does not."""
STATM: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = 4096


class ConnectorHostShell:
    """Performs the effects of `ConnectorHostCore`, in the gateway's thread."""

    def __init__(
        self,
        journal: Journal,
        devices: Path,
        endpoints: Endpoints,
        sources: Sources[Event],
        *,
        hosted: Hosted,
        users: UsersCode,
        logger: logging.Logger,
        breathe: Breathe,
    ) -> None:
        """`devices`: the file of the connector's devices. `breathe` is called now and then by work on a journal that
        may take seconds."""
        self._store = Store(journal.device, journal, logger, breathe)
        self._devices = devices
        self._sources = sources
        self._hosted = hosted
        self._users = users
        self._planes = Planes(endpoints, sources, logger)
        self._planes.add_push(Plane.FRAMES, endpoints.frames_in)
        calls = self._planes.add_calls()
        connections = ConnectionWatch(calls)
        sources.add_reader(connections.socket, connections.receive)
        topics = [*BEATS, f"ack.{journal.state.journal}.".encode()]
        self._events, self._taps = self._planes.add_events(topics)
        sources.add_reader(hosted.intake.descriptor, hosted.intake.take)

    @property
    def gauges(self) -> dict[str, int]:
        """The counters of `UsersCounts`, for the next heartbeat."""
        journal = self._store.journal
        return {
            "wakeups": self._sources.wakeups,
            "dead_letters_kept": journal.letters_kept[0],
            "dead_letters_shed": journal.letters_shed,
            "dead_letters_damaged": journal.letters_damaged,
            "blocks_damaged": journal.rows_damaged,
            "results_refused": self._hosted.results_refused,
            "entries_waiting": self._hosted.intake.waiting,
            "memory_bytes": _memory_bytes(),
        }

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns the events that follow at once."""
        match effect:
            case Send() | Note() | Exit():
                return self._planes.perform(effect)
            case Append():
                return self._append(effect)
            case Settle(tickets, error):
                self._hosted.intake.settle(tickets, error)
            case CallConnectorCode():
                self._users.call(effect)
            case CallBack():
                self._users.call_back(effect)
            case CloseConnector():
                self._users.close()
            case ShowLink(is_up):
                self._hosted.is_link_up = is_up
            case KeepDevices(content):
                return [DevicesKept(write_devices(self._devices, content))]
            case Listen():
                return self._listen(effect)
            case ForMember():
                raise RuntimeError("a connector host has one stream")
            case (
                Trim()
                | MarkSettled()
                | Bury()
                | SetLineState()
                | RaiseGeneration()
                | KeepJournal()
                | Fetch()
                | Strike()
                | LookUpSection()
                | KeepSection()
                | FindLetters()
            ):
                return self._store.perform(effect)
            case _:
                assert_never(effect)
        return ()

    def close(self) -> None:
        """Lets go of everything but the journal. Messages that are on their way get a moment to leave."""
        self._hosted.intake.end()
        self._planes.close(CLOSE_LINGER_MS)

    def _append(self, effect: Append) -> Iterable[Event]:
        """Writes blocks to the journal, tells the core that they are there, and shows them to whoever watches."""
        following = self._store.perform(effect)
        if any(type(event) is JournalFailed for event in following):
            return following
        if self._store.device in self._taps:
            from common.wire.taps import taps_of_frames

            for block in effect.blocks:
                for tap in taps_of_frames(self._store.device, block.body, block.length):
                    self._planes.send(Plane.EVENTS, tap)
        return [*following, Committed(effect.next_number)]

    def _listen(self, effect: Listen) -> Iterable[Event]:
        """Subscribes to the others' beats, or to none of them."""
        for topic in BEATS:
            self._events.socket.setsockopt(zmq.SUBSCRIBE if effect.beats else zmq.UNSUBSCRIBE, topic)
        self._sources.rest(self._events.socket, effect.until_s)
        return ()


def _memory_bytes() -> int:
    """What the process has in memory; 0 where nobody says."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
