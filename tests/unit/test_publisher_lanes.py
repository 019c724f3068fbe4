"""The states of a lane, against the tables in its docstring."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.core.counters import new_counts
from services.publisher.core.counters import PublisherCounts
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.lanes import Lane, Presence
from services.publisher.core.outbox.segments import Items, Segment
from services.publisher.core.outbox.table import LaneTable
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import ReadingStream, Run
from tests.support.publisher_driving import batch, points


def in_state(presence: Presence) -> Lane:
    """A lane to which that has happened."""
    lane = Lane("press1", b'"press1"', "press")
    if presence != "closed":
        lane.connected()
    if presence == "announced":
        lane.sent("connect")
        lane.answered("connect")
        lane.accepted()
    assert lane.presence == presence
    return lane


def make_stream() -> ReadingStream:
    return ReadingStream(batch(1, points(1, 2)), {}, Outlet())


@pytest.mark.parametrize(
    ("presence", "with_mark", "with_data", "with_nothing"),
    [
        ("closed", "disconnect", "connect", None),
        ("open", "disconnect", "connect", "connect"),
        ("announced", "disconnect", "telemetry", None),
    ],
)
def test_what_goes_out_next(presence: Presence, with_mark: str, with_data: str, with_nothing: str | None) -> None:
    """By what the platform was told and what stands first; to look at it changes nothing."""
    lane = in_state(presence)
    assert [lane.kind, lane.kind] == [with_nothing, with_nothing]
    stream = make_stream()
    lane.segments[0].items.append(Items(Run(stream, 1, 3), [b"1", b"2"], range(1, 3), holds=False))
    assert [lane.kind, lane.kind] == [with_data, with_data]
    lane.segments.clear()
    lane.segments.append(Segment("disconnect"))
    assert [lane.kind, lane.kind] == [with_mark, with_mark]
    assert stream.settled == 1


@pytest.mark.parametrize(
    ("before", "what", "after"),
    [
        ("closed", lambda lane: lane.connected(), "open"),
        ("announced", lambda lane: lane.connected(), "announced"),
        ("closed", lambda lane: lane.answered("connect"), "announced"),
        ("open", lambda lane: lane.answered("connect"), "announced"),
        ("open", lambda lane: lane.answered("disconnect"), "closed"),
        ("announced", lambda lane: lane.answered("telemetry"), "announced"),
        ("announced", lambda lane: lane.given_back(), "announced"),
        ("announced", lambda lane: lane.dropped(), "open"),
        ("closed", lambda lane: lane.dropped(), "closed"),
        ("announced", lambda lane: lane.connection_begun(), "open"),
        ("closed", lambda lane: lane.connection_begun(), "closed"),
    ],
)
def test_what_the_platform_knows(before: Presence, what: Callable[[Lane], None], after: Presence) -> None:
    """Each thing that happens leads from one state to the next."""
    lane = in_state(before)
    what(lane)
    assert lane.presence == after


def test_a_connect_that_is_older_than_the_end_of_the_session_announces_nobody() -> None:
    """The platform may have said both in either order: the device is announced again."""
    lane = in_state("open")
    lane.sent("connect")
    lane.dropped()
    assert lane.sending == "void"
    lane.answered("connect")
    assert (lane.presence, lane.sending) == ("open", "idle")


def test_what_the_stream_has_said_counts_more_than_a_heartbeat() -> None:
    """A device whose port was lost is not announced because its reader's beat is older than that."""
    lane = in_state("closed")
    lane.queue_mark(Segment("disconnect"))
    lane.connected()
    assert lane.presence == "closed"


def test_what_says_nothing_is_settled_by_the_table_once_all_before_is_accepted() -> None:
    """Not by looking at the lane, and not while a publish before it may still come back."""
    counters = new_counts(PublisherCounts)
    table = LaneTable(ThingsBoard(), {}, KeptNames({}, {}, counters, Outlet()))
    stream = make_stream()
    (release,) = stream.take(batch(1, points(1, 2)), 1 << 20, counters)
    lane = table.lane("press1")
    lane.segments[0].items.append(Items(release.run, [b"", b""], range(1, 3), holds=False))
    lane.sent("telemetry")
    lane.answered("telemetry")
    table.settle(lane, 0.0)
    assert (lane.kind, stream.settled) == ("connect", 1)
    lane.accepted()
    table.settle(lane, 0.0)
    assert (lane.kind, stream.settled) == (None, 3)
    assert table.is_empty
