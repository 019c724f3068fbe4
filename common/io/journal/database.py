"""One open journal file: its connection, what its row of `meta` remembers, its mark, and how a commit is made.

WAL mode: a commit survives the death of the process (`process`) or also a power cut (`power`, every commit flushed).
Nobody else may read the file meanwhile. Which rows a commit has is not decided here; `journal.py` does that.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from common.io.journal.breath import BREATH_PAGES, Breathe, hold_breath
from common.io.journal.files import (
    SQLITE_FAULTS,
    JournalDamageError,
    JournalError,
    JournalFile,
    close_as_is,
    connect,
    failure_of,
    is_passing,
)
from common.io.journal.mark import Mark, MarkFile
from common.io.journal.reading import check_files, read_contents
from common.io.journal.seals import Meta, Seals, seal_meta
from common.io.journal.sections import StoredSections
from common.io.journal.tables import BREATH_STEPS, bytes_of, put_meta, row_of

_META: Final = (
    "UPDATE meta SET generation = ?, next_number = ?, last_ts_ms = ?, settled = ?, line_state = ?, closed = ?,"
    " checksum = ?"
)
COMPACT_BYTES: Final = 16 * 1024 * 1024
"""A file that is larger gives back what a long outage took, once nothing waits in it."""


class Database:
    """An open file. `with database:` is one commit: all that happens inside is written with it, or nothing.

    It raises JournalError where the file can't be written at the moment, JournalDamageError if it is damaged, and what
    was in memory of it is then again what the file says. What `meta` will be is set as `next_meta` inside. The mark is
    written behind the commit, never before: it must not say more than the file.
    """

    def __init__(self, file: JournalFile, breathe: Breathe) -> None:
        """Opens or makes the file and reads it; nothing is written but what was missing of it. `breathe` is called
        meanwhile, and until `finish_opening`. Raises sqlite3.DatabaseError if it is damaged."""
        self._file = file
        self._marks = MarkFile(file.path)
        check_files(file, self._marks)
        self._held = ExitStack()
        self.connection = connect(file.path)
        self.connection.set_progress_handler(breathe, BREATH_STEPS)
        try:
            self.meta, self.state, sections, self.faults = read_contents(self.connection, file, self._marks, self._held)
            self.seals = Seals(self.meta.device)
            self.sections = StoredSections(self.connection, self.seals, sections)
        except BaseException:
            self.abandon()
            raise
        self.next_meta: Meta | None = None
        """What the commit that is under way makes of `meta`; None if it leaves it."""
        self.undone: Callable[[], None] = lambda: None
        """Called when a commit was undone: whoever counts rows counts them again."""
        self._is_unwritten = True
        """True while the opening, or a section, waits for the first commit that can be written."""

    # Commits.

    def __enter__(self) -> None:
        """Begins a commit, with what could not be written before."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            if self._is_unwritten:
                put_meta(self.connection, self.meta)
                self.sections.write_missing()
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        """Ends it: the row of `meta` where it changes, and the mark behind it; or undoes it."""
        meta, self.next_meta = self.next_meta, None
        if error is not None:
            if isinstance(error, SQLITE_FAULTS):
                raise self._undo(error) from None
            self._roll_back()  # a bug, which ends the process: nothing half done is left
            return
        try:
            if meta is not None:
                self.connection.execute(_META, (*meta[3:9], seal_meta(meta)))
            self.connection.execute("COMMIT")
        except SQLITE_FAULTS as fault:
            raise self._undo(fault) from None
        if meta is not None:
            self.meta = meta
            self._marks.write(self._mark)
        self._is_unwritten = False

    def _undo(self, error: Exception) -> JournalError | JournalDamageError:
        """What to raise for an error, with everything as it was before the commit. Of two errors damage counts."""
        second = self._roll_back()
        return failure_of(second if second is not None and is_passing(error) else error)

    def _roll_back(self) -> Exception | None:
        """Everything as it was before the commit. Returns why that failed, if it did."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self.sections.index()
            self.undone()
        except SQLITE_FAULTS as error:
            return error
        return None

    # Opening and closing.

    def write_opening(self) -> bool:
        """Writes the new generation, and drops sections that nothing needs. The line can be read though the disk is
        full: then this is a part of the first commit that can be written, and False."""
        try:
            with self:
                self.sections.prune()
        except JournalError:
            # A generation that stands nowhere would be used twice, and two streams taken for one.
            if not self.renew_mark():
                self.state = self.state._replace(journal=self._file.new_id)
                self.meta = self.meta._replace(journal=self._file.new_id)
            return False
        self.sections.reload()
        self.renew_mark()
        return True

    def finish_opening(self) -> None:
        """Ends the opening, each commit of which is flushed to disk: from here on it is as the file's durability
        says."""
        pages = log_bytes(self.meta.device) // self.page_bytes
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        if self._file.durability == "process":
            self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.set_progress_handler(None, 0)

    def adopt_sections(self, others: dict[str, bytes]) -> None:
        """Takes in sections of a journal that this one replaces; they are written with the next commit."""
        self._is_unwritten |= self.sections.adopt(others)

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section; to be called before its first block. If it can't be written now it will be with that."""
        self.sections.by_name[section_hash] = section
        if section_hash not in self.sections.ids:
            self._is_unwritten = True
            try:
                with self:
                    pass
            except (JournalError, JournalDamageError):
                pass  # each commit tries again, or finds the damage

    def abandon(self) -> None:
        """Closes a file that is damaged, and leaves its log where it is."""
        close_as_is(self.connection, self._file.path)
        self._held.close()
        self._marks.close()

    def close(self) -> None:
        """Closes the file, which says that it was closed; if it can't, it is checked when it is opened."""
        try:
            with self:
                self.next_meta = self.meta._replace(closed=1)
            self.renew_mark()
        except (JournalError, JournalDamageError):
            pass
        self.connection.close()
        self._held.close()
        self._marks.close()

    def close_and_forget(self) -> None:
        """Closes it without a last commit, and removes its mark; the files are the caller's to delete."""
        self.connection.close()
        self._held.close()
        self._marks.remove()

    # The mark.

    @property
    def marked(self) -> Mark | None:
        """How far the journal had come, as its mark says."""
        return self._marks.mark

    def mark_settled(self, base: int, last_ts_ms: int) -> None:
        """Says in the mark what is settled, while the file can't be written. The next commit says it too, whatever else
        it is for: the mark is written behind it, and must not fall back."""
        self.meta = self.meta._replace(settled=max(self.meta.settled, base), last_ts_ms=last_ts_ms)
        if (mark := self._marks.mark) is not None:
            self._marks.write(mark._replace(settled=max(mark.settled, base), last_ts_ms=last_ts_ms))

    def renew_mark(self) -> bool:
        """Makes the mark anew where it is missing, and says in it how far we are. False if that failed."""
        return self._marks.renew(self._mark)

    def check_mark(self) -> bool:
        """True if the mark is where it was; one that is not is made anew."""
        return self._marks.check()

    @property
    def _mark(self) -> Mark:
        meta = self.meta
        return Mark(meta.journal, self.seals.salt, meta.generation, meta.next_number, meta.settled, meta.last_ts_ms)

    # The file.

    @property
    def size_bytes(self) -> int:
        """What we have open, wherever its file is now; 0 where that can't be said."""
        try:
            return bytes_of(self.connection)
        except SQLITE_FAULTS:
            return 0

    @property
    def page_bytes(self) -> int:
        """What a page of the file has. Raises sqlite3.Error."""
        return int(row_of(self.connection, "PRAGMA page_size")[0])

    def checkpoint(self) -> None:
        """Copies the log into the file: there one damaged place costs what stands there, in the log all behind it."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None

    def compact(self) -> None:
        """Gives the disk back what a long outage took; only for a file in which nothing waits."""
        if self.size_bytes > COMPACT_BYTES:
            try:
                self.connection.execute("VACUUM")
            except SQLITE_FAULTS:
                pass  # a full disk has no room for it; it can wait

    def copy_to(self, path: Path, breathe: Breathe = hold_breath) -> None:
        """Writes all that we have open into a new file."""
        try:
            copy = sqlite3.connect(path, isolation_level=None)
            try:
                self.connection.backup(copy, pages=BREATH_PAGES, progress=lambda *_: breathe())
            finally:
                copy.close()
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None


def log_bytes(device: str) -> int:
    """How long the write-ahead log gets before it is copied, 2 to 4 MiB of pages: another length for each device. Lines
    that say the same fill their logs at the same speed, and 64 copied at once hold up everything for half a second."""
    return (500 + zlib.crc32(device.encode()) % 501) * 4_096
