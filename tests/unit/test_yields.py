"""What comes of each device's frames, as the publisher's heartbeat says it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from common.wire.messages import Entry, Faults, ReadingBody
from common.wire.states import PublisherState, facts_of
from services.monitor.core.gateway.table import FACTS_BYTES
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.stream import Release, Run
from services.publisher.core.yields import ENOUGH_FRAMES, MOST_TOLD, Waiting, Yields


class Stream:
    """As much of a stream as counts here: that it is another one."""


def release(stream: Any, values: list[bytes], faults: Faults | None = None, **more: Any) -> Release:
    body = ReadingBody([1] * len(values), values, faults=faults).replace(**more)
    return Release(Run(stream, 1, 1 + len(values)), Entry.FRAMES, body)


@pytest.fixture
def stream() -> Any:
    return Stream()


def test_a_device_whose_frames_give_values_is_not_told(stream: Any) -> None:
    """Heartbeats stay small."""
    yields = Yields()
    yields.note("d", release(stream, [b'{"t":1}'] * 20), 1.0)
    assert yields.seen(2.0) == {}


def test_frames_without_a_value_are_counted_in_a_row(stream: Any) -> None:
    """With the last error, and until a value comes; attributes and users' readings are values too."""
    yields = Yields()
    yields.note("d", release(stream, [b'{"t":1}']), 1.0)
    yields.note("d", release(stream, [b""] * 3, Faults(3, "t: found 'x'", [], "no text")), 2.0)
    seen = yields.seen(5.0)["d"]
    assert (seen.barren, seen.value_s, seen.errors, seen.error, seen.error_s) == (3, 4.0, 3, "t: found 'x'", 3.0)
    assert seen.looks == "no text"
    yields.note("d", release(stream, [b""], attributes=b'{"a":1}'), 6.0)
    assert yields.seen(6.0)["d"].barren == 0


def test_a_data_point_that_no_frame_had_is_told_after_some(stream: Any) -> None:
    """One that stands in any of them is not: some devices say one thing in every few messages."""
    yields = Yields()
    for now in range(ENOUGH_FRAMES - 1):
        absent = ["never", "seldom"] if now else ["never"]
        yields.note("d", release(stream, [b'{"t":1}'], Faults(absent=absent)), float(now))
    assert "d" not in yields.seen(20.0)
    yields.note("d", release(stream, [b'{"t":1}'], Faults(absent=["never"])), 20.0)
    assert yields.seen(20.0)["d"].absent == ["never"]
    yields.note("d", release(stream, [b'{"t":1,"never":2}']), 21.0)
    assert yields.seen(21.0) == {}


def test_blank_frames_are_no_frames_without_a_value(stream: Any) -> None:
    """They say nothing; and a data point that all others lack is still lacking."""
    yields = Yields()
    yields.note("d", release(stream, [b'{"t":1}'] * 20, Faults(absent=["h"])), 1.0)
    for now in range(2, 40):
        yields.note("d", release(stream, [b""], Faults(blank=1)), float(now))
    seen = yields.seen(40.0)["d"]
    assert (seen.barren, seen.absent) == (0, ["h"])


def test_a_device_whose_messages_seldom_have_a_value_shows_its_pause(stream: Any) -> None:
    """By which the monitor tells that from one that has none any more."""
    yields = Yields()
    for now in (1.0, 61.0):
        yields.note("d", release(stream, [b'{"t":1}']), now)
        yields.note("d", release(stream, [b""] * 30, Faults(absent=["t"])), now + 30)
    seen = yields.seen(100.0)["d"]
    assert (seen.barren, seen.pause_s) == (30, 60.0)


def test_what_is_told_of_many_devices_is_bounded(stream: Any) -> None:
    """A heartbeat that the monitor would not take says nothing at all."""
    yields = Yields()
    long = "x" * 5000
    for number in range(400):
        keys = [long + str(key) for key in range(16)]
        lacking = [(f"{message} {long}", 20, keys) for message in range(16)]
        faults = Faults(1, long, keys, "looks", lacking=lacking if number % 2 else None)
        yields.note(f"device {number}", release(stream, [b""] * 20, faults), 1.0)
    facts = facts_of(PublisherState(yields=yields.seen(2.0)))
    assert len(facts["yields"]) == MOST_TOLD
    assert len(msgspec.json.encode(facts)) < FACTS_BYTES


def test_a_new_stream_begins_anew(stream: Any) -> None:
    """Its reader was started again, perhaps with other data points."""
    yields = Yields()
    yields.note("d", release(stream, [b""] * 20, Faults(20, "t: found", ["t"])), 1.0)
    yields.note("d", release(Stream(), [b'{"t":1}']), 2.0)
    assert yields.seen(2.0) == {}


def test_only_frames_count(stream: Any) -> None:
    """An opened port, or an answer, has no data points."""
    yields = Yields()
    opened = release(stream, [b""] * 20)._replace(kind=Entry.OPENED)
    yields.note("d", opened, 1.0)
    assert yields.seen(2.0) == {}


def test_waiting_counts_from_the_last_acceptance() -> None:
    """And from when there was something to accept."""
    waiting = Waiting()
    looks = [(0, False), (0, True), (0, True), (5, True), (5, True), (5, False), (5, True)]
    times = [waiting.look(float(at), accepted=count, is_waiting=on) for at, (count, on) in enumerate(looks)]
    assert times == [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    assert "readings_accepted" in PublisherCounts.__annotations__
