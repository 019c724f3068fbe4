"""The journal: one device's queue on disk, in SQLite.

`append` adds blocks and `fetch` reads them, `trim` deletes what is settled, `bury` keeps what will never be retried.
What a stream must remember stands in the row of `meta`, not in what is left in the queue, and how far it had come also
in the mark beside it (`mark.py`).

The rows are in `block_queue.py`, `letter_box.py` and `sections.py`, the file and its commits in `database.py`.
`opening.py` opens a journal, whatever has become of it; `store.py` carries out what a core orders of one.
"""

from __future__ import annotations

from pathlib import Path

from common.io.journal.breath import Breathe, hold_breath
from common.io.journal.database import COMPACT_BYTES, Database
from common.io.journal.files import (
    PAGE_BYTES,
    SQLITE_FAULTS,
    JournalFile,
    are_in_place,
    identities_of,
    log_of,
    shared_memory_of,
)
from common.io.journal.letter_box import LetterBox
from common.io.journal.mark import Mark
from common.io.journal.stored_blocks import StoredBlocks
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter, FindLetters, KeptLetter
from common.stream.numbers import LINE_STATE_BYTES, StreamState


class Journal:
    """One open journal. Every public method that writes is one commit.

    Raises JournalError where the file can't be read or written at the moment, JournalDamageError if it is damaged. A
    commit that failed has changed nothing, on disk or here, and can be tried again.
    """

    def __init__(self, file: JournalFile, breathe: Breathe = hold_breath) -> None:
        """Opens or makes the file and raises its generation, flushed to disk. Raises sqlite3.DatabaseError for one that
        is damaged, JournalNewerError for one that is not ours to read. One that can be read and not written is open
        too: each write is an error until it can be. `breathe` is called meanwhile."""
        self.file = file
        self.path = file.path
        self.faults: list[str] = []
        """What was found wrong, a sentence each, and needed no other file."""
        self._damaged_before = 0
        """Damaged blocks of the files that this one replaced."""
        self.may_be_paged_anew = False
        """True for one that had better be closed and made anew, by `copy_with_small_pages`, before it is used."""
        self._open(breathe)

    def _open(self, breathe: Breathe) -> None:
        database = Database(self.file, breathe)
        try:
            letters = LetterBox(database.connection, database.seals)
            queue = StoredBlocks(database.connection, database.seals, database.sections, database.meta.plain_below)
            database.undone = letters.recount
            is_idle = database.write_opening() and queue.is_empty
            if is_idle:
                database.compact()
            self.may_be_paged_anew = is_idle and _may_be_paged_anew(database)
            database.finish_opening()
        except BaseException:
            database.abandon()
            raise
        self.faults += database.faults
        self._database, self._letters, self._queue = database, letters, queue
        self._trimmed = database.state.settled
        """Below it no block is left to delete; what is settled may be further on, while only the mark can say so."""
        self._identities = identities_of(self.path)

    # The queue.

    def append(self, effect: Append) -> None:
        """Adds blocks, keeps the stream's state with them, and deletes what is below the base: the one write that each
        batch costs."""
        database = self._database
        is_above = effect.base > self._trimmed
        settled = database.meta.settled
        if len(effect.line_state) > LINE_STATE_BYTES:
            raise _too_long(effect.line_state)
        meta = database.meta._replace(
            next_number=effect.next_number,
            last_ts_ms=effect.last_ts_ms,
            settled=settled if settled > effect.base else effect.base,
            line_state=effect.line_state,
        )
        with database:
            self._queue.append(effect.blocks)
            if effect.revived:
                self._letters.forget(effect.revived)
            if is_above:
                self._queue.trim(effect.base)
            database.next_meta = meta
        if is_above:
            self._trimmed = effect.base

    def trim(self, base: int, dead: list[DeadLetter]) -> None:
        """Deletes what is below `base` and keeps these dead letters, which may be among it: both or neither."""
        database = self._database
        with database:
            self._queue.trim(base)
            self._letters.put(dead)
            database.next_meta = database.meta._replace(settled=max(database.meta.settled, base))
        self._trimmed = max(self._trimmed, base)

    def mark_settled(self, base: int, last_ts_ms: int) -> None:
        """Says beside the journal, which can't be written, what is settled, and which timestamp was given out last.
        Raises nothing."""
        self._database.mark_settled(base, last_ts_ms)

    def strike(self, counts: dict[int, int]) -> None:
        """Keeps the deaths of converters that each of these numbers was alone in."""
        with self._database:
            self._queue.strike(counts)

    def fetch(self, first: int, max_frames: int, max_bytes: int) -> list[Block]:
        """Blocks from the one that holds `first` on, about so many; see `StoredBlocks.fetch`."""
        return self._queue.fetch(first, max_frames, max_bytes)

    @property
    def rows_damaged(self) -> int:
        """Blocks that could not be read as they were written, since the first opening."""
        return self._damaged_before + self._queue.damaged

    @property
    def is_empty(self) -> bool:
        """True if nothing waits, and no dead letter is kept."""
        return not self._letters.count and self._queue.is_empty

    # What is remembered beside it.

    @property
    def state(self) -> StreamState:
        """What the stream has to know to go on, as the opening found it."""
        return self._database.state

    @property
    def device(self) -> str:
        """The device that the journal belongs to."""
        return self._database.meta.device

    def set_line_state(self, state: bytes) -> None:
        """Keeps what the line wants to be remembered, whatever it says."""
        if len(state) > LINE_STATE_BYTES:
            raise _too_long(state)
        with self._database:
            self._database.next_meta = self._database.meta._replace(line_state=state)

    def raise_generation(self, generation: int) -> None:
        """The next opening is above this."""
        meta = self._database.meta
        with self._database:
            self._database.next_meta = meta._replace(generation=max(meta.generation, generation))

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section; to be called before its first block. If it can't be written now it will be with that."""
        self._database.put_section(section_hash, section)

    def section(self, section_hash: str) -> bytes | None:
        """A section that was kept; None if there is none of this hash."""
        return self._database.sections.by_name.get(section_hash)

    def last_section(self) -> tuple[str, bytes] | None:
        """(hash, section) of the newest one; None for an empty journal."""
        return next(reversed(self._database.sections.by_name.items()), None)

    # Dead letters.

    def bury(self, dead: list[DeadLetter]) -> None:
        """Keeps dead letters, and drops the oldest above their limits."""
        with self._database:
            self._letters.put(dead)

    def find_letters(self, effect: FindLetters) -> list[KeptLetter]:
        """The page of dead letters that is asked for; [] if there is none, or if they can't be read now."""
        try:
            return self._letters.find(effect)
        except SQLITE_FAULTS:
            return []

    @property
    def letters_kept(self) -> tuple[int, int]:
        """(count, bytes) of the dead letters."""
        return self._letters.count, self._letters.bytes

    @property
    def letters_shed(self) -> int:
        """Dead letters dropped under their limits, oldest first, since the opening."""
        return self._letters.shed

    @property
    def letters_damaged(self) -> int:
        """Dead letters that were asked for, and were not as they were written."""
        return len(self._letters.damaged)

    # The files.

    @property
    def marked(self) -> Mark | None:
        """How far it had come, as its mark says; None if nobody knows."""
        return self._database.marked

    def check_mark(self) -> bool:
        """True if the mark is where it was; one that is not is made anew."""
        return self._database.check_mark()

    @property
    def is_in_place(self) -> bool:
        """True if our files are where they were: neither deleted nor replaced while we have them open."""
        return are_in_place(self._identities)

    @property
    def size_bytes(self) -> int:
        """What we have open, wherever its file is now; 0 where that can't be said."""
        return self._database.size_bytes

    def checkpoint(self) -> None:
        """Copies the log into the file: there one damaged place costs what stands there, in the log all behind it."""
        self._database.checkpoint()

    def copy_to(self, path: Path, breathe: Breathe = hold_breath) -> None:
        """Writes all that we have open into a new file."""
        self._database.copy_to(path, breathe)

    def copy_with_small_pages(self, path: Path) -> None:
        """Writes all that there is into a new file; only for one that may be paged anew. Raises OSError."""
        from common.io.journal.paging import copy_rows

        copy_rows(self._database.connection, self._database.meta, path)

    def abandon(self) -> None:
        """Closes a file that is damaged, and leaves its log where it is."""
        self._database.abandon()

    def reopen(self, breathe: Breathe = hold_breath) -> None:
        """Opens the file that now stands under our name, in the place of one that was abandoned. The stream goes on
        under the id that it has, whatever the file's is."""
        sections, damaged = self._database.sections.by_name, self._queue.damaged
        self._open(breathe)
        self._database.adopt_sections(sections)
        self._damaged_before += damaged

    def remove(self) -> None:
        """Closes the journal and deletes its files; only for one in which nothing is left."""
        self._database.close_and_forget()
        for path in (log_of(self.path), shared_memory_of(self.path), self.path):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file; a journal that was not closed is checked when it is opened."""
        self._database.close()


def _may_be_paged_anew(database: Database) -> bool:
    """True for a sound file of an earlier release, with larger pages than ours, that is small once nothing waits."""
    is_sound = not database.faults and not database.state.gaps
    return database.page_bytes > PAGE_BYTES and is_sound and database.size_bytes <= COMPACT_BYTES


def _too_long(line_state: bytes) -> ValueError:
    """The next opening would take this state of a line for damage: that is a bug of whoever made it, and has to be seen
    at once."""
    return ValueError(f"a line's state has {len(line_state)} bytes, more than {LINE_STATE_BYTES}")
