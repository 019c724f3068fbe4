"""Journals on a real disk, as a killed process leaves them, damaged in all ways; and what becomes of each number."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args
from unittest.mock import patch

from common.config.models import Device
from common.io.journal import files
from common.io.journal import journal as journals
from common.io.journal.files import LARGE_PAGE_BYTES, PAGE_BYTES, JournalFile
from common.io.journal.journal import Journal
from common.io.journal.opening import open_journal
from common.io.journal.places import file_name
from common.io.journal.store import Store
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter, FindLetters, JournalEffect
from common.stream.limits import Limits
from common.stream.numbers import StreamState
from common.wire import codec
from common.wire.calls import MOST_ID
from common.wire.messages import Entry, FrameBody, Request
from tests.support.port_reader_rig import SECTION, Rig, frames_of

WIDE: Final = Limits()
NARROW: Final = Limits(window_frames=64, window_bytes=16_384)
"""Little of what waits is in memory."""
PAGE_SIZES: Final = (PAGE_BYTES, LARGE_PAGE_BYTES)
"""What a page of a journal has: of ours, and of one that an earlier release has made."""
ENDINGS: Final = ("", "-wal", "-shm", ".mark")
"""The files of a journal."""
QUIET: Final = logging.getLogger("tests.support.journals")
QUIET.propagate = False
QUIET.addHandler(logging.NullHandler())


def read_journal(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a journal says that somebody may have open, who lets nobody in: a copy is asked, and another one where that
    was made in the middle of a commit."""
    for _ in range(9):
        try:
            return _read_copy(path, sql)
        except sqlite3.DatabaseError:
            pass
    return _read_copy(path, sql)


