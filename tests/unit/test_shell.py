"""The half that all shells share: what is sent, what was not, and what is heard on which plane."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.core.events import Arrived, Blocked, Exit, Junk, Note, Send, Writable
from common.io.endpoints import Endpoints, socket_dir
from common.io.shell import Planes
from common.io.sockets import Channel, open_socket
from common.io.sources import Sources
from common.wire.messages import Heartbeat, Plane, ReadingBatch, Request, Tap
from tests.support.waiting import wait_until

REQUEST = Request("c1", "a:0", "b:0", "status", "", "", 5.0, b"")
BATCH = ReadingBatch("press", "j", 1, 10, 2, 8, "e1", 0, "0", "i", b"body")


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(socket_dir(tmp_path))


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    """The broker's side."""
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def sources() -> Sources[Any]:
    return Sources()


@pytest.fixture
def planes(endpoints: Endpoints, sources: Sources[Any]) -> Iterator[Planes]:
    planes = Planes(endpoints, sources, logging.getLogger("test"))
    yield planes
    planes.close(linger_ms=0)


def bound(context: zmq.Context[Any], kind: int, plane: Plane, endpoint: str) -> Channel:
    socket = open_socket(context, kind)
    socket.bind(endpoint)
    return Channel(plane, socket)


def round_of(sources: Sources[Any]) -> list[Any]:
    """What the sources say in one round of the loop."""
    return [event for source, flags in sources.poll(50) for event in sources.take(source, flags)]


def test_what_was_not_sent_is_said_and_then_that_there_is_room(
    planes: Planes, sources: Sources[Any], context: zmq.Context[Any], endpoints: Endpoints
) -> None:
    """`Blocked` has the message, for nothing keeps it; `Writable` comes once, or it would wake us for ever."""
    planes.add_push(Plane.READINGS, endpoints.readings_in)
    assert list(planes.perform(Send(Plane.READINGS, BATCH))) == [Blocked(Plane.READINGS, BATCH)]
    assert round_of(sources) == []
    pull = bound(context, zmq.PULL, Plane.READINGS, endpoints.readings_in)
    assert wait_until(lambda: round_of(sources), "room") == [Writable(Plane.READINGS)]
    assert round_of(sources) == []
    assert list(planes.perform(Send(Plane.READINGS, BATCH))) == []
    assert wait_until(lambda: list(pull.receive()), "the batch") == [Arrived(Plane.READINGS, BATCH)]


def test_calls_go_both_ways(
    planes: Planes, sources: Sources[Any], context: zmq.Context[Any], endpoints: Endpoints
) -> None:
    """One socket sends and receives them; junk is an event like any other."""
    planes.add_calls()
    other = bound(context, zmq.DEALER, Plane.CALLS, endpoints.calls)
    wait_until(lambda: not list(planes.send(Plane.CALLS, REQUEST)), "a connection")
    wait_until(lambda: list(other.receive()), "the request")
    other.socket.send(b"junk")
    # Before it comes `Writable`, for the tries that were too early.
    wait_until(lambda: any(isinstance(event, Junk) for event in round_of(sources)), "junk")


def test_events_are_heard_by_topic_and_taps_are_asked_for(
    planes: Planes, sources: Sources[Any], context: zmq.Context[Any], endpoints: Endpoints
) -> None:
    """What nobody has subscribed to does not come; who watches a device is known by its subscription."""
    _, taps = planes.add_events([b"beat.broker."])
    publish = bound(context, zmq.PUB, Plane.EVENTS, endpoints.events_out)
    subscribe = bound(context, zmq.SUB, Plane.EVENTS, endpoints.events_in)
    subscribe.socket.setsockopt(zmq.SUBSCRIBE, b"tap.press.")
    heard: list[Any] = []

    def hear() -> bool:
        for kind in ("monitor", "broker"):
            publish.send(Heartbeat(kind, "0", "i", 1, "h", 1.0, {}, {}))
        heard.extend(round_of(sources))
        assert not list(subscribe.receive())  # A socket that nobody asks for anything greets nobody.
        return bool(heard) and "press" in taps

    wait_until(hear, "a beat and a watcher")
    assert {event.message.kind for event in heard} == {"broker"}
    planes.send(Plane.EVENTS, Tap("frames", "press", b"body"))
    [shown] = wait_until(lambda: list(subscribe.receive()), "the tap")
    assert shown.message.device == "press"


def test_beats_wake_nobody(
    planes: Planes, sources: Sources[Any], context: zmq.Context[Any], endpoints: Endpoints
) -> None:
    """They are there when a timer asks for them."""
    planes.add_beats()
    publish = bound(context, zmq.PUB, Plane.EVENTS, endpoints.events_out)
    [lazy] = sources.lazy

    def drain() -> list[Any]:
        publish.send(Heartbeat("broker", "0", "i", 1, "h", 1.0, {}, {}))
        assert round_of(sources) == []
        return list(lazy())

    assert wait_until(drain, "a beat")[0].message.kind == "broker"


def test_who_leaves_an_endpoint_hears_no_more_of_it(
    planes: Planes, sources: Sources[Any], context: zmq.Context[Any], endpoints: Endpoints
) -> None:
    """As a converter does when it is given another."""
    channel = planes.add_pull(Plane.READINGS, endpoints.readings_out)
    push = bound(context, zmq.PUSH, Plane.READINGS, endpoints.readings_out)
    wait_until(lambda: push.send(BATCH), "a connection")
    assert wait_until(lambda: round_of(sources), "the batch") == [Arrived(Plane.READINGS, BATCH)]
    planes.drop(channel)
    assert channel.socket.closed
    assert round_of(sources) == []


def test_a_note_is_a_log_line_and_an_exit_is_the_loops(planes: Planes, caplog: pytest.LogCaptureFixture) -> None:
    """Neither is followed by anything."""
    with caplog.at_level(logging.INFO, "test"):
        assert list(planes.perform(Note("info", "port.lost", {"device": "press"}))) == []
        assert list(planes.perform(Exit(3))) == []
    assert caplog.messages == ["port.lost device=press"]
