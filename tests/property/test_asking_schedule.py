"""The turns of questions: whatever they are and however long the line takes, none starves, none is queued twice."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.config.asking import Ask, Step
from services.port_reader.core.asking.schedule import GRACE, NEVER_S, Schedule

PERIODS = st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 3.0])
TIMES = st.floats(0.001, 0.4)
STEPS = (Step(kind="send", data=b"?"),)


def schedule_of(periods: list[float]) -> Schedule:
    asks = [(0, Ask(name=str(at), steps=STEPS, every_s=every_s)) for at, every_s in enumerate(periods)]
    schedule = Schedule(asks, lambda _: None)
    schedule.start(0.0, [0])
    return schedule


@settings(deadline=None)
@given(st.lists(PERIODS, min_size=1, max_size=8), st.lists(TIMES, min_size=1, max_size=200))
@example([0.05, 0.05], [0.25, 0.03125, 0.015625, 0.25])
def test_turns_are_taken_or_missed_and_none_starves(periods: list[float], takes: list[float]) -> None:
    """Taken and missed turns of a question are all that its period gives; between the moment at which it is due and its
    turn every other question has one turn at most, beside that which is on the line."""
    schedule = schedule_of(periods)
    now_s, asked, missed = 0.0, [0] * len(periods), [0] * len(periods)
    since: dict[int, list[int]] = {}
    for take_s in takes:
        place = schedule.next_of(lambda _: True, now_s)
        if place is None:
            now_s = schedule.next_deadline_s(lambda _: True)
            continue
        due_s = schedule.since_s(place)
        assert all(due_s <= schedule.since_s(other) for other in range(len(periods)))
        taken = schedule.take(place, now_s)
        asked[place] += 1
        missed[place] += taken.missed
        assert schedule.since_s(place) > now_s
        assert since.pop(place, []).count(place) == 0
        for others in since.values():
            others.append(place)
            assert others.count(place) <= 1
        now_s += take_s
        for other in range(len(periods)):
            if schedule.since_s(other) <= now_s:
                since.setdefault(other, [])
    for at, every_s in enumerate(periods):
        turns = int(now_s / every_s + 1e-6) + 1
        # The same moment may come to another last digit, by how its floats were added up.
        waiting = max(0, int((now_s - schedule.since_s(at)) / every_s + 1 + 1e-6))
        assert asked[at] + missed[at] + waiting == turns


@settings(deadline=None)
@given(PERIODS, st.lists(st.floats(0.01, 5.0), min_size=1, max_size=50))
def test_turns_stay_on_their_grid(every_s: float, takes: list[float]) -> None:
    """However late a turn was, the next one is a whole number of periods behind the first."""
    schedule = schedule_of([every_s])
    now_s = 0.0
    for late_s in takes:
        schedule.take(0, now_s)
        due_s = schedule.since_s(0)
        assert now_s < due_s <= now_s + every_s * 1.001
        assert abs(due_s / every_s - round(due_s / every_s)) < 1e-6
        now_s = due_s + late_s


@settings(deadline=None)
@given(st.lists(PERIODS, min_size=2, max_size=5), st.integers(0, 4), st.floats(0.0, 3.0))
@example([3.0, 0.05], 0, 2.9999999999999996)
def test_a_turn_that_is_tried_again_keeps_its_place_in_the_row(periods: list[float], which: int, late_s: float) -> None:
    """It has waited since its turn began, so it comes before whatever became due later; its own next turn is missed."""
    schedule, place = schedule_of(periods), which % len(periods)
    since_s = schedule.since_s(place)
    schedule.take(place, 0.0)
    schedule.retry(place, 1, since_s)
    assert schedule.since_s(place) == 0.0
    taken = schedule.take(place, late_s)
    assert taken.attempt == 1
    turns = late_s / periods[place]
    # What begins a millionth of a period early is of that time; on the very edge of that it is either.
    assert int(turns + 0.99 * GRACE) <= taken.missed <= int(turns + 1.01 * GRACE)
    assert schedule.take(place, schedule.since_s(place)).attempt == 0


@pytest.mark.parametrize(("aligned", "early_s"), [(False, 2e-7), (True, 0.0009)])
def test_a_turn_that_is_tried_again_as_the_next_one_begins_is_both(aligned: bool, early_s: float) -> None:
    """A question is not asked twice in one moment, only because floats, or the clock's milliseconds, say that its next
    turn is still to come."""
    ask = Ask(name="a", steps=STEPS, every_s=1.0, aligned=aligned)
    schedule = Schedule([(0, ask)], lambda now_s: int(now_s * 1000))
    schedule.start(0.0, [0])
    first_s = schedule.since_s(0)
    schedule.take(0, first_s)
    schedule.retry(0, 1, first_s)
    assert schedule.take(0, first_s + 1.0 - early_s) == (1, 1)
    assert schedule.since_s(0) == pytest.approx(first_s + 2.0, abs=0.002)


def test_a_question_is_split_where_it_stands() -> None:
    """Its parts are due at once, before all that becomes due later; the others keep their turns."""
    parts = tuple(Ask(name=name, steps=STEPS, every_s=1.0) for name in ("a1", "a2"))
    whole = Ask(name="a", steps=STEPS, every_s=1.0, parts=parts)
    schedule = Schedule([(0, whole), (0, Ask(name="b", steps=STEPS, every_s=1.0))], lambda _: None)
    schedule.start(0.0, [0])
    schedule.take(0, 0.0)
    assert schedule.split(0, 0.2)
    assert not schedule.split(0, 0.2)
    assert [schedule.ask_of(place).name for place in range(3)] == ["a1", "a2", "b"]
    order = []
    for _ in range(3):
        place = schedule.next_of(lambda _: True, 0.3)
        assert place is not None
        schedule.take(place, 0.3)
        order.append(schedule.ask_of(place).name)
    assert order == ["b", "a1", "a2"]
    schedule.stop([0])
    assert schedule.next_deadline_s(lambda _: True) == NEVER_S
