"""The journal: one device's queue on disk, in SQLite. The only importer of sqlite3.

One row per block; what a stream must remember stands in the row of `meta`, not in what is left in the queue. WAL mode:
a commit survives the death of the process (`process`) or also a power cut (`power`, every commit flushed).
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from services.port_reader.blocks import Block
from services.port_reader.events import Append, DeadLetter, FindLetters, KeptLetter
from services.port_reader.ledger import Ledger
from services.port_reader.stream import StreamState

SCHEMA_VERSION: Final = 2
DEAD_LETTERS: Final = 10_000
DEAD_BYTES: Final = 64 * 1024 * 1024
_COMPACT_BYTES: Final = 16 * 1024 * 1024
_TABLES: Final = """
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema_version INTEGER NOT NULL, journal TEXT NOT NULL, device TEXT NOT NULL,
    generation INTEGER NOT NULL, next_number INTEGER NOT NULL, last_ts_ms INTEGER NOT NULL, settled INTEGER NOT NULL,
    mid_frame INTEGER NOT NULL, seen_delimiter INTEGER NOT NULL, closed INTEGER NOT NULL);
CREATE TABLE blocks (
    first INTEGER PRIMARY KEY, length INTEGER NOT NULL, kind INTEGER NOT NULL, section INTEGER NOT NULL,
    bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE sections (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, section BLOB NOT NULL);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, ts_ms INTEGER NOT NULL, reason TEXT NOT NULL,
    data BLOB NOT NULL);
CREATE TABLE strikes (number INTEGER PRIMARY KEY, count INTEGER NOT NULL);
"""
_APPEND: Final = "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_META: Final = (
    "UPDATE meta SET next_number = ?, last_ts_ms = ?, settled = max(settled, ?), mid_frame = ?, seen_delimiter = ?"
)
_PRUNE: Final = (
    "DELETE FROM sections WHERE id NOT IN (SELECT section FROM blocks) AND id < (SELECT max(id) FROM sections)"
)
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""What SQLite says of a file that may be sound: the place can't be used now."""
_TRIM: Final = "DELETE FROM blocks WHERE first < ? AND first + length <= ?"


class JournalError(Exception):
    """The journal can't be read or written now: disk full, I/O error, locked."""


class JournalFile(NamedTuple):
    """Which journal to open and how."""

    path: Path
    device: str
    new_id: str
    """Random; the id of the journal if it has to be made."""
    durability: Literal["process", "power"] = "process"


def _aside_names(path: Path, stamp: str) -> Iterator[Path]:
    """Where a damaged journal may go: nothing that was put aside is written over."""
    yield path.with_name(f"{path.name}.damaged-{stamp}")
    for number in count(2):
        yield path.with_name(f"{path.name}.damaged-{stamp}-{number}")


