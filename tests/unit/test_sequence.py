"""Sets of numbers as ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.backoff import Backoff
from common.core.sequence import Range, add_range, gaps

pairs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda p: (p[0], p[0] + p[1])), max_size=12)


def build(added: list[Range]) -> list[Range]:
    ranges: list[Range] = []
    for first, last in added:
        ranges = add_range(ranges, first, last)
    return ranges


def members(ranges: list[Range]) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


@given(pairs)
def test_the_set_holds_what_was_added(added: list[Range]) -> None:
    """Sorted, disjoint, and never two neighbours that could be one."""
    ranges = build(added)
    assert members(ranges) == members(added)
    assert all(ranges[i][1] + 1 < ranges[i + 1][0] for i in range(len(ranges) - 1))


@given(pairs, st.integers(0, 60), st.integers(0, 60))
def test_gaps_are_what_is_not_in_the_set(added: list[Range], start: int, end: int) -> None:
    """Within start..end, inclusive; nothing where start lies behind end."""
    assert members(gaps(build(added), start, end)) == set(range(start, end + 1)) - members(added)


@pytest.mark.parametrize(
    ("ranges", "found"),
    [([], [(1, 9)]), ([(1, 9)], []), ([(3, 4), (7, 20)], [(1, 2), (5, 6)]), ([(20, 30)], [(1, 9)])],
)
def test_gaps_by_example(ranges: list[Range], found: list[Range]) -> None:
    """Of 1..9."""
    assert gaps(ranges, 1, 9) == found


def test_backoff_doubles_up_to_its_most_and_spreads() -> None:
    """Any number of attempts; the draw spreads each delay by the jitter."""
    backoff = Backoff(0.25, 5.0)
    assert [backoff.delay_s(attempt) for attempt in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert backoff.delay_s(10_000) == 5.0
    assert backoff.delay_s(0, 0.0) == pytest.approx(0.2)
    assert backoff.delay_s(0, 1.0) == pytest.approx(0.3)
