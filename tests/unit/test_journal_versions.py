"""Journals of other schemas: an older one is migrated, a newer one refused and left as it is."""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from common.io.journal.files import JournalError, JournalFile
from common.io.journal.journal import Journal
from common.io.journal.opening import open_journal
from common.io.journal.seals import SCHEMA_VERSION, JournalNewerError, Seals
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter
from common.stream.numbers import LINE_STATE_BYTES
from common.wire import codec
from common.wire.messages import Entry
from services.port_reader.core.incoming.joining import read_line_state
from tests.support.journals import letters_in, restore, snapshot

CASES = Path(__file__).parents[1] / "cases" / "journals"
SECTION = "802fa6034419146b"
LINE_STATES = {4: 1_280}
"""Schema → the most bytes that a line may have remembered in it. A release that knows a lower bound takes the row for
damaged, so a bound of a schema that a release has written stands still: a higher one is a line of its own here."""


@pytest.fixture
def old(tmp_path):
    """A journal of schema 2, as it was left: 3 to 7 wait, half of the block of 3 is settled."""
    return _kept(tmp_path, "schema-2")


def _kept(folder, case):
    """A journal as an earlier version left it, with its mark if it had one."""
    path = folder / "j"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript((CASES / f"{case}.sql").read_text())
    mark = CASES / f"{case}.mark.hex"
    if mark.exists():
        (folder / "j.mark").write_bytes(bytes.fromhex(mark.read_text()))
    return JournalFile(path, "press 1", "new")


def _frames(journal):
    blocks = journal.fetch(3, 10**6, 10**9)
    return {
        block.first + at: frame
        for block in blocks
        for at, frame in enumerate(codec.unpack_frames(block.body, block.length).frames)
    }


@pytest.mark.parametrize("case", ["schema-2", "schema-3", "schema-4"])
def test_journals_of_each_schema_are_read(tmp_path, case):
    """All that it held is there, under the same id; then it is schema 4, with a mark, and can be opened again."""
    old = _kept(tmp_path, case)
    for generation in (2, 3):
        journal, aside, damage = open_journal(old, "x")
        assert (aside, damage, journal.faults) == (None, "", [])
        state = journal.state
        assert (state.journal, state.generation, state.next_number, state.settled) == ("0123456789ab", generation, 8, 3)
        assert (state.gaps, state.strikes, state.last_ts_ms) == ((), {5: 2}, 1007)
        assert _frames(journal) == {2: b"1\n", 3: b"2\n", 4: b"3\n", 5: b"4\n", 6: b"5\n", 7: b"6\n"}
        assert letters_in(journal) == [DeadLetter(2, 1002, "no number", b"1\n")]
        assert journal.fetch(4, 1, 1)[0].origin == ("temperature" if case == "schema-4" else "")
        assert journal.section(SECTION) == b'{"name":"press 1"}'
        journal.close()
    with closing(sqlite3.connect(old.path)) as database:
        assert database.execute("SELECT schema_version, plain_below FROM meta").fetchone() == (
            4,
            8 if case == "schema-2" else 0,
        )
        assert database.execute("PRAGMA user_version").fetchone() == (4,)


