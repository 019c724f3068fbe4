"""Opens a journal, whatever has become of it: one that is damaged is set aside, and what can be read of it goes on.

A new file is made in two steps, so that a process may die at any moment. It is written as NAME.draft, which counts for
nothing, and becomes NAME.new once it is whole. Whoever finds NAME.new puts the old files aside and gives it their name:
the process that wrote it, or the next that opens the journal.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from common.io.journal.breath import Breathe, hold_breath
from common.io.journal.files import (
    SQLITE_FAULTS,
    JournalDamageError,
    JournalError,
    JournalFile,
    is_passing,
    log_of,
    shared_memory_of,
    size_of,
    source_of,
)
from common.io.journal.journal import Journal
from common.io.journal.mark import Mark, MarkFile
from common.io.journal.seals import SCHEMA_VERSION, JournalNewerError

SPARE_BYTES: Final = 1024 * 1024
"""What a disk has to have left when a journal was made anew: for its log, and for whoever else writes there."""


class OpenedJournal(NamedTuple):
    """An open journal, and what was wrong with what stood there."""

    journal: Journal
    """Sound, whatever stood there: what is lost of it stands in `state.gaps`."""
    aside: Path | None
    """Where a damaged one was put; None too where there was nothing to be put aside."""
    damage: str
    """What was wrong with it, or ""."""


def open_journal(file: JournalFile, stamp: str, breathe: Breathe = hold_breath) -> OpenedJournal:
    """Opens or makes the journal. A damaged one goes aside under a name with `stamp`; what holds of it is in the new
    one, which goes on behind its numbers. `breathe` is called while a damaged one is read, and not before: a sound one
    on a slow card is checked in one call. Raises JournalError if the place can't be used at all, JournalNewerError."""
    try:
        return _open_anyway(file, stamp, breathe)
    except JournalNewerError as error:
        raise JournalNewerError(
            f"{file.path}: {error}: a newer serialgw wrote it, which can read it; to begin without what waits in it,"
            " move the file away. It was left as it is"
        ) from None


def _open_anyway(file: JournalFile, stamp: str, breathe: Breathe) -> OpenedJournal:
    """Opens or makes the journal; a JournalNewerError from here says neither where it is nor what to do."""
    _finish_salvage(file.path, stamp)
    _refuse_newer(file.path)
    try:
        return OpenedJournal(_with_small_pages(Journal(file)), None, "")
    except (JournalDamageError, *SQLITE_FAULTS) as error:
        if is_passing(error):
            # The file may be sound: nothing that is only a moment's trouble makes it anew.
            raise JournalError(f"{file.path}: {error}") from None
        why = str(error)
    try:
        aside = _salvage(file, MarkFile(file.path).mark, stamp, breathe)
        return OpenedJournal(Journal(file, breathe), aside, why)
    except (OSError, JournalDamageError, *SQLITE_FAULTS) as error:
        raise JournalError(f"{file.path}: {error}") from None


def _with_small_pages(journal: Journal) -> Journal:
    """The journal, open; one of an earlier release, in which nothing waits, has the pages of a new one then."""
    if not journal.may_be_paged_anew:
        return journal
    from common.io.journal.paging import take_place

    file, draft = journal.file, _new_name(journal.path, ".draft")
    try:
        _check_room(journal.path, journal.size_bytes)
        journal.copy_with_small_pages(draft)
    except (OSError, JournalError, JournalDamageError):
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        return journal  # it writes more with each frame, and is as good in all else
    journal.close()
    take_place(draft, file.path)
    return Journal(file)


