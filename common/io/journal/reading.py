"""What a journal's file says when it is opened: read, checked, and held against its mark. Writes only what was missing:
the tables of a new file, an older schema's migration, what the log still holds though SQLite does not believe it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

from common.io.journal.files import (
    SQLITE_FAULTS,
    JournalFile,
    PageSource,
    is_passing,
    log_of,
    put_log_back,
    size_of,
    source_of,
)
from common.io.journal.letter_box import PUT_WITH_ID
from common.io.journal.mark import Mark, MarkFile
from common.io.journal.older import FIRST_WITH_MARK
from common.io.journal.recovery import Extent, Recovery
from common.io.journal.seals import SCHEMA_VERSION, Meta, Seals, kept_block
from common.io.journal.sections import SECTION, read_sections
from common.io.journal.tables import (
    BLOCK,
    bytes_of,
    check_columns,
    drop_overlaps,
    find_blocks,
    has_tables,
    make_tables,
    read_meta,
    row_of,
)
from common.stream.blocks import BODY_FORM
from common.stream.numbers import StreamState

_CHECK_BYTES: Final = 16 * 1024 * 1024
"""A file that was closed in order is checked all the same if it is no larger, in some 20 ms."""


class Contents(NamedTuple):
    """A sound journal."""

    meta: Meta
    """What the next commit writes."""
    state: StreamState
    sections: dict[str, bytes]
    faults: list[str]
    """What was found wrong, a sentence each, and needs no other file."""


def check_files(file: JournalFile, marks: MarkFile) -> None:
    """A file of no bytes was cut, one that is missing was deleted: SQLite would take either for a new one, and delete
    its log. Raises sqlite3.DatabaseError."""
    put_log_back(file.path)  # a process that died while it closed a damaged journal has left it aside
    has_log = size_of(log_of(file.path)) > 0
    if file.path.is_file():
        if not size_of(file.path):
            raise sqlite3.DatabaseError("damaged: the file is empty")
    elif not file.path.exists() and (has_log or marks.is_there):
        raise sqlite3.DatabaseError("damaged: the file is gone, but not what belongs to it")


def read_contents(database: sqlite3.Connection, file: JournalFile, marks: MarkFile, held: ExitStack) -> Contents:
    """Reads all but the bodies of the blocks. `held` is to be closed after the database: it keeps what was opened
    beside it. Raises sqlite3.DatabaseError if it is damaged, or can't be used now."""
    is_new = not has_tables(database)
    if is_new:
        if marks.is_there:
            raise sqlite3.DatabaseError("damaged: the file has no tables")
        make_tables(database, Meta(SCHEMA_VERSION, file.new_id, file.device))
        # Out of the log at once: then the tables are in the file, whatever becomes of its log.
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    # Journals had no mark before; a migration changes the version, so it is read before that.
    needs_no_mark = is_new or row_of(database, "PRAGMA user_version")[0] < FIRST_WITH_MARK
    meta = read_meta(database)
    check_columns(database)
    if file.device and meta.device != file.device:
        raise sqlite3.DatabaseError(f"damaged: it is the journal of {meta.device!r}")
    _check_pages(database, meta)
    recovery, faults = _recovery(meta, file, marks, needs_no_mark)
    if recovery.ends_early or (faults and size_of(log_of(file.path))):
        recovery = _rescue(database, held.enter_context(source_of(file.path)), file, recovery)
        if recovery.next_number > meta.next_number:
            # Else only its last start is missing, as it is after one that could not be written.
            faults.append(f"the log breaks off behind number {meta.next_number - 1} of {recovery.next_number - 1}")
    seals = Seals(meta.device)
    sections = read_sections(database, seals)
    state = _read_state(database, recovery, seals)
    # What the next commit writes is what was found, not what the file says: it may have forgotten some.
    meta = meta._replace(
        journal=state.journal,
        generation=state.generation,
        next_number=state.next_number,
        last_ts_ms=state.last_ts_ms,
        settled=state.settled,
        closed=0,
    )
    return Contents(meta, state, sections, faults)


def _recovery(meta: Meta, file: JournalFile, marks: MarkFile, needs_no_mark: bool) -> tuple[Recovery, list[str]]:
    """What the journal and its mark say. Without its mark nobody knows whether its generation was its last."""
    mark, fault = marks.mark, marks.fault
    if not marks.is_there and needs_no_mark:
        return Recovery(meta, None, meta.journal), []
    if mark is None:
        fault = fault or f"{marks.path.name} is gone"
    elif mark.salt != Seals(meta.device).salt:
        fault = f"{marks.path.name} is another device's"
    elif mark.journal != meta.journal:
        fault = f"{marks.path.name} is that of another journal, which had come to {mark.next_number}"
    if fault:
        return Recovery(meta, None, file.new_id), [fault]
    return Recovery(meta, mark, meta.journal), []


