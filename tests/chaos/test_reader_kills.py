"""kill -9 of a port reader; `python -m bench.reader_kills --kills 200` is the long form."""

from __future__ import annotations

import random

import pytest

from bench.reader_kills import FRAME_BYTES, make_frame, measure, number_of
from tests.e2e.harness import needs_mosquitto


@needs_mosquitto
@pytest.mark.timeout(180)
def test_a_killed_reader_costs_at_most_one_read_and_the_frame_in_progress() -> None:
    """15 kills under load: never more is missing in a row, nothing comes torn, nothing out of order."""
    found = measure(kills=15, rate_hz=2_000, seed=random.SystemRandom().randrange(1_000_000))
    assert found["held"], found


def test_a_part_of_a_frame_is_recognised() -> None:
    """The check that the frames carry finds every cut, and every frame glued from two."""
    one, two = make_frame(41).decode(), make_frame(42).decode()
    assert number_of(one) == 41
    assert all(number_of(one[cut:]) is None for cut in range(1, FRAME_BYTES))
    assert all(number_of(one[:cut] + two[cut:]) in (None, 41, 42) for cut in range(FRAME_BYTES))
    assert all(number_of(one[:cut]) is None for cut in range(FRAME_BYTES - 1))
