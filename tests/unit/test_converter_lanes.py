"""Users' code that is slow, stuck or dead: whom it holds (its own device), for how long, and who hears of it."""

from __future__ import annotations

import itertools

import pytest

from common.config.models import Device
from common.core.events import Note, Tick
from common.wire import codec
from common.wire.messages import Heartbeat, ReadingBatch, Reply, Request
from services.converter.core.events import (
    ConvertWithUserCode,
    Death,
    EncodeWithUserCode,
    EndHost,
    HostEnded,
    HostLoading,
    HostReady,
    UserAnswered,
    UserConverted,
    UserFrame,
)
from services.converter.core.lanes import (
    ANSWER_S,
    HOSTS,
    LANE_BATCHES,
    LANE_CALLS,
    START_AGAIN_S,
    START_S,
)
from tests.support.converting import PRESS, RPCS, USER, World, call, frame_batch

OTHER = Device(name="other", converter="UserUp", downlink_converter="UserDown", rpcs=RPCS)
DEATH = Death("note-1", "user", "journal", 3, [12])


@pytest.fixture
def world() -> World:
    world = World().start()
    for device in (USER, OTHER, PRESS):
        world.know(device)
    world.take(ConvertWithUserCode)
    world.users.is_slow = True
    return world


def user_device(number: int) -> Device:
    return Device(name=f"user{number}", converter="UserUp", rpcs=RPCS)


def test_users_code_of_one_device_holds_no_other(world: World) -> None:
    """Each has a host; what is built in waits for none."""
    world.say(frame_batch(USER, [b"1"], first=10))
    world.say(frame_batch(OTHER, [b"2"], first=10))
    world.say(frame_batch(PRESS, [b"3"], first=10))
    assert [batch.device for batch in world.take(ReadingBatch)] == ["press"]
    orders = world.take(ConvertWithUserCode)
    assert [order.device.name for order in orders] == ["user", "other"]
    assert len({order.host for order in orders}) == 2


def test_a_host_that_does_not_answer_is_ended_and_its_frame_reported(world: World) -> None:
    """The batch is given back, the reader hears of the frame, and the device goes on with a new host."""
    world.say(frame_batch(USER, [b"1", b"2", b"3"], first=11))
    [order] = world.take(ConvertWithUserCode)
    world.hear(HostReady(order.host))
    world.users.death = DEATH
    world.run_for(ANSWER_S - 0.1)
    assert world.take(EndHost) == []
    world.run_for(0.2)
    [end] = world.take(EndHost)
    assert end == EndHost(order.host, "users' code of user did not answer within 12 s")
    assert [(batch.first, batch.length) for batch in world.take(ReadingBatch)] == [(11, 0)]
    [request] = world.take_requests("note")
    assert (request.id, request.target) == ("note-1", "port_reader:user")
    [note] = [note for note in world.take(Note) if note.event == "host.ended"]
    assert (note.level, note.facts["numbers"]) == ("warning", "12")
    # While the reader has not answered nothing touches that frame; others go on.
    world.say(frame_batch(USER, [b"1", b"2", b"3"], first=11))
    world.say(frame_batch(USER, [b"9"], first=20))
    assert [order.first for order in world.take(ConvertWithUserCode)] == [20]
    assert (world.core.counters["hosts_started"], world.core.counters["hosts_ended"]) == (3, 1)


def test_a_slow_start_is_no_slow_answer(world: World) -> None:
    """The time for an order begins when its host is ready; a start has its own."""
    world.say(frame_batch(user_device(1), [b"1"], first=11))
    world.teach(user_device(1))
    [order] = world.take(ConvertWithUserCode)
    world.run_for(START_S - 1)
    assert world.take(EndHost) == []
    world.hear(HostReady(order.host))
    world.run_for(ANSWER_S - 0.1)
    assert world.take(EndHost) == []
    world.run_for(0.2)
    assert [end.host for end in world.take(EndHost)] == [order.host]


def test_a_host_that_never_starts_is_ended(world: World) -> None:
    """Nobody is blamed for it, and it is tried again."""
    world.say(frame_batch(user_device(1), [b"1"], first=11))
    world.teach(user_device(1))
    world.run_for(START_S + 0.1)
    [end] = world.take(EndHost)
    assert end.why == "users' code of user1 did not start within 120 s"
    assert world.take_requests("note") == []


