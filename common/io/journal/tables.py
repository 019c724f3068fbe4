"""The journal's tables: their schema, and how an older schema becomes this one.

Each migration makes the next schema of one; a file that is two behind takes both, in one commit. The table of blocks
only ever gains columns at its end, with a default: then SQLite writes none of its rows anew, however many wait. The
number of columns has to differ from that of every other table, now and earlier, as the rows of a damaged file are told
apart by it (`older.py`, `salvage.py`).
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from common.io.journal.older import META_COLUMNS, OLDEST, meta_of
from common.io.journal.seals import MOST, SCHEMA_VERSION, Meta, Seals, seal_meta
from common.stream.blocks import BODY_FORM

_META_TABLE: Final = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL, journal TEXT NOT NULL, device TEXT NOT NULL,
    generation INTEGER NOT NULL, next_number INTEGER NOT NULL, last_ts_ms INTEGER NOT NULL, settled INTEGER NOT NULL,
    line_state BLOB NOT NULL, closed INTEGER NOT NULL, plain_below INTEGER NOT NULL, checksum INTEGER NOT NULL)"""
"""The one row of what is remembered beside the queue; see `seals.Meta`."""
TABLES: Final = f"""
CREATE TABLE blocks (
    first INTEGER PRIMARY KEY, length INTEGER NOT NULL, kind INTEGER NOT NULL, section INTEGER NOT NULL,
    bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL,
    origin TEXT NOT NULL DEFAULT '', form INTEGER NOT NULL DEFAULT 1);
CREATE TABLE sections (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, section BLOB NOT NULL, checksum INTEGER NOT NULL DEFAULT 0);
{_META_TABLE};
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, ts_ms INTEGER NOT NULL, reason TEXT NOT NULL,
    data BLOB NOT NULL, checksum INTEGER NOT NULL DEFAULT 0, origin TEXT NOT NULL DEFAULT '');
CREATE TABLE strikes (number INTEGER PRIMARY KEY, count INTEGER NOT NULL, checksum INTEGER NOT NULL DEFAULT 0);
"""
"""The fifth page is that of `meta` so, also after a VACUUM: release 0.2, which takes each page for four of ours, finds
the row there that tells it to leave a newer journal as it is."""
_TO_3: Final = """
ALTER TABLE sections ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE strikes ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE sections SET checksum = seal_section(hash, section);
UPDATE dead_letters SET checksum = seal_letter(number, ts_ms, reason, data);
UPDATE strikes SET checksum = seal_strike(number, count)
"""
"""Checksums for all but the blocks, which had some, and `meta`."""
_TO_4: Final = f"""
ALTER TABLE blocks ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE blocks ADD COLUMN form INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead_letters ADD COLUMN origin TEXT NOT NULL DEFAULT '';
DROP TABLE meta;
{_META_TABLE}
"""
"""`meta`, whose one row follows, is made anew. The others gain columns, for which SQLite writes no row again, however
much waits: a row that ends before a column has its default."""
_MIGRATIONS: Final = {2: _TO_3, 3: _TO_4}
"""What makes the next schema of one."""
BREATH_STEPS: Final = 100_000
"""SQLite's own steps between two breaths, some milliseconds."""
_COLUMNS: Final = {
    "meta": META_COLUMNS[SCHEMA_VERSION],
    "blocks": "first length kind section bytes at_ms checksum body origin form",
    "sections": "id hash section checksum",
    "dead_letters": "id number ts_ms reason data checksum origin",
    "strikes": "number count checksum",
}
"""The columns of each table, the first being its key. They are checked, as SQLite believes whatever its file says of
itself."""
# How each row is written. What says REPLACE may be done twice: a commit is tried again with all that was in it.
META: Final = (
    "INSERT OR REPLACE INTO meta (schema_version, journal, device, generation, next_number, last_ts_ms, settled,"
    " line_state, closed, plain_below, checksum, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
)
BLOCK: Final = f"INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {BODY_FORM})"
STRIKE: Final = "INSERT OR REPLACE INTO strikes VALUES (?, ?, ?)"


