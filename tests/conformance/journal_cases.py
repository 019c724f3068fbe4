"""What is asked of a journal, and what it has to answer.

A case is a list of steps, and says nothing of how a journal is made.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from common.stream.blocks import Block
from common.stream.events import (
    Append,
    Bury,
    DeadLetter,
    Fetch,
    FindLetters,
    JournalBack,
    JournalBlocks,
    JournalFailed,
    KeepJournal,
    KeepSection,
    KeptLetter,
    LettersFound,
    LookUpSection,
    MarkSettled,
    RaiseGeneration,
    SectionFound,
    SectionKept,
    SetLineState,
    Strike,
    Trim,
)
from common.stream.numbers import LINE_STATE_BYTES
from common.wire.messages import Request

REQUEST: Final = Request("c", "", "", "", "", "", 1.0, b"")


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
    """An effect that can't be written: the core gets back what it has to keep in memory."""
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
        Does(SetLineState(bytes(at % 256 for at in range(LINE_STATE_BYTES)))),
        Opens({"line_state": bytes(at % 256 for at in range(LINE_STATE_BYTES)), "next_number": 3}),
        Does(append(block(3))),
        Opens({"line_state": b""}),
    ],
    "mark settled: counts for the next process, though nothing could be written": [
        Does(append(block(1), block(3))),
        Fills(True),
        Does(MarkSettled(9, 40)),
        Does(MarkSettled(5, 50)),
        Fills(False),
        Opens({"settled": 9, "next_number": 9, "last_ts_ms": 50, "spans": (), "gaps": ()}),
    ],
    "mark settled: the timestamp counts also where no number is new": [
        Does(append(block(1), block(3))),
        Fills(True),
        Does(MarkSettled(2, 5000)),
        Fills(False),
        Opens({"settled": 2, "next_number": 5, "last_ts_ms": 5000, "gaps": ()}),
    ],
    "mark settled: no later commit takes it back, and the first append with a base deletes what it settles": [
        Does(append(block(1), block(3), block(5))),
        Fills(True),
        Does(MarkSettled(5, 40)),
        Fills(False),
        Does(SetLineState(b"a")),
        Does(append(block(7), base=1)),
        Opens({"settled": 5, "next_number": 9, "spans": ((9, 8, 7),), "gaps": ()}),
        Fills(True),
        Does(MarkSettled(7, 50)),
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
        Does(LookUpSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
        Does(LookUpSection("u", REQUEST), (SectionFound(REQUEST, None),)),
        Does(append(block(1))),
        Opens({"next_number": 3}),
        Does(LookUpSection("s", REQUEST), (SectionFound(REQUEST, b"{}"),)),
        Does(LookUpSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
    ],
    "sections: one that could not be written is with the first block that names it": [
        Fills(True),
        Keeps("t", b"[]"),
        Does(LookUpSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
        Fills(False),
        Does(append(block(1)._replace(section="t"))),
        Opens({"next_number": 3}),
        fetches(1, block(1)._replace(section="t")),
        Does(LookUpSection("t", REQUEST), (SectionFound(REQUEST, b"[]"),)),
    ],
    "sections: one that comes while the journal is open is known by its name, on a full disk too": [
        Does(KeepSection(b"[1]", REQUEST), (SectionKept(REQUEST, "080a9ed428559ef6", b"[1]"),)),
        Fills(True),
        Does(KeepSection(b"[2]", REQUEST), (SectionKept(REQUEST, "038966de9f6b9a90", b"[2]"),)),
        Fills(False),
        Does(append(block(1)._replace(section="038966de9f6b9a90"))),
        Opens({"next_number": 3}),
        Does(LookUpSection("038966de9f6b9a90", REQUEST), (SectionFound(REQUEST, b"[2]"),)),
    ],
    "look after: nothing is said where nothing is wrong": [
        Does(append(block(1))),
        Does(KeepJournal(False)),
        Does(KeepJournal(True)),
        fetches(1, block(1)),
    ],
}
