"""What everybody who keeps a journal for a core has to do alike: the real one, and those that stand in for it in tests.

A case is a list of steps, and says nothing of how a journal is made. So each stand-in answers what the disk would, and
a core that is tested on one of them meets no surprise on the other. The real journal is here twice: closed by its
process, and left behind by one that was killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import pytest

from common.io.journal.files import JournalFile
from common.io.journal.opening import open_journal
from common.io.journal.store import Store
from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    DeadLetter,
    Fetch,
    FindLetters,
    FindSection,
    JournalBack,
    JournalBlocks,
    JournalFailed,
    KeepJournal,
    KeptLetter,
    LettersFound,
    MarkSettled,
    RaiseGeneration,
    SectionFound,
    SetLineState,
    Strike,
    Trim,
)
from common.stream.numbers import LINE_STATE_BYTES, StreamState
from common.wire.messages import Request
from tests.simulation.reader import Disk
from tests.support.fake_journal import FakeJournal
from tests.support.journals import QUIET

REQUEST: Final = Request("c", "", "", "", "", "", 1.0, b"")


# Who keeps a journal.


class Keeper(Protocol):
    """One journal, whatever it is made of."""

    def open(self) -> StreamState:
        """A process opens it; the one before is gone."""

    def perform(self, effect: Any) -> list[Any]:
        """Carries out one effect; the events that follow."""

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section."""

    def set_full(self, is_full: bool) -> None:
        """Whether nothing can be written."""


class OnDisk:
    """The real journal, in a folder."""

    def __init__(self, folder: Path, is_killed: bool) -> None:
        self._file = JournalFile(folder / "j", "press 1", "j")
        self._is_killed = is_killed
        self._store: Store | None = None

    def open(self) -> StreamState:
        if self._store is not None:
            if self._is_killed:
                self._journal.abandon()
            else:
                self._journal.close()
        opening = open_journal(self._file, "x")
        assert (opening.aside, opening.damage, opening.journal.faults) == (None, "", [])
        self._journal = opening.journal
        self._store = Store("press 1", self._journal, QUIET)
        return self._journal.state

    def perform(self, effect: Any) -> list[Any]:
        assert self._store is not None
        return list(self._store.perform(effect))

    def put_section(self, section_hash: str, section: bytes) -> None:
        self._journal.put_section(section_hash, section)

    def set_full(self, is_full: bool) -> None:
        connection: sqlite3.Connection = self._journal._database.connection
        connection.execute(f"PRAGMA query_only = {int(is_full)}")


class InMemory:
    """A stand-in, with a disk of its own."""

    def __init__(self, journal: FakeJournal) -> None:
        self._journal = journal

    def open(self) -> StreamState:
        return self._journal.open()

    def perform(self, effect: Any) -> list[Any]:
        events = self._journal.perform(effect)
        assert events is not None, f"{effect} is for the journal"
        return events

    def put_section(self, section_hash: str, section: bytes) -> None:
        self._journal.put_section(section_hash, section)

    def set_full(self, is_full: bool) -> None:
        self._journal.is_full = is_full


KEEPERS: Final[dict[str, Callable[[Path], Keeper]]] = {
    "on disk, closed": lambda folder: OnDisk(folder, is_killed=False),
    "on disk, killed": lambda folder: OnDisk(folder, is_killed=True),
    "under one core": lambda _: InMemory(FakeJournal()),
    "in the simulation": lambda _: InMemory(Disk("j")),
}


# What is asked of it.


class Does(NamedTuple):
    """An effect, and the events that have to follow. Why something failed is everybody's own affair."""

    effect: Any
    events: tuple[Any, ...] = ()


class Opens(NamedTuple):
    """The next process opens it, and finds this. What a case does not say of the state is not its subject."""

    state: dict[str, Any]


class Keeps(NamedTuple):
    """A section is given to it."""

    section_hash: str
    section: bytes


class Fills(NamedTuple):
    """The disk becomes full, or has room again."""

    is_full: bool


