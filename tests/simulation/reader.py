"""A port reader in the simulated world: its core and its disk that outlives it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.config.models import Device, section_of
from common.core.events import Arrived, Send, Tick
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    Fetch,
    JournalFailed,
    Listen,
    SetLineState,
    Strike,
    Trim,
)
from common.stream.limits import Limits
from common.wire import codec
from common.wire.messages import Identity, Plane
from services.port_reader.core.core import LineMember, PortReaderCore
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
from tests.support.fake_journal import FakeJournal
from tests.support.journals import told_numbers

if TYPE_CHECKING:
    from tests.simulation.world import World


class Disk(FakeJournal):
    """A journal that survives its reader, on a disk that is slow, full, or forgets."""

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self.journal = journal
        self.slow_s = 0.0
        self.taken: dict[int, bytes] = {}
        """Number -> the entry that damage took."""
        self.reused: list[int] = []
        """Numbers that were committed twice."""

    @property
    def backlog(self) -> int:
        """Numbers that were given out and are not settled."""
        return self.state.next_number - self.state.settled

    @property
    def blocks(self) -> list[Block]:
        """What waits on it, in order."""
        return list(self.rows.values())

    def perform(self, effect: Any) -> list[Any] | None:
        """Does what the journal does, and keeps book of numbers that are given out a second time."""
        if isinstance(effect, Append) and not effect.is_retry and not self.is_full:
            self.reused += [block.first for block in effect.blocks if block.first < self.mark.next_number]
        return super().perform(effect)

    def damage(self, draw: random.Random) -> None:
        """What stands on it is not what was written, as the next reader finds: all after some commit is gone, what
        the journal remembers included, or one block, or all of it. The mark is whole."""
        blocks, state = self.blocks, self.state
        if not blocks:
            return
        place = draw.randrange(len(blocks))
        match draw.choice(["log", "block", "file"]):
            case "log":
                gone = blocks[place:]
                generation = state.generation - draw.randrange(2)
                self.state = state._replace(next_number=gone[0].first, generation=generation)
            case "block":
                gone = [blocks[place]]
            case _:
                gone = blocks
                self.state = state._replace(generation=0, next_number=1, settled=1)
        for block in gone:
            del self.rows[block.first]
            self.taken |= enumerate_entries(block)


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
        self.disk.put_section(self.section, section_of(self.device))
        member = LineMember(self.device, self.section, self.disk.open())
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
        events = self.disk.perform(effect)
        if events is None:
            return self._perform_on_line(effect)
        if not any(isinstance(event, JournalFailed) for event in events):
            match effect:
                case Append():
                    self.line.committed()
                case Strike(counts):
                    self.world.strikes.extend((self, number) for number in counts)
        return events

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