def _read_copy(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "journal"
        for ending in ("", "-wal"):
            if Path(f"{path}{ending}").exists():
                shutil.copy(f"{path}{ending}", f"{copy}{ending}")
        with closing(sqlite3.connect(copy)) as database:
            return database.execute(sql).fetchall()


@contextmanager
def made_with_pages(size: int) -> Iterator[None]:
    """Journals that are made meanwhile have pages of this size, and are left so: as a release made them that knew no
    other."""
    with patch.object(files, "PAGE_BYTES", size), patch.object(journals, "PAGE_BYTES", size):
        yield


def page_bytes(path: Path) -> int:
    """What a page of a journal has, as its file says."""
    return int.from_bytes(path.read_bytes()[16:18], "big")


def frame_of(device: str, number: int, size: int = 0) -> bytes:
    """What a device says as its n-th."""
    return f"{device}:{number}:".encode() + b"x" * size


def write_journal(path: Path, device: str, commits: int, draw: random.Random, *, settled: int = 1) -> Journal:
    """A journal in which so many commits of one to six frames wait, and one dead letter."""
    journal = open_journal(JournalFile(path, device, f"id{device}"), "x").journal
    journal.put_section("s", b"{}")
    append_commits(journal, device, commits, draw)
    journal.bury([DeadLetter(0, 1, "why", b"dead")])
    if settled > 1:
        journal.trim(settled, [])
    return journal


def append_commits(journal: Journal, device: str, commits: int, draw: random.Random) -> None:
    """Adds them behind what is there."""
    number = max(journal.state.next_number, journal.marked.next_number if journal.marked else 1)
    for _ in range(commits):
        count = draw.randrange(1, 7)
        frames = [frame_of(device, n, draw.choice([0, 30, 900])) for n in range(number, number + count)]
        body = codec.pack_frames(FrameBody(list(range(number, number + count)), frames, []))
        block = Block(number, count, Entry.FRAMES, "s", body, number)
        number += count
        journal.append(Append([block], number, number, 1, b""))


def letters_in(journal: Journal) -> list[DeadLetter]:
    """The dead letters that a journal keeps, oldest first, as whoever lists them finds them."""
    request = Request("c", "", "", "", "", "", 1.0, b"")
    found = journal.find_letters(FindLetters(request, 0, MOST_ID, 10**6, 10**9, newest_first=False))
    return [DeadLetter(*letter[1:]) for letter in found]


def snapshot(path: Path) -> dict[str, bytes]:
    """Its files as they are on the disk now: what kill -9 leaves."""
    return {ending: part.read_bytes() for ending in ENDINGS if (part := Path(f"{path}{ending}")).exists()}


def restore(path: Path, files: dict[str, bytes]) -> None:
    """These files, and no others of the journal."""
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    for ending, data in files.items():
        Path(f"{path}{ending}").write_bytes(data)


class DiskJournal:
    """The real journal where `tests.support.port_reader_rig.Rig` has a fake."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self.state = StreamState("", 0)
        self.damage = ""

    def open(self) -> StreamState:
        opening = open_journal(self.file, "x")
        self.journal, self.state, self.damage = opening.journal, opening.journal.state, opening.damage
        self.journal.put_section(SECTION, b"{}")
        self.store = Store(self.file.device, self.journal, QUIET)
        return self.state

    def perform(self, effect: Any) -> list[Any] | None:
        return list(self.store.perform(effect)) if isinstance(effect, get_args(JournalEffect)) else None


class Account(NamedTuple):
    """What became of the numbers of one journal."""

    arrived: dict[int, bytes]
    """Number -> the frame that was sent under it."""
    dead: set[int]
    """Sent as being lost."""
    told: set[int]
    """Said in the log to be lost."""
    next_number: int
    """The first that was not given out."""
    damage: str
    faults: list[str]
    letters: list[DeadLetter]


def account_for(
    path: Path, device: str, *, between: Callable[[Rig], None] = lambda _: None, limits: Limits = WIDE
) -> Account:
    """Opens a journal, sends all that it has to a publisher that takes everything, and keeps the books. `between`
    happens when it has been opened, before anything is sent."""
    journal = DiskJournal(JournalFile(path, device, "new", section=("s", b"{}")))
    rig = Rig(Device(name=device), journal, has_port=False, limits=limits)  # type: ignore[arg-type]
    next_number = journal.state.next_number
    between(rig)
    arrived: dict[int, bytes] = {}
    dead: set[int] = set()
    rig.beat()
    for _ in range(10_000):
        if rig.exit is not None:
            break
        batches, rig.batches = rig.batches, []
        for batch in batches:
            for number, frame in enumerate(frames_of(batch), batch.first):
                if batch.kind == Entry.DEAD:
                    dead.add(number)
                elif number < next_number:
                    known = arrived.setdefault(number, frame)
                    assert known == frame, f"{number} came as {known!r} and as {frame!r}"
        end = max((batch.first + batch.length for batch in batches), default=0)
        if end:
            reasons = [(number, "the journal has lost it") for number in sorted(dead) if number < end]
            rig.report(end, journal=journal.state.journal, dead=reasons[-4096:])
        rig.wait(0.1)
    letters = letters_in(journal.journal)
    journal.journal.close()
    assert rig.exit == 0, f"not all of {device} was sent: {rig.uplink.backlog} wait"  # type: ignore[attr-defined]
    faults = journal.journal.faults
    return Account(arrived, dead, told_numbers(rig.notes), next_number, journal.damage, faults, letters)


def told_numbers(notes: list[Any]) -> set[int]:
    """Which numbers a reader has said to be lost."""
    told: set[int] = set()
    for note in notes:
        if note.event == "journal.lost":
            for part in note.facts["numbers"].split():
                low, _, high = part.partition("-")
                told |= set(range(int(low), int(high or low) + 1))
    return told


def journal_path(folder: Path, device: str) -> Path:
    return folder / file_name(device)


# Damage.


def flip_bits(data: bytes, count: int, draw: random.Random) -> bytes:
    """The same with some bits wrong."""
    changed = bytearray(data)
    for _ in range(count if data else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, draw: random.Random) -> bytes:
    """A stretch that was never written."""
    start = draw.randrange(len(data) + 1)
    end = min(len(data), start + draw.choice([1, 512, 4096, 40_000]))
    return data[:start] + bytes(end - start) + data[end:]


DAMAGES: Final[dict[str, Callable[[bytes, random.Random], bytes | None]]] = {
    "one bit flipped": lambda data, draw: flip_bits(data, 1, draw),
    "twenty bits flipped": lambda data, draw: flip_bits(data, 20, draw),
    "truncated": lambda data, draw: data[: draw.randrange(len(data) + 1)],
    "deleted": lambda _data, _draw: None,
    "emptied": lambda _data, _draw: b"",
    "zeroes": _zeroed,
}
"""What becomes of a file's bytes; None: it is gone."""
