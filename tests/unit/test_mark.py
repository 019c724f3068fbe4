"""The mark beside a journal: what is read is what was written, or nothing."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from common.io.journal.mark import SECTOR_BYTES, Mark, MarkFile, pack_mark, parse_mark

NUMBERS = st.integers(0, 2**62)
WORDS = st.text("0123456789abcdef", min_size=1, max_size=12)
MARKS = st.builds(Mark, WORDS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)


def _file(*slots: bytes) -> bytes:
    return b"".join(slot.ljust(SECTOR_BYTES, b"\0") for slot in slots)


@given(MARKS, MARKS)
def test_the_newer_slot_counts(older: Mark, newer: Mark) -> None:
    """Wherever it stands."""
    assert parse_mark(_file(pack_mark(older, 4), pack_mark(newer, 5))) == (newer, 5)
    assert parse_mark(_file(pack_mark(newer, 5), pack_mark(older, 4))) == (newer, 5)


@given(MARKS, MARKS, st.integers(0, SECTOR_BYTES))
def test_a_torn_slot_leaves_the_other(older: Mark, newer: Mark, written: int) -> None:
    """A write that ended in its middle is no mark; the one before it is."""
    before, slot = _file(pack_mark(older, 1), pack_mark(older, 2)), _file(pack_mark(newer, 3))
    torn = slot[:written] + before[written:]
    assert parse_mark(torn) in ((older, 2), (newer, 3))


@given(MARKS, st.data())
def test_flipped_bits_are_no_mark(mark: Mark, data: st.DataObject) -> None:
    """Up to three wrong bits a slot are always noticed; nothing raises."""
    slot = bytearray(pack_mark(mark, 7))
    for place in data.draw(st.sets(st.integers(0, len(slot) * 8 - 1), min_size=1, max_size=3)):
        slot[place // 8] ^= 1 << place % 8
    assert parse_mark(_file(bytes(slot))) is None
    assert parse_mark(_file(bytes(slot), pack_mark(mark, 6))) == (mark, 6)


@given(st.binary(max_size=2 * SECTOR_BYTES))
def test_junk_is_no_mark(data: bytes) -> None:
    """Of any length."""
    assert parse_mark(data) is None


def test_a_mark_is_kept_and_comes_back(tmp_path) -> None:
    """The last one written is the one that is read; a missing file is made by `renew` only."""
    marks = MarkFile(tmp_path / "j")
    assert (marks.mark, marks.fault, marks.is_there) == (None, "", False)
    for number in range(1, 6):
        mark = Mark("id", 1, 2, number, 1, 9)
        assert marks.renew(mark) if number == 1 else marks.write(mark) is None
        assert MarkFile(tmp_path / "j").mark == mark
    assert marks.path.stat().st_size == 2 * SECTOR_BYTES
    assert marks.check()
    marks.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_mark_that_is_gone_or_damaged_is_made_anew(tmp_path) -> None:
    """While it is open: deleted, replaced, overwritten."""
    marks = MarkFile(tmp_path / "j")
    mark = Mark("id", 1, 2, 3, 1, 9)
    marks.renew(mark)
    for hurt in (os.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x" * 1024)):
        hurt(marks.path)
        assert not marks.check()
        assert MarkFile(tmp_path / "j").mark == mark
        assert marks.check()


def test_a_mark_is_no_link(tmp_path) -> None:
    """Nobody's file is written over."""
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "j.mark").symlink_to(tmp_path / "victim")
    marks = MarkFile(tmp_path / "j")
    assert not marks.renew(Mark("id", 1, 2, 3, 1, 9))
    assert (tmp_path / "victim").read_bytes() == b"mine"
