"""Journals with small pages, and with the large ones of an earlier release: both are read, whole or damaged, and the
latter gets small ones once nothing waits in it."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.io.journal import opening, paging
from common.io.journal.database import COMPACT_BYTES
from common.io.journal.files import LARGE_PAGE_BYTES, PAGE_BYTES, JournalFile, log_of, source_of
from common.io.journal.journal import Journal
from common.io.journal.opening import open_journal
from common.io.journal.pages import Pages, page_sizes
from common.io.journal.seals import SCHEMA_VERSION
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter
from common.wire.messages import Entry
from tests.support.journals import (
    PAGE_SIZES,
    account_for,
    letters_in,
    made_with_pages,
    page_bytes,
    snapshot,
    write_journal,
)

LETTERS = [DeadLetter(1, 1, "why", b"x" * 9_000), DeadLetter(2, 2, "why not", b"")]


@pytest.fixture
def file(tmp_path):
    return JournalFile(tmp_path / "press.journal", "press", "j1")


def _idle(file: JournalFile) -> JournalFile:
    """A journal with large pages, in which nothing waits; it keeps dead letters, and the newest was retried."""
    with made_with_pages(LARGE_PAGE_BYTES):
        journal = open_journal(file, "x").journal
        journal.put_section("s", b"{}")
        journal.append(Append([Block(1, 3, Entry.FRAMES, "s", b"body", 7)], 4, 1003, 1, b"\1"))
        journal.bury([*LETTERS, DeadLetter(3, 3, "retried", b"again")])
        journal.append(Append([], 4, 1003, 4, b"\1", revived=(3,)))
        journal.close()
    assert page_bytes(file.path) == LARGE_PAGE_BYTES
    return file


def _check(journal: Journal, generation: int) -> None:
    state = journal.state
    assert (state.journal, state.next_number, state.settled, state.last_ts_ms) == ("j1", 4, 4, 1003)
    assert state.generation >= generation
    assert (state.line_state, state.gaps, journal.faults) == (b"\1", (), [])
    assert letters_in(journal) == LETTERS
    assert journal.section("s") == b"{}"
    assert journal.fetch(1, 10**6, 10**9) == []


def test_a_new_journal_has_small_pages(file):
    """Whatever the library's own size is."""
    open_journal(file, "x").journal.close()
    assert page_bytes(file.path) == PAGE_BYTES


