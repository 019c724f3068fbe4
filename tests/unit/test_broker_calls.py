"""The broker's core: requests and replies, and the answer for who is not there."""

from __future__ import annotations

import pytest

from common.core.events import Drain
from common.core.version import PROTOCOL
from common.wire.messages import Register, Registered, Reply
from services.broker.core.events import CallArrived, SendFrames, SendTo, Unreachable
from services.broker.core.routing import HELD_LIMIT
from tests.support.brokering import World, frames, request


@pytest.fixture
def world() -> World:
    """A settled broker with a publisher, a converter, a reader and a client."""
    world = World()
    world.register("publisher")
    world.register("converter")
    world.reader()
    world.register("client", "1")
    world.pass_time(2.25, *world.members)
    world.effects.clear()
    return world


def answers(effects: list[SendTo]) -> list[tuple[bytes, str]]:
    """(route, error) of the replies among these."""
    return [(effect.route, effect.message.error) for effect in effects if isinstance(effect.message, Reply)]


def test_a_request_goes_to_its_address_and_the_reply_back(world: World) -> None:
    """Both by the routes from registration; nothing in them changes."""
    (sent,) = world.call(request())
    assert (sent.route, sent.message) == (b"publisher-0", request())
    reply = Reply("call-1", "client:1", "", b"42")
    assert world.call(reply, route=b"publisher-0") == [SendTo(b"client-1", reply)]


def test_converter_of_a_device_is_resolved_and_the_section_filled_in(world: World) -> None:
    """The publisher needs to know neither converters nor sections."""
    (sent,) = world.call(request("converter@press"))
    assert (sent.route, sent.message.section, sent.message.target) == (b"converter-0", "hash", "converter@press")


def test_a_reader_that_converts_its_calls_gets_them(world: World) -> None:
    """Also where no converter is running."""
    world.reader("own", own_calls=True)
    (sent,) = world.call(request("converter@own"))
    assert (sent.route, sent.message.section, sent.message.target) == (b"port_reader-own", "", "converter@own")


def test_a_call_goes_where_the_device_is_pinned(world: World) -> None:
    """User code that keeps state sees calls and frames in one process, whichever came first."""
    world.register("converter", "1")
    world.reader("smart", is_pinned=True)
    (by_call,) = world.call(request("converter@smart"))
    (by_frames,) = world.feed(frames("smart", pinned=True))
    (again,) = world.call(request("converter@smart"))
    assert by_call.route == again.route == f"converter-{by_frames.converter}".encode()


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("port_reader:nobody", "unknown device nobody"),
        ("converter@nobody", "unknown device nobody"),
        ("converter:7", "no converter is running"),
        ("monitor:0", "monitor:0 is not running"),
        ("nonsense", "nonsense is not running"),
    ],
)
def test_who_never_was_there_is_answered_for(world: World, target: str, error: str) -> None:
    """At once, with the words of the protocol."""
    assert answers(world.call(request(target))) == [(b"client-1", error)]
    assert world.core.counters["requests_unroutable"] == 1


@pytest.mark.parametrize(
    ("lost", "target", "error"),
    [
        ("port_reader:press", "port_reader:press", "device press is not connected"),
        ("port_reader:press", "converter@press", "device press is not connected"),
        ("converter:0", "converter@press", "no converter is running"),
        ("publisher:0", "publisher:0", "the publisher is not running"),
    ],
)
def test_who_is_lost_is_answered_for(world: World, lost: str, target: str, error: str) -> None:
    """After 5 s without a heartbeat."""
    world.pass_time(6.25, *(set(world.members) - {lost}))
    assert answers(world.call(request(target))) == [(b"client-1", error)]


def test_a_draining_converter_gets_no_calls(world: World) -> None:
    """It is about to exit."""
    world.beat("converter:0", draining=True)
    assert answers(world.call(request("converter@press"))) == [(b"client-1", "no converter is running")]


@pytest.mark.parametrize("left_s", [0.0, -1.0, float("nan")])
def test_an_expired_request_is_answered(world: World, left_s: float) -> None:
    """Also one whose time is no number."""
    assert answers(world.call(request(time_left_s=left_s))) == [(b"client-1", "expired while waiting")]


