"""A port reader in the simulated world: its core and its disk that outlives it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.config.models import Device, section_of
from common.core.events import Arrived, Send, Tick
from common.io.journal.mark import Mark
from common.io.journal.recovery import Extent, Recovery
from common.io.journal.seals import SCHEMA_VERSION, Meta
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    DeadLetter,
    Fetch,
    FetchFailed,
    FindSection,
    JournalBack,
    JournalBlocks,
    JournalFailed,
    KeepJournal,
    Listen,
    MarkSettled,
    RaiseGeneration,
    SectionFound,
    SetLineState,
    Strike,
    Trim,
)
from common.stream.limits import Limits
from common.stream.numbers import StreamState
from common.wire import codec
from common.wire.messages import Identity, Plane
from services.port_reader.core.core import Member, PortReaderCore
from services.port_reader.core.events import (
    CancelWrite,
    CheckWrite,
    Chunk,
    ClosePort,
    LineRead,
    Opened,
    OpenFailed,
    OpenPort,
    ReadOut,
    Rest,
    WriteDrained,
    WriteFailed,
    WritePending,
    WritePort,
)
from tests.simulation.ears import Ears
from tests.simulation.kernel import Process, Stall
from tests.simulation.line import SerialLine
from tests.support.journals import told_numbers

if TYPE_CHECKING:
    from tests.simulation.world import World


class Disk:
    """A journal that survives its reader."""

    def __init__(self, journal: str) -> None:
        self.journal = journal
        self.is_full = False
        self.is_failing = False
        """It can't be read either."""
        self.slow_s = 0.0
        self.generation = 0
        self.next_number = 1
        self.last_ts_ms = 0
        self.base = 1
        self.line_state = b""
        self.blocks: list[Block] = []
        self.marked = (0, 1, 1, 0)
        """The mark: generation, next number, settled, last timestamp."""
        self.taken: dict[int, bytes] = {}
        """Number -> the entry that damage took."""
        self.reused: list[int] = []
        """Numbers that were committed twice."""
        self.strikes: dict[int, int] = {}
        self.dead: list[DeadLetter] = []

    def open(self) -> StreamState:
        """What the real journal says when it is opened."""
        meta = Meta(
            SCHEMA_VERSION,
            self.journal,
            self.journal,
            self.generation,
            self.next_number,
            self.last_ts_ms,
            self.base,
            self.line_state,
        )
        recovery = Recovery(meta, Mark(self.journal, 0, *self.marked), self.journal)
        extents = [Extent(block.first, block.length, len(block.body), block.at_ms) for block in self.blocks]
        state = recovery.state(extents, self.strikes)
        self.generation, self.next_number, self.base = state.generation, state.next_number, state.settled
        self._mark()
        return state

    def damage(self, draw: random.Random) -> None:
        """What stands on it is not what was written, as the next reader finds: all after some commit is gone, what
        the journal remembers included, or one block, or all of it. The mark is whole."""
        if not self.blocks:
            return
        place = draw.randrange(len(self.blocks))
        match draw.choice(["log", "block", "file"]):
            case "log":
                gone, self.blocks = self.blocks[place:], self.blocks[:place]
                self.next_number = gone[0].first
                self.generation -= draw.randrange(2)
            case "block":
                gone = [self.blocks.pop(place)]
            case _:
                gone, self.blocks = self.blocks, []
                self.generation, self.next_number, self.base = 0, 1, 1
        for block in gone:
            self.taken |= enumerate_entries(block)

    def _mark(self) -> None:
        self.marked = (self.generation, self.next_number, self.base, self.last_ts_ms)

    def append(self, effect: Append) -> None:
        """One commit."""
        self.reused += [block.first for block in effect.blocks if block.first < self.marked[1] and not effect.is_retry]
        self.blocks += effect.blocks
        self.next_number, self.last_ts_ms = effect.next_number, effect.last_ts_ms
        self.line_state = effect.line_state
        self.trim(effect.base, [])

    def trim(self, base: int, dead: list[DeadLetter]) -> None:
        """One commit."""
        self.base = max(self.base, base)
        self.dead += dead
        keep = 0
        while keep < len(self.blocks) and self.blocks[keep].end <= self.base:
            keep += 1
        del self.blocks[:keep]
        self._mark()

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


