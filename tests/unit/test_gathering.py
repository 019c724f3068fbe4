"""When frames that come alone are taken: at common moments, so that all behind the broker wake up once for many."""

from __future__ import annotations

import pytest

from services.broker.core.credit import CREDIT, LITTLE_CREDIT
from services.broker.core.events import FramesArrived, RestFrames, SendFrames
from services.broker.core.gathering import LITTLE_BYTES, OFFSET_S, TOGETHER_S, Gathering
from tests.support.brokering import World, frames

PERIOD_S = 0.04


def gathering(most_s: float = PERIOD_S) -> Gathering:
    found = Gathering()
    found.take_wait(most_s)
    return found


def rests(found: Gathering, times_s: list[float], length: int = 1) -> list[float | None]:
    """How long frames rest after each batch that comes at these times."""
    until = [(found.rest_until_s(frames(length=length), at_s), at_s) for at_s in times_s]
    return [None if until_s is None else round(until_s - at_s, 6) for until_s, at_s in until]


def test_a_frame_after_a_silence_is_taken_at_once_and_those_beside_it_together() -> None:
    """It waits for nobody; lines that speak at the same time come within a few milliseconds."""
    assert rests(gathering(), [100.001, 200.001]) == [TOGETHER_S, TOGETHER_S]


def test_frames_that_follow_soon_are_taken_at_common_moments() -> None:
    """The moments are the same for whoever counts them, a little behind those at which busy lines are read."""
    found = gathering()
    for at_s in (100.001, 100.012, 100.0461, 100.0871):
        until_s = found.rest_until_s(frames(length=1), at_s)
        assert until_s is not None
    assert round((until_s - OFFSET_S) % PERIOD_S, 6) in (0.0, PERIOD_S)
    assert 0.0 < until_s - at_s <= PERIOD_S + 0.004


def test_what_comes_alone_holds_up_no_busy_lines() -> None:
    """While batches of many come nothing rests; it does again when they have been away for two periods."""
    found = gathering()
    assert rests(found, [100.0], length=9) == [None]
    assert rests(found, [100.001, 100.079]) == [None, None]
    assert rests(found, [100.21]) == [TOGETHER_S]


def test_nobody_waits_twice() -> None:
    """What comes with the first, or is heard before a timer, does not put the moment off."""
    found = gathering()
    found.rest_until_s(frames(length=1), 100.001)
    assert rests(found, [100.001, 100.002, 100.006]) == [None, None, None]


def test_what_has_waited_for_company_already_does_not_wait_here() -> None:
    """The reader of a busy line has rested, and sends many frames at once."""
    assert rests(gathering(), [100.0, 100.001, 100.002], length=2) == [None, None, None]


@pytest.mark.parametrize(("most_s", "period_s"), [(0.0, 0.0), (0.009, 0.0), (0.016, 0.01), (0.04, 0.04), (0.1, 0.08)])
def test_no_wait_is_longer_than_it_may_be(most_s: float, period_s: float) -> None:
    """The moments are those of all processes: the longest period that is within it. None: nothing waits."""
    found = gathering(most_s)
    assert found.period_s == period_s
    assert period_s or rests(found, [100.0, 100.001, 100.002]) == [None, None, None]


def test_the_broker_hears_from_the_publisher_how_long_frames_may_wait() -> None:
    """It reads no configuration: before a publisher has registered, and of one that says nothing, nothing waits."""
    world = World()
    world.register("converter")
    world.say(FramesArrived(frames("a", length=1)))
    assert world.take(RestFrames) == []
    world.register("publisher", "0", detail={"company_ms": 40})
    world.take(SendFrames)
    effects = world.say(FramesArrived(frames("b", length=1)))
    assert [type(effect) for effect in effects] == [RestFrames, SendFrames]


def test_what_comes_alone_goes_to_the_converter_that_was_at_work_last() -> None:
    """To wake up another one takes longer than to convert it; what is more goes to whoever is idle longest."""
    world = World()
    world.register("converter", "0")
    world.register("converter", "1")
    found = []
    for length in (1, 1, 1, 10, 10):
        (sent,) = world.feed(frames(length=length))
        found.append(sent.converter)
        world.convert(sent)
    assert found[0] == found[1] == found[2] != found[3] != found[4]


def test_what_comes_alone_waits_behind_no_large_batch_while_another_converter_is_free() -> None:
    """The one that was at work last is at a large batch; of two that are at one, it is again the one that worked
    last."""
    world = World()
    world.register("converter", "0")
    world.register("converter", "1")
    (large,) = world.feed(frames("large"))
    (alone,) = world.feed(frames("alone", length=1))
    assert alone.converter != large.converter
    (other,) = world.feed(frames("other"))
    assert other.converter == alone.converter
    assert [sent.converter for sent in world.feed(frames("alone", first=2, length=1))] == [other.converter]


def test_what_many_lines_said_at_the_same_time_goes_in_one_go() -> None:
    """Little batches have a credit of their own, which the large ones do not wait for; there is an end to it, too."""
    world = World()
    world.register("converter")
    sent = [one for number in range(LITTLE_CREDIT + 2) for one in world.feed(frames(f"d{number}", length=1))]
    assert len(sent) == LITTLE_CREDIT
    large = [one for number in range(3) for one in world.feed(frames(f"large{number}", length=10))]
    assert len(large) == CREDIT
    assert [one.batch.device for one in world.convert(sent[0])] == []
    back = world.convert(large[0])
    assert {one.batch.device for one in back} == {f"d{LITTLE_CREDIT}", "large2"}


def test_one_frame_may_be_large() -> None:
    """Then it takes of the converter's credit what others do."""
    world = World()
    world.register("converter")
    body = bytes(LITTLE_BYTES + 1)
    sent = [one for number in range(CREDIT + 1) for one in world.feed(frames(f"d{number}", length=1, body=body))]
    assert len(sent) == CREDIT
