"""Copies a journal that a process may have open and write, and lets nobody else in, without asking that process.

A commit is appended to the log; a checkpoint writes into the file only what stands in the log; and the log is begun
anew only once all of it is in the file (SQLite, "Write-Ahead Logging", "WAL-mode File Format"). So the file, and then
the log, are whole together if the log was not begun anew meanwhile, whatever was written to either. The mark comes
first of all: it must not say more than the rest.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from common.core.errors import LinkError
from common.io.journal.files import SQLITE_FAULTS, log_of
from common.io.journal.mark import SUFFIX as MARK_SUFFIX
from common.io.journal.mark import parse_mark
from common.io.journal.places import DEVICES_SUFFIX
from common.wire.messages import Entry

TRIES: Final = 20
"""A log is begun anew after 4 MiB of writing; nobody writes that much twenty times while one copy is made."""
_LOG_HEAD_BYTES: Final = 32
"""The log's header, which has another salt each time that it is begun."""


_UNFINISHED: Final = ("-wal-kept", ".new")
"""What a process leaves that ended while it closed, or mended, a journal that was damaged."""


class CopiedJournal(NamedTuple):
    """A copy of a journal."""

    device: str
    """Whose it is; "" where that can't be read."""
    waiting: int
    """Entries that wait in it, about: what a block holds that is partly settled is counted whole."""
    letters: int
    """Dead letters that it keeps."""
    fault: str
    """Why it was copied byte by byte, as it is, where it is not sound; "" else."""


def copy_journal(path: Path, folder: Path) -> CopiedJournal:
    """Puts a copy of a journal into a folder that has none of its name, compact and checked; what can't be read is
    copied as it is, for its port reader makes the most of it. Raises LinkError where no copy could be made whole,
    OSError."""
    raw = folder / f"{path.name}.copying"
    raw.mkdir(mode=0o700)
    compact = folder / path.name
    try:
        _copy_files(path, raw)
        _copy_if_there(_beside(path, DEVICES_SUFFIX), folder)
        try:
            found = _compact(raw / path.name, compact)
        except SQLITE_FAULTS as error:
            found = CopiedJournal("", 0, 0, str(error))
        if found.fault:
            # Anew: SQLite has changed, and taken away, what it has read.
            compact.unlink(missing_ok=True)
            _copy_files(path, folder)
            return found
        mark = _beside(raw / path.name, MARK_SUFFIX)
        if mark.exists():
            mark.replace(folder / mark.name)
        return found
    finally:
        shutil.rmtree(raw)


def _copy_files(path: Path, folder: Path) -> None:
    """The file, its log and its mark as they were at one moment."""
    for _ in range(TRIES):
        before = _moment(path)
        _copy_if_there(_beside(path, MARK_SUFFIX), folder)
        for part in (path, log_of(path), *(_beside(path, suffix) for suffix in _UNFINISHED)):
            _copy_if_there(part, folder)
        if _moment(path) == before:
            return
    raise LinkError(f"{path}: it is written so fast that no copy was whole; stop the gateway first")


def _moment(path: Path) -> tuple[object, ...]:
    """What is another one once the log is begun anew, or a file exchanged."""
    head = b""
    try:
        with log_of(path).open("rb") as file:
            head = file.read(_LOG_HEAD_BYTES)
    except FileNotFoundError:
        pass
    found = []
    for part in (path, log_of(path)):
        try:
            found.append(os.stat(part).st_ino)
        except FileNotFoundError:
            found.append(0)
    return (head, *found)


def _copy_if_there(path: Path, folder: Path) -> None:
    """Without following links: who may put one there could have us read anything."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        (folder / path.name).unlink(missing_ok=True)
        return
    target = folder / path.name
    with os.fdopen(source, "rb") as reading:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, 0o600), "wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


def _compact(copy: Path, target: Path) -> CopiedJournal:
    """Writes what a copy says as one file without a log. One that says less than its mark is left as it is: its log may
    hold more than SQLite believes. Raises sqlite3.Error."""
    mark_file = _beside(copy, MARK_SUFFIX)
    found = parse_mark(mark_file.read_bytes()) if mark_file.exists() else None
    with closing(sqlite3.connect(copy, isolation_level=None)) as database:
        database.text_factory = lambda data: data.decode("utf-8", "replace")
        if (said := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            return CopiedJournal("", 0, 0, f"damaged: {said}")
        device, next_number = database.execute("SELECT device, next_number FROM meta").fetchone()
        if found is not None and found[0].next_number > next_number:
            return CopiedJournal(device, 0, 0, f"its log ends at {next_number}, its mark says {found[0].next_number}")
        frames = "SELECT coalesce(sum(length), 0) FROM blocks WHERE kind = ?"
        waiting = database.execute(frames, (int(Entry.FRAMES),)).fetchone()
        letters = database.execute("SELECT count(*) FROM dead_letters").fetchone()
        database.execute("VACUUM INTO ?", (str(target),))
    os.chmod(target, 0o600)
    return CopiedJournal(device, waiting[0], letters[0], "")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