Step = Does | Opens | Keeps | Fills


def block(first: int, length: int = 2, size: int = 4, origin: str = "") -> Block:
    """A block whose body says where it begins."""
    return Block(first, length, 0, "s", bytes([first]) * size, 7, origin)


def append(*blocks: Block, base: int = 1, line_state: bytes = b"", revived: tuple[int, ...] = ()) -> Append:
    """A commit of these blocks, the last of which ends the stream so far."""
    return Append(list(blocks), blocks[-1].end, 70 + blocks[-1].end, base, line_state, revived=revived)


def again(effect: Append) -> Append:
    """The same, tried again after it failed."""
    return msgspec.structs.replace(effect, is_retry=True)


def fetches(first: int, *blocks: Block, max_frames: int = 100, max_bytes: int = 10_000) -> Does:
    """From `first` on these are found."""
    return Does(Fetch(first, max_frames, max_bytes), (JournalBlocks(list(blocks)),))


def letter(number: int, size: int = 1) -> DeadLetter:
    """A dead letter whose data says its number."""
    return DeadLetter(number, 5, "why", bytes([number]) * size, "temperature" if number % 2 else "")


def finds(
    total: tuple[int, int],
    *letters: KeptLetter,
    after: int = 0,
    before: int = 99,
    most: int = 99,
    most_bytes: int = 10_000,
    newest_first: bool = False,
) -> Does:
    """These dead letters are found; `total` is (count, bytes) of all that are kept."""
    asked = FindLetters(REQUEST, after, before, most, most_bytes, newest_first)
    return Does(asked, (LettersFound(REQUEST, list(letters), *total),))


def kept(letter_id: int, number: int, size: int = 1) -> KeptLetter:
    """The letter as it is found."""
    return KeptLetter(letter_id, *letter(number, size))


def fails(effect: Any) -> Does:
    """It can't be written: the core gets back what it has to keep in memory."""
    blocks, dead = getattr(effect, "blocks", []), getattr(effect, "dead", [])
    return Does(effect, (JournalFailed("", blocks, dead),))


