"""The distance between publishes after "too many": doubled by refusals, found again quickly, held at a real limit."""

from __future__ import annotations

from services.publisher.core.session.pacing import PublishPace


def publish(pace: PublishPace, now_s: float, is_accepted: bool) -> float:
    """One publish as soon as it is allowed; when that was."""
    now_s = max(now_s, pace.next_s)
    pace.sent(now_s)
    if is_accepted:
        pace.speed_up(now_s + 0.01)
    else:
        pace.slow_down(now_s, now_s + 0.01)
    return now_s + 0.01


def test_a_platform_that_is_well_again_is_found_soon():
    """After refusals up to the longest distance, full speed is back within 15 s of the first acceptance."""
    pace = PublishPace(0.25, 10.0, 0.8)
    now_s = 0.0
    while not pace.is_slowest:
        now_s = publish(pace, now_s, is_accepted=False)
    well_s = now_s = publish(pace, now_s, is_accepted=True)
    while pace.is_slow:
        now_s = publish(pace, now_s, is_accepted=True)
    assert now_s - well_s < 15


def test_at_a_real_limit_most_publishes_are_accepted():
    """A bucket of one publish a second: after the limit was met once, the distance is felt for, not thrown away."""
    pace = PublishPace(0.25, 10.0, 0.8)
    now_s, bucket_s = 0.0, 0.0
    taken = refused = 0
    while now_s < 300:
        now_s = max(now_s, pace.next_s)
        is_accepted = now_s >= bucket_s
        bucket_s = now_s + 1 if is_accepted else bucket_s
        now_s = publish(pace, now_s, is_accepted)
        taken, refused = taken + is_accepted, refused + (not is_accepted)
    assert taken > 150
    assert refused < taken / 2
