"""A port reader in the simulated world: its core, its disk that outlives it, and its serial line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.config.models import Device, section_of
from common.events import Send
from common.messages import Identity
from services.port_reader.blocks import Block
from services.port_reader.core import PortReaderCore
from services.port_reader.events import (
    Append,
    Bury,
    CancelWrite,
    CheckWrite,
    Chunk,
    ClosePort,
    DeadLetter,
    Fetch,
    FindSection,
    JournalBlocks,
    Opened,
    OpenFailed,
    OpenPort,
    PortLost,
    SectionFound,
    SetFlags,
    Strike,
    Trim,
    WriteDrained,
    WritePort,
)
from services.port_reader.ledger import Ledger
from services.port_reader.stream import StreamState
from services.port_reader.window import Limits
from tests.simulation.kernel import Clock, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

TTY_BYTES = 4096
"""What the kernel keeps of a line that nobody reads."""


class Disk:
    """A journal that survives its reader."""

    def __init__(self, journal: str) -> None:
        self.journal = journal
        self.generation = 0
        self.next_number = 1
        self.last_ts_ms = 0
        self.base = 1
        self.is_mid_frame = False
        self.has_seen_delimiter = False
        self.blocks: list[Block] = []
        self.strikes: dict[int, int] = {}
        self.dead: list[DeadLetter] = []

    def open(self) -> StreamState:
        """What the real journal says when it is opened."""
        self.generation += 1
        ledger = Ledger()
        for block in self.blocks:
            ledger.add(block.end, len(block.body))
        return StreamState(
            journal=self.journal,
            generation=self.generation,
            next_number=self.next_number,
            last_ts_ms=self.last_ts_ms,
            settled=self.base,
            spans=ledger.spans,
            strikes={number: count for number, count in self.strikes.items() if number >= self.base},
            has_seen_delimiter=self.has_seen_delimiter,
            is_mid_frame=self.is_mid_frame,
        )

    def append(self, effect: Append) -> None:
        """One commit."""
        self.blocks += effect.blocks
        self.next_number, self.last_ts_ms = effect.next_number, effect.last_ts_ms
        self.is_mid_frame, self.has_seen_delimiter = effect.is_mid_frame, effect.has_seen_delimiter
        self.trim(effect.base, [])

    def trim(self, base: int, dead: list[DeadLetter]) -> None:
        """One commit."""
        self.base = max(self.base, base)
        self.dead += dead
        while self.blocks and self.blocks[0].end <= self.base:
            self.blocks.pop(0)

    def fetch(self, effect: Fetch) -> list[Block]:
        """As the real journal reads."""
        found: list[Block] = []
        frames = size = 0
        for block in self.blocks:
            if block.end > effect.first:
                found.append(block)
                frames, size = frames + block.length, size + len(block.body)
                if frames >= effect.max_frames or size >= effect.max_bytes:
                    break
        return found


class SerialLine:
    """A device at the end of a line: what it says waits in the kernel while nobody reads."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting = b""
        self.is_plugged = True
        self.reader: ReaderProcess | None = None
        """Who has the line open."""
        self.answers: dict[bytes, bytes] = {}
        """What the device answers to what is written to it."""
        self.heard: list[bytes] = []

    def say(self, data: bytes) -> None:
        """The device writes."""
        if self.is_plugged:
            self.waiting += data[: self.room]
            self.pump()

    @property
    def room(self) -> int:
        """Bytes that the kernel still takes."""
        return TTY_BYTES - len(self.waiting)

    def pump(self) -> None:
        """Hands what waits to a reader that reads."""
        reader = self.reader
        if reader is not None and reader.alive and not reader.stopped and self.waiting:
            chunk, self.waiting = self.waiting, b""
            reader.hear(Chunk(chunk, self.clock.wall_ms))

    def unplug(self) -> None:
        """The adapter goes, with what it held."""
        self.is_plugged = False
        self.waiting = b""
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.hear(PortLost("EIO", self.clock.wall_ms))

    def take(self, data: bytes) -> None:
        """What the gateway writes arrives at the device, which may answer."""
        self.heard.append(data)
        if answer := self.answers.get(data):
            self.clock.after(0.01, lambda: self.say(answer))


class ReaderProcess(Process):
    """One port reader."""

    def __init__(self, world: World, device: Device, section: str) -> None:
        super().__init__(world.clock, f"port_reader:{device.name}")
        self.world = world
        self.device = device
        self.section = section
        self.disk = Disk(f"journal-{device.name}")
        self.line = SerialLine(world.clock)
        self.limits = Limits()

    def make_core(self) -> PortReaderCore:
        identity = Identity("port_reader", self.device.name, f"{self.name}#{self.life}", 1, "host", f"lock {self.name}")
        draw = self.clock.random.random
        return PortReaderCore(identity, self.device, self.section, self.disk.open(), limits=self.limits, draw=draw)

    def cut(self) -> None:
        self.line.reader = None

    def go_on(self) -> None:
        super().go_on()
        self.line.pump()

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                return self.world.send(self, plane, message)
            case Append():
                self.disk.append(effect)
            case Trim(base=base, dead=dead):
                self.disk.trim(base, dead)
            case Bury(dead=dead):
                self.disk.dead += dead
            case SetFlags(is_mid_frame=is_mid_frame, has_seen_delimiter=has_seen):
                self.disk.is_mid_frame, self.disk.has_seen_delimiter = is_mid_frame, has_seen
            case Strike(counts=counts):
                self.disk.strikes.update(counts)
            case Fetch():
                return [JournalBlocks(self.disk.fetch(effect))]
            case FindSection(section=section, request=request):
                return [SectionFound(request, section_of(self.device) if section == self.section else None)]
            case _:
                return self._perform_on_line(effect)
        return ()

    def _perform_on_line(self, effect: Any) -> Iterable[Any]:
        match effect:
            case OpenPort():
                return self._open()
            case ClosePort():
                self.line.reader = None
            case WritePort(data=data):
                self.line.take(data)
                return [WriteDrained()]
            case CheckWrite():
                return [WriteDrained()]
            case CancelWrite():
                pass
            case _:
                raise AssertionError(f"the port reader's core ordered {effect!r}, which this world does not know")
        return ()

    def _open(self) -> Iterable[Any]:
        if not self.line.is_plugged:
            return [OpenFailed("no such device")]
        self.line.reader = self
        life = self.life
        self.clock.after(0.001, lambda: self.line.pump() if self.life == life else None)
        return [Opened(self.clock.wall_ms)]