@pytest.mark.parametrize("case", ["schema-2", "schema-3"])
@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("flags", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_an_older_schema_knew_of_the_line_means_the_same(tmp_path, case, is_damaged, flags):
    """It stood in two columns, and goes on as the line's state, also where the journal has to be made anew."""
    file = _kept(tmp_path, case)
    with closing(sqlite3.connect(file.path)) as database:
        database.execute("UPDATE meta SET mid_frame = ?, seen_delimiter = ?", flags)
        if case == "schema-3":
            row = database.execute("SELECT * FROM meta").fetchone()
            database.execute("UPDATE meta SET checksum = ?", (zlib.crc32(repr(row[1:-1]).encode()),))
        database.commit()
    if is_damaged:
        data = bytearray(file.path.read_bytes())
        data[100:108] = bytes(8)
        file.path.write_bytes(data)
    for _ in range(2):
        journal, aside, _ = open_journal(file, "x")
        assert (aside is not None) is is_damaged
        is_damaged = False
        assert read_line_state(journal.state.line_state, b"\n") == (bool(flags[0]), ("unknown", "delimiter")[flags[1]])
        journal.close()


def test_a_journal_of_release_0_2_is_read(tmp_path):
    """With its mark and all that waits in it; its line was silent between frames, and had sent its delimiter."""
    path = tmp_path / "j"
    shutil.copy(CASES / "release-0.2.journal", path)
    shutil.copy(CASES / "release-0.2.journal.mark", f"{path}.mark")
    journal, aside, damage = open_journal(JournalFile(path, "press", "new"), "x")
    assert (aside, damage, journal.faults) == (None, "", [])
    state = journal.state
    assert (state.journal, state.generation, state.next_number, state.settled) == ("0123456789ab", 2, 60, 1)
    assert read_line_state(state.line_state, b"\n") == (False, "delimiter")
    assert sum(block.length for block in journal.fetch(1, 10**6, 10**9)) == 59


def test_damaged_schema_2_is_salvaged(old):
    """What its plain checksums say is whole goes on."""
    data = bytearray(old.path.read_bytes())
    place = data.index(b"\x93\x93\xcd\x03\xed")
    data[place + 10] ^= 1
    data[100:108] = bytes(8)
    old.path.write_bytes(data)
    journal, aside, damage = open_journal(old, "x")
    assert aside is not None
    assert damage
    assert _frames(journal) == {2: b"1\n", 3: b"2\n", 4: b"3\n"}
    assert (journal.state.next_number, journal.state.gaps) == (8, ((5, 7),))


def _make_newer(file, *, in_log):
    journal = Journal(file)
    if not in_log:
        journal.close()
    else:
        journal.abandon()
    left = snapshot(file.path)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN")
        database.execute("ALTER TABLE meta ADD COLUMN more INTEGER NOT NULL DEFAULT 5")
        database.execute("UPDATE meta SET schema_version = 5, checksum = 1")
        database.execute("PRAGMA user_version = 5")
        database.execute("COMMIT")
        if in_log:
            left = snapshot(file.path)
    if in_log:
        for ending, data in left.items():
            Path(f"{file.path}{ending}").write_bytes(data)


def _write_form(file, form, *, holds):
    """A journal, and a log, in which the second of three blocks has a body of another form, maybe because a bit of its
    row is wrong; and where in the log that begins."""
    journal = Journal(file)
    journal.put_section("s", b"{}")
    blocks = [Block(number, 1, Entry.FRAMES, "s", b"body", 7) for number in (1, 2, 3)]
    journal.append(Append(blocks, 4, 7, 1, b""))
    seal = Seals("press 1").block(blocks[1], form=form if holds else 1)
    before = snapshot(file.path)["-wal"]
    journal._database.connection.execute("UPDATE blocks SET form = ?, checksum = ? WHERE first = 2", (form, seal))
    after = snapshot(file.path)["-wal"].ljust(len(before))
    place = next(at for at, byte in enumerate(after) if before[at : at + 1] != bytes([byte]))
    journal.raise_generation(9)
    files = snapshot(file.path)
    journal.abandon()
    restore(file.path, files)
    return blocks, place


@pytest.mark.parametrize("damage", ["", "file", "log"])
def test_a_body_of_a_newer_form_is_refused(tmp_path, damage):
    """A newer serialgw that has the same schema may have written it: nobody takes it for something else, or for lost,
    whatever else of the journal is damaged."""
    file = JournalFile(tmp_path / "j", "press 1", "new")
    _, place = _write_form(file, 2, holds=True)
    if damage == "file":
        data = bytearray(file.path.read_bytes())
        data[100:108] = bytes(8)
        file.path.write_bytes(data)
    if damage == "log":
        log = Path(f"{file.path}-wal")
        data = bytearray(log.read_bytes())
        data[place] ^= 1  # in the head of a frame: SQLite ends the log here
        log.write_bytes(data)
    for _ in range(2):
        with pytest.raises(JournalNewerError, match="its entry 2 has a body of form 2, expected 1: a newer serialgw"):
            open_journal(file, "x")
    assert sorted(path.name for path in tmp_path.iterdir() if path.stat().st_size) == ["j", "j-wal", "j.mark"]
    if not damage:
        with closing(sqlite3.connect(file.path)) as database:
            assert database.execute("SELECT count(*), sum(form), min(body) FROM blocks").fetchone() == (3, 4, b"body")


@pytest.mark.parametrize("form", [0, 2, -1, "x", 1.5])
def test_one_wrong_bit_is_no_newer_form(tmp_path, form):
    """The checksum says so: the block is damaged, and left out."""
    file = JournalFile(tmp_path / "j", "press 1", "new")
    blocks, _ = _write_form(file, form, holds=False)
    journal, aside, _ = open_journal(file, "x")
    assert aside is None
    assert journal.fetch(1, 9, 999) == [blocks[0], blocks[2]]
    assert journal.rows_damaged == 1


@pytest.mark.parametrize("in_log", [False, True])
def test_a_newer_schema_is_refused(tmp_path, in_log):
    """With a sentence that says what to do; not one byte of it is touched, wherever the newer schema stands."""
    file = JournalFile(tmp_path / "j", "press 1", "new")
    _make_newer(file, in_log=in_log)
    before = snapshot(file.path)
    assert ("-wal" in before) is in_log
    for _ in range(2):
        with pytest.raises(JournalNewerError, match="its schema is 5, expected 4 or older: a newer serialgw wrote it"):
            open_journal(file, "x")
        assert snapshot(file.path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"j{ending}" for ending in before)


def test_one_wrong_bit_is_no_newer_schema(tmp_path):
    """The file's head says 6, the journal itself says 4: it is opened."""
    file = JournalFile(tmp_path / "j", "press 1", "new")
    Journal(file).close()
    data = bytearray(file.path.read_bytes())
    data[63] ^= 2
    file.path.write_bytes(data)
    journal, aside, _ = open_journal(file, "x")
    assert (aside, journal.state.journal) == (None, "new")
    journal.close()
    with closing(sqlite3.connect(file.path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (4,)


def test_no_version_before_2_is_known(old):
    """It is damage, and told."""
    with closing(sqlite3.connect(old.path)) as database:
        database.execute("UPDATE meta SET schema_version = 1")
        database.commit()
    _, aside, damage = open_journal(old, "x")
    assert aside is not None
    assert "its schema is 1, expected 2" in damage


def test_a_process_that_died_while_it_made_a_new_journal(old, tmp_path):
    """What stood ready takes its place at the next opening, and the old one goes aside."""
    Journal(old).close()
    ready = tmp_path / "j.new"
    old.path.rename(ready)
    old.path.write_bytes(b"damaged")
    (tmp_path / "j.draft").write_bytes(b"half of it")
    journal, aside, damage = open_journal(old, "x")
    assert (aside, damage) == (None, "")
    assert (tmp_path / "j.damaged-x").read_bytes() == b"damaged"
    assert journal.state.next_number == 8
    assert not ready.exists()


def test_a_place_without_rights_is_an_error(tmp_path):
    """A journal below a file."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((JournalError, OSError)):
        open_journal(JournalFile(tmp_path / "file" / "j", "d", "new"), "x")


def test_a_longer_line_state_is_a_newer_schema():
    """An older release refuses it by its number, and leaves it as it is."""
    assert LINE_STATES[SCHEMA_VERSION] == LINE_STATE_BYTES


def test_what_a_line_remembers_at_most_is_kept_under_a_schema_that_release_0_2_refuses(tmp_path):
    """As a line that drops repetitions does: 0.2 wrote schema 3, and reads no higher one."""
    file = JournalFile(tmp_path / "j", "press", "new")
    state = bytes(at % 251 for at in range(LINE_STATE_BYTES))
    with closing(open_journal(file, "x").journal) as journal:
        journal.set_line_state(state)
    shutil.copy(CASES / "release-0.2.journal", tmp_path / "released")
    with closing(sqlite3.connect(tmp_path / "released")) as database:
        released = database.execute("PRAGMA user_version").fetchone()[0]
    with closing(sqlite3.connect(file.path)) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] > released
        assert database.execute("SELECT schema_version, line_state FROM meta").fetchone() == (SCHEMA_VERSION, state)
    journal, aside, damage = open_journal(file, "x")
    assert (journal.state.line_state, aside, damage) == (state, None, "")
    journal.close()