def test_an_old_journal_gets_small_pages_once_nothing_waits(file):
    """With all that it has: what it remembers, dead letters under their ids, sections. No id of one is given again."""
    journal, aside, damage = open_journal(_idle(file), "x")
    assert (page_bytes(file.path), aside, damage) == (PAGE_BYTES, None, "")
    _check(journal, 2)
    journal.bury([DeadLetter(3, 3, "again", b"")])
    connection = journal._database.connection
    assert connection.execute("SELECT id FROM dead_letters").fetchall() == [(1,), (2,), (4,)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["press.journal", "press.journal.mark"]


def test_an_old_journal_in_which_something_waits_stays_as_it_is(file):
    """It is read and written with its large pages until the start after that."""
    with made_with_pages(LARGE_PAGE_BYTES):
        write_journal(file.path, "press", 40, random.Random(1)).close()
    for settled, size in ((1, LARGE_PAGE_BYTES), (10**9, LARGE_PAGE_BYTES), (0, PAGE_BYTES)):
        journal = open_journal(file, "x").journal
        assert page_bytes(file.path) == size
        if settled:
            journal.trim(min(settled, journal.state.next_number), [])
        assert journal.state.gaps == ()
        journal.close()


def test_a_journal_whose_mark_is_gone_stays_as_it_is(file):
    """What is wrong with it is said first; the next start finds a sound one."""
    _idle(file)
    Path(f"{file.path}.mark").unlink()
    journal = open_journal(file._replace(new_id="j2"), "x").journal
    assert (page_bytes(file.path), journal.faults) == (LARGE_PAGE_BYTES, ["press.journal.mark is gone"])
    journal.close()
    open_journal(file, "x").journal.close()
    assert page_bytes(file.path) == PAGE_BYTES


def test_a_large_journal_stays_as_it_is(file, monkeypatch):
    """One that keeps many dead letters would be copied for seconds while nobody reads the line."""
    monkeypatch.setattr("common.io.journal.journal.COMPACT_BYTES", 4 * LARGE_PAGE_BYTES)
    assert COMPACT_BYTES > 4 * LARGE_PAGE_BYTES
    journal = open_journal(_idle(file), "x").journal
    assert page_bytes(file.path) == LARGE_PAGE_BYTES
    _check(journal, 2)
    journal.close()


class Disk(NamedTuple):
    """What `os.statvfs` says of a full one."""

    f_bavail: int = 0
    f_frsize: int = 1


def test_a_journal_for_whose_copy_there_is_no_room_stays_as_it_is(file, monkeypatch):
    """It is open, as any, and nothing lies about."""
    _idle(file)
    with monkeypatch.context() as patched:
        patched.setattr(opening.os, "statvfs", lambda _: Disk())
        journal = open_journal(file, "x").journal
    _check(journal, 2)
    journal.close()
    assert page_bytes(file.path) == LARGE_PAGE_BYTES
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["press.journal", "press.journal.mark"]


def test_a_disk_that_is_full_in_the_midst_of_it_leaves_the_journal(file, monkeypatch):
    """Also where it is found to be full only when the copy is flushed."""

    def fail(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    _idle(file)
    with monkeypatch.context() as patched:
        patched.setattr(paging, "_flush", fail)
        journal = open_journal(file, "x").journal
    _check(journal, 2)
    journal.close()
    assert page_bytes(file.path) == LARGE_PAGE_BYTES
    assert not Path(f"{file.path}.draft").exists()


def test_a_log_that_could_not_be_taken_in_keeps_its_file(file):
    """A log belongs to the file that it was written for: another one in its place would be damaged by it."""
    _idle(file)
    draft = Path(f"{file.path}.draft")
    draft.write_bytes(b"new")
    log_of(file.path).write_bytes(b"log")
    paging.take_place(draft, file.path)
    assert page_bytes(file.path) == LARGE_PAGE_BYTES
    assert not draft.exists()


def test_whoever_is_killed_while_it_gets_small_pages_has_lost_nothing(file, monkeypatch):
    """The files as they are before and after each step: each state opens, as the journal that it was."""
    _idle(file)
    states: list[dict[str, bytes]] = []

    def seen(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            states.append({path.name: path.read_bytes() for path in file.path.parent.iterdir()})
            result = function(*arguments)
            states.append({path.name: path.read_bytes() for path in file.path.parent.iterdir()})
            return result

        return call

    with monkeypatch.context() as patched:
        patched.setattr(paging, "_flush", seen(paging._flush))
        patched.setattr(paging, "make_tables", seen(paging.make_tables))
        patched.setattr(Path, "replace", seen(Path.replace))
        patched.setattr(Journal, "close", seen(Journal.close))
        open_journal(file, "x").journal.abandon()
    assert len(states) >= 12
    assert {page_bytes_of(state) for state in states} == set(PAGE_SIZES)
    for state in states:
        for path in file.path.parent.iterdir():
            path.unlink()
        for name, data in state.items():
            file.path.with_name(name).write_bytes(data)
        journal, aside, damage = open_journal(file, "x")
        assert (aside, damage) == (None, "")
        _check(journal, 3)
        journal.close()
        assert page_bytes(file.path) == PAGE_BYTES
        assert sorted(path.name for path in file.path.parent.iterdir()) == ["press.journal", "press.journal.mark"]


def page_bytes_of(state: dict[str, bytes]) -> int:
    return int.from_bytes(state["press.journal"][16:18], "big")


@pytest.mark.parametrize("size", PAGE_SIZES)
@pytest.mark.parametrize("heads", [(), ("",), ("-wal",), ("", "-wal")])
def test_pages_are_found_whatever_the_heads_of_file_and_log_say(file, size, heads):
    """Either says the size; where neither does both are tried. Nothing but the heads is damaged, so nothing is lost."""
    with made_with_pages(size):
        journal = write_journal(file.path, "press", 200, random.Random(2))
        journal._database.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        end = journal.marked.next_number
        left = snapshot(file.path)
        journal.close()
    for ending in heads:
        left[ending] = bytes(32) + left[ending][32:]
    for ending, data in left.items():
        Path(f"{file.path}{ending}").write_bytes(data)
    with source_of(file.path) as source:
        assert list(page_sizes(source)) == (list(PAGE_SIZES) if len(heads) == 2 else [size])
    account = account_for(file.path, "press")
    assert (sorted(account.arrived), account.told) == (list(range(1, end)), set())


@pytest.mark.parametrize("change", ["new", "compacted", "paged anew"])
def test_release_0_2_finds_the_schema_of_a_journal_with_small_pages(file, change):
    """It takes each page for four of ours, and leaves a newer journal as it is only if it finds the row of `meta` that
    says so: by its own rules, with only the fifth of ours, as the second of its own."""
    if change == "paged anew":
        _idle(file)
    journal = open_journal(file, "x").journal
    if change == "compacted":
        journal._database.connection.execute("VACUUM")
    journal.set_line_state(bytes(1_280))
    journal.close()
    assert page_bytes(file.path) == PAGE_BYTES
    data = bytearray(file.path.read_bytes())
    data[16:18] = LARGE_PAGE_BYTES.to_bytes(2, "big")
    file.path.write_bytes(data)
    with source_of(file.path) as source:
        pages = Pages(source)
        assert pages.version == SCHEMA_VERSION
        said = {values[1] for _, values in pages.rows() if len(values) >= 11 and values[1] == SCHEMA_VERSION}
    assert said == {SCHEMA_VERSION}


def test_the_row_of_meta_is_on_the_fifth_page(file):
    """Of a file that SQLite has made, and of one that it has made anew."""
    open_journal(file, "x").journal.close()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as database:
        for _ in range(2):
            assert database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone() == (5,)
            database.execute("VACUUM")
