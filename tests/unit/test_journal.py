"""The journal on a real disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from services.port_reader import journal as journal_module
from services.port_reader.blocks import Block
from services.port_reader.events import Append, DeadLetter
from services.port_reader.journal import Journal, JournalError, JournalFile, file_name, open_journal


@pytest.fixture
def file(tmp_path):
    return JournalFile(tmp_path / file_name("press 1"), "press 1", "j1")


def _open(file):
    journal = Journal(file)
    journal.put_section("s", b"{}")
    return journal


def _block(first, length=2, body=b"body"):
    return Block(first, length, 0, "s", body)


def _append(*blocks, base=1, next_number=None, last_ts_ms=7):
    end = next_number or blocks[-1].end
    return Append(list(blocks), end, last_ts_ms, base, False, True)


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
    assert (state.spans, state.strikes, state.has_seen_delimiter) == (((5, 8),), {3: 1}, True)


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
    monkeypatch.setattr(journal_module, "DEAD_LETTERS", 3)
    monkeypatch.setattr(journal_module, "DEAD_BYTES", 100)
    journal = _open(file)
    journal.bury([DeadLetter(0, 1, "joined mid-frame", b"a")])
    journal.trim(1, [DeadLetter(number, 1, "why", b"x") for number in range(1, 5)])
    assert [letter.number for letter in journal.dead_letters()] == [2, 3, 4]
    journal.bury([DeadLetter(5, 1, "why", b"x" * 99)])
    assert [letter.number for letter in journal.dead_letters()] == [4, 5]
    journal.close()
    journal = Journal(file)
    journal.bury([DeadLetter(6, 1, "why", b"x" * 60)])
    assert [letter.number for letter in journal.dead_letters()] == [6]


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
    """Junk, a cut file, another schema, a damaged page: put aside under a name that is told, and a new one begun."""
    journal = _open(file)
    journal.append(_append(*(_block(first, 2, b"x" * 3000) for first in range(1, 99, 2))))
    journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if damage == "schema":
        journal._database.execute("UPDATE meta SET schema_version = 99")
    journal._database.close()
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
    assert (journal.state.journal, journal.state.next_number) == ("j2", 1)


def test_a_place_that_can_not_be_used(file):
    """A journal path that is a directory is no damage but an error."""
    file.path.mkdir()
    with pytest.raises(JournalError):
        open_journal(file, "x")


def test_a_full_disk_is_an_error_that_passes(file):
    """A commit that does not fit changes nothing; when there is room again it works."""
    journal = _open(file)
    journal.append(_append(_block(1)))
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    big = _append(_block(3, 2, b"x" * 50_000))
    with pytest.raises(JournalError, match="full"):
        journal.append(big)
    with pytest.raises(JournalError, match="full"):
        journal.bury([DeadLetter(0, 1, "why", b"x" * 50_000)])
    assert journal.dead_letters() == []
    journal._database.execute("PRAGMA max_page_count = 100000")
    journal.append(big)
    assert [block.first for block in journal.fetch(1, 100, 10**6)] == [1, 3]


WRITER = """
import sys
from pathlib import Path
from services.port_reader.blocks import Block
from services.port_reader.events import Append
from services.port_reader.journal import Journal, JournalFile
journal = Journal(JournalFile(Path(sys.argv[1]), "press 1", "j1"))
journal.put_section("s", b"{}")
first = journal.state.next_number
while True:
    journal.append(Append([Block(first, 1, 0, "s", b"x" * 500)], first + 1, first, max(1, first - 200), False, True))
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
