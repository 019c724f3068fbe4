"""Effects on the journal, and the events that follow: the part of the shell that has a disk.

A journal that turns out to be damaged is made anew from what can be read of it, and what was to be done is done there:
the core hears which numbers are lost (`GapsFound`) and goes on. A disk that can't be used now is the core's affair: it
hears that, keeps in memory what could not be written, and tries again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from common.core.events import Note
from common.io.clock import monotonic_s
from common.io.journal.breath import Breathe, hold_breath
from common.io.journal.files import JournalDamageError, JournalError
from common.io.journal.journal import Journal
from common.io.journal.opening import renew_journal
from common.io.journal.sections import section_name
from common.io.logs import log_note
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    Fetch,
    FetchFailed,
    FindLetters,
    GapsFound,
    JournalBack,
    JournalBlocks,
    JournalEffect,
    JournalEvent,
    JournalFailed,
    KeepJournal,
    KeepSection,
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

AGAIN_S: Final = 60.0
"""Between two tries to make a journal anew: each reads all of it, and nobody reads the line meanwhile."""


class Store:
    """One open journal. Nothing here raises for what a disk does: each trouble is an event."""

    def __init__(self, device: str, journal: Journal, logger: logging.Logger, breathe: Breathe = hold_breath) -> None:
        """`breathe` is called while a journal is made anew."""
        self.device = device
        self.journal = journal
        self._logger = logger
        self._breathe = breathe
        self._damage = ""
        """Why the journal has to be made anew, where that has failed so far."""
        self._failure = ""
        """Why it failed."""
        self._again_s = 0.0
        """When it may be tried again, in monotonic seconds."""

    def perform(self, effect: JournalEffect) -> Sequence[JournalEvent]:
        """Carries out one effect; returns the events that follow at once."""
        found: list[JournalEvent] = []
        try:
            if self._damage and not isinstance(effect, MarkSettled):  # which needs no more than the mark
                found += self._renew(self._damage)
            try:
                return [*found, *self._do(effect)]
            except JournalDamageError as error:
                found += self._renew(str(error))
                return [*found, *self._do(effect)]
        except (JournalError, JournalDamageError) as error:
            return [*found, *self._failed(effect, str(error))]

    def _do(self, effect: JournalEffect) -> Iterable[JournalEvent]:
        """The effect, carried out. What is committed has no event but for a retry, since the core goes on without
        waiting for it. Raises JournalError, JournalDamageError."""
        journal = self.journal
        match effect:
            case Append():
                journal.append(effect)
                return (JournalBack(effect.next_number),) if effect.is_retry else ()
            case Trim(base, dead):
                journal.trim(base, dead)
            case Bury(dead):
                journal.bury(dead)
            case SetLineState(state):
                journal.set_line_state(state)
            case Strike(counts):
                journal.strike(counts)
            case MarkSettled(base, last_ts_ms):
                journal.mark_settled(base, last_ts_ms)
            case RaiseGeneration(generation):
                journal.raise_generation(generation)
            case Fetch():
                return (JournalBlocks(self._fetch(effect)),)
            case FindLetters():
                return (LettersFound(effect.request, journal.find_letters(effect), *journal.letters_kept),)
            case LookUpSection(section, request):
                return (SectionFound(request, journal.section(section)),)
            case KeepSection(section, request):
                name = section_name(section)
                journal.put_section(name, section)
                return (SectionKept(request, name, section),)
            case KeepJournal(has_backlog):
                return self._keep(has_backlog)
            case _:
                assert_never(effect)
        return ()

    def _fetch(self, effect: Fetch) -> list[Block]:
        """Blocks, and a line in the log for those that are damaged: the core sees only that they are missing."""
        damaged = self.journal.rows_damaged
        blocks = self.journal.fetch(effect.first, effect.max_frames, effect.max_bytes)
        if self.journal.rows_damaged > damaged:
            facts = {"device": self.device, "first": effect.first, "blocks": self.journal.rows_damaged - damaged}
            log_note(self._logger, Note("error", "journal.block_damaged", facts))
        return blocks

    def _keep(self, has_backlog: bool) -> Iterable[JournalEvent]:
        """Looks whether the files are where they were. Somebody may have deleted them, or copied a backup over them,
        and SQLite would write into what has no name any more until the process ends."""
        if not self.journal.check_mark():
            log_note(self._logger, Note("warning", "journal.mark_renewed", {"device": self.device}))
        if not self.journal.is_in_place:
            return self._renew("its files were deleted or replaced while they were open")
        if has_backlog:
            self.journal.checkpoint()
        return ()

    def _renew(self, why: str) -> Iterable[JournalEvent]:
        """Makes the journal anew. Raises JournalError where that fails, and for AGAIN_S after that without trying."""
        if self._damage and monotonic_s() < self._again_s:
            raise JournalError(self._failure)
        self._damage = why
        try:
            aside = renew_journal(self.journal, time.strftime("%Y%m%dT%H%M%S"), self._breathe)
        except JournalError as error:
            self._failure, self._again_s = str(error), monotonic_s() + AGAIN_S
            raise
        self._damage = ""
        from common.io.journal.asides import damaged_note

        log_note(self._logger, damaged_note(self.journal.path, aside, why))
        return (GapsFound(list(self.journal.state.gaps)),)

    def _failed(self, effect: JournalEffect, reason: str) -> Sequence[JournalEvent]:
        """What the core hears of an effect that failed."""
        match effect:
            case Fetch():
                return [FetchFailed(reason)]
            case FindLetters(request=request):
                return [LettersFound(request, [], *self.journal.letters_kept)]
            case LookUpSection(section, request):
                return [SectionFound(request, self.journal.section(section))]
            case KeepSection(section, request):
                return [SectionKept(request, section_name(section), section)]
            case KeepJournal():
                return []  # nobody waits for it: whatever comes next finds it too
            case Append(blocks=blocks):
                return [JournalFailed(reason, blocks)]
            case Trim(dead=dead) | Bury(dead=dead):
                return [JournalFailed(reason, [], dead)]
            case SetLineState() | Strike() | MarkSettled() | RaiseGeneration():
                return [JournalFailed(reason, [])]
            case _:
                assert_never(effect)