class Journal:
    """One open journal. Every public method that writes is one commit.

    Raises JournalError where the file can't be read or written at the moment, sqlite3.DatabaseError if it is damaged.
    """

    def __init__(self, file: JournalFile) -> None:
        """Opens or makes the file and raises its generation, flushed to disk."""
        self.path = file.path
        self.letters_shed = 0
        """Dead letters dropped under their limits, oldest first, since the opening."""
        self.rows_damaged = 0
        """Blocks that could not be read as they were written, since the opening."""
        self._check_size()
        self._database = sqlite3.connect(file.path, isolation_level=None, timeout=1.0)
        self._section_ids: dict[str, int] = {}
        self._hashes: dict[int, str] = {}
        try:
            self.state = self._open(file)
            self._has_strikes = self._row("SELECT count(*) FROM strikes")[0] > 0
            self._read_sections()
            self._dead_count, self._dead_bytes = self._row(
                "SELECT count(*), coalesce(sum(length(data)), 0) FROM dead_letters"
            )
        except BaseException:
            self._database.close()
            raise
        self._base = self.state.settled

    @property
    def device(self) -> str:
        """The device that the journal belongs to."""
        return str(self._row("SELECT device FROM meta")[0])

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section; to be called before its first block."""
        if section_hash not in self._section_ids:
            self._write([("INSERT INTO sections (hash, section) VALUES (?, ?)", (section_hash, section))])
            self._read_sections()

    def section(self, section_hash: str) -> bytes | None:
        """A section that was kept."""
        row = self._database.execute("SELECT section FROM sections WHERE hash = ?", (section_hash,)).fetchone()
        return None if row is None else bytes(row[0])

    def last_section(self) -> tuple[str, bytes] | None:
        """(hash, section) of the newest one; None for an empty journal."""
        row = self._database.execute("SELECT hash, section FROM sections ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else (str(row[0]), bytes(row[1]))

    def append(self, effect: Append) -> None:
        """Adds blocks, keeps the stream's state, deletes what is below the base."""
        ids = self._section_ids
        self._begin()
        try:
            self._database.executemany(
                _APPEND,
                [
                    (b.first, b.length, b.kind, ids[b.section], len(b.body), b.at_ms, _checksum(b), b.body)
                    for b in effect.blocks
                ],
            )
            if effect.revived:
                self._forget_letters(effect.revived)
            meta = (
                effect.next_number,
                effect.last_ts_ms,
                effect.base,
                effect.is_mid_frame,
                effect.has_seen_delimiter,
            )
            self._database.execute(_META, meta)
            if effect.base > self._base:
                self._delete(effect.base)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._undo(error) from None
        self._base = max(self._base, effect.base)

    def trim(self, base: int, dead: list[DeadLetter]) -> None:
        """Deletes what is below `base` and keeps these dead letters."""
        self._begin()
        try:
            self._database.execute("UPDATE meta SET settled = max(settled, ?)", (base,))
            self._delete(base)
            self._insert_dead(dead)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._undo(error) from None
        self._base = max(self._base, base)

    def bury(self, dead: list[DeadLetter]) -> None:
        """Keeps dead letters."""
        self._begin()
        try:
            self._insert_dead(dead)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._undo(error) from None

    def set_flags(self, is_mid_frame: bool, has_seen_delimiter: bool) -> None:
        """Keeps what is known of the line."""
        self._write([("UPDATE meta SET mid_frame = ?, seen_delimiter = ?", (is_mid_frame, has_seen_delimiter))])

    def strike(self, counts: dict[int, int]) -> None:
        """Keeps the deaths of converters."""
        self._has_strikes = True
        self._write([("INSERT OR REPLACE INTO strikes VALUES (?, ?)", pair) for pair in counts.items()])

    def fetch(self, first: int, max_frames: int, max_bytes: int) -> list[Block]:
        """Blocks from the one that holds `first` on; [] if there is none from there. One that is not as it was written
        is left out, and counted."""
        blocks: list[Block] = []
        frames = size = 0
        try:
            for row in self._database.execute(
                "SELECT first, length, kind, section, at_ms, checksum, body FROM blocks"
                " WHERE first >= coalesce((SELECT max(first) FROM blocks WHERE first <= ?), ?) ORDER BY first",
                (first, first),
            ):
                block = self._block(row)
                if block is None or block.end <= first:
                    continue
                blocks.append(block)
                frames, size = frames + block.length, size + len(block.body)
                if frames >= max_frames or size >= max_bytes:
                    break
        except sqlite3.OperationalError as error:
            raise JournalError(str(error)) from None
        return blocks

    def dead_letters(self) -> list[DeadLetter]:
        """All that are kept, oldest first."""
        rows = self._database.execute("SELECT number, ts_ms, reason, data FROM dead_letters ORDER BY id")
        return [DeadLetter(*row) for row in rows]

    def find_letters(self, effect: FindLetters) -> list[KeptLetter]:
        """The page of dead letters that is asked for; [] if there is none, or if they can't be read now."""
        order = "DESC" if effect.newest_first else "ASC"
        found: list[KeptLetter] = []
        size = 0
        try:
            for row in self._database.execute(
                "SELECT id, number, ts_ms, reason, data FROM dead_letters"
                f" WHERE id > ? AND id < ? ORDER BY id {order} LIMIT ?",
                (effect.after, effect.before, effect.most),
            ):
                size += len(row[4])
                if found and size > effect.most_bytes:
                    break
                found.append(KeptLetter(*row))
        except sqlite3.OperationalError:
            pass
        return found

    @property
    def letters_kept(self) -> tuple[int, int]:
        """(count, bytes) of the dead letters."""
        return self._dead_count, self._dead_bytes

    @property
    def is_empty(self) -> bool:
        """True if nothing waits, and no dead letter is kept."""
        return not self._dead_count and self._row("SELECT count(*) FROM (SELECT 1 FROM blocks LIMIT 1)")[0] == 0

    def remove(self) -> None:
        """Closes the journal and deletes its files; only for one in which nothing is left."""
        self._database.close()
        for suffix in ("-wal", "-shm", ""):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file; a journal that was not closed is checked when it is opened."""
        try:
            self._write([("UPDATE meta SET closed = 1", ())])
        except JournalError:
            pass
        self._database.close()

    def _open(self, file: JournalFile) -> StreamState:
        run = self._database.execute
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA wal_autocheckpoint = {log_pages(file.device)}")
        run("PRAGMA journal_size_limit = 4194304")
        run("PRAGMA cache_size = -512")
        run("PRAGMA synchronous = FULL")
        self._prepare(file)
        run("UPDATE meta SET generation = generation + 1, closed = 0")
        if file.durability == "process":
            run("PRAGMA synchronous = NORMAL")
        run(_PRUNE)
        self._compact()
        return self._read_state()

    def _check_size(self) -> None:
        """A file of no bytes was cut: SQLite would take it for a new one, and nobody would hear of it."""
        if self.path.is_file() and not self.path.stat().st_size:
            log = Path(f"{self.path}-wal")
            if not log.is_file() or not log.stat().st_size:
                raise sqlite3.DatabaseError("damaged: the file is empty")

    def _prepare(self, file: JournalFile) -> None:
        """Makes the tables, or checks a file that was not closed."""
        if self._row("SELECT count(*) FROM sqlite_master WHERE name = 'meta'")[0] == 0:
            self._database.executescript(f"BEGIN; {_TABLES} COMMIT;")
            values = (SCHEMA_VERSION, file.new_id, file.device)
            self._database.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 0, 1, 0, 1, 0, 0, 1)", values)
            return
        version, closed = self._row("SELECT schema_version, closed FROM meta") or (0, 0)
        if version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"schema version {version}, expected {SCHEMA_VERSION}")
        if not closed and (found := self._row("PRAGMA quick_check(1)")[0]) != "ok":
            raise sqlite3.DatabaseError(f"damaged: {found}")

    def _read_state(self) -> StreamState:
        run = self._database.execute
        journal, generation, next_number, last_ts_ms, settled, mid_frame, seen = self._row(
            "SELECT journal, generation, next_number, last_ts_ms, settled, mid_frame, seen_delimiter FROM meta"
        )
        ledger = Ledger()
        end = 0
        for row in run("SELECT first, length, bytes, at_ms FROM blocks ORDER BY first"):
            if not all(type(value) is int for value in row) or row[0] < end or row[1] < 1 or row[2] < 0:
                raise sqlite3.DatabaseError(f"damaged: a block says {row}")
            end = row[0] + row[1]
            ledger.add(end, row[2], row[3])
        if end > next_number:
            raise sqlite3.DatabaseError(f"damaged: blocks up to {end}, numbers up to {next_number}")
        strikes = dict(run("SELECT number, count FROM strikes WHERE number >= ?", (settled,)).fetchall())
        return StreamState(
            journal=journal,
            generation=generation,
            # Settled numbers are never given out again, whatever could not be written.
            next_number=max(next_number, settled),
            last_ts_ms=last_ts_ms,
            settled=settled,
            spans=ledger.spans,
            strikes=strikes,
            has_seen_delimiter=bool(seen),
            is_mid_frame=bool(mid_frame),
        )

    def _compact(self) -> None:
        """Gives the disk back what a long outage took, once nothing is in the queue."""
        size = self._row("PRAGMA page_count")[0] * self._row("PRAGMA page_size")[0]
        if size > _COMPACT_BYTES and self._row("SELECT count(*) FROM (SELECT 1 FROM blocks LIMIT 1)")[0] == 0:
            try:
                self._database.execute("VACUUM")
            except sqlite3.OperationalError:
                pass  # a full disk has no room for it; it can wait

    def _read_sections(self) -> None:
        self._hashes = dict(self._database.execute("SELECT id, hash FROM sections").fetchall())
        self._section_ids = {name: number for number, name in self._hashes.items()}

    def _row(self, sql: str) -> Any:
        return self._database.execute(sql).fetchone()

    def _begin(self) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise JournalError(str(error)) from None

    def _undo(self, error: sqlite3.OperationalError) -> JournalError:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")
        self._dead_count, self._dead_bytes = self._row(
            "SELECT count(*), coalesce(sum(length(data)), 0) FROM dead_letters"
        )
        return JournalError(str(error))

    def _write(self, statements: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        self._begin()
        try:
            for sql, values in statements:
                self._database.execute(sql, values)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise self._undo(error) from None

    def _delete(self, base: int) -> None:
        self._database.execute(_TRIM, (base, base))
        if self._has_strikes:
            self._database.execute("DELETE FROM strikes WHERE number < ?", (base,))

    def _insert_dead(self, dead: list[DeadLetter]) -> None:
        """Adds them, and drops the oldest above the limits."""
        if not dead:
            return
        self._database.executemany("INSERT INTO dead_letters (number, ts_ms, reason, data) VALUES (?, ?, ?, ?)", dead)
        self._dead_count += len(dead)
        self._dead_bytes += sum(len(letter.data) for letter in dead)
        if self._dead_count <= DEAD_LETTERS and self._dead_bytes <= DEAD_BYTES:
            return
        last, before = 0, self._dead_count
        for number, size in self._database.execute("SELECT id, length(data) FROM dead_letters ORDER BY id"):
            if self._dead_count <= DEAD_LETTERS and self._dead_bytes <= DEAD_BYTES:
                break
            last = number
            self._dead_count -= 1
            self._dead_bytes -= size
        self.letters_shed += before - self._dead_count
        self._database.execute("DELETE FROM dead_letters WHERE id <= ?", (last,))

    def _forget_letters(self, ids: tuple[int, ...]) -> None:
        """Removes those that are in the queue again."""
        for letter_id in ids:
            size = self._row(f"SELECT length(data) FROM dead_letters WHERE id = {letter_id:d}")
            if size is not None:
                self._dead_count -= 1
                self._dead_bytes -= size[0]
        self._database.executemany("DELETE FROM dead_letters WHERE id = ?", [(letter_id,) for letter_id in ids])

    def _block(self, row: tuple[Any, ...]) -> Block | None:
        """The block of a row; None if it is not as it was written: flash cards forget bits."""
        first, length, kind, section, at_ms, checksum, body = row
        name = self._hashes.get(section)
        if name is not None and type(body) is bytes and type(length) is int and type(kind) is int:
            block = Block(first, length, kind, name, body, at_ms)
            if checksum == _checksum(block):
                return block
        self.rows_damaged += 1
        return None


def _checksum(block: Block) -> int:
    """Of everything that a row says."""
    head = f"{block.first} {block.length} {block.kind} {block.section} {block.at_ms} "
    return zlib.crc32(block.body, zlib.crc32(head.encode()))


def log_pages(device: str) -> int:
    """How long the write-ahead log gets before it is copied, 500 to 1,000 pages: another length for each device. Lines
    that say the same fill their logs at the same speed, and 64 copied at once hold up everything for half a second."""
    return 500 + zlib.crc32(device.encode()) % 501


def _is_passing(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    # A read beyond the end of the file is damage: the file was cut.
    return code is not None and code & 0xFF in _PASSING and code != sqlite3.SQLITE_IOERR_SHORT_READ


def open_journal(file: JournalFile, stamp: str) -> tuple[Journal, Path | None, str]:
    """(the open journal, where a damaged one was put or None, what was wrong with it).

    A damaged file goes aside, under a name with `stamp`, and a new one is begun. Raises JournalError if the place
    can't be used at all.
    """
    try:
        return Journal(file), None, ""
    except sqlite3.DatabaseError as error:
        if _is_passing(error):
            raise JournalError(f"{file.path}: {error}") from None
        why = str(error)
    try:
        aside = next(path for path in _aside_names(file.path, stamp) if not path.exists())
        for suffix in ("", "-wal", "-shm"):
            part = Path(f"{file.path}{suffix}")
            if part.exists():
                part.rename(f"{aside}{suffix}")
        return Journal(file), aside, why
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"{file.path}: {error}") from None
