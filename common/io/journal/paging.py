"""Gives a journal of an earlier release, whose pages have 4 KiB, the smaller ones that a new one has. Loaded only where
that is to be done.

SQLite could do it in place, but leaves a rollback journal beside the file where it is killed in the midst of it. So it
is done as all else is made anew: in a draft, which counts for nothing until it is whole and has the file's name.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from common.io.journal.files import PAGE_BYTES, SQLITE_FAULTS, failure_of, log_of, size_of
from common.io.journal.seals import Meta
from common.io.journal.tables import make_tables

_TABLES = ("sections", "dead_letters", "strikes")
"""What there is beside `meta` where nothing waits."""


def copy_rows(source: sqlite3.Connection, meta: Meta, draft: Path) -> None:
    """Writes all rows of an open journal in which nothing waits into a new file, flushed to disk. Raises OSError,
    JournalError, JournalDamageError."""
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            target.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            target.execute("PRAGMA journal_mode = OFF")
            make_tables(target, meta)
            target.execute("BEGIN")
            for table in _TABLES:
                rows = source.execute(f"SELECT * FROM {table}")
                places = ", ".join("?" * len(rows.description))
                target.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
            # The next dead letter's id is above all that there ever were.
            target.execute("DELETE FROM sqlite_sequence")
            sequence = source.execute("SELECT name, seq FROM sqlite_sequence")
            target.executemany("INSERT INTO sqlite_sequence VALUES (?, ?)", sequence)
            target.execute("COMMIT")
    except SQLITE_FAULTS as error:
        raise failure_of(error) from None
    _flush(draft)


def take_place(draft: Path, path: Path) -> None:
    """Gives the draft the name of a journal that was closed. One whose log could not be taken in stays as it is, and so
    does one whose place can't be written now."""
    with suppress(OSError):
        if size_of(log_of(path)):
            draft.unlink()
            return
        # The log is to be gone for good before: it would be taken for that of the new file.
        _flush(path.parent)
        draft.replace(path)
        _flush(path.parent)


def _flush(path: Path) -> None:
    """Has what stands in a file, or which files a folder has, written to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
