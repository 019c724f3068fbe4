"""The journal on a real disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import NamedTuple

import pytest

from common.config.models import Storage
from common.io.journal import letter_box, mending, opening, store
from common.io.journal.asides import damaged_note
from common.io.journal.breath import BREATH_PAGES
from common.io.journal.database import log_bytes
from common.io.journal.files import PAGE_BYTES, JournalDamageError, JournalError, JournalFile, log_of
from common.io.journal.journal import Journal
from common.io.journal.opening import SPARE_BYTES, open_journal, renew_journal
from common.io.journal.places import file_name
from common.io.journal.serving import journal_limits
from common.io.journal.store import AGAIN_S, Store
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    DeadLetter,
    FindLetters,
    GapsFound,
    JournalFailed,
    KeepJournal,
    MarkSettled,
)
from common.wire.messages import Request
from tests.support.journals import QUIET, letters_in


@pytest.fixture
def file(tmp_path):
    return JournalFile(tmp_path / file_name("press 1"), "press 1", "j1")


def _open(file):
    journal = Journal(file)
    journal.put_section("s", b"{}")
    return journal


def test_settled_numbers_are_not_given_out_again(file):
    """A journal that says more is settled than was ever written goes on behind that."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    journal.trim(7, [])
    journal.close()
    assert _open(file).state.next_number == 7


def _block(first, length=2, body=b"body"):
    return Block(first, length, 0, "s", body)


def _append(*blocks, base=1, next_number=None, last_ts_ms=7, revived=()):
    end = next_number or blocks[-1].end
    return Append(list(blocks), end, last_ts_ms, base, b"\0\1", revived=revived)


def test_a_new_journal_begins_at_1(file):
    """Number 1, generation 1, nothing settled; everything is remembered by the next opening, one generation up."""
    journal = _open(file)
    state = journal.state
    assert (state.journal, state.generation, state.next_number, state.settled, state.spans) == ("j1", 1, 1, 1, ())
    journal.append(_append(_block(1), _block(3)))
    journal.strike({3: 1})
    journal.close()
    state = Journal(file._replace(new_id="other")).state
    assert (state.journal, state.generation, state.next_number, state.last_ts_ms) == ("j1", 2, 5, 7)
    assert (state.spans, state.strikes, state.line_state) == (((5, 8, 0),), {3: 1}, b"\0\1")


def test_the_next_number_does_not_depend_on_what_is_left(file):
    """A journal whose rows are all trimmed goes on counting, and time too."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    journal.trim(3, [])
    journal.close()
    state = Journal(file).state
    assert (state.next_number, state.settled, state.last_ts_ms, state.spans) == (3, 3, 7, ())


def test_trim_deletes_whole_blocks_only(file):
    """A block that is settled in part stays; `settled` says how far."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3), _block(5)))
    journal.strike({1: 0, 4: 0})
    journal.trim(4, [])
    assert [block.first for block in journal.fetch(1, 100, 10**6)] == [3, 5]
    journal.close()
    state = Journal(file).state
    assert (state.settled, state.strikes) == (4, {4: 0})


def test_strikes_of_an_earlier_process_go_with_their_entries(file):
    """Each opening knows whether there are any."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3)))
    journal.strike({1: 1, 4: 1})
    journal.close()
    journal = Journal(file)
    journal.trim(3, [])
    journal.close()
    with closing(sqlite3.connect(file.path)) as database:
        assert database.execute("SELECT number FROM strikes").fetchall() == [(4,)]


def test_an_append_with_a_higher_base_sheds(file):
    """The limits are kept in the same commit."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3)))
    journal.append(_append(_block(5), base=5))
    assert [block.first for block in journal.fetch(1, 100, 10**6)] == [5]


def test_fetch_gives_blocks_from_a_number_on(file):
    """The block that holds the number comes first; at least one, about as many as were asked for."""
    journal = _open(file)
    journal.append(_append(*(_block(first, 2, bytes([first])) for first in range(1, 21, 2))))
    assert [block.first for block in journal.fetch(4, 3, 10**6)] == [3, 5]
    assert [block.first for block in journal.fetch(4, 100, 1)] == [3]
    assert journal.fetch(3, 1, 1) == [_block(3, 2, b"\x03")]
    assert journal.fetch(21, 100, 10**6) == []