CASES: Final[dict[str, list[Step]]] = {
    "a new journal begins at 1, one generation further each time": [
        fetches(1),
        finds((0, 0)),
        Opens({"journal": "j", "generation": 2, "next_number": 1, "last_ts_ms": 0, "settled": 1, "spans": ()}),
        Opens({"generation": 3, "strikes": {}, "line_state": b"", "gaps": ()}),
    ],
    "append: blocks, and the stream's state with them": [
        Does(append(block(1), block(3))),
        fetches(1, block(1), block(3)),
        Opens({"next_number": 5, "last_ts_ms": 75, "settled": 1, "spans": ((5, 8, 7),), "gaps": ()}),
        Does(append(block(5))),
        Opens({"next_number": 7, "last_ts_ms": 77, "spans": ((7, 12, 7),)}),
        fetches(1, block(1), block(3), block(5)),
    ],
    "append: what is below its base may go, and the base never falls": [
        Does(append(block(1), block(3))),
        Does(append(block(5), base=5)),
        fetches(1, block(5)),
        Does(append(block(7), base=2)),
        Opens({"settled": 5, "next_number": 9, "spans": ((9, 8, 7),)}),
    ],
    "append: a block keeps its origin": [
        Does(append(block(1, origin="temperature"), block(3))),
        Opens({"next_number": 5}),
        fetches(1, block(1, origin="temperature"), block(3)),
    ],
    "append: numbers that were never written are gaps": [
        Does(append(block(1))),
        Does(append(block(5))),
        Opens({"next_number": 7, "gaps": ((3, 4),)}),
        fetches(3, block(5)),
    ],
    "append: revived letters leave with it, and their ids are never used again": [
        Does(Bury([letter(1), letter(2)])),
        Does(append(block(3), revived=(2, 9))),
        finds((1, 1), kept(1, 1)),
        Does(append(block(5), revived=(1,))),
        Does(Bury([letter(3)])),
        Opens({"next_number": 7}),
        finds((1, 1), kept(3, 3)),
    ],
    "trim: whole blocks go, and one that is settled in part stays": [
        Does(append(block(1), block(3), block(5))),
        Does(Trim(4, [])),
        fetches(1, block(3), block(5)),
        Opens({"settled": 4, "next_number": 7, "spans": ((7, 8, 7),), "gaps": ()}),
        Does(Trim(2, [])),
        Opens({"settled": 4}),
        Does(Trim(7, [])),
        fetches(1),
        Opens({"settled": 7, "next_number": 7, "last_ts_ms": 77, "spans": ()}),
    ],
    "trim: dead letters are kept in the same commit": [
        Does(append(block(1))),
        Does(Trim(3, [letter(1), letter(2)])),
        Opens({"settled": 3}),
        finds((2, 2), kept(1, 1), kept(2, 2)),
    ],
    "trim: what is settled was given out, though it was never written": [
        Does(append(block(1))),
        Does(Trim(7, [])),
        Opens({"settled": 7, "next_number": 7, "gaps": ()}),
    ],
    "bury: found in pages from either end": [
        Does(Bury([letter(number, number) for number in range(1, 4)])),
        Does(Bury([letter(number, number) for number in range(4, 6)])),
        finds((5, 15), kept(2, 2, 2), kept(3, 3, 3), kept(4, 4, 4), after=1, before=5),
        finds((5, 15), kept(5, 5, 5), kept(4, 4, 4), most=2, newest_first=True),
        finds((5, 15), kept(1, 1, 1), kept(2, 2, 2), most_bytes=3),
        finds((5, 15), kept(5, 5, 5), most_bytes=1, newest_first=True),
        finds((5, 15), after=5),
        Opens({"next_number": 1}),
        finds((5, 15), kept(5, 5, 5), after=4),
    ],
    "fetch: from the block that holds the number on, at least one, and no more than it takes": [
        Does(append(*(block(first) for first in range(1, 21, 2)))),
        fetches(4, block(3), block(5), max_frames=3),
        fetches(4, block(3), block(5), max_frames=4),
        fetches(4, block(3), max_bytes=1),
        fetches(4, block(3), block(5), max_bytes=5),
        fetches(3, block(3), max_frames=1, max_bytes=1),
        fetches(19, block(19)),
        fetches(21),
    ],
    "strike: the last word on each number, as long as it waits": [
        Does(append(block(1), block(3))),
        Does(Strike({1: 0, 4: 1})),
        Does(Strike({4: 2})),
        Opens({"strikes": {1: 0, 4: 2}}),
        Does(Trim(3, [])),
        Opens({"strikes": {4: 2}}),
        Does(append(block(5), base=5)),
        Opens({"strikes": {}}),
    ],
    "line state: with an append and without, whatever it says": [
        Does(append(block(1), line_state=b"\0\xff")),
        Opens({"line_state": b"\0\xff"}),
        Does(SetLineState(bytes(range(LINE_STATE_BYTES)))),
        Opens({"line_state": bytes(range(LINE_STATE_BYTES)), "next_number": 3}),
        Does(append(block(3))),
        Opens({"line_state": b""}),
    ],
    "mark settled: counts for the next process, though nothing could be written": [
        Does(append(block(1), block(3))),
        Fills(True),
        Does(MarkSettled(9)),
        Does(MarkSettled(5)),
        Fills(False),
        Opens({"settled": 9, "next_number": 9, "spans": (), "gaps": ()}),
    ],
    "mark settled: no later commit takes it back, and the first append with a base deletes what it settles": [
        Does(append(block(1), block(3), block(5))),
        Fills(True),
        Does(MarkSettled(5)),
        Fills(False),
        Does(SetLineState(b"a")),
        Does(append(block(7), base=1)),
        Opens({"settled": 5, "next_number": 9, "spans": ((9, 8, 7),), "gaps": ()}),
        Fills(True),
        Does(MarkSettled(7)),
        Fills(False),
        Does(append(block(9), base=7)),
        fetches(1, block(7), block(9)),
        Opens({"settled": 7, "next_number": 11, "spans": ((11, 8, 7),), "gaps": ()}),
    ],
    "raise generation: the next opening is above it, and never lower": [
        Does(RaiseGeneration(9)),
        Opens({"generation": 10}),
        Does(RaiseGeneration(3)),
        Opens({"generation": 11}),
    ],
    "failure: nothing has changed, and it can be read": [
        Does(append(block(1), line_state=b"a")),
        Does(Bury([letter(1)])),
        Does(Strike({1: 1})),
        Fills(True),
        fails(append(block(3), line_state=b"b", revived=(1,))),
        fails(Trim(3, [letter(2)])),
        fails(Bury([letter(3)])),
        fails(SetLineState(b"c")),
        fails(Strike({2: 2})),
        fails(RaiseGeneration(9)),
        fetches(1, block(1)),
        finds((1, 1), kept(1, 1)),
        Does(KeepJournal(False)),
        Fills(False),
        finds((1, 1), kept(1, 1)),
        Opens({"generation": 2, "next_number": 3, "settled": 1, "line_state": b"a", "strikes": {1: 1}}),
        fetches(1, block(1)),
    ],
    "retry: what was held is written at once, and said to be": [
        Does(append(block(1))),
        Fills(True),
        fails(append(block(3))),
        fails(again(append(block(3), block(5)))),
        Fills(False),
        Does(again(append(block(3), block(5))), (JournalBack(7),)),
        Does(append(block(7))),
        fetches(1, block(1), block(3), block(5), block(7)),
        Opens({"next_number": 9, "gaps": ()}),
    ],
    "sections: found by their hash, also by the next process": [
        Keeps("t", b"[]"),
        Does(FindSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
        Does(FindSection("u", REQUEST), (SectionFound(REQUEST, None),)),
        Does(append(block(1))),
        Opens({"next_number": 3}),
        Does(FindSection("s", REQUEST), (SectionFound(REQUEST, b"{}"),)),
        Does(FindSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
    ],
    "sections: one that could not be written is with the first block that names it": [
        Fills(True),
        Keeps("t", b"[]"),
        Does(FindSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
        Fills(False),
        Does(append(block(1)._replace(section="t"))),
        Opens({"next_number": 3}),
        fetches(1, block(1)._replace(section="t")),
        Does(FindSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
    ],
    "look after: nothing is said where nothing is wrong": [
        Does(append(block(1))),
        Does(KeepJournal(False)),
        Does(KeepJournal(True)),
        fetches(1, block(1)),
    ],
}


@contextmanager
def at(number: int, step: Step) -> Iterator[None]:
    """Says which step of a case it is that does not hold."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"step {number}: {step}")
        raise


def take(keeper: Keeper, step: Step) -> None:
    """Takes one step, and sees that what follows is what has to."""
    match step:
        case Does(effect, events):
            found = [
                msgspec.structs.replace(event, reason="") if isinstance(event, JournalFailed) else event
                for event in keeper.perform(effect)
            ]
            assert found == list(events)
        case Opens(state):
            opened = keeper.open()
            assert {name: getattr(opened, name) for name in state} == state
        case Keeps(section_hash, section):
            keeper.put_section(section_hash, section)
        case Fills(is_full):
            keeper.set_full(is_full)


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
@pytest.mark.parametrize("keeper", KEEPERS)
def test_everybody_keeps_a_journal_alike(keeper: str, steps: list[Step], tmp_path: Path) -> None:
    """Each effect is followed by the same events, and each opening finds the same state."""
    journal = KEEPERS[keeper](tmp_path)
    journal.open()
    journal.put_section("s", b"{}")
    for number, step in enumerate(steps, 1):
        with at(number, step):
            take(journal, step)