def make_tables(database: sqlite3.Connection, meta: Meta) -> None:
    """An empty journal, in one commit."""
    database.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {SCHEMA_VERSION};")
    put_meta(database, meta)
    database.execute("COMMIT")


def put_meta(database: sqlite3.Connection, meta: Meta) -> None:
    """Replaces the row of `meta`."""
    database.execute(META, (*meta, seal_meta(meta)))


def has_tables(database: sqlite3.Connection) -> bool:
    """False for a file that was only begun."""
    return bool(database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0])


def read_meta(database: sqlite3.Connection) -> Meta:
    """The row of `meta`, migrated if it is of an older schema. Raises sqlite3.DatabaseError if it is damaged."""
    names = " ".join(row[1] for row in database.execute("PRAGMA table_info(meta)"))
    schema = next((schema for schema, columns in META_COLUMNS.items() if columns == names), None)
    if schema is None:
        raise sqlite3.DatabaseError("damaged: its table meta is not ours")
    row = database.execute(f"SELECT {names.replace(' ', ', ')} FROM meta").fetchone()
    meta = None if row is None else meta_of(row)
    if meta is None:
        if schema == OLDEST:
            raise sqlite3.DatabaseError(f"damaged: its schema is {'' if row is None else row[1]}, expected {OLDEST}")
        raise sqlite3.DatabaseError("damaged: what it remembers is not as it was written")
    if meta.schema_version < SCHEMA_VERSION:
        return _migrated(database, meta)
    if row_of(database, "PRAGMA user_version")[0] != SCHEMA_VERSION:
        # Its checksum holds, so it is the file's head that is wrong.
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return meta


def _migrated(database: sqlite3.Connection, meta: Meta) -> Meta:
    """An older schema becomes this one, step by step, in one commit: whoever dies in it leaves the older one."""
    seals = Seals(meta.device)
    database.create_function("seal_section", 2, seals.section)
    database.create_function("seal_letter", 4, seals.letter)
    database.create_function("seal_strike", 2, seals.strike)
    migrated = meta._replace(schema_version=SCHEMA_VERSION)
    database.execute("BEGIN IMMEDIATE")
    try:
        for schema in range(meta.schema_version, SCHEMA_VERSION):
            for statement in _MIGRATIONS[schema].split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        put_meta(database, migrated)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return migrated


def check_columns(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError if the file describes other tables than ours."""
    for table, columns in _COLUMNS.items():
        rows = database.execute(f"PRAGMA table_info({table})").fetchall()
        if " ".join(row[1] for row in rows) != columns or [row[5] for row in rows] != [1] + [0] * (len(rows) - 1):
            raise sqlite3.DatabaseError(f"damaged: its table {table} is not ours")


def drop_overlaps(database: sqlite3.Connection) -> None:
    """Removes the later of two blocks that have a number in common: such were in one journal at different times."""
    end, wrong = 0, []
    for first, length in database.execute("SELECT first, length FROM blocks ORDER BY first"):
        if first < end:
            wrong.append((first,))
        else:
            end = first + length
    database.executemany("DELETE FROM blocks WHERE first = ?", wrong)


def find_blocks(database: sqlite3.Connection, first: int) -> sqlite3.Cursor:
    """(first, length, kind, section, at_ms, checksum, body, origin, form) of the block that holds `first`, and of all
    behind it."""
    return database.execute(
        "SELECT first, length, kind, section, at_ms, checksum, body, origin, form FROM blocks"
        " WHERE first >= coalesce((SELECT max(first) FROM blocks WHERE first <= ?), ?) AND first < ? ORDER BY first",
        (first, first, MOST),
    )


def bytes_of(database: sqlite3.Connection) -> int:
    """What the file has, its log taken in."""
    return int(row_of(database, "PRAGMA page_count")[0] * row_of(database, "PRAGMA page_size")[0])


def row_of(database: sqlite3.Connection, sql: str) -> Any:
    """The first row of a statement that has one, as counts and settings do."""
    return database.execute(sql).fetchone()