def test_dead_letters_are_bounded(file, monkeypatch):
    """The oldest go when there are too many, or too many bytes."""
    monkeypatch.setattr(letter_box, "DEAD_LETTERS", 3)
    monkeypatch.setattr(letter_box, "DEAD_BYTES", 100)
    journal = _open(file)
    journal.bury([DeadLetter(0, 1, "joined mid-frame", b"a")])
    journal.trim(1, [DeadLetter(number, 1, "why", b"x") for number in range(1, 5)])
    assert [letter.number for letter in letters_in(journal)] == [2, 3, 4]
    journal.bury([DeadLetter(5, 1, "why", b"x" * 99)])
    assert [letter.number for letter in letters_in(journal)] == [4, 5]
    journal.close()
    journal = Journal(file)
    journal.bury([DeadLetter(6, 1, "why", b"x" * 60)])
    assert [letter.number for letter in letters_in(journal)] == [6]


def test_sections_are_kept(file):
    """Each section once, by its hash; the newest is the journal's own word on its device."""
    journal = _open(file)
    journal.put_section("t", b"[]")
    journal.put_section("s", b"{}")
    assert (journal.section("s"), journal.section("t"), journal.section("u")) == (b"{}", b"[]", None)
    assert journal.last_section() == ("t", b"[]")
    assert journal.device == "press 1"


@pytest.mark.parametrize("damage", ["junk", "cut", "schema", "page"])
def test_a_damaged_journal_is_set_aside(file, damage):
    """Junk, a cut file, a schema that it can't have, a damaged page: put aside under a name that is told, and a new one
    begun that goes on with its numbers, and says which are lost."""
    journal = _open(file)
    journal.append(_append(*(_block(first, 2, b"x" * 3000) for first in range(1, 99, 2))))
    journal._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if damage == "schema":
        journal._database.connection.execute("UPDATE meta SET schema_version = 99")
    journal._database.connection.close()
    if damage == "junk":
        file.path.write_bytes(b"no database" * 1000)
    elif damage == "cut":
        os.truncate(file.path, 20_000)
    elif damage == "page":
        with file.path.open("r+b") as raw:
            raw.seek(5 * 4096)
            raw.write(b"\xff" * 40_000)
    journal, aside, why = open_journal(file._replace(new_id="j2"), "20260101T000000")
    assert aside is not None
    assert aside.name.endswith(".damaged-20260101T000000")
    assert aside.exists()
    assert why
    assert (journal.state.journal, journal.state.generation, journal.state.next_number) == ("j1", 2, 99)
    read = {n for block in journal.fetch(1, 10**6, 10**9) for n in range(block.first, block.end)}
    lost = {n for low, high in journal.state.gaps for n in range(low, high + 1)}
    assert (read | lost, read & lost) == (set(range(1, 99)), set())
    assert len(read) == {"junk": 0, "schema": 98}.get(damage, len(read))


def test_a_place_that_can_not_be_used(file):
    """A journal path that is a directory is no damage but an error."""
    file.path.mkdir()
    with pytest.raises(JournalError):
        open_journal(file, "x")


def test_a_full_disk_is_an_error_that_passes(file):
    """A commit that does not fit changes nothing; when there is room again it works."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    pages = journal._database.connection.execute("PRAGMA page_count").fetchone()[0]
    journal._database.connection.execute(f"PRAGMA max_page_count = {pages}")
    big = _append(_block(3, 2, b"x" * 50_000))
    with pytest.raises(JournalError, match="full"):
        journal.append(big)
    with pytest.raises(JournalError, match="full"):
        journal.bury([DeadLetter(0, 1, "why", b"x" * 50_000)])
    assert letters_in(journal) == []
    journal._database.connection.execute("PRAGMA max_page_count = 100000")
    journal.append(big)
    assert [block.first for block in journal.fetch(1, 100, 10**6)] == [1, 3]


def test_what_was_settled_while_the_journal_could_not_be_written_is_settled(file):
    """The mark says so: the next process neither sends it again nor gives its numbers or timestamps to other frames."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    journal.mark_settled(9, 40)
    journal.mark_settled(5, 50)
    journal.abandon()
    again = _open(file)
    assert (again.state.settled, again.state.next_number, again.state.gaps) == (9, 9, ())
    assert again.state.last_ts_ms == 50
    assert not again.state.spans


