"""The journal's promises without a disk. `tests/conformance/test_journals.py` holds it to what the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from common.io.journal.mark import Mark
from common.io.journal.recovery import Extent, Recovery
from common.io.journal.seals import SCHEMA_VERSION, Meta
from common.io.journal.sections import section_name
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    DeadLetter,
    Fetch,
    FetchFailed,
    FindLetters,
    JournalBack,
    JournalBlocks,
    JournalFailed,
    KeepJournal,
    KeepSection,
    KeptLetter,
    LettersFound,
    LookUpSection,
    MarkSettled,
    RaiseGeneration,
    SectionFound,
    SectionKept,
    SetLineState,
    Strike,
    Trim,
)
from common.stream.numbers import LINE_STATE_BYTES, StreamState

COMMITS = (Append, Trim, Bury, SetLineState, RaiseGeneration, Strike)
"""What is written, or fails while the disk is full."""


class FakeJournal:
    """One device's journal in memory, which outlives whoever has it open."""

    def __init__(self, journal: str = "j") -> None:
        self.rows: dict[int, Block] = {}
        """The blocks by their first number, in order."""
        self.state = StreamState(journal, 0)
        """What its row of `meta` says, and, beside that, what was found at the last opening."""
        self.mark = Mark(journal, 0, 0, 1, 1, 0)
        self.line_state = b""
        self.letters: dict[int, DeadLetter] = {}
        self._last_id = 0
        self.sections: dict[str, bytes] = {}
        self.is_full = False
        """True while nothing can be written."""
        self.is_failing = False
        """True while it can't be read either."""
        self.commits = 0

    def open(self) -> StreamState:
        """What a process finds that opens it: all that was committed, one generation up. Whether the process before it
        closed it or died is all the same."""
        state = self.state
        meta = Meta(
            schema_version=SCHEMA_VERSION,
            journal=state.journal,
            device=state.journal,
            generation=state.generation,
            next_number=state.next_number,
            last_ts_ms=state.last_ts_ms,
            settled=state.settled,
            line_state=self.line_state,
        )
        extents = [Extent(block.first, block.length, len(block.body), block.at_ms) for block in self.rows.values()]
        self.state = Recovery(meta, self.mark, state.journal).state(extents, state.strikes)
        self._write_mark()
        return self.state

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section, before its first block."""
        self.sections[section_hash] = section

    @property
    def marked(self) -> int:
        """What is settled as the mark says, also while nothing can be written."""
        return self.mark.settled

    @property
    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        return list(self.letters.values())

    def perform(self, effect: Any) -> list[Any] | None:
        """The events that follow from an effect; None if it is not for the journal."""
        if isinstance(effect, COMMITS):
            return self._commit(effect)
        match effect:
            case MarkSettled(base, last_ts_ms):
                self.mark = self.mark._replace(settled=max(self.mark.settled, base), last_ts_ms=last_ts_ms)
            case Fetch() if self.is_failing:
                return [FetchFailed("no disk")]
            case Fetch(first, max_frames, max_bytes):
                return [JournalBlocks(list(self._fetch(first, max_frames, max_bytes)))]
            case FindLetters():
                size = sum(len(letter.data) for letter in self.dead)
                return [LettersFound(effect.request, list(self._find(effect)), len(self.letters), size)]
            case LookUpSection(section, request):
                return [SectionFound(request, self.sections.get(section))]
            case KeepSection(section, request):
                name = section_name(section)
                self.put_section(name, section)
                return [SectionKept(request, name, section)]
            case KeepJournal():
                pass
            case _:
                return None
        return []

    def _commit(self, effect: Append | Trim | Bury | SetLineState | RaiseGeneration | Strike) -> list[Any]:
        if self.is_full:
            return [JournalFailed("disk full", getattr(effect, "blocks", []), getattr(effect, "dead", []))]
        self.commits += 1
        match effect:
            case Append():
                self.rows |= {block.first: block for block in effect.blocks}
                self.state = self.state._replace(next_number=effect.next_number, last_ts_ms=effect.last_ts_ms)
                assert len(effect.line_state) <= LINE_STATE_BYTES
                self.line_state = effect.line_state
                self.letters = {key: letter for key, letter in self.letters.items() if key not in effect.revived}
                self._settle(effect.base)
            case Trim(base, dead):
                self._settle(base)
                self._bury(dead)
            case Bury(dead):
                self._bury(dead)
            case SetLineState(state):
                assert len(state) <= LINE_STATE_BYTES
                self.line_state = state
            case RaiseGeneration(generation):
                self.state = self.state._replace(generation=max(self.state.generation, generation))
            case Strike(counts):
                self.state = self.state._replace(strikes=self.state.strikes | counts)
        self._write_mark()
        return [JournalBack(effect.next_number)] if isinstance(effect, Append) and effect.is_retry else []

    def _write_mark(self) -> None:
        """What was said to be settled while nothing could be written is settled from the next commit on."""
        state = self.state = self.state._replace(settled=max(self.state.settled, self.mark.settled))
        self.mark = Mark(state.journal, 0, state.generation, state.next_number, state.settled, state.last_ts_ms)

    def _settle(self, base: int) -> None:
        """Drops blocks that are settled as a whole, which are the first ones."""
        settled = max(base, self.state.settled)
        for first in [block.first for block in takewhile(lambda block: block.end <= settled, self.rows.values())]:
            del self.rows[first]
        strikes = {number: count for number, count in self.state.strikes.items() if number >= settled}
        self.state = self.state._replace(settled=settled, strikes=strikes)

    def _bury(self, dead: list[DeadLetter]) -> None:
        for letter in dead:
            self._last_id += 1
            self.letters[self._last_id] = letter

    def _fetch(self, first: int, max_frames: int, max_bytes: int) -> Iterator[Block]:
        frames = size = 0
        for block in self.rows.values():
            if block.end > first:
                yield block
                frames, size = frames + block.length, size + len(block.body)
                if frames >= max_frames or size >= max_bytes:
                    return

    def _find(self, asked: FindLetters) -> Iterator[KeptLetter]:
        found = [KeptLetter(key, *letter) for key, letter in self.letters.items() if asked.after < key < asked.before]
        size = 0
        for at, letter in enumerate((found[::-1] if asked.newest_first else found)[: asked.most]):
            size += len(letter.data)
            if at and size > asked.most_bytes:
                return
            yield letter