class ReaderProcess(Process):
    """One port reader."""

    def __init__(self, world: World, device: Device, section: str, limits: Limits, line: SerialLine) -> None:
        super().__init__(world.clock, f"port_reader:{device.name}")
        self.world = world
        self.device = device
        self.section = section
        self.limits = limits
        self.line = line
        line.reader = self
        self.ears = Ears(self)
        self.disk = Disk(f"journal-{device.name}")
        self.shed = 0
        """Frames shed or dropped in earlier lives."""

    @property
    def told(self) -> set[int]:
        """Numbers that were said to be lost."""
        return told_numbers(self.notes)

    @property
    def lost_values(self) -> set[int]:
        """What the device said that damage took, as far as that was told."""
        told = self.told
        frames = [frame for number, frame in self.disk.taken.items() if number in told]
        return {int(frame) for frame in frames if frame.strip().lstrip(b"-").isdigit()}

    def make_core(self) -> PortReaderCore:
        identity = Identity("port_reader", self.device.name, f"{self.name}#{self.life}", 1, "host", f"lock {self.name}")
        draw = self.clock.random.random
        member = Member(self.device, self.section, self.disk.open())
        return PortReaderCore(identity, [member], limits=self.limits, draw=draw)

    def cut(self, core: PortReaderCore) -> None:
        self.shed += shed_by(core)
        self.line.reader_died()
        self.ears.die()

    def hear(self, event: Any) -> None:
        """What its shell does: calls and the line wake it, and then what others have said is heard with them; before a
        timer everything that waits is."""
        if self.core is None or self.is_busy:
            super().hear(event)
        elif not self.ears.keeps(event):
            others = self.ears.take() if self._wakes(event) else []
            is_late = isinstance(event, Tick) or (isinstance(event, Chunk) and self.line.has_rested)
            for one in [*others, event] if is_late else [event, *others]:
                super().hear(one)

    @staticmethod
    def _wakes(event: Any) -> bool:
        return isinstance(event, Tick | Chunk) or (isinstance(event, Arrived) and event.plane is Plane.CALLS)

    def idle(self) -> None:
        if self.line.waiting:
            self.line.pump()

    def perform(self, effect: Any) -> Iterable[Any] | Stall:
        if isinstance(effect, Send):
            return self.world.send(self, effect.plane, effect.message)
        if self.disk.slow_s and isinstance(effect, Append | Trim | Bury | SetLineState | Strike | Fetch):
            seconds = self.disk.slow_s * self.clock.random.random()
            return Stall(seconds, lambda: self._perform_on_disk(effect))
        return self._perform_on_disk(effect)

    def _perform_on_disk(self, effect: Any) -> Iterable[Any]:
        disk = self.disk
        match effect:
            case Append() | Trim() | Bury() | SetLineState() | Strike() if disk.is_full:
                blocks, dead = getattr(effect, "blocks", []), getattr(effect, "dead", [])
                return [JournalFailed("disk full", blocks, dead)]
            case MarkSettled(base=base):
                generation, next_number, settled, last_ts_ms = disk.marked
                disk.marked = (generation, next_number, max(settled, base), last_ts_ms)
            case Append():
                disk.append(effect)
                self.line.committed()
                return [JournalBack(effect.next_number)] if effect.is_retry else ()
            case Trim(base=base, dead=dead):
                disk.trim(base, dead)
            case Bury(dead=dead):
                disk.dead += dead
            case SetLineState(state=state):
                disk.line_state = state
            case Strike(counts=counts):
                disk.strikes.update(counts)
                self.world.strikes.extend((self, number) for number in counts)
            case Fetch():
                return [FetchFailed("I/O error")] if disk.is_failing else [JournalBlocks(disk.fetch(effect))]
            case KeepJournal():
                pass
            case RaiseGeneration(generation=generation):
                disk.generation = max(disk.generation, generation)
            case FindSection(section=section, request=request):
                return [SectionFound(request, section_of(self.device) if section == self.section else None)]
            case _:
                return self._perform_on_line(effect)
        return ()

    def _perform_on_line(self, effect: Any) -> Iterable[Any]:
        line = self.line
        match effect:
            case OpenPort():
                return [Opened(self.clock.wall_ms)] if line.open() else [OpenFailed("no such device")]
            case ClosePort():
                line.close()
            case Rest(line_until_s=until_s, reports_until_s=reports_until_s):
                self.ears.rest(reports_until_s)
                if until_s is not None:
                    line.rest(until_s - self.clock.now_s)
            case Listen(beats=beats, until_s=until_s):
                self.ears.hears_beats = beats
                self.ears.rest(until_s)
            case ReadOut():
                return [*line.take_chunk(), LineRead()]
            case WritePort(data=data):
                # As the shell does: what has come before the write is no answer to it.
                before = line.take_chunk()
                return [*before, *self._write(line.write(data))]
            case CheckWrite():
                return self._write(line.write(b""))
            case CancelWrite():
                line.cancel_write()
            case _:
                raise AssertionError(f"the port reader's core ordered {effect!r}, which this world does not know")
        return ()

    @staticmethod
    def _write(left_bytes: int | None) -> Iterable[Any]:
        if left_bytes is None:
            return [WriteFailed("EIO")]
        return [WritePending(left_bytes)] if left_bytes else [WriteDrained()]


def enumerate_entries(block: Block) -> dict[int, bytes]:
    """Number -> entry."""
    frames = codec.unpack_frames(block.body, block.length).frames
    return dict(enumerate(frames, block.first))


def shed_by(core: PortReaderCore) -> int:
    """Frames that this life has shed under a limit of the journal, or that fitted neither disk nor memory."""
    return core.counters["frames_shed"] + core.counters["frames_dropped"]
