"""A port reader core under a fake clock: a line, a journal, a publisher that are lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from common.config.models import Device
from common.core.events import Arrived, Exit, Note, Send, Start, Tick
from common.stream.blocks import Block
from common.stream.events import Append, ForMember, OfMember
from common.stream.limits import Limits
from common.stream.uplink import Uplink
from common.wire import codec
from common.wire.messages import (
    Entry,
    FrameBatch,
    Heartbeat,
    Identity,
    Plane,
    Registered,
    Reply,
    Request,
    StreamReport,
)
from services.port_reader.core.core import LineMember, PortReaderCore
from services.port_reader.core.events import (
    Chunk,
    LineRead,
    Opened,
    OpenPort,
    ReadOut,
    WriteDrained,
    WritePort,
)
from tests.support.fake_journal import FakeJournal

WALL_MS = 1_700_000_000_000
SECTION = "s1"
IDENTITY = Identity("port_reader", "d", "i1", 1, "host", "")


class Rig:
    """One core, started; what it did is in lists."""

    def __init__(
        self,
        device: Device | None = None,
        journal: FakeJournal | None = None,
        more: Sequence[Device] = (),
        **options: Any,
    ) -> None:
        """`more`: further devices on the line, each with a journal of its own (`journals`)."""
        self.device = device or Device(name="d", type="t")
        self.devices = [self.device, *more]
        self.journal = journal or FakeJournal()
        self.journals = [self.journal, *(FakeJournal(f"j {one.name}") for one in more)]
        self.now_s = 100.0
        self.wall_offset_ms = 0
        self.opens = True
        self.drains = True
        self.written: list[bytes] = []
        self.waiting: list[Chunk] = []
        """What the line has when it is read out, after opening and at the end."""
        self.commit_s = 0.0
        """How long the journal takes for each append."""
        self.performed: list[Any] = []
        self.batches: list[FrameBatch] = []
        self.calls: list[Any] = []
        self.notes: list[Note] = []
        self.beats: list[Heartbeat] = []
        self.exit: int | None = None
        self.before_send: Callable[[FrameBatch], Any] = lambda _: None
        self.core = self.make_core(**{"limits": Limits(), **options})
        self.give(Start())
        for name in ("d", *(one.name for one in more)):
            self.give(Arrived(Plane.CALLS, Registered(f"port_reader:{name}", True, "", "b1", "")))

    def make_core(self, **options: Any) -> Any:
        """The core that is driven."""
        opened = zip(self.devices, self.journals, strict=True)
        return PortReaderCore(
            IDENTITY, [LineMember(one, SECTION, journal.open()) for one, journal in opened], **options
        )

    def say(self, *entries: bytes) -> None:
        """What the source has to tell."""
        self.read(b"".join(entry + b"\n" for entry in entries))

    @property
    def uplink(self) -> Uplink:
        """The stream's way to the platform."""
        return self.core._source.streams[0].uplink

    @property
    def wall_ms(self) -> int:
        return WALL_MS + self.wall_offset_ms + int(self.now_s * 1000)

    def give(self, event: Any) -> None:
        """Hands an event to the core and performs what follows."""
        pending = [event]
        while pending and self.exit is None:
            for effect in self.core.handle(pending.pop(0), self.now_s):
                self.performed.append(effect)
                pending += self._perform(effect)

    def give_disk(self, effect: Any) -> None:
        """Has the journal perform an effect that the core has not ordered, and tells the core what follows."""
        for event in self.journal.perform(effect) or []:
            self.give(event)

    def _perform(self, effect: Any) -> list[Any]:
        if (events := self.journal.perform(effect)) is not None:
            self.now_s += self.commit_s if isinstance(effect, Append) else 0
            return events
        match effect:
            case ForMember(member, order):
                return [OfMember(member, event) for event in self.journals[member].perform(order) or []]
            case Send(Plane.FRAMES, batch):
                event = self.before_send(batch)
                if event is not None:
                    return [event]
                self.batches.append(batch)
            case Send(Plane.EVENTS, beat):
                self.beats.append(beat)
            case Send(Plane.CALLS, message):
                if isinstance(message, Reply) or (isinstance(message, Request) and message.verb != "beat"):
                    self.calls.append(message)
            case OpenPort() if self.opens:
                return [Opened(self.wall_ms)]
            case ReadOut():
                return [*self.waiting, LineRead()]
            case WritePort(data):
                self.written.append(data)
                return [WriteDrained()] if self.drains else []
            case Note():
                self.notes.append(effect)
            case Exit(code):
                self.exit = code
        return []

    def wait(self, seconds: float, heartbeats: bool = True) -> None:
        """Lets time pass, with the publisher's heartbeat each half second where there is a publisher."""
        end_s = self.now_s + seconds
        beat_s = self.now_s
        while self.exit is None:
            deadline_s = max(self.now_s, self.core.next_deadline_s or end_s)
            if heartbeats and beat_s <= min(deadline_s, end_s):
                self.now_s = max(self.now_s, beat_s)
                beat_s += 0.5
                self.beat()
                continue
            if deadline_s > end_s:
                break
            self.now_s = deadline_s
            self.give(Tick())
        self.now_s = end_s

    def beat(self, epoch: str = "e1", link: str = "up") -> None:
        state = {"epoch": epoch, "link": link}
        self.give(Arrived(Plane.EVENTS, Heartbeat("publisher", "0", "p", 1, "h", 1.0, state, {})))

    def read(self, data: bytes, after_s: float = 0.1) -> None:
        """Bytes come in on the line, `after_s` later."""
        self.now_s += after_s
        self.give(Chunk(data, self.wall_ms))

    def report(self, received: int, settled: int | None = None, **fields: Any) -> None:
        settled = received if settled is None else settled
        report = StreamReport("j", self.journal.state.generation, "e1", received, settled, 1 << 20, [], [])
        self.give(Arrived(Plane.EVENTS, report.replace(**fields)))

    def call(self, verb: str, body: Any, call_id: str = "c1", time_left_s: float = 10.0) -> None:
        target = "port_reader:d"
        request = Request(call_id, "publisher:0", target, verb, "d", SECTION, time_left_s, codec.pack(body))
        self.give(Arrived(Plane.CALLS, request))

    def give_call(self, request: Request) -> None:
        """A request of whatever kind."""
        self.give(Arrived(Plane.CALLS, request))

    def give_report(self, report: StreamReport) -> None:
        """A report on whatever stream."""
        self.give(Arrived(Plane.EVENTS, report))

    def exchange(self, call_id: str = "c1", time_left_s: float = 10.0, **body: Any) -> None:
        default = {"writes": [b"GET\n"], "method": "get", "with_response": True, "timeout_s": 2.0, "pattern": ""}
        self.call("exchange", {**default, "until": b"", **body}, call_id, time_left_s)

    def ended(self, call_id: str) -> str | None:
        """How a call ended: its error, "ok", "answer: FRAME", or None if it has not."""
        for message in self.calls:
            if message.id == call_id:
                if isinstance(message, Request):
                    return f"answer: {codec.unpack(message.body)['frame'].decode()}"
                return message.error or "ok"
        return None

    def sent(self, kind: Entry = Entry.FRAMES) -> list[bytes]:
        """The frames of all batches of one kind, repeats included."""
        return [frame for batch in self.batches if batch.kind == kind for frame in frames_of(batch)]

    def count(self, name: str) -> int:
        return self.core.counters[name]


def frames_of(batch: FrameBatch | Block) -> list[bytes]:
    return codec.unpack_frames(batch.body, batch.length).frames


def stamps_of(batch: FrameBatch | Block) -> list[int]:
    return codec.unpack_frames(batch.body, batch.length).ts_ms