def test_a_host_that_can_not_be_started_is_tried_again_after_a_while(world: World) -> None:
    """No room for a process, say: the batch is given back at once, and the next waits its second."""
    world.say(frame_batch(user_device(1), [b"1"], first=11))
    world.teach(user_device(1))
    [order] = world.take(ConvertWithUserCode)
    world.take(ReadingBatch)
    world.users.waiting.clear()
    world.hear(HostEnded(order.host, None, "could not be started: no memory"))
    assert [batch.length for batch in world.take(ReadingBatch)] == [0]
    world.say(frame_batch(user_device(1), [b"1"], first=11))
    assert world.take(ConvertWithUserCode) == []
    world.run_for(START_AGAIN_S + 0.1)
    assert [order.first for order in world.take(ConvertWithUserCode)] == [11]


def test_a_result_that_comes_too_late_is_nobodys(world: World) -> None:
    """The host has been ended, its number is another device's, and then its answer turns up."""
    world.say(frame_batch(USER, [b"1"], first=11))
    [order] = world.take(ConvertWithUserCode)
    world.users.waiting.clear()
    world.hear(HostEnded(order.host, None, "it exited"))
    world.take(ReadingBatch)
    world.say(frame_batch(OTHER, [b"2"], first=20))
    world.say(frame_batch(user_device(1), [b"2"], first=20))
    world.teach(user_device(1))
    late = UserConverted(order.job, [UserFrame([], "late")], None, order.host)
    world.hear(late)
    assert world.take(ReadingBatch) == []
    assert world.core.counters["user_errors"] == 0


def test_calls_go_before_frames_and_fail_with_the_host(world: World) -> None:
    """A call waits for one slice, not for all batches; it is answered when its host ends."""
    world.users.slice_frames = 1
    world.say(frame_batch(USER, [b"1", b"2"], first=11))
    world.say(call(USER, "encode", {"method": "set", "params": b"5"}))
    world.let_users_go_on()
    assert [type(order) for order in world.users.waiting] == [EncodeWithUserCode]
    world.let_users_go_on()
    assert [request.verb for request in world.take(Request)] == ["exchange"]
    world.say(call(USER, "encode", {"method": "set", "params": b"6"}, "call-2"))
    world.let_users_go_on()
    [order] = world.users.waiting
    world.hear(HostEnded(order.host, None, "it was ended by SIGSEGV"))
    [reply] = world.take(Reply)
    why = "the process of the converter ended: it was ended by SIGSEGV"
    assert (reply.id, reply.error) == ("call-2", f"params can't be converted: {why}")


def test_a_call_does_not_wait_past_its_time_for_users_code(world: World) -> None:
    """Nor is it carried out afterwards."""
    world.say(frame_batch(USER, [b"1"], first=11))
    world.say(call(USER, "encode", {"method": "set", "params": b"5"}, time_left_s=2.0))
    world.run_for(2.1)
    assert [reply.error for reply in world.take(Reply)] == ["expired while waiting"]
    world.let_users_go_on()
    assert world.users.waiting == []


def test_an_answer_to_an_expired_call_frees_its_host(world: World) -> None:
    """Users' code was at it when its time was over."""
    world.say(call(USER, "encode", {"method": "set", "params": b"5"}, time_left_s=2.0))
    world.run_for(2.1)
    assert [reply.error for reply in world.take(Reply)] == ["expired while waiting"]
    world.say(frame_batch(USER, [b"1"], first=11))
    assert world.take(ConvertWithUserCode) == []
    [order] = world.users.waiting
    world.users.waiting.clear()
    world.hear(UserAnswered(order.job, b"late", "", order.host))
    assert world.take(Request) == []
    assert [order.first for order in world.take(ConvertWithUserCode)] == [11]


def test_what_waits_for_one_device_is_bounded(world: World) -> None:
    """Batches are given back, calls refused."""
    for number in range(LANE_BATCHES + 1):
        world.say(frame_batch(USER, [b"1"], first=20 + number))
    assert [(batch.first, batch.length) for batch in world.take(ReadingBatch)] == [(20 + LANE_BATCHES, 0)]
    for number in range(LANE_CALLS + 1):
        world.say(call(USER, "encode", {"method": "set", "params": b"5"}, f"call-{number}"))
    assert [(reply.id, reply.error) for reply in world.take(Reply)] == [(f"call-{LANE_CALLS}", "queue full")]