def _check_pages(database: sqlite3.Connection, meta: Meta) -> None:
    """Lets SQLite look at the structure of its file. It reads all of it, so a large one is spared that if it was closed
    in order. What a row says is not looked at here: its checksum is, when it is read."""
    if not meta.closed or bytes_of(database) <= _CHECK_BYTES:
        found = row_of(database, "PRAGMA quick_check(1)")[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"damaged: {found}")


def _rescue(database: sqlite3.Connection, source: PageSource, file: JournalFile, recovery: Recovery) -> Recovery:
    """Adds what the log holds behind the place where SQLite ends it. A log is small enough to be in memory, and has to
    be: the commit that adds it writes over it. Where the mark can't be read, the newest row of `meta` in the log says
    how far the journal had come.

    `source` stays open as long as the database: whoever closes a file ends all locks that its process has on it."""
    # Here: nearly no start has to mend anything, and a port reader keeps what it has loaded.
    from common.io.journal.pages import Pages
    from common.io.journal.salvage import Salvage, blocks_of, letters_of, survey

    meta, seals = recovery.meta, Seals(recovery.meta.device)
    pages = Pages(source)
    found = survey(pages.log_rows(), meta.device, recovery.mark, file.new_id, file.section)
    if recovery.mark is None and (last := found.recovery.meta).journal == meta.journal:
        recovery = recovery._replace(mark=_stand_in(last, seals))
    known = {row[0]: (row[1], row[2]) for row in database.execute("SELECT id, hash, section FROM sections")}
    found = Salvage(recovery, {**found.sections, **known}, {})
    blocks = list(blocks_of(pages.log_rows(), found, seals))
    letters = list(letters_of(pages.log_rows(), seals))
    try:
        # A row that the table has stays: the log may hold older states of it too.
        database.execute("BEGIN IMMEDIATE")
        sections = ((key, *section, seals.section(*section)) for key, section in found.sections.items())
        database.executemany(SECTION.replace("REPLACE", "IGNORE"), sections)
        database.executemany(BLOCK.replace("REPLACE", "IGNORE"), [block.row for block in blocks])
        drop_overlaps(database)
        rows = [(*letter, seals.letter(*letter), key) for key, letter in letters]
        database.executemany(PUT_WITH_ID.replace("REPLACE", "IGNORE"), rows)
        end = row_of(database, "SELECT coalesce(max(first + length), 1) FROM blocks")[0]
        database.execute("COMMIT")
    except SQLITE_FAULTS as error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        if not is_passing(error):
            raise
        # A full disk: what the log holds can't be added, and counts as lost.
        return recovery
    return recovery._replace(meta=meta._replace(next_number=max(meta.next_number, end)))


def _stand_in(meta: Meta, seals: Seals) -> Mark:
    """What the mark would say, by the latest row of `meta` that the log holds."""
    return Mark(meta.journal, seals.salt, meta.generation, meta.next_number, meta.settled, meta.last_ts_ms)


def _read_state(database: sqlite3.Connection, recovery: Recovery, seals: Seals) -> StreamState:
    """The state to go on from. Strikes that are damaged are forgotten: at worst a frame that kills converters gets its
    chances anew. Raises sqlite3.DatabaseError where the blocks make no sense, JournalNewerError."""
    run = database.execute
    other_forms: list[int] = []
    extents = _extents(database, other_forms)
    rows = run("SELECT number, count, checksum FROM strikes WHERE number >= ?", (recovery.settled,)).fetchall()
    strikes = {number: deaths for number, deaths, seal in rows if seal == seals.strike(number, deaths)}
    try:
        state = recovery.state(extents, strikes)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"damaged: {error}") from None
    for first in other_forms:
        _refuse_newer(database, first, recovery, seals)
    return state


def _extents(database: sqlite3.Connection, other_forms: list[int]) -> Iterator[Extent]:
    """What each block says of itself, in order. Those whose bodies have another form than ours, or seem to, are added
    to `other_forms`: one pass over the table has to be enough, as it may have 256 MiB."""
    for *extent, form in database.execute("SELECT first, length, bytes, at_ms, form FROM blocks ORDER BY first"):
        if form != BODY_FORM:
            other_forms.append(extent[0])
        yield Extent(*extent)


def _refuse_newer(database: sqlite3.Connection, first: int, recovery: Recovery, seals: Seals) -> None:
    """Raises JournalNewerError if the block is as it was written, and so has a body that only a newer serialgw can
    read. If it is not it is damaged, and left out when it is fetched."""
    row = next(find_blocks(database, first))
    names = dict(database.execute("SELECT id, hash FROM sections WHERE id = ?", (row[3],)).fetchall())
    kept_block((*row[:3], *row[4:]), names.get(row[3]), seals, recovery.meta.plain_below)
