"""A connector host's core under a fake clock; its connector is what the test says it does."""

from __future__ import annotations

from typing import Any

from common.core.events import Arrived
from common.stream.device_stream import KeptDevice
from common.stream.events import Append, JournalFailed
from common.wire.calls import hosted_stream, pack_body, verb_of
from common.wire.entries import pack_entry, unpack_entry
from common.wire.messages import Entry, Identity, Plane, Request, UserReading
from services.connector_host.core.core import ConnectorFacts, ConnectorHostCore
from services.connector_host.core.devices import KeptDevice as Kept
from services.connector_host.core.events import (
    CallBack,
    CallConnectorCode,
    CloseConnector,
    Committed,
    ConnectorClosed,
    ConnectorOpened,
    DevicesKept,
    KeepDevices,
    Said,
    Settle,
    ShowLink,
    Submission,
    Submitted,
)
from tests.support.port_reader_rig import SECTION, Rig, frames_of

NAME = "Demo"
STREAM = hosted_stream(NAME)


class HostRig(Rig):
    """As a port reader's, around a connector host."""

    def make_core(self, **options: Any) -> ConnectorHostCore:
        self.tickets = self.asked = 0
        self.settled: dict[int, str] = {}
        self.handlers: list[CallConnectorCode] = []
        self.called_back: list[CallBack] = []
        self.is_closing = False
        self.closes = True
        self.kept: list[bytes] = []
        self.keeps = True
        options["is_left"] = not options.pop("has_port", True)
        options.setdefault("devices", {"d": Kept("t", True)})
        kept = KeptDevice(STREAM, SECTION, lambda: b"{}", self.journal.open())
        identity = Identity("connector_host", NAME, "i1", 1, "host", "")
        return ConnectorHostCore(identity, ConnectorFacts(NAME, "demo", "Demo", "/x/demo.py"), kept, **options)

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case Append():
                events = super()._perform(effect)
                if any(isinstance(event, JournalFailed) for event in events):
                    return events
                return [*events, Committed(effect.next_number)]
            case Settle(tickets, error):
                self.settled |= dict.fromkeys(tickets, error)
            case CallConnectorCode():
                self.handlers.append(effect)
            case CallBack():
                self.called_back.append(effect)
            case CloseConnector():
                self.is_closing = True
                return [ConnectorClosed()] if self.closes else []
            case KeepDevices(content):
                self.kept.append(content)
                return [DevicesKept("" if self.keeps else "the disk is full")]
            case ShowLink():
                pass
            case _:
                return super()._perform(effect)
        return []

    def say(self, *entries: bytes) -> None:
        """Entries that say nothing but themselves: whoever counts bytes on their way finds these."""
        self.now_s += 0.1
        self.submit(*(Said("d", "t", entry) for entry in entries))

    def submit(self, *said: Said) -> int:
        """One call of the connector's; its ticket."""
        self.tickets += 1
        self.give(Submitted([Submission(self.tickets, said)], self.wall_ms))
        return self.tickets

    def store(self, device: str, value: int) -> int:
        """A value of a device; the call's ticket."""
        values = b'{"v":%d}' % value
        return self.submit(Said(device, "t", pack_entry(device, "t", telemetry=[(None, values)])))

    def mark(self, device: str, mark: Any, device_type: str = "t") -> int:
        """`add_device` or `del_device`."""
        return self.submit(Said(device, device_type, b"", mark))

    def open(self, *, wants_shared: bool = False) -> None:
        """The connector's `open` has returned."""
        self.give(ConnectorOpened(wants_shared))

    def ask(self, body: Any, number: str = "", time_left_s: float = 10.0) -> None:
        """A call that comes over the calls plane; `number`: its id, else one of its own."""
        self.asked += 1
        number = number or f"call-{self.asked}"
        request = Request(
            number, "publisher:0", "connector_host:Demo", verb_of(type(body)), STREAM, "", time_left_s, pack_body(body)
        )
        self.give(Arrived(Plane.CALLS, request))

    def sent(self, kind: Entry = Entry.FRAMES) -> list[bytes]:
        """Without the marks that announce devices: those nobody has handed over."""
        return [frame for frame in super().sent(kind) if b'"mark":"connect"' not in frame]

    @property
    def readings(self) -> list[UserReading]:
        """What was sent, as a converter reads it."""
        return [
            unpack_entry(frame) for batch in self.batches if batch.kind == Entry.FRAMES for frame in frames_of(batch)
        ]


class PlainHostRig(HostRig):
    """One that only stores: a new publisher is not told of its device, so that nothing is sent but what a test says."""

    def make_core(self, **options: Any) -> ConnectorHostCore:
        core = super().make_core(**options)
        core._tell_devices = lambda now_s: []  # type: ignore[method-assign]
        return core
