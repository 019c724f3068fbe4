"""Makes a journal of what holds of a damaged one. Loaded only where that is to be done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from common.io.journal.breath import Breathe
from common.io.journal.files import PAGE_BYTES, JournalFile, source_of
from common.io.journal.letter_box import PUT_WITH_ID
from common.io.journal.mark import Mark
from common.io.journal.older import LETTER_COLUMNS
from common.io.journal.pages import Pages, Row
from common.io.journal.salvage import Salvage, blocks_of, device_of, letters_of, survey
from common.io.journal.seals import SCHEMA_VERSION, Seals
from common.io.journal.sections import SECTION
from common.io.journal.tables import BLOCK, BREATH_STEPS, STRIKE, drop_overlaps, make_tables, put_meta


def write_anew(file: JournalFile, mark: Mark | None, draft: Path, breathe: Breathe) -> None:
    """Writes what holds of a journal into a new file. Raises OSError, sqlite3.DatabaseError.

    The old files are only read, but twice: what a block needs to be believed, its section above all, may stand anywhere
    behind it, and blocks are too many to be kept in memory meanwhile."""
    with source_of(file.path) as source:
        pages = Pages(source, breathe)
        device = file.device or device_of(pages.rows())
        found = survey(pages.rows(), device, mark, file.new_id, file.section)
        with closing(sqlite3.connect(draft, isolation_level=None)) as database:
            database.set_progress_handler(breathe, BREATH_STEPS)
            database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            database.execute("PRAGMA journal_mode = OFF")
            _fill(database, pages, found, Seals(device))


def _fill(database: sqlite3.Connection, pages: Pages, found: Salvage, seals: Seals) -> None:
    """Writes all that holds into an empty file. It has no log and is not flushed: until it is whole it counts for
    nothing. The generation is that of the process before, as the opening that follows raises it."""
    recovery = found.recovery
    meta = recovery.meta._replace(schema_version=SCHEMA_VERSION, journal=recovery.journal, closed=0)
    make_tables(database, meta)
    database.execute("BEGIN")
    rows = [(number, name, section, seals.section(name, section)) for number, (name, section) in found.sections.items()]
    database.executemany(SECTION, rows)
    strikes = [(number, deaths, seals.strike(number, deaths)) for number, deaths in found.strikes.items()]
    database.executemany(STRIKE, strikes)
    rows_left = _put_letters(database, pages.rows(), seals)
    database.executemany(BLOCK, (block.row for block in blocks_of(rows_left, found, seals)))
    drop_overlaps(database)
    # A block may be further on than anything that says how far the journal had come: its number was given out.
    last = database.execute("SELECT max(first + length) FROM blocks").fetchone()[0] or 1
    put_meta(
        database,
        meta._replace(
            generation=recovery.generation - 1,
            next_number=max(recovery.next_number, last),
            last_ts_ms=recovery.last_ts_ms,
            settled=recovery.settled if recovery.settled > 1 or recovery.mark else _first_of(database),
            plain_below=min(meta.plain_below, max(recovery.next_number, last)),
        ),
    )
    database.execute("COMMIT")


def _put_letters(database: sqlite3.Connection, rows: Iterator[Row], seals: Seals) -> Iterator[Row]:
    """Keeps the dead letters, and hands on what else there is: reading all pages takes most of the time."""
    for row in rows:
        if len(row[1]) not in LETTER_COLUMNS:
            yield row
            continue
        for number, letter in letters_of(iter([row]), seals):
            database.execute(PUT_WITH_ID, (*letter, seals.letter(*letter), number))


def _first_of(database: sqlite3.Connection) -> int:
    """Where nothing says how far it was settled: up to what is there."""
    return int(database.execute("SELECT coalesce(min(first), 1) FROM blocks").fetchone()[0])