WRITER = """
import sys
from pathlib import Path
from common.io.journal.asides import damaged_note
from common.stream.blocks import Block
from common.stream.events import Append
from common.io.journal.journal import Journal, JournalFile
journal = Journal(JournalFile(Path(sys.argv[1]), "press 1", "j1"))
journal.put_section("s", b"{}")
first = journal.state.next_number
while True:
    journal.append(Append([Block(first, 1, 0, "s", b"x" * 500)], first + 1, first, max(1, first - 200), b""))
    print(first, flush=True)
    first += 1
"""


def test_kill_in_the_middle_loses_no_commit(file):
    """After kill -9 at any moment all that was committed is there, whole, and the generation is higher."""
    for generation in range(1, 4):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file.path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(300)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        last = int([line for line in lines if line.endswith(b"\n")][-1])
        database = sqlite3.connect(file.path)
        assert database.execute("SELECT generation FROM meta").fetchone() == (2 * generation - 1,)
        database.close()
        journal = Journal(file)
        assert journal.state.next_number in (last + 1, last + 2)
        numbers = [block.first for block in journal.fetch(journal.state.settled, 10**6, 10**9)]
        assert numbers == list(range(numbers[0], journal.state.next_number))
        assert numbers[0] <= journal.state.settled
        journal.close()


@pytest.mark.parametrize("name", ["a", "a/b", "../x", "Ä ö", "n" * 500, "a%2Fb", "."])
def test_file_names_are_safe_and_distinct(name):
    """Any device name gives a plain file name of its own."""
    assert "/" not in file_name(name)
    assert not file_name(name).startswith((".", "/"))
    assert len(file_name(name)) < 120
    assert file_name(name) != file_name(name + "x")


def _rows(journal, sql, *values):
    return journal._database.connection.execute(sql, values).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE blocks SET body = x'00' WHERE first = 3",
        "UPDATE blocks SET body = 'text' WHERE first = 3",
        "UPDATE blocks SET kind = 4 WHERE first = 3",
        "UPDATE blocks SET section = 77 WHERE first = 3",
        "UPDATE blocks SET at_ms = 1 WHERE first = 3",
    ],
)
def test_a_block_that_is_not_as_it_was_written_is_left_out(file, sql):
    """Flash cards forget bits: what can't be trusted does not go out; the window makes dead letters of its numbers."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3), _block(5)))
    _rows(journal, sql)
    assert [block.first for block in journal.fetch(1, 100, 10**6)] == [1, 5]
    assert journal.rows_damaged == 1
    assert [block.first for block in journal.fetch(3, 1, 1)] == [5]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM meta",
        "DROP TABLE sections",
        "UPDATE blocks SET length = 'x' WHERE first = 3",
        "UPDATE blocks SET length = -1 WHERE first = 3",
        "UPDATE blocks SET length = 99 WHERE first = 5",
    ],
)
def test_a_journal_that_makes_no_sense_is_set_aside(file, sql):
    """SQLite finds nothing wrong with it; what it says can't be."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3), _block(5)))
    _rows(journal, sql)
    journal.abandon()
    journal, aside, why = open_journal(file._replace(new_id="j2"), "x")
    assert aside is not None
    assert aside.exists()
    assert why
    assert (journal.state.journal, journal.state.next_number) == ("j1", 7)
    kept = [block.first for block in journal.fetch(1, 10**6, 10**9)]
    lost = [number for number in (1, 3, 5) if number not in kept]
    assert journal.state.gaps == tuple((number, number + 1) for number in lost)


