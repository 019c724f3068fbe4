"""Each rule of resting, without a poller and without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.io.rests import Rests


def test_a_rest_ends_when_its_time_is_over() -> None:
    """Not before; and nobody wakes up for who does not rest."""
    rests: Rests[str] = Rests()
    assert (rests.next_end_s, bool(rests)) == (None, False)
    rests.begin("line", 5.0)
    rests.begin("reports", 3.0)
    assert rests.next_end_s == 3.0
    assert rests.end(2.9) == []
    assert rests.end(3.0) == ["reports"]
    assert ("line" in rests, "reports" in rests) == (True, False)


def test_a_timer_hears_who_rests_and_lets_them_rest_on() -> None:
    """Sources are drained before timers fire; afterwards the rest goes on to its own end."""
    rests: Rests[str] = Rests()
    rests.begin("reports", 9.0)
    assert rests.end(1.0, is_due=True) == ["reports"]
    assert (rests.has_heard, "reports" in rests) == (True, False)
    assert list(rests.go_on()) == ["reports"]
    assert (rests.has_heard, rests.next_end_s) == (False, 9.0)


def test_a_deep_rest_is_not_broken_by_a_timer() -> None:
    """Its silence must not be taken for news."""
    rests: Rests[str] = Rests()
    rests.begin("line", 9.0, deep=True)
    assert rests.end(1.0, is_due=True) == []
    assert rests.end(9.0, is_due=True) == ["line"]
    rests.begin("line", 12.0)
    assert rests.end(10.0, is_due=True) == ["line"], "the next rest is not deep any more"


def test_a_new_rest_takes_the_place_of_the_old_one() -> None:
    """Also of one that a timer has broken: it is the new end that counts."""
    rests: Rests[str] = Rests()
    rests.begin("reports", 9.0)
    rests.end(1.0, is_due=True)
    rests.begin("reports", 2.0)
    assert list(rests.go_on()) == []
    assert rests.end(2.0) == ["reports"]


def test_who_is_gone_never_rests_on() -> None:
    """A descriptor that was closed may be another source's tomorrow."""
    rests: Rests[int] = Rests()
    rests.begin(7, 9.0, deep=True)
    rests.forget(7)
    assert not rests
    rests.begin(7, 9.0)
    rests.end(1.0, is_due=True)
    rests.forget(7)
    assert list(rests.go_on()) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100), st.booleans()), max_size=20), st.floats(0, 100))
def test_nobody_is_lost(begun: list[tuple[int, float, bool]], now_s: float) -> None:
    """Whatever was begun: a source either rests, or is given back once."""
    rests: Rests[int] = Rests()
    last = {}
    for source, until_s, deep in begun:
        rests.begin(source, until_s, deep)
        last[source] = until_s
    ended = rests.end(now_s)
    assert len(ended) == len(set(ended))
    assert set(ended) == {source for source, until_s in last.items() if now_s >= until_s}
    assert all((source in rests) == (source not in ended) for source in last)
