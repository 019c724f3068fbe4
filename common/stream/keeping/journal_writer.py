"""What one stream orders of its journal (appends, trims, reads), also while the journal can't be written."""

from __future__ import annotations

from collections.abc import Callable

from common.core.deadlines import earliest
from common.core.events import Note
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.events import Append, Bury, DeadLetter, Fetch, KeepJournal, MarkSettled, Trim
from common.stream.keeping.outage import Outage
from common.stream.keeping.upkeep import MARK_S, TRIM_S, Fetching, Upkeep
from common.stream.limits import Limits
from common.stream.numbers import Stream


class JournalWriter:
    """The journal as its stream sees it.

    `base` is always the lowest number that the journal is to keep. Each append takes it along, so that what is settled
    most often leaves with a commit that is made anyway.
    """

    def __init__(
        self,
        device: str,
        stream: Stream,
        line_state: bytes,
        *,
        limits: Limits,
        counters: SourceCounts,
        draw: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._counters = counters
        self.line_state = line_state
        """What the line wants to be remembered; it goes with each append."""
        self.outage = Outage(device, limits.window_bytes, counters)
        self._fetching = Fetching(limits)
        self._upkeep = Upkeep(stream.next_number, draw)

    @property
    def owes_trim(self) -> bool:
        """True if something is settled that is in the journal still."""
        return self._upkeep.trim_s is not None

    @property
    def stored_end(self) -> int:
        """The number after the last that the journal holds."""
        held = self.outage.held.blocks
        return held[0].first if held else self._stream.next_number

    def next_deadline_s(self, *, has_backlog: bool) -> float | None:
        """When something is due; the journal is looked after only where something waits in it."""
        deadlines = [self._upkeep.trim_s, self.outage.next_deadline_s, self._fetching.again_s]
        if has_backlog and not self.outage.is_down:
            deadlines.append(self._upkeep.keep_s)
        return earliest(*deadlines)

    def start(self, now_s: float) -> None:
        """The journal has just been opened."""
        self._upkeep.start(now_s)

    def commit(self, blocks: list[Block], base: int) -> list[Append]:
        """New blocks: written, or held in memory while they can't be."""
        if self.outage.is_down:
            self.outage.held.add(blocks)
            return []
        if not blocks:
            return []
        self._counters["journal_commits"] += 1
        return [self.append(blocks, base)]

    def append(self, blocks: list[Block], base: int, is_retry: bool = False, revived: tuple[int, ...] = ()) -> Append:
        """One commit. `revived`: ids of dead letters that are among the blocks again."""
        self._upkeep.trim_s = None
        stream = self._stream
        return Append(blocks, stream.next_number, stream.last_ts_ms, base, self.line_state, is_retry, revived)

    def settled(self, now_s: float) -> None:
        """Something in the journal is settled: it leaves with the next append, or soon."""
        self._upkeep.owe_trim(now_s, MARK_S if self.outage.is_down else TRIM_S)

    def trim(self, base: int, dead: list[DeadLetter]) -> list[Trim | MarkSettled]:
        """Takes what is settled out of the journal, and adds these dead letters. A journal that is down gets neither
        before the entries that are held: numbers that are settled there, but were never written, would be given out
        again by the next process."""
        self._upkeep.trim_s = None
        if not self.outage.is_down:
            return [Trim(base, dead)]
        self.outage.held.bury(dead)
        # A dead letter's bytes stand in the journal until it is buried.
        return [] if self.outage.held.has_letters else [MarkSettled(base, self._stream.last_ts_ms)]

    def is_trim_due(self, now_s: float) -> bool:
        """True if no append has come that would have taken the settled ones along."""
        return self._upkeep.is_trim_due(now_s)

    def look_after(self, base: int, now_s: float) -> list[KeepJournal]:
        """Has the journal looked after, if it is time and it is there."""
        if self.outage.is_down or now_s < self._upkeep.keep_s:
            return []
        return [self._upkeep.look(base, self._stream.next_number, now_s)]

    def retry(self, base: int, now_s: float) -> list[Append]:
        """Tries what is held once more, if it is time."""
        held = self.outage.retried(now_s)
        return [] if held is None else [self.append(held, base, is_retry=True)]

    def back(self, end: int, base: int) -> list[Append | Bury | Note]:
        """The journal was written, with all that was held below `end`: what has come since follows."""
        later, unburied, notes = self.outage.end(end)
        appends = [self.append(later, base)] if later else []
        return [*notes, *appends, *([Bury(unburied)] if unburied else [])]

    def may_fetch(self, first: int) -> bool:
        """True if the journal holds entries from `first` on, and nobody is reading it."""
        return first < self.stored_end and self._fetching.may_begin

    def fetch(self, first: int) -> Fetch:
        """Asks for what it holds from number `first` on."""
        return self._fetching.begin(first, self.stored_end)

    def fetched(self) -> int:
        """What was asked for has come. Returns the number up to which the answer is complete."""
        return self._fetching.arrived(self.stored_end)

    def fetch_failed(self, reason: str, now_s: float) -> list[Note]:
        """The journal could not be read; it is tried again."""
        self._fetching.failed(now_s)
        return self.outage.begin(reason, now_s)

    def failed(self, blocks: list[Block], dead: list[DeadLetter], reason: str, now_s: float) -> list[Note]:
        """The journal could not be written: these stay in memory until it can, or until they are settled."""
        self.outage.held.add(blocks)
        self.outage.held.bury(dead)
        return self.outage.begin(reason, now_s)

    def tick(self, now_s: float) -> None:
        """A read that failed may be tried again."""
        self._fetching.tick(now_s)