def test_an_empty_file_is_a_damaged_journal(file):
    """SQLite would begin a new one in it without a word."""
    _open(file).close()
    os.truncate(file.path, 0)
    aside = open_journal(file, "x")[1]
    assert aside is not None
    assert aside.stat().st_size == 0


def test_a_damaged_journal_on_a_full_disk_is_an_error_and_no_traceback(file, monkeypatch):
    """The file is aside, and a new one can't be made: who asked hears a JournalError."""
    file.path.write_bytes(b"no database" * 1000)
    monkeypatch.setattr(mending, "STRIKE", "no SQL")
    with pytest.raises(JournalError):
        open_journal(file, "x")


def _find(after, before, most=100, most_bytes=10**6, newest_first=False):
    return FindLetters(Request("c", "", "", "", "", "", 1.0, b""), after, before, most, most_bytes, newest_first)


def test_dead_letters_are_found_in_pages(file):
    """By id, from either end, at most so many and so many bytes, at least one."""
    journal = _open(file)
    journal.bury([DeadLetter(number, 1, "why", b"x" * number) for number in range(1, 6)])
    assert [letter.id for letter in journal.find_letters(_find(1, 5))] == [2, 3, 4]
    assert [letter.id for letter in journal.find_letters(_find(0, 9, most=2, newest_first=True))] == [5, 4]
    assert [letter.id for letter in journal.find_letters(_find(0, 9, most_bytes=3))] == [1, 2]
    assert [letter.id for letter in journal.find_letters(_find(0, 9, most_bytes=1, newest_first=True))] == [5]
    assert journal.letters_kept == (5, 15)


def test_revived_letters_leave_with_the_commit_that_journals_them(file):
    """Both or neither; their ids are never used again."""
    journal = _open(file)
    journal.bury([DeadLetter(number, 1, "why", b"xx") for number in (1, 2)])
    journal.append(_append(_block(3), revived=(1, 2, 3)))
    assert letters_in(journal) == []
    assert journal.letters_kept == (0, 0)
    journal.bury([DeadLetter(9, 1, "why", b"x")])
    assert [letter.id for letter in journal.find_letters(_find(0, 99))] == [3]
    pages = _rows(journal, "PRAGMA page_count")[0][0]
    journal._database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match="full"):
        journal.append(_append(_block(5, 2, b"x" * 50_000), revived=(3,)))
    assert journal.letters_kept == (1, 1)
    assert len(letters_in(journal)) == 1


