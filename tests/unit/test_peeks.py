"""Samples of what passes: frames beside what was made of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.wire import codec
from common.wire.messages import FrameBatch, FrameBody, ReadingBatch, ReadingBody, Tap, UserReading, topic_of
from common.wire.peeks import (
    FRAME_BYTES,
    MOST_BATCHES,
    MOST_FRAMES,
    MOST_HZ,
    MOST_VALUES,
    VALUES_BYTES,
    Peeks,
    Seen,
    read_peek,
)


def frames(first: int, *found: bytes, kind: int = 0) -> FrameBatch:
    body = codec.pack_frames(FrameBody([1000 + first + place for place in range(len(found))], list(found)))
    return FrameBatch("press", "j", 1, first, len(found), 1, "e", kind, "s", False, False, "", body)


def readings(batch: FrameBatch, *telemetry: bytes, **fields: object) -> ReadingBatch:
    body = ReadingBody([1] * batch.length, list(telemetry) or [b'{"t":1}'] * batch.length).replace(**fields)
    made = codec.pack_readings(body)
    return ReadingBatch("press", "j", 1, batch.first, batch.length, 1, "e", batch.kind, "0", "i", made)


def sample(peeks: Peeks, batch: FrameBatch, made: ReadingBatch, now_s: float = 0.0) -> tuple[int, list[Seen]] | None:
    peeks.take(batch)
    tap = peeks.made(made, now_s)
    return None if tap is None else read_peek(tap)


def test_a_frame_stands_beside_its_values() -> None:
    """With its number and time, under a topic of its own."""
    batch = frames(7, b"T:1", b"T:2")
    peeks = Peeks()
    peeks.take(batch)
    tap = peeks.made(readings(batch, b'{"t":1}', b'{"t":2}'), 0.0)
    assert tap is not None
    assert topic_of(tap) == b"peek.press."
    assert topic_of(Tap("frames", "press", b"")) == b"tap.press."
    assert read_peek(tap) == (
        0,
        [Seen(7, 1007, b"T:1", 3, [("", b'{"t":1}')], ""), Seen(8, 1008, b"T:2", 3, [("", b'{"t":2}')], "")],
    )


def test_dead_ones_stand_in_their_place_with_the_reason() -> None:
    """And what users' converters make has its device's name."""
    batch = frames(1, b"a", b"b")
    user = {1: [UserReading("Tank", "default", [(None, b'{"l":4}')], b'{"v":1}')]}
    found = sample(Peeks(), batch, readings(batch, b"", b"", dead={0: "not a number"}, user=user))
    assert found is not None
    assert found[1][0].dead == "not a number"
    assert found[1][1].values == [("Tank", b'{"l":4}'), ("Tank", b'{"v":1}')]


def test_a_flood_is_sampled_and_the_rest_counted() -> None:
    """So many frames a sample, so many samples a second."""
    peeks = Peeks()
    many = frames(1, *[b"x"] * 100)
    assert sample(peeks, many, readings(many), 0.0) is not None
    for number in range(5):
        batch = frames(1000 + number, b"x")
        assert sample(peeks, batch, readings(batch), 0.5 / MOST_HZ) is None
    last = frames(2000, *[b"y"] * 20)
    found = sample(peeks, last, readings(last), 1 / MOST_HZ)
    assert found is not None
    assert (found[0], [seen.number for seen in found[1]]) == (5 + 20 - MOST_FRAMES, [*range(2012, 2020)])


def test_long_frames_are_cut_and_long_values_left_out() -> None:
    """A page is no place for a megabyte."""
    batch = frames(1, b"z" * 10_000)
    found = sample(Peeks(), batch, readings(batch, b'{"t":"%s"}' % (b"z" * VALUES_BYTES)))
    assert found is not None
    (seen,) = found[1]
    assert (len(seen.frame), seen.size, seen.values) == (FRAME_BYTES, 10_000, [])


def test_what_is_never_answered_takes_no_more_room() -> None:
    """A converter whose broker was replaced forgets batches without a word."""
    peeks = Peeks()
    for number in range(10 * MOST_BATCHES):
        peeks.take(frames(number + 1, b"x"))
    assert len(peeks._batches) == MOST_BATCHES
    peeks.forget()
    assert not peeks._batches


def test_readings_of_frames_that_nobody_kept_are_no_sample() -> None:
    """Somebody has begun to look just now."""
    batch = frames(1, b"x")
    assert Peeks().made(readings(batch), 0.0) is None


@given(st.binary(max_size=60))
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    """With the error that all messages have, and no other."""
    try:
        read_peek(Tap("peek", "press", body))
    except codec.WireError:
        pass


def test_a_converter_that_makes_thousands_of_readings_is_shown_in_part() -> None:
    """A sample is for a person, and each page holds it."""
    batch = frames(1, b"a")
    many = [UserReading(f"T{number}", "default", [(None, b'{"l":4}')], b"") for number in range(5_000)]
    found = sample(Peeks(), batch, readings(batch, b"", user={0: many}))
    assert found is not None
    assert len(found[1][0].values) == MOST_VALUES
