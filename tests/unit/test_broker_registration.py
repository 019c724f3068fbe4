"""The broker's core: who is there, and what becomes of readings."""

from __future__ import annotations

import pytest

from common.core.events import Arrived, Junk, Note, Send, Tick
from common.wire.messages import Plane, Tap
from services.broker.core.events import (
    CallArrived,
    ForwardReadings,
    ReadingsArrived,
    ReadingsBlocked,
    ReadingsWritable,
    SendTo,
)
from services.broker.core.readings_queue import READINGS_BYTES
from services.broker.core.registry import MEMBERS_LIMIT
from tests.support.brokering import World, frames, readings, request


@pytest.fixture
def world() -> World:
    return World()


def test_a_second_live_process_of_one_address_is_refused(world: World) -> None:
    """The reason names who has it; after its silence of 5 s the newcomer is accepted."""
    assert world.register("publisher", instance="first", pid=41).accepted
    refused = world.register("publisher", instance="second")
    assert not refused.accepted
    assert "pid 41" in refused.reason
    world.pass_time(4.5)
    assert not world.register("publisher", instance="second").accepted
    world.pass_time(1)
    assert world.register("publisher", instance="second").accepted


@pytest.mark.parametrize(
    ("lock", "host", "accepted"),
    [("/l", "here", True), ("/other", "here", False), ("/l", "there", False), ("", "here", False)],
)
def test_who_holds_the_lock_takes_over_at_once(world: World, lock: str, host: str, accepted: bool) -> None:
    """The same lock on the same host proves that the older one is dead; an empty lock proves nothing."""
    world.register("port_reader", "press", instance="first", lock=lock and "/l")
    assert world.register("port_reader", "press", instance="second", lock=lock, host=host).accepted is accepted


def test_the_replaced_instance_is_ignored_from_then_on(world: World) -> None:
    """Its registration, heartbeats, calls and readings count no more."""
    world.register("converter", instance="first", lock="/l")
    (sent,) = world.feed(frames())
    world.reader()
    world.register("converter", instance="second", lock="/l")
    assert not world.register("converter", instance="first", lock="/l").accepted
    assert world.call(request("port_reader:press"), route=b"first") == []
    assert not [e for e in world.say(ReadingsArrived(readings(sent))) if isinstance(e, ForwardReadings)]
    old = world.members["converter:0"].replace(instance="first")
    world.members["converter:0"] = old
    world.beat("converter:0", draining=True)
    assert len(world.feed(frames(first=11))) == 1


def test_registering_again_refreshes_route_and_section(world: World) -> None:
    """A reader whose section changed says so under the same instance."""
    world.register("converter")
    world.register("port_reader", "press", instance="r", detail={"section": "old"})
    world.register("port_reader", "press", instance="r", detail={"section": "new"})
    (sent,) = world.call(request("converter@press"))
    assert sent.message.section == "new"


@pytest.mark.parametrize("name", ["", "../../etc", "a b", "x" * 65, "0/1"])
def test_a_converter_needs_a_plain_name(world: World, name: str) -> None:
    """Names from the wire go nowhere near a path."""
    assert not world.register("converter", name).accepted


def test_the_table_is_bounded(world: World) -> None:
    """Junk registrations end in refusals, and make room when they are lost."""
    for number in range(MEMBERS_LIMIT):
        world.register("client", str(number))
    assert not world.register("client", "one more").accepted
    world.pass_time(6)
    assert world.register("client", "one more").accepted


def test_a_new_broker_beats_often(world: World) -> None:
    """Processes register anew when they hear it; each quarter of a second while it settles, then each second."""
    world.pass_time(2.25)
    assert len(world.take(Send)) >= 8
    world.pass_time(3)
    assert len(world.take(Send)) == 3


def test_late_lost_and_returned_are_said_once(world: World) -> None:
    """One line for each change of state."""
    world.register("publisher")
    world.take(Note)
    world.pass_time(10)
    world.beat("publisher:0")
    events = [note.event for note in world.take(Note)]
    assert events == ["process.late", "process.lost", "process.returned"]


def test_readings_are_passed_on_as_they_came(world: World) -> None:
    """The raw parts go through; a batch that only gives credit back goes no further."""
    world.register("converter")
    (sent,) = world.feed(frames())
    parts = [b"header", b"body"]
    assert world.say(ReadingsArrived(readings(sent), parts)) == [ForwardReadings(readings(sent), parts)]
    assert world.say(ReadingsArrived(readings(sent, length=0))) == []
    assert world.core.counters["readings_out"] == 10


def test_readings_for_a_publisher_that_is_not_there_are_dropped_and_counted(world: World) -> None:
    """The readers send the frames again."""
    world.register("converter")
    (sent,) = world.feed(frames())
    world.say(ReadingsBlocked(readings(sent)))
    assert world.say(ReadingsArrived(readings(sent))) == []
    world.say(ReadingsWritable())
    assert world.core.counters["readings_dropped"] == 20
    assert world.say(ReadingsArrived(readings(sent))) != []


def test_readings_wait_for_a_publisher_that_is_busy(world: World) -> None:
    """Bounded, and sent when it takes them again; what was for one that was lost is dropped."""
    world.register("publisher")
    world.register("converter")
    (sent,) = world.feed(frames())
    large = readings(sent, body=bytes(READINGS_BYTES // 3))
    world.say(ReadingsBlocked(large))
    for _ in range(3):
        assert world.say(ReadingsArrived(large)) == []
    assert world.core.counters["readings_dropped"] == 20
    assert world.say(ReadingsWritable()) == [ForwardReadings(large)] * 2
    world.say(ReadingsBlocked(large))
    world.pass_time(6)
    assert world.say(ReadingsWritable()) == []


def test_junk_is_counted_and_said_once(world: World) -> None:
    """Junk on any plane, and good messages where they have no business."""
    world.say(Junk(Plane.FRAMES, "why"))
    world.say(Junk(Plane.FRAMES, "why"))
    world.say(Arrived(Plane.EVENTS, Tap("frames", "press", b"")))
    world.say(CallArrived(b"x", Tap("frames", "press", b"")))
    assert world.core.counters["junk_messages"] == 4
    assert len(world.take(Note)) == 3


def test_heartbeats_of_strangers_change_nothing(world: World) -> None:
    """Who is not registered is not there, whatever it says."""
    world.register("publisher")
    stranger = world.members["publisher:0"].replace(instance="stranger")
    world.members["publisher:0"] = stranger
    world.pass_time(6, "publisher:0")
    world.register("client", "1")
    (sent,) = world.call(request())
    assert sent.message.error == "the publisher is not running"


def test_facts_of_any_shape_do_no_harm(world: World) -> None:
    """`detail` and `state` come from the wire: other types than expected are taken as not said."""
    world.register("converter")
    world.register("port_reader", "press", detail={"section": 5, "pinned": "yes"})
    world.beat("converter:0", draining="perhaps")
    assert [type(effect) for effect in world.call(request("converter@press"))] == [SendTo]
    world.say(Tick())
