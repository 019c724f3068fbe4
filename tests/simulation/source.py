"""A source in the simulated world: what a port reader and a connector host have alike, and their disk."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.core.events import Arrived, Send, Tick
from common.stream.blocks import Block
from common.stream.events import Append, Bury, Fetch, JournalFailed, Listen, SetLineState, Strike, Trim
from common.stream.limits import Limits
from common.wire import codec
from common.wire.messages import Plane
from tests.simulation.ears import Ears
from tests.simulation.kernel import Process, Stall
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


class SourceProcess(Process):
    """A process that journals and sends a stream."""

    def __init__(self, world: World, name: str, stream: str, limits: Limits) -> None:
        super().__init__(world.clock, name)
        self.world = world
        self.stream = stream
        """By which batches, journals and `status` know it."""
        self.limits = limits
        self.ears = Ears(self)
        self.disk = Disk(f"journal-{stream}")
        self.shed = 0
        """Entries shed or dropped in earlier lives."""

    # What each kind fills in.

    @property
    def disks(self) -> list[Disk]:
        """The journals of its streams."""
        return [self.disk]

    @property
    def streams(self) -> list[str]:
        """By which batches, journals and `status` know each of them."""
        return [self.stream]

    @property
    def is_settled(self) -> bool:
        """True when what is to be delivered is."""
        return not self.disk.backlog

    def is_late(self, event: Any) -> bool:
        """True for an event that comes behind what others have said meanwhile."""
        return isinstance(event, Tick)

    def perform_elsewhere(self, effect: Any) -> Iterable[Any]:
        """Carries out an effect that is none on the disk."""
        raise NotImplementedError

    def committed(self, effect: Append) -> Iterable[Any]:
        """Blocks are on the disk; the events that follow."""
        return ()

    # What all have.

    @property
    def told(self) -> set[int]:
        """Numbers that were said to be lost."""
        return told_numbers(self.notes)

    def cut(self, core: Any) -> None:
        self.shed += shed_by(core)
        self.ears.die()

    def hear(self, event: Any) -> None:
        """What its shell does: whatever is no event of others wakes it, and then what others have said is heard with
        it; before a timer everything that waits is."""
        if self.core is None or self.is_busy:
            super().hear(event)
        elif not self.ears.keeps(event):
            others = self.ears.take() if self.wakes(event) else []
            for one in [*others, event] if self.is_late(event) else [event, *others]:
                super().hear(one)

    def wakes(self, event: Any) -> bool:
        """True for what ends a rest."""
        return isinstance(event, Tick) or (isinstance(event, Arrived) and event.plane is Plane.CALLS)

    def perform(self, effect: Any) -> Iterable[Any] | Stall:
        if isinstance(effect, Send):
            return self.world.send(self, effect.plane, effect.message)
        if self.disk.slow_s and isinstance(effect, Append | Trim | Bury | SetLineState | Strike | Fetch):
            seconds = self.disk.slow_s * self.clock.random.random()
            return Stall(seconds, lambda: self._perform_on_disk(effect))
        return self._perform_on_disk(effect)

    def _perform_on_disk(self, effect: Any) -> Iterable[Any]:
        if isinstance(effect, Listen):
            self.ears.hears_beats = effect.beats
            self.ears.rest(effect.until_s)
            return ()
        events = self.disk.perform(effect)
        if events is None:
            return self.perform_elsewhere(effect)
        if not any(isinstance(event, JournalFailed) for event in events):
            match effect:
                case Append():
                    return [*events, *self.committed(effect)]
                case Strike(counts):
                    self.world.strikes.extend((self, number) for number in counts)
        return events


def enumerate_entries(block: Block) -> dict[int, bytes]:
    """Number -> entry."""
    frames = codec.unpack_frames(block.body, block.length).frames
    return dict(enumerate(frames, block.first))


def shed_by(core: Any) -> int:
    """Entries that this life has shed under a limit of the journal, or that fitted neither disk nor memory."""
    return core.counters["frames_shed"] + core.counters["frames_dropped"]