@pytest.mark.parametrize("damage", ["", "file", "log"])
def test_origins_are_kept(file, damage):
    """Of blocks and of dead letters, closed and opened again, and where what holds of it has to be gathered."""
    journal = _open(file)
    blocks = [_block(1), _block(3)._replace(origin="temperature"), _block(5)._replace(origin="humidity")]
    letters = [DeadLetter(7, 1, "why", b"x", "humidity"), DeadLetter(0, 1, "why", b"y")]
    for block in blocks:
        journal.append(_append(block))
    journal.bury(letters)
    if damage:
        journal.abandon()
        path = file.path if damage == "file" else log_of(file.path)
        data = bytearray(path.read_bytes())
        data[(100 if damage == "file" else len(data) // 2)] ^= 1
        path.write_bytes(data)
    else:
        journal.close()
    journal, aside, _ = open_journal(file, "x")
    assert (aside is not None) is (damage == "file")
    assert journal.fetch(1, 99, 999) == blocks
    assert letters_in(journal) == letters
    assert [letter.origin for letter in journal.find_letters(_find(0, 9))] == ["humidity", ""]
    journal.append(_append(blocks[0]._replace(first=7, origin="humidity"), revived=(1,)))
    assert [letter.data for letter in letters_in(journal)] == [b"y"]


@pytest.mark.parametrize("sql", ["SET origin = 'humidity'", "SET origin = ''", "SET origin = 7"])
def test_an_origin_that_is_not_as_it_was_written(file, sql):
    """The checksum covers it, as it does all that a row says."""
    journal = _open(file)
    journal.append(_append(_block(1), _block(3)._replace(origin="temperature")))
    journal.bury([DeadLetter(7, 1, "why", b"x", "temperature")])
    _rows(journal, f"UPDATE blocks {sql} WHERE first = 3")
    _rows(journal, f"UPDATE dead_letters {sql}")
    assert journal.fetch(1, 9, 999) == [_block(1)]
    assert letters_in(journal) == []
    _rows(journal, "UPDATE blocks SET origin = 'humidity'")
    assert journal.fetch(1, 9, 999) == []


def test_sections_that_nothing_needs_are_forgotten(file):
    """A configuration that is changed each day must not fill the journal; what blocks name, and the last, stay."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    for number in range(5):
        journal.put_section(f"s{number}", b"{}")
    journal.close()
    journal = Journal(file)
    assert [journal.section(name) for name in ("s", "s0", "s3", "s4")] == [b"{}", None, None, b"{}"]


def test_a_configuration_that_is_taken_back_is_kept_again(file):
    """Its section was forgotten at this opening, after a run with another one: the blocks that name it are whole at the
    next, also those of a journal that was only closed by its end."""
    for name in ("a", "b"):
        journal = Journal(file)
        journal.put_section(name, b"{}")
        first = journal.state.next_number
        journal.append(_append(_block(first)._replace(section=name)))
        journal.trim(first + 2, [])
        journal.close()
    journal = Journal(file)
    journal.put_section("a", b"{}")
    blocks = [_block(first)._replace(section="a") for first in (5, 7, 9)]
    journal.append(_append(*blocks))
    journal.abandon()
    journal = Journal(file)
    assert (journal.fetch(5, 100, 10**6), journal.rows_damaged) == (blocks, 0)


def test_damaged_journals_do_not_fill_the_disk(file):
    """The newest three stay, each with its log; how many went is said. One that was named just now stays, though the
    clock says that it is the oldest; those of another journal are not touched."""
    neighbour = file.path.with_name("other.journal.damaged-1")
    neighbour.touch()
    told, asides, stamps = [], [], ["20260101T000000"] * 11 + ["20260102T000000", "19700101T000000"]
    for stamp in stamps:
        file.path.write_bytes(b"no database" * 1000)
        opened, aside, why = open_journal(file, stamp)
        opened.close()
        assert aside is not None
        file.path.with_name(f"{aside.name}-wal").touch()
        asides.append(aside.name)
        told.append(damaged_note(file.path, aside, why).facts)
    assert [facts.get("older_removed", 0) for facts in told] == [0, 0, 0, *[1] * 10]
    left = {path.name for path in file.path.parent.glob(f"{file.path.name}.damaged-*")}
    names = asides[-3:]
    assert left == {*names} | {f"{name}-wal" for name in names}
    assert neighbour.exists()


class Disk(NamedTuple):
    """What statvfs says of a disk with so much room."""

    f_bavail: int
    f_frsize: int = 1


def test_a_damaged_journal_is_not_made_anew_without_room(file, monkeypatch):
    """Neither at a start nor under a process that has it open: nothing is written, and the latter keeps what it has
    until there is room."""
    file.path.write_bytes(b"no database" * 100)
    size = file.path.stat().st_size
    monkeypatch.setattr(opening.os, "statvfs", lambda _: Disk(size + SPARE_BYTES - 1))
    with pytest.raises(JournalError, match="are free"):
        open_journal(file, "x")
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]
    monkeypatch.setattr(opening.os, "statvfs", lambda _: Disk(size + SPARE_BYTES))
    journal = open_journal(file, "x").journal
    journal.put_section("s", b"{}")
    journal.append(_append(_block(1)))
    for part in file.path.parent.glob(f"{file.path.name}*"):
        part.unlink()
    with pytest.raises(JournalError, match="are free"):
        renew_journal(journal, "x")
    assert list(file.path.parent.iterdir()) == []
    assert journal.fetch(1, 9, 99) == [_block(1)]
    monkeypatch.undo()
    renew_journal(journal, "x")
    assert journal.fetch(1, 9, 99) == [_block(1)]


def test_a_renewal_that_failed_is_not_tried_at_each_effect(file, monkeypatch):
    """Once a minute: it reads all of the journal. Meanwhile blocks are sent without it, and what is settled marked."""
    tries, now_s = [], 100.0

    def renew(*_):
        tries.append(now_s)
        if now_s < 170:
            raise JournalError("no room")

    journal = _open(file)
    broken = Journal.append
    monkeypatch.setattr(store, "renew_journal", renew)
    monkeypatch.setattr(store, "monotonic_s", lambda: now_s)
    monkeypatch.setattr(Journal, "append", lambda *_: failing())

    def failing():
        raise JournalDamageError("a page")

    kept = Store("press 1", journal, QUIET)
    append = _append(_block(1))
    for _ in range(3):
        assert kept.perform(append) == [JournalFailed("no room", append.blocks, [])]
    assert kept.perform(MarkSettled(3, 7)) == []
    assert journal.marked.settled == 3
    now_s = 100.0 + AGAIN_S
    assert kept.perform(append) == [JournalFailed("no room", append.blocks, [])]
    assert tries == [100.0, 160.0]
    monkeypatch.setattr(Journal, "append", broken)
    now_s = 160.0 + AGAIN_S
    assert [type(event) for event in kept.perform(append)] == [GapsFound]
    assert tries == [100.0, 160.0, 220.0]


def test_whoever_watches_sees_that_a_long_salvage_goes_on(file):
    """Breaths are drawn all along, at a start and under a process that has the journal open; none where it is sound,
    for after the first silence counts as hanging."""
    breaths = []
    journal = _open(file)
    for first in range(1, 3001, 100):
        journal.append(_append(*(_block(number, 1, b"x" * 900) for number in range(first, first + 100))))
    journal.close()
    open_journal(file, "x", lambda: breaths.append(0)).journal.close()
    assert breaths == []
    with file.path.open("r+b") as raw:
        raw.write(b"no database")
    pages = file.path.stat().st_size // PAGE_BYTES
    journal = open_journal(file, "x", lambda: breaths.append(0)).journal
    assert len(breaths) >= 2 * (pages // BREATH_PAGES)
    assert len(journal.fetch(1, 10**6, 10**9)) == 3000
    breaths.clear()
    kept = Store("press 1", journal, QUIET, lambda: breaths.append(0))
    file.path.unlink()
    assert [type(event) for event in kept.perform(KeepJournal(False))] == [GapsFound]
    assert len(breaths) >= pages // BREATH_PAGES
    assert len(journal.fetch(1, 10**6, 10**9)) == 3000


def test_nothing_that_was_not_set_aside_is_named(file):
    """A journal of which nothing was left has no place to be told."""
    assert damaged_note(file.path, None, "why").facts == {"reason": "why"}


INTRUDER = """
import sqlite3, sys
print(sqlite3.connect(sys.argv[1], timeout=0).execute("SELECT count(*) FROM blocks").fetchone())
"""


def test_nobody_gets_in_after_a_rescue(file):
    """What the log held behind its damage is added, with the files open in this process a second time: the lock of the
    first stays. How far the log goes is said in plain words."""
    journal = _open(file)
    for first in range(1, 21):
        journal.append(_append(_block(first, 1)))
    journal.abandon()
    log = file.path.with_name(f"{file.path.name}-wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    journal = Journal(file)
    assert [block.first for block in journal.fetch(1, 100, 10**6)][-1] == 20
    (fault,) = journal.faults
    assert fault.startswith("the log breaks off behind number ")
    assert fault.endswith(" of 20")
    command = [sys.executable, "-c", INTRUDER, str(file.path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "database is locked" in found.stderr
    journal.close()


@pytest.mark.parametrize("mark", ["damaged", "gone"])
def test_a_log_that_breaks_off_tells_what_it_held_without_its_mark_too(file, mark):
    """Both at once: the newest row of `meta` in the log says how far the journal had come. What holds is there, what
    does not is a gap, and no number is given out twice."""
    journal = _open(file)
    for first in range(1, 21):
        journal.append(_append(_block(first, 1, b"body %d" % first), base=min(first, 4), next_number=first + 1))
    journal.abandon()
    log = file.path.with_name(f"{file.path.name}-wal")
    data = bytearray(log.read_bytes())
    while (place := data.find(b"body 9")) >= 0:  # in every older state of its page, too
        data[place] ^= 1
    log.write_bytes(data)
    path = file.path.with_name(f"{file.path.name}.mark")
    if mark == "gone":
        path.unlink()
    else:
        path.write_bytes(b"\1" * 1024)
    journal = Journal(file)
    assert journal.faults[1:] == ["the log breaks off behind number 8 of 20"]
    assert [block.first for block in journal.fetch(4, 100, 10**6)] == [4, 5, 6, 7, 8, *range(10, 21)]
    assert (journal.state.gaps, journal.state.next_number, journal.state.settled) == (((9, 9),), 21, 4)
    journal.close()


def test_an_empty_journal_can_be_removed(file):
    """With everything that belongs to it; one that keeps a dead letter is not empty."""
    journal = _open(file)
    assert journal.is_empty
    journal.bury([DeadLetter(0, 1, "why", b"x")])
    assert not journal.is_empty
    journal.remove()
    assert list(file.path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("max_bytes", "journals", "room_bytes", "expected"),
    [
        (None, 1, 10**12, 256 << 20),
        (None, 64, 10**12, 64 << 20),
        (None, 1, 100 << 20, 20 << 20),
        (None, 4, 100 << 20, 5 << 20),
        (None, 1, 0, 1 << 20),
        (10 << 30, 1, 10**12, 10 << 30),
        (10 << 30, 4, 10**12, (10 << 30) // 4),
        (1 << 20, 4, 10**12, 1 << 20),
    ],
)
def test_all_journals_together_take_a_bounded_share(max_bytes, journals, room_bytes, expected):
    """256 MiB each, 4 GiB together or what is configured, a fifth of the disk at most, 1 MiB at least."""
    limits = journal_limits(100_000, Storage(max_bytes=max_bytes, ttl_s=5.0), journals, room_bytes)
    assert (limits.max_bytes, limits.ttl_s) == (expected, 5.0)


def test_journals_of_one_machine_are_not_copied_at_once() -> None:
    """Write-ahead logs that fill at the same speed end at different lengths."""
    lengths = {log_bytes(f"press{number}") for number in range(64)}
    assert len(lengths) > 50
    assert min(lengths) >= 500 * 4096
    assert max(lengths) <= 1000 * 4096


def test_a_journal_at_work_stands_where_it_stood(file):
    """Commits, checkpoints and a log that begins anew are no replacement; a file that was copied over is."""
    journal = _open(file)
    for number in range(1, 400):
        journal.append(_append(_block(number, 1, b"x" * 3000), base=max(1, number - 50)))
        if number % 90 == 0:
            journal.checkpoint()
    assert journal.is_in_place
    assert journal.check_mark()
    copy = file.path.with_name("copy")
    copy.write_bytes(file.path.read_bytes())
    copy.replace(file.path)
    assert not journal.is_in_place


def test_a_damaged_dead_letter_is_left_out_and_counted(file):
    """The others are found."""
    journal = _open(file)
    journal.bury([DeadLetter(number, 1, "why", b"x") for number in (1, 2, 3)])
    _rows(journal, "UPDATE dead_letters SET data = x'00' WHERE number = 2")
    _rows(journal, "UPDATE dead_letters SET reason = CAST(x'ff' AS TEXT) WHERE number = 3")
    assert [letter.number for letter in journal.find_letters(_find(0, 99))] == [1]
    assert [letter.number for letter in letters_in(journal)] == [1]
    assert journal.letters_damaged == 2
