"""The files of a journal: how they are opened, what SQLite says that is damage, and what belongs to them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

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
"""What SQLite says of a file that may be sound: the place can't be used now. Everything else is damage: to make anew a
journal that is sound costs time, to go on with one that is not costs frames."""

PAGE_BYTES: Final = 1_024
"""A commit writes each page that it touches whole into the log: a frame that comes alone touches two, that of its block
and that of `meta`. Smaller ones would cost more where much is written at once."""
LARGE_PAGE_BYTES: Final = 4_096
"""The pages of journals that an earlier release has made."""

SQLITE_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What its calls raise; the second where it says what is wrong in the damaged file's own words."""


class JournalError(Exception):
    """The journal can't be read or written now: disk full, I/O error, locked."""


class JournalDamageError(Exception):
    """The journal's file is not what was written: it has to be made anew from what can be read of it."""


class JournalFile(NamedTuple):
    """Which journal to open and how."""

    path: Path
    device: str
    """"" for a journal that says itself whose it is."""
    new_id: str
    """Random; the id of the journal if it has to be made, or is not certain to be what it was."""
    durability: Literal["process", "power"] = "process"
    section: tuple[str, bytes] | None = None
    """(hash, section) of the device as it is configured: blocks name it, should the journal have lost it."""


def log_of(path: Path) -> Path:
    """The write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def shared_memory_of(path: Path) -> Path:
    """SQLite's index of the log for several processes; we are the only one, and it is left from earlier versions."""
    return path.with_name(f"{path.name}-shm")


def connect(path: Path) -> sqlite3.Connection:
    """An open file that nobody else can read meanwhile: then the index of the log is in our memory, where nothing
    damages it. An index in a file would be believed."""
    put_log_back(path)
    shared_memory_of(path).unlink(missing_ok=True)
    # Commits are begun and ended by us: Python's own would begin one at a moment of its choice.
    database = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    # A text that is damaged is one whose checksum does not hold, and no reason to read nothing.
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        # For a file that is made now, whatever this SQLite's default is; one that is there keeps its own.
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        # After a long outage the log is cut to 4 MiB; the cache is small, as 64 processes may have one each.
        database.execute("PRAGMA journal_size_limit = 4194304")
        database.execute("PRAGMA cache_size = -512")
        database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        close_as_is(database, path)
        raise
    return database


def close_as_is(database: sqlite3.Connection, path: Path) -> None:
    """Closes a file that is damaged. SQLite would delete its log, which may hold what it did not believe."""
    try:
        log_of(path).rename(_kept_log_of(path))
    except OSError:
        pass  # there is none
    database.close()
    put_log_back(path)


def _kept_log_of(path: Path) -> Path:
    """Where the log is while its file is closed, out of SQLite's reach."""
    return path.with_name(f"{path.name}-wal-kept")


def put_log_back(path: Path) -> None:
    """The log that `close_as_is` took aside, also that of a process that died meanwhile."""
    try:
        _kept_log_of(path).replace(log_of(path))
    except FileNotFoundError:
        pass


def size_of(path: Path) -> int:
    """The bytes of a file; 0 for one that is not there, or can't be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


Read = Callable[[int, int], bytes]
"""(bytes, place) -> what stands there, shorter at the end of the file."""


class PageSource(NamedTuple):
    """A file and its log, each with its size; 0 for one that is not there."""

    read_file: Read
    file_bytes: int
    read_log: Read
    log_bytes: int


@contextmanager
def source_of(path: Path) -> Iterator[PageSource]:
    """A journal's file and log, to be read as they are, as long as the block lasts; one that is missing has no bytes.
    Raises OSError."""
    with ExitStack() as stack:
        parts: list[tuple[Read, int]] = []
        for part in (path, log_of(path)):
            try:
                descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                parts.append((_read_nothing, 0))
                continue
            stack.callback(os.close, descriptor)
            parts.append((_reader(descriptor), os.fstat(descriptor).st_size))
        yield PageSource(*parts[0], *parts[1])


def _reader(descriptor: int) -> Read:
    """Reads at a place without moving any: several readers have the same file open."""
    return lambda size, place: os.pread(descriptor, size, place)


def _read_nothing(_size: int, _place: int) -> bytes:
    return b""


def identities_of(path: Path) -> dict[Path, tuple[int, int] | None]:
    """Which files stand under the names of a journal and of its log, once both are open; None where none does."""
    return {part: _identity(part) for part in (path, log_of(path))}


def are_in_place(identities: dict[Path, tuple[int, int] | None]) -> bool:
    """True if the same files stand there still: neither deleted nor replaced, be it by a copy of themselves."""
    try:
        return all(identity is None or identity == _identity(path) for path, identity in identities.items())
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands under a name; None if none does."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_dev


def is_passing(error: Exception) -> bool:
    """True if the file may be sound: the place can't be used now."""
    code = getattr(error, "sqlite_errorcode", None)
    # A read beyond the end of the file is damage: the file was cut.
    return code is not None and code & 0xFF in _PASSING and code != sqlite3.SQLITE_IOERR_SHORT_READ


def failure_of(error: Exception) -> JournalError | JournalDamageError:
    """SQLite's error as ours."""
    return (JournalError if is_passing(error) else JournalDamageError)(str(error))