def test_the_host_that_was_idle_for_the_longest_makes_room(world: World) -> None:
    """There are so many hosts at a time; nobody is ended who is at something."""
    world.users.is_slow = False
    for number in range(HOSTS):
        world.now_s += 1
        world.say(frame_batch(user_device(number), [b"1"], first=1))
        world.teach(user_device(number))
    assert world.core.counters["hosts_ended"] == 2  # those of USER and OTHER
    world.say(frame_batch(user_device(HOSTS), [b"1"], first=1))
    world.teach(user_device(HOSTS))
    assert len(world.take(ReadingBatch)) == HOSTS + 1
    said = [end.why for end in world.take(EndHost)]
    assert said == [f"another device needs the place; there are {HOSTS}"] * 3
    assert world.core.counters["hosts_died"] == 0


def test_when_all_hosts_are_busy_others_wait(world: World) -> None:
    """And go on when one is free."""
    for number in itertools.chain(range(HOSTS + 1)):
        world.say(frame_batch(user_device(number), [b"1"], first=1))
        world.teach(user_device(number))
    assert len(world.users.waiting) == HOSTS
    world.let_users_go_on()
    assert [order.device.name for order in world.users.waiting] == [f"user{HOSTS}"]


def test_a_new_broker_waits_for_no_host(world: World) -> None:
    """What a host is at for the old one is of no use; its device goes on when it returns, or is ended."""
    world.say(frame_batch(USER, [b"1"], first=11))
    world.say(Heartbeat("broker", "0", "broker-2", 1, "here", 1.0, {}, {}))
    world.register("broker-2")
    world.say(frame_batch(USER, [b"1"], first=11))
    assert len(world.users.waiting) == 1
    world.let_users_go_on()
    assert world.take(ReadingBatch) == []
    world.let_users_go_on()
    assert [(batch.first, batch.length) for batch in world.take(ReadingBatch)] == [(11, 1)]


def test_a_host_that_dies_at_nothing_is_told(world: World) -> None:
    """What users' code has left running broke it; nobody is blamed, and the next order has a new one."""
    world.say(frame_batch(USER, [b"1"], first=11))
    world.let_users_go_on()
    [order] = world.take(ConvertWithUserCode)
    world.take(Note)
    world.hear(HostEnded(order.host, None, "it was ended by SIGSEGV"))
    [note] = world.take(Note)
    assert (note.event, note.facts["device"]) == ("host.ended", "user")
    assert world.core.counters["hosts_died"] == 1
    world.say(frame_batch(USER, [b"1"], first=12))
    assert len(world.take(ConvertWithUserCode)) == 1


def test_nothing_says_which_frame_it_was(world: World) -> None:
    """Where there is no record, as without room for a file, all frames of the order are suspects; of one, it is."""
    for frames, numbers in (([b"1", b"2"], [11, 12]), ([b"3"], [20])):
        world.say(frame_batch(USER, frames, first=numbers[0]))
        [order] = world.take(ConvertWithUserCode)
        world.hear(HostReady(order.host))
        world.hear(HostEnded(order.host, None, "it was ended by SIGKILL"))
        [request] = [request for request in world.take_requests("note") if numbers[0] in _numbers(request)]
        assert _numbers(request) == numbers
        world.run_for(START_AGAIN_S)


def _numbers(request: Request) -> list[int]:
    return list(codec.unpack_map(request.body)["numbers"])


def test_after_all_stood_still_hosts_have_their_time(world: World) -> None:
    """A machine that was suspended: the clock has gone on, users' code has not."""
    world.say(frame_batch(USER, [b"1"], first=11))
    [order] = world.take(ConvertWithUserCode)
    world.hear(HostReady(order.host))
    world.run_for(5)
    world.now_s += 60
    world.hear(Tick())
    assert world.take(EndHost) == []
    world.run_for(ANSWER_S)
    assert [end.host for end in world.take(EndHost)] == [order.host]


def test_more_of_users_code_that_loads_slowly_has_its_time(world: World) -> None:
    """A device's downlink converter is loaded at its first call."""
    world.say(frame_batch(USER, [b"1"], first=11))
    [order] = world.take(ConvertWithUserCode)
    world.hear(HostReady(order.host))
    world.hear(HostLoading(order.host))
    world.run_for(ANSWER_S + 10)
    assert world.take(EndHost) == []
    world.hear(HostReady(order.host))
    world.run_for(ANSWER_S + 0.1)
    assert len(world.take(EndHost)) == 1
