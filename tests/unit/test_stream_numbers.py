"""What time each entry of a stream gets."""

from __future__ import annotations

import pytest

from common.stream.numbers import AHEAD_MS, Stream, StreamState

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize("step_ms", [1, AHEAD_MS - 9, AHEAD_MS - 5, AHEAD_MS - 1, AHEAD_MS, AHEAD_MS + 1, 60_000])
def test_a_clock_that_is_set_back_makes_no_two_stamps_equal(step_ms):
    """Also one that is set back by just as much as stamps may run ahead (seed 4797)."""
    stream = Stream(StreamState("j", 1))
    stamps = stream.stamp(10, NOW_MS)
    for number in range(20):
        stamps += stream.stamp(3, NOW_MS - step_ms + number)
    assert len(set(stamps)) == len(stamps)
    assert (stamps, stream.repeats) == (sorted(stamps), 0)


def test_a_device_that_is_too_fast_runs_ahead_by_no_more_than_it_may():
    """Steps back of the clock, however many, give it nothing."""
    stream = Stream(StreamState("j", 1))
    stream.stamp(5_000, NOW_MS)
    assert stream.last_ts_ms == NOW_MS + AHEAD_MS
    for number in range(1, 50):
        stream.stamp(100, NOW_MS - number)
    assert stream.last_ts_ms == NOW_MS + AHEAD_MS
