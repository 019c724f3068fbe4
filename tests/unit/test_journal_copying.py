"""A copy of a journal that is open, and written, says what the journal said at one moment."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from common.core.errors import LinkError
from common.io.journal import copying
from common.io.journal.copying import copy_journal
from common.io.journal.files import JournalFile, log_of
from common.io.journal.journal import Journal
from common.io.journal.opening import open_journal
from common.io.journal.places import DEVICES_SUFFIX, file_name
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter
from tests.support.journals import PAGE_SIZES, made_with_pages, page_bytes
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
COPIES = 25
WRITER = """
import sys
from pathlib import Path
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.stream.blocks import Block
from common.stream.events import Append

journal = Journal(JournalFile(Path(sys.argv[1]), "press 1", "j1"))
journal.put_section("s", b"{}")
number, kept = 1, 2000
while True:
    body = b"%d " % number * 300
    base = max(1, number - kept)
    journal.append(Append([Block(number, 2, 0, "s", body)], number + 2, number, base, b"", revived=()))
    number += 2
"""


@pytest.fixture
def file(tmp_path: Path) -> JournalFile:
    return JournalFile(tmp_path / "journals" / file_name("press 1"), "press 1", "j1")


def filled(file: JournalFile, blocks: int = 3) -> Journal:
    """An open journal in which that much waits, and a dead letter."""
    file.path.parent.mkdir(exist_ok=True)
    journal = Journal(file)
    journal.put_section("s", b"{}")
    for first in range(1, 2 * blocks, 2):
        journal.append(Append([Block(first, 2, 0, "s", b"body")], first + 2, 7, 1, b"line", revived=()))
    journal.bury([DeadLetter(1, 7, "too_long", b"x" * 10)])
    return journal


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_a_copy_of_an_open_journal_goes_on_where_it_was(file: JournalFile, tmp_path: Path, size: int) -> None:
    """Same id, so that nothing is taken for another stream; the next generation, the same numbers, the same letters."""
    with made_with_pages(size):
        journal = filled(file)
    file.path.with_name(file.path.name + DEVICES_SUFFIX).write_text("[]")
    target = tmp_path / "copy"
    target.mkdir()
    assert copy_journal(file.path, target) == ("press 1", 6, 1, "")
    assert sorted(path.name for path in target.iterdir()) == [
        file.path.name,
        file.path.name + ".devices",
        file.path.name + ".mark",
    ]
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    assert page_bytes(target / file.path.name) == size
    copy = Journal(file._replace(path=target / file.path.name, new_id="other"))
    assert copy.faults == []
    state = copy.state
    assert (state.journal, state.generation, state.next_number, state.settled) == ("j1", 2, 7, 1)
    assert copy.fetch(1, 9, 999) == journal.fetch(1, 9, 999)
    assert copy.letters_kept[0] == 1


def test_copies_of_one_that_is_written_all_the_time_are_whole(file: JournalFile, tmp_path: Path) -> None:
    """Each opens without a fault, with every number from its first to its last; the log is begun anew meanwhile."""
    file.path.parent.mkdir()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    heads = set()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(file.path)], env=environ) as writer:
        try:
            wait_until(lambda: log_of(file.path).exists() and log_of(file.path).stat().st_size > 1 << 20, "it writes")
            for number in range(COPIES):
                target = tmp_path / f"copy{number}"
                target.mkdir()
                found = copy_journal(file.path, target)
                heads.add(log_of(file.path).read_bytes()[:32])
                assert found.fault == ""
                copy = Journal(file._replace(path=target / file.path.name, new_id="other"))
                assert copy.faults == []
                assert copy.state.journal == "j1"
                assert copy.state.gaps == ()
                blocks = copy.fetch(copy.state.settled, 10_000, 1 << 30)
                assert [block.first for block in blocks[1:]] == [block.end for block in blocks[:-1]]
                assert blocks[-1].end == copy.state.next_number
                assert copy.rows_damaged == 0
                copy.close()
            assert writer.poll() is None
        finally:
            writer.kill()
    assert len(heads) > 1


def test_one_whose_log_is_damaged_is_kept_with_it(file: JournalFile, tmp_path: Path) -> None:
    """SQLite would drop what stands behind the damage; the port reader that opens the copy takes it from there."""
    journal = filled(file, blocks=40)
    for part in (file.path, log_of(file.path)):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    mark = file.path.name + ".mark"
    (tmp_path / mark).write_bytes((file.path.parent / mark).read_bytes())
    journal.close()
    log = tmp_path / log_of(file.path).name
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    target = tmp_path / "copy"
    target.mkdir()
    found = copy_journal(tmp_path / file.path.name, target)
    assert "its mark says" in found.fault
    assert (target / log.name).read_bytes() == bytes(data)
    opened = open_journal(file._replace(path=target / file.path.name), "now")
    assert opened.journal.state.next_number == 81


def test_one_that_is_no_journal_is_kept_as_it_is(file: JournalFile, tmp_path: Path) -> None:
    """Whoever opens it sets it aside; a backup is not the moment to throw something away."""
    file.path.parent.mkdir()
    file.path.write_bytes(b"junk" * 5000)
    target = tmp_path / "copy"
    target.mkdir()
    assert copy_journal(file.path, target).fault
    assert (target / file.path.name).read_bytes() == b"junk" * 5000


def test_a_link_is_not_followed(file: JournalFile, tmp_path: Path) -> None:
    """Somebody could have root keep any file in that way."""
    file.path.parent.mkdir()
    file.path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        copy_journal(file.path, tmp_path)


def test_a_log_that_is_begun_anew_each_time_is_said(
    file: JournalFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather no copy than one that is not whole; nothing of it is left."""
    journal = filled(file)
    moments = iter(range(1000))
    monkeypatch.setattr(copying, "_moment", lambda _: (next(moments),))
    target = tmp_path / "copy"
    target.mkdir()
    with pytest.raises(LinkError, match="stop the gateway first"):
        copy_journal(file.path, target)
    assert list(target.iterdir()) == []
    journal.close()


def test_the_copy_is_no_larger_than_what_waits(file: JournalFile, tmp_path: Path) -> None:
    """What a long outage took, and was delivered, is not kept."""
    journal = filled(file, blocks=3000)
    journal.trim(5999, [])
    target = tmp_path / "copy"
    target.mkdir()
    copy_journal(file.path, target)
    with closing(sqlite3.connect(target / file.path.name)) as database:
        assert database.execute("SELECT count(*) FROM blocks").fetchone() == (1,)
    assert (target / file.path.name).stat().st_size < 100_000
    journal.close()