def test_a_new_broker_holds_calls_until_it_knows_who_is_there() -> None:
    """A request and a reply go out as soon as their target has registered; the time held is taken off."""
    world = World()
    assert world.call(request()) == world.call(Reply("old", "publisher:0", "", b"")) == []
    world.now_s += 0.5
    world.register("publisher")
    registered, *sent = [e for e in world.take(SendTo) if e.route == b"publisher-0"]
    assert isinstance(registered.message, Registered)
    assert sent[0].message.time_left_s == pytest.approx(4.5)
    assert sent[1].message == Reply("old", "publisher:0", "", b"")


def test_after_two_heartbeats_it_says_who_is_not_there() -> None:
    """Not before, and then without being asked again."""
    world = World()
    world.register("client", "1")
    world.effects.clear()
    assert world.call(request("port_reader:press")) == []
    world.pass_time(1.75, "client:1")
    assert answers(world.take(SendTo)) == []
    world.pass_time(0.5, "client:1")
    assert answers(world.take(SendTo)) == [(b"client-1", "unknown device press")]


def test_held_calls_expire() -> None:
    """With their own time, not only at the end of the wait."""
    world = World()
    world.register("client", "1")
    world.effects.clear()
    world.call(request(time_left_s=0.5))
    world.pass_time(1, "client:1")
    assert answers(world.take(SendTo)) == [(b"client-1", "expired while waiting")]


def test_held_calls_are_bounded() -> None:
    """One more is refused at once."""
    world = World()
    world.register("client", "1")
    for _ in range(HELD_LIMIT):
        assert world.call(request()) == []
    assert answers(world.call(request())) == [(b"client-1", "queue full")]


def test_an_unreachable_target_is_an_error_to_answer(world: World) -> None:
    """A connection that is gone means not connected, at once; a full one `queue full`."""
    (sent,) = world.call(request("port_reader:press"))
    assert answers(world.say(Unreachable(*sent, "full"))) == [(b"client-1", "queue full")]
    world.effects.clear()
    world.say(Unreachable(*sent, "gone"))
    assert answers(world.take(SendTo)) == [(b"client-1", "device press is not connected")]


def test_a_call_to_a_converter_that_is_gone_goes_to_another(world: World) -> None:
    """Nobody has seen it, so it may be tried again; frames pinned there move on as well."""
    (sent,) = world.call(request("converter@press"))
    world.register("converter", "1")
    world.effects.clear()
    world.say(Unreachable(*sent, "gone"))
    assert [effect.route for effect in world.take(SendTo)] == [b"converter-1"]
    world.feed(frames())
    assert [effect.converter for effect in world.take(SendFrames)] == ["1"]


def test_a_reply_to_who_is_gone_is_dropped_and_counted(world: World) -> None:
    """There is nobody to tell."""
    assert world.call(Reply("call-1", "client:other", "", b"")) == []
    (sent,) = world.call(Reply("call-1", "client:1", "", b""))
    assert answers(world.say(Unreachable(*sent, "gone"))) == []
    assert world.core.counters["replies_dropped"] == 2


def test_a_draining_broker_says_so(world: World) -> None:
    """What waits and what comes is answered; a reply still goes through."""
    world.feed(frames("a"))
    world.feed(frames("b"))
    world.feed(frames("c"))
    world.say(Drain())
    assert answers(world.call(request())) == [(b"client-1", "shutting down")]
    assert len(world.call(Reply("call-1", "client:1", "", b""))) == 1


def test_processes_that_share_a_connection_are_lost_together(world: World) -> None:
    """Nobody of ours does so; junk that does must not send a call round for ever."""
    for name in ("1", "2", "3"):
        world.say(
            CallArrived(b"shared", Register("converter", name, f"i{name}", 7, "here", "", {"protocol": PROTOCOL}))
        )
    world.say(Unreachable(b"converter-0", request("converter@press"), "gone"))
    *_, sent = world.take(SendTo)
    assert sent.route == b"shared"
    world.say(Unreachable(*sent, "gone"))
    assert answers(world.take(SendTo)) == [(b"client-1", "no converter is running")]
