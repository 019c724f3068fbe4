"""What the journal has lost is said once, by number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.core.counters import new_counts
from common.core.sequence import joined, named
from common.io.journal.files import PageSource
from common.io.journal.mark import Mark
from common.io.journal.pages import Pages
from common.io.journal.recovery import Extent, Recovery
from common.io.journal.seals import SCHEMA_VERSION, Meta
from common.stream.counters import SourceCounts
from common.stream.keeping.losses import Losses
from tests.support.journals import told_numbers

RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=30)


@given(st.lists(RANGES, max_size=4))
def test_each_number_is_told_once(rounds):
    """However often, and in whatever runs, it is found to be lost."""
    counters, expected, notes = new_counts(SourceCounts), set(), []
    losses = Losses("d", counters)
    for ranges in rounds:
        runs = joined(n for low, more in ranges for n in range(low, low + more + 1))
        notes += losses.tell(runs, 1)
        expected |= {n for low, high in runs for n in range(low, high + 1)}
    assert told_numbers(notes) == expected
    assert counters["frames_lost"] == sum(note.facts["count"] for note in notes) == len(expected)


def test_a_line_of_the_log_is_bounded():
    """Twenty runs a line; one number is its own name."""
    notes = Losses("d", new_counts(SourceCounts)).tell([(n, n) for n in range(1, 99, 2)], 1)
    assert [len(note.facts["numbers"].split()) for note in notes] == [20, 20, 9]
    assert (named((3, 3)), named((3, 4))) == ("3", "3-4")


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30),
    st.integers(1, 40),
    st.integers(1, 90),
    st.integers(0, 9),
)
def test_every_number_is_settled_or_in_a_block_or_in_a_gap(parts, settled, marked, generation):
    """And none is given out that one of the two had given out."""
    extents, place = [], 1
    for length, is_there in parts:
        if is_there:
            extents.append(Extent(place, length, 10, 0))
        place += length
    meta = Meta(SCHEMA_VERSION, "j", "d", 4, place, 7, 1)
    state = Recovery(meta, Mark("j", 0, generation, marked, settled, 9), "j").state(extents, {1: 1, 80: 1})
    assert state.next_number >= max(place, marked)
    assert state.generation > max(generation, 4)
    assert state.settled == settled
    there = {n for e in extents for n in range(e.first, e.first + e.length)}
    gone = {n for low, high in state.gaps for n in range(low, high + 1)}
    assert gone == {n for n in range(settled, state.next_number) if n not in there}
    assert state.strikes == {number: 1 for number in (1, 80) if number >= settled}


@given(st.binary(max_size=9000), st.binary(max_size=9000))
def test_junk_has_no_rows_worth_a_crash(file, log):
    """Whatever bytes stand in the place of a journal and its log, reading them ends."""
    head = b"SQLite format 3\0" + bytes(84) + b"\x0d\0\0\0\x40"

    def reader(data):
        return lambda size, place: data[max(0, place) : max(0, place) + size]

    for junk in (file, head + file * 2):
        pages = Pages(PageSource(reader(junk), len(junk), reader(log), len(log)))
        assert all(isinstance(row_id, int) for row_id, _ in pages.rows())
        assert pages.version >= 0