def renew_journal(journal: Journal, stamp: str, breathe: Breathe = hold_breath) -> Path | None:
    """Opens a journal anew under which something was damaged while it was open, or that stands no longer where it was;
    returns where its files were put. What is lost stands in `state.gaps`. Raises JournalError if that fails for now."""
    path, mark = journal.path, journal.marked
    try:
        # Before anything is closed or written: what is open stays so, and a full disk is not filled to its last byte.
        _check_room(path, 0 if journal.is_in_place else journal.size_bytes)
        is_whole = not journal.is_in_place and _is_copied(journal, _new_name(path, ".new"), breathe)
        journal.abandon()
        # The mark may have gone with the files. Without one nobody would know what was given out, and what is lost.
        if mark is not None:
            with closing(MarkFile(path)) as marks:
                marks.renew(mark)
        # A whole copy needs no salvage: it only has to take its place.
        aside = _finish_salvage(path, stamp) if is_whole else _salvage(journal.file, mark, stamp, breathe)
        journal.reopen(breathe)
    except (OSError, JournalDamageError, *SQLITE_FAULTS) as error:
        raise JournalError(f"{path}: {error}") from None
    return aside


def _is_copied(journal: Journal, new: Path, breathe: Breathe) -> bool:
    """True if all that the journal had open stands in a new file: our own was deleted or replaced, but we have it, and
    go on having it while there is no room. Raises JournalError then."""
    draft = _new_name(journal.path, ".draft")
    try:
        journal.copy_to(draft, breathe)
    except JournalDamageError:
        draft.unlink(missing_ok=True)
        return False
    except JournalError:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(new)
    return True


def _check_room(path: Path, open_bytes: int = 0) -> None:
    """Raises JournalError where the disk has no room for a second journal: one as large as what we have open, or else
    as large as the files."""
    draft = _new_name(path, ".draft")
    draft.unlink(missing_ok=True)
    most = (open_bytes or size_of(path) + size_of(log_of(path))) + SPARE_BYTES
    disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    if free < most:
        raise JournalError(f"{path}: to make it anew takes {most} bytes on the disk, and {free} are free")


def _new_name(path: Path, ending: str) -> Path:
    """A file beside the journal: its name is ours alone, as the journal's is."""
    return path.with_name(path.name + ending)


def _refuse_newer(path: Path) -> None:
    """Looks at the schema without touching anything. One bit that is wrong makes no newer version: the journal itself
    has to say so too."""
    if not path.is_file():
        return
    from common.io.journal.pages import Pages

    with source_of(path) as source:
        pages = Pages(source)
        version = pages.version
        if version <= SCHEMA_VERSION:
            return  # nearly always, and then no row has been read
        said = {values[1] for _, values in pages.rows() if len(values) >= 11 and values[1] == version}
    if said:
        raise JournalNewerError(f"its schema is {version}, expected {SCHEMA_VERSION} or older")


def _salvage(file: JournalFile, mark: Mark | None, stamp: str, breathe: Breathe) -> Path | None:
    """Makes a new journal of what holds of the old one, and puts it in its place; returns where the old one is."""
    # Here: nearly no start has to mend anything, and a port reader keeps what it has loaded.
    from common.io.journal.mending import write_anew

    _check_room(file.path)
    draft = _new_name(file.path, ".draft")
    try:
        write_anew(file, mark, draft, breathe)
    except BaseException:
        draft.unlink(missing_ok=True)  # a full disk needs its room
        raise
    draft.replace(_new_name(file.path, ".new"))
    return _finish_salvage(file.path, stamp)


def _finish_salvage(path: Path, stamp: str) -> Path | None:
    """Puts the old files aside, where a new one stands ready, maybe since a process that died meanwhile."""
    new = _new_name(path, ".new")
    if not new.exists():
        return None
    from common.io.journal.asides import aside_names

    aside: Path | None = next(name for name in aside_names(path, stamp) if not name.exists())
    parts = [(part, part.name.removeprefix(path.name)) for part in (path, log_of(path), shared_memory_of(path))]
    there = [(part, ending) for part, ending in parts if part.exists() and (part == path or size_of(part))]
    for part, ending in there:
        part.rename(f"{aside}{ending}")
    log_of(path).unlink(missing_ok=True)  # it is empty, if it is there
    new.replace(path)
    return aside if there else None
