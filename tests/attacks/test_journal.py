"""Journals damaged at rest, with a backlog waiting: each number arrives as it was written, or is told as lost."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from common.io.journal.files import JournalError, JournalFile
from common.io.journal.opening import open_journal
from common.stream.events import KeepJournal
from tests.support.journals import (
    DAMAGES,
    ENDINGS,
    NARROW,
    PAGE_SIZES,
    Account,
    account_for,
    append_commits,
    frame_of,
    journal_path,
    made_with_pages,
    restore,
    snapshot,
    write_journal,
)
from tests.support.port_reader_rig import Rig

DEVICE = "press0"
COMMITS = 600
SEEDS = range(2)


def _check(account: Account, end: int) -> set[int]:
    """The numbers 1..end that are lost, when each was accounted for."""
    everyone = set(range(1, end))
    told = account.told
    wrong = {n: frame for n, frame in account.arrived.items() if not frame.startswith(frame_of(DEVICE, n))}
    assert wrong == {}
    assert everyone <= account.arrived.keys() | told, f"neither arrived nor told: {sorted(everyone - told)[:9]}"
    assert not account.arrived.keys() & account.dead
    assert told >= account.dead & everyone
    assert account.next_number >= end, "numbers are given out again"
    return told & everyone


class Files:
    """What a killed reader left: written in part into its file, the rest in its log; how it was earlier; another's."""

    def __init__(self, folder: Path, seed: int, pages: int, *, in_file: bool) -> None:
        with made_with_pages(pages):
            self._make(folder, seed, in_file=in_file)

    def _make(self, folder: Path, seed: int, *, in_file: bool) -> None:
        draw = random.Random(seed)
        self.path = journal_path(folder, DEVICE)
        journal = write_journal(self.path, DEVICE, COMMITS // 2, draw)
        self.older = snapshot(self.path)
        if in_file:
            journal.checkpoint()
        append_commits(journal, DEVICE, COMMITS // 2, draw)
        assert journal.marked is not None
        self.end = journal.marked.next_number
        self.now = snapshot(self.path)
        journal.close()
        other = write_journal(journal_path(folder, "press1"), "press1", COMMITS, draw)
        self.others = snapshot(other.path)
        other.close()


@pytest.fixture(
    scope="module",
    params=itertools.product(PAGE_SIZES, [False, True]),
    ids=[f"{place}, {size}" for size in PAGE_SIZES for place in ("in its log", "half in its file")],
)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    pages, in_file = request.param
    return Files(tmp_path_factory.mktemp("journals"), 7, pages, in_file=in_file)


def test_a_killed_reader_lost_nothing(files: Files) -> None:
    """The measure: what is not damaged is all there, and nothing is said."""
    restore(files.path, files.now)
    account = account_for(files.path, DEVICE)
    assert _check(account, files.end) == set()
    assert (account.damage, account.faults, [letter.data for letter in account.letters]) == ("", [], [b"dead"])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_told(files: Files, ending: str, damage: str, seed: int) -> None:
    """Any file, damaged in any way: nothing wrong is sent, nothing vanishes without its number being said."""
    draw = random.Random(f"{ending} {damage} {seed}")
    changed = {**files.now, "-shm": draw.randbytes(32_768)}
    data = DAMAGES[damage](changed[ending], draw)
    restore(files.path, {name: part for name, part in {**changed, ending: data}.items() if part is not None})
    lost = _check(account_for(files.path, DEVICE), files.end)
    if ending in ("-shm", ".mark"):
        assert lost == set(), "the journal itself is whole"
    elif damage == "one bit flipped":
        assert len(lost) < 200, "one bit costs what stands beside it"


@pytest.mark.parametrize("whose", ["older", "others"])
@pytest.mark.parametrize("ending", [("",), ("-wal",), (".mark",), ("", "-wal"), ("", "-wal", ".mark")])
def test_replaced_files_are_told(files: Files, ending: tuple[str, ...], whose: str) -> None:
    """An older copy of a file, or another device's: what is missing is told, and nothing of the other's is sent."""
    source = files.older if whose == "older" else files.others
    restore(files.path, {**files.now, **{name: source[name] for name in ending}})
    account = account_for(files.path, DEVICE)
    if ".mark" in ending and len(ending) > 1:
        # Nobody knows better any more; what is sent is right all the same.
        assert all(frame.startswith(frame_of(DEVICE, number)) for number, frame in account.arrived.items())
        return
    _check(account, files.end)


def test_all_of_it_deleted_but_the_mark(files: Files) -> None:
    """A deleted journal is lost, by number; the new one goes on behind it."""
    restore(files.path, {".mark": files.now[".mark"]})
    account = account_for(files.path, DEVICE)
    assert account.told == set(range(1, files.end))
    assert "gone" in account.damage


# While it is open.


@pytest.mark.parametrize("way", ["in place", "replaced"])
@pytest.mark.parametrize("ending", ["", "-wal", ".mark"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_an_open_journal_is_told(files: Files, ending: str, damage: str, way: str) -> None:
    """The same under a process that has it open, and little of it in memory: it goes on."""
    draw = random.Random(f"{ending} {damage} {way}")
    restore(files.path, files.now)
    path = Path(f"{files.path}{ending}")

    def hurt(rig: Rig) -> None:
        if not path.exists():
            return
        data = DAMAGES[damage](path.read_bytes(), draw)
        if data is None or way == "replaced":
            path.unlink()
        if data is not None:
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(data)
                file.truncate()
        rig.give_disk(KeepJournal(True))

    _check(account_for(files.path, DEVICE, between=hurt, limits=NARROW), files.end)
    again = account_for(files.path, DEVICE)
    assert again.told == set(), "it was told, and sent, already"


def test_deleted_under_a_process_that_has_it_open(files: Files) -> None:
    """What was deleted, and is open, is whole: it is put back, and nothing is lost."""
    restore(files.path, files.now)

    def delete(rig: Rig) -> None:
        for part in files.path.parent.glob(f"{files.path.name}*"):
            part.unlink()
        rig.give_disk(KeepJournal(False))
        assert files.path.exists()

    account = account_for(files.path, DEVICE, between=delete, limits=NARROW)
    assert _check(account, files.end) == set()
    assert [letter.data for letter in account.letters] == [b"dead"]


def test_what_waits_for_long_is_in_the_file(files: Files) -> None:
    """Where the log is gone then, nothing is."""
    restore(files.path, files.now)
    journal = open_journal(JournalFile(files.path, DEVICE, "new"), "x").journal
    journal.checkpoint()
    left = snapshot(files.path)
    journal.close()
    del left["-wal"]
    restore(files.path, left)
    assert _check(account_for(files.path, DEVICE), files.end) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a disk of its own")
def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """A journal that can't be written is read and sent all the same, each time under a generation of its own; what
    comes meanwhile is journaled when there is room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(tmp_path)], check=True)
    try:
        file = JournalFile(journal_path(tmp_path, DEVICE), DEVICE, "new")
        journal = write_journal(file.path, DEVICE, 50, random.Random(1))
        assert journal.marked is not None
        end = journal.marked.next_number
        left = snapshot(file.path)
        journal.close()
        restore(file.path, left)
        with (tmp_path / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))
        generations = []
        for _ in range(3):
            journal = open_journal(file, "x").journal
            generations.append(journal.state.generation)
            assert (journal.state.journal, journal.state.next_number, journal.state.gaps) == (f"id{DEVICE}", end, ())
            assert journal.faults == []
            assert journal.fetch(1, 10**6, 10**9)[-1].end == end
            with pytest.raises(JournalError, match="full"):
                append_commits(journal, DEVICE, 1, random.Random(2))
            journal.abandon()
        assert generations == sorted(set(generations))
        journal = open_journal(file, "x").journal
        journal.put_section("t", b"[]")
        (tmp_path / "filler").unlink()
        append_commits(journal, DEVICE, 1, random.Random(2))
        journal.close()
        journal = open_journal(file, "x").journal
        assert journal.state.generation == generations[-1] + 2
        assert (journal.section("t"), journal.state.gaps, journal.faults) == (b"[]", (), [])
        assert journal.state.next_number > end
        journal.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
