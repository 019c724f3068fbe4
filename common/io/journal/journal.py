"""The journal: one device's queue on disk, in SQLite.

One row per block; what a stream must remember stands in the row of `meta`, not in what is left in the queue, and how
far it had come also in the mark beside it (`mark.py`). WAL mode: a commit survives the death of the process (`process`)
or also a power cut (`power`, every commit flushed). Nobody else may read the file meanwhile.

`opening.py` opens one, whatever has become of it.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from common.io.journal.files import (
    SQLITE_FAULTS,
    JournalDamageError,
    JournalError,
    JournalFile,
    close_as_is,
    connect,
    failure_of,
    is_passing,
    log_of,
    shared_memory_of,
)
from common.io.journal.letter_box import LetterBox
from common.io.journal.mark import Mark, MarkFile
from common.io.journal.pages import BREATH_PAGES, Breathe, hold_breath
from common.io.journal.reading import check_files, read_contents, read_sections
from common.io.journal.seals import Meta, Seals, kept_block, seal_meta
from common.io.journal.tables import (
    BLOCK,
    BREATH_STEPS,
    SECTION,
    STRIKE,
    find_blocks,
    put_meta,
    row_of,
)
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter, FindLetters, KeptLetter
from common.stream.numbers import LINE_STATE_BYTES

_COMPACT_BYTES: Final = 16 * 1024 * 1024
_META: Final = (
    "UPDATE meta SET generation = ?, next_number = ?, last_ts_ms = ?, settled = ?, line_state = ?, closed = ?,"
    " checksum = ?"
)
_TRIM: Final = "DELETE FROM blocks WHERE first < ? AND first + length <= ?"
_PRUNE: Final = (
    "DELETE FROM sections WHERE id NOT IN (SELECT section FROM blocks) AND id < (SELECT max(id) FROM sections)"
)


class Journal:
    """One open journal. Every public method that writes is one commit.

    Raises JournalError where the file can't be read or written at the moment, JournalDamageError if it is damaged.
    """

    def __init__(self, file: JournalFile, breathe: Breathe = hold_breath) -> None:
        """Opens or makes the file and raises its generation, flushed to disk. Raises sqlite3.DatabaseError for one that
        is damaged. One that can be read and not written is open too: each write is an error until it can be.
        `breathe` is called meanwhile."""
        self.file = file
        self.path = file.path
        self.rows_damaged = 0
        """Blocks that could not be read as they were written, since the first opening."""
        self.faults: list[str] = []
        """What was found wrong, a sentence each, and needed no other file."""
        self._open(breathe)

    def _open(self, breathe: Breathe) -> None:
        self._marks = MarkFile(self.path)
        check_files(self.file, self._marks)
        self._held = ExitStack()
        self._database = connect(self.path)
        self._database.set_progress_handler(breathe, BREATH_STEPS)
        try:
            contents = read_contents(self._database, self.file, self._marks, self._held)
            self._meta, self.state, self._sections, faults = contents
            self._seals = Seals(self._meta.device)
            self._letters = LetterBox(self._database, self._seals)
            self._has_strikes = row_of(self._database, "SELECT count(*) FROM strikes")[0] > 0
            self._base = self.state.settled
            self._index_sections()
            self._write_opening()
            self._database.execute(f"PRAGMA wal_autocheckpoint = {log_pages(self._meta.device)}")
            if self.file.durability == "process":
                self._database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            self.abandon()
            raise
        self._database.set_progress_handler(None, 0)
        self.faults += faults
        self._identities = {path: _identity(path) for path in (self.path, log_of(self.path))}

    def abandon(self) -> None:
        """Closes a file that is damaged, and leaves its log where it is."""
        close_as_is(self._database, self.path)
        self._held.close()
        self._marks.close()

    @property
    def device(self) -> str:
        """The device that the journal belongs to."""
        return self._meta.device

    @property
    def letters_shed(self) -> int:
        """Dead letters dropped under their limits, oldest first, since the opening."""
        return self._letters.shed

    @property
    def letters_damaged(self) -> int:
        """Dead letters that were asked for, and were not as they were written."""
        return len(self._letters.damaged)

    @property
    def marked(self) -> Mark | None:
        """How far it had come, as its mark says."""
        return self._marks.mark

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section; to be called before its first block. If it can't be written now it will be with that."""
        self._sections[section_hash] = section
        if section_hash not in self._section_ids:
            self._is_unwritten = True
            try:
                self._write()
            except (JournalError, JournalDamageError):
                pass  # each commit tries again, or finds the damage

    def section(self, section_hash: str) -> bytes | None:
        """A section that was kept."""
        return self._sections.get(section_hash)

    def last_section(self) -> tuple[str, bytes] | None:
        """(hash, section) of the newest one; None for an empty journal."""
        return next(reversed(self._sections.items()), None)

    def append(self, effect: Append) -> None:
        """Adds blocks, keeps the stream's state, deletes what is below the base."""
        meta = self._meta._replace(
            next_number=effect.next_number,
            last_ts_ms=effect.last_ts_ms,
            settled=max(self._meta.settled, effect.base),
            line_state=_checked(effect.line_state),
        )
        self._begin()
        ids, seals, plain = self._section_ids, self._seals, self._meta.plain_below
        try:
            self._database.executemany(
                BLOCK,
                [
                    (
                        b.first,
                        b.length,
                        b.kind,
                        ids[b.section],
                        len(b.body),
                        b.at_ms,
                        seals.block(b, plain),
                        b.body,
                        b.origin,
                    )
                    for b in effect.blocks
                ],
            )
            if effect.revived:
                self._letters.forget(effect.revived)
            if effect.base > self._base:
                self._delete(effect.base)
            self._end(meta)
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None
        self._base = max(self._base, effect.base)

    def trim(self, base: int, dead: list[DeadLetter]) -> None:
        """Deletes what is below `base` and keeps these dead letters."""
        self._begin()
        try:
            self._delete(base)
            self._letters.put(dead)
            self._end(self._meta._replace(settled=max(self._meta.settled, base)))
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None
        self._base = max(self._base, base)

    def mark_settled(self, base: int) -> None:
        """Says beside the journal, which can't be written, what is settled."""
        if (mark := self._marks.mark) is not None:
            self._marks.write(mark._replace(settled=max(mark.settled, base)))

    def bury(self, dead: list[DeadLetter]) -> None:
        """Keeps dead letters."""
        self._begin()
        try:
            self._letters.put(dead)
            self._end()
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None

    def set_line_state(self, state: bytes) -> None:
        """Keeps what the line wants to be remembered, whatever it says."""
        self._write(meta=self._meta._replace(line_state=_checked(state)))

    def raise_generation(self, generation: int) -> None:
        """The next opening is above this."""
        self._write(meta=self._meta._replace(generation=max(self._meta.generation, generation)))

    def strike(self, counts: dict[int, int]) -> None:
        """Keeps the deaths of converters."""
        self._has_strikes = True
        strike = self._seals.strike
        self._write((STRIKE, (number, deaths, strike(number, deaths))) for number, deaths in counts.items())

    def fetch(self, first: int, max_frames: int, max_bytes: int) -> list[Block]:
        """Blocks from the one that holds `first` on; [] if there is none from there. One that is not as it was written
        is left out, and counted."""
        blocks: list[Block] = []
        frames = size = 0
        try:
            for row in find_blocks(self._database, first):
                block = kept_block((*row[:3], *row[4:]), self._hashes.get(row[3]), self._seals, self._meta.plain_below)
                if block is None:
                    self.rows_damaged += 1
                    continue
                if block.end <= first:
                    continue
                blocks.append(block)
                frames, size = frames + block.length, size + len(block.body)
                if frames >= max_frames or size >= max_bytes:
                    break
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None
        return blocks

    def dead_letters(self) -> list[DeadLetter]:
        """All that are kept, oldest first."""
        return self._letters.all()

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
    def is_empty(self) -> bool:
        """True if nothing waits, and no dead letter is kept."""
        return not self._letters.count and not self._has_blocks

    @property
    def is_in_place(self) -> bool:
        """True if our files are where they were: neither deleted nor replaced while we have them open."""
        try:
            return all(identity is None or identity == _identity(path) for path, identity in self._identities.items())
        except OSError:
            return False

    def check_mark(self) -> bool:
        """True if the mark is where it was; one that is not is made anew."""
        return self._marks.check()

    def checkpoint(self) -> None:
        """Copies the log into the file: there one damaged place costs what stands there, in the log all behind it."""
        try:
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None

    @property
    def size_bytes(self) -> int:
        """What we have open, wherever its file is now; 0 where that can't be said."""
        try:
            return int(row_of(self._database, "PRAGMA page_count")[0] * row_of(self._database, "PRAGMA page_size")[0])
        except SQLITE_FAULTS:
            return 0

    def copy_to(self, path: Path, breathe: Breathe = hold_breath) -> None:
        """Writes all that we have open into a new file."""
        try:
            copy = sqlite3.connect(path, isolation_level=None)
            try:
                self._database.backup(copy, pages=BREATH_PAGES, progress=lambda *_: breathe())
            finally:
                copy.close()
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None

    def reopen(self, breathe: Breathe = hold_breath) -> None:
        """Opens the file that now stands under our name, in the place of one that was abandoned. The stream goes on
        under the id that it has, whatever the file's is."""
        sections = self._sections
        self._open(breathe)
        for name, section in sections.items():
            self._is_unwritten |= self._sections.setdefault(name, section) is section

    def remove(self) -> None:
        """Closes the journal and deletes its files; only for one in which nothing is left."""
        self._database.close()
        self._held.close()
        for path in (log_of(self.path), shared_memory_of(self.path), self.path):
            path.unlink(missing_ok=True)
        self._marks.remove()

    def close(self) -> None:
        """Closes the file; a journal that was not closed is checked when it is opened."""
        try:
            self._write(meta=self._meta._replace(closed=1))
            self._marks.renew(self._mark_of(self._meta))
        except (JournalError, JournalDamageError):
            pass
        self._database.close()
        self._held.close()
        self._marks.close()

    # Opening.

    def _write_opening(self) -> None:
        """The new generation, and no section that nothing needs. The line can be read though the disk is full: then
        this is a part of the first commit that can be written."""
        self._is_unwritten = True
        try:
            self._write([(_PRUNE, ())])
        except JournalError:
            # A generation that stands nowhere would be used twice, and two streams taken for one.
            if not self._marks.renew(self._mark_of(self._meta)):
                self.state = self.state._replace(journal=self.file.new_id)
                self._meta = self._meta._replace(journal=self.file.new_id)
            return
        self._sections = read_sections(self._database, self._seals)
        self._index_sections()  # a section that is gone has to be kept anew before a block names it
        self._marks.renew(self._mark_of(self._meta))
        self._compact()

    def _index_sections(self) -> None:
        self._hashes = dict(self._database.execute("SELECT id, hash FROM sections").fetchall())
        self._section_ids = {name: number for number, name in self._hashes.items()}

    def _compact(self) -> None:
        """Gives the disk back what a long outage took, once nothing is in the queue."""
        if self.size_bytes > _COMPACT_BYTES and not self._has_blocks:
            try:
                self._database.execute("VACUUM")
            except SQLITE_FAULTS:
                pass  # a full disk has no room for it; it can wait

    # Commits.

    def _begin(self) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            if self._is_unwritten:
                self._catch_up()
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None

    def _catch_up(self) -> None:
        """What the opening has to write, and sections that could not be written, as a part of this commit."""
        put_meta(self._database, self._meta)
        for name, section in self._sections.items():
            if name not in self._section_ids:
                self._database.execute(SECTION, (None, name, section, self._seals.section(name, section)))
        self._index_sections()

    def _end(self, meta: Meta | None = None) -> None:
        """The last of a commit: the row of `meta` where it changes, and the mark behind it."""
        if meta is None:
            self._database.execute("COMMIT")
        else:
            self._database.execute(_META, (*meta[3:9], seal_meta(meta)))
            self._database.execute("COMMIT")
            self._meta = meta
            self._marks.write(self._mark_of(meta))
        self._is_unwritten = False

    def _write(self, statements: Iterable[tuple[str, tuple[Any, ...]]] = (), meta: Meta | None = None) -> None:
        self._begin()
        try:
            for sql, values in statements:
                self._database.execute(sql, values)
            self._end(meta)
        except SQLITE_FAULTS as error:
            raise self._undo(error) from None

    def _undo(self, error: Exception) -> JournalError | JournalDamageError:
        """What to raise for an error, with everything as it was before the commit."""
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._index_sections()
            self._letters.recount()
        except SQLITE_FAULTS as second:
            if is_passing(error):
                error = second
        return failure_of(error)

    def _delete(self, base: int) -> None:
        self._database.execute(_TRIM, (base, base))
        if self._has_strikes:
            self._database.execute("DELETE FROM strikes WHERE number < ?", (base,))

    @property
    def _has_blocks(self) -> bool:
        return bool(row_of(self._database, "SELECT count(*) FROM (SELECT 1 FROM blocks LIMIT 1)")[0])

    def _mark_of(self, meta: Meta) -> Mark:
        return Mark(meta.journal, self._seals.salt, meta.generation, meta.next_number, meta.settled, meta.last_ts_ms)


def _checked(line_state: bytes) -> bytes:
    """The line's state. Raises ValueError for one that the next opening would take for damage: that is a bug of whoever
    made it, and is to be seen at once."""
    if len(line_state) > LINE_STATE_BYTES:
        raise ValueError(f"a line's state has {len(line_state)} bytes, more than {LINE_STATE_BYTES}")
    return line_state


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands under a name; None if none does."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_dev


def log_pages(device: str) -> int:
    """How long the write-ahead log gets before it is copied, 500 to 1,000 pages: another length for each device. Lines
    that say the same fill their logs at the same speed, and 64 copied at once hold up everything for half a second."""
    return 500 + zlib.crc32(device.encode()) % 501
