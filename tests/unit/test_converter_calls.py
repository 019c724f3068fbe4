"""The converter's steps of calls: encode, encode_update, decode."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import astuple

from common.config.models import Device, Rpc
from common.core.events import Blocked, Note, Writable
from common.wire import codec
from common.wire.messages import Plane, Reply, Request
from services.converter.core.calls import CALLS_HELD
from tests.support.converting import PRESS, RPCS, USER, World, call


@pytest.fixture
def world() -> World:
    world = World().start()
    world.know(PRESS)
    world.know(USER)
    world.effects.clear()
    return world


def encode(device: Device, method: str, params: bytes, **fields: Any) -> Request:
    return call(device, "encode", {"method": method, "params": params}, **fields)


def test_params_become_an_exchange_with_the_reader(world: World) -> None:
    """Same id and `reply_to`, the time that is left, and all that the reader needs to find the answer."""
    world.say(encode(PRESS, "set", b"258"))
    world.say(encode(USER, "get", b'"now"'))
    first, second = world.take_requests("exchange")
    assert astuple(first)[:7] == ("call-1", "publisher:0", "port_reader:press", "exchange", "press", first.section, 4.0)
    assert codec.unpack_map(first.body) == {
        "writes": [b"\x01\x02"],
        "method": "set",
        "with_response": False,
        "timeout_s": 5.0,
        "pattern": "",
        "until": b"",
    }
    assert codec.unpack_map(second.body) == {
        "writes": [b"<now>"],
        "method": "get",
        "with_response": True,
        "timeout_s": 2.0,
        "pattern": "^v",
        "until": b"",
    }


def test_a_template_needs_no_users_code(world: World) -> None:
    """`template` replaces the downlink converter."""
    world.say(encode(USER, "plain", b"5"))
    assert codec.unpack_map(world.take_requests("exchange")[0].body)["writes"] == [b"SET 5\n"]


@pytest.mark.parametrize(
    ("device", "method", "params", "error"),
    [
        (PRESS, "gone", b"1", "Method not found"),
        (PRESS, "set", b"null", "No data to send"),
        (PRESS, "set", b"", "No data to send"),
        (PRESS, "set", b'"many"', "params can't be converted: params: found 'many', expected a whole number"),
        (PRESS, "set", b"{", "params can't be converted: not JSON"),
        (USER, "set", b'"bad"', "params can't be converted: UserDown: ValueError: bad"),
        (Device(name="bare", rpcs=RPCS), "set", b"1", "Downlink converter not defined"),
    ],
)
def test_what_can_not_be_encoded_is_answered_with_its_reason(
    world: World, device: Device, method: str, params: bytes, error: str
) -> None:
    """One reply to `reply_to`, with the text that the platform gets."""
    world.say(encode(device, method, params))
    world.teach(device)
    [reply] = world.take(Reply)
    assert (reply.id, reply.target) == ("call-1", "publisher:0")
    assert reply.error.startswith(error)
    assert world.take_requests("exchange") == []


def test_every_matching_entry_of_an_update_is_written_in_one_exchange(world: World) -> None:
    """Several entries may match; an attribute without one is a warning."""
    world.say(call(PRESS, "encode_update", {"data": b'{"a": 25, "b": 1}'}))
    [exchange] = world.take_requests("exchange")
    arguments = codec.unpack_map(exchange.body)
    assert arguments["writes"] == [b"a=25\n", b"again 25\n"]
    assert arguments["with_response"] is False
    [note] = world.take(Note)
    assert (note.level, note.event, note.facts["attributes"]) == ("warning", "update.no_entry", "b")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"b": 1, "\\ud800": 2}', "no attribute update is configured for b,\\ud800"),
        (b"{}", "no attribute update is configured for nothing"),
        (b"[1]", "an attribute update is no object"),
        (b'{"a": null}', "a: found null, expected a value"),
        (b"{", "not JSON"),
    ],
)
def test_an_update_with_nothing_to_write_is_an_error(world: World, data: bytes, error: str) -> None:
    """Nothing is written, and the caller hears why."""
    world.say(call(PRESS, "encode_update", {"data": data}))
    [reply] = world.take(Reply)
    assert reply.error.startswith(error)
    assert world.take_requests("exchange") == []


def test_an_answer_becomes_a_result(world: World) -> None:
    """`decode` ends the call at `reply_to` with the platform's JSON, by the built-in rules or by users' code."""
    world.say(call(PRESS, "decode", {"method": "get", "frame": b"17\n"}))
    world.say(call(USER, "decode", {"method": "get", "frame": b"abc"}))
    assert [codec.unpack(reply.body) for reply in world.take(Reply)] == [b'{"result":17}', b'{"result":"abc"}']


def test_an_answer_that_is_no_value_is_an_error(world: World) -> None:
    """The reason, and no body."""
    world.say(call(PRESS, "decode", {"method": "get", "frame": b"soon\n"}))
    [reply] = world.take(Reply)
    assert "expected a decimal whole number" in reply.error


def test_a_call_waits_for_its_section_no_longer_than_its_time(world: World) -> None:
    """In time it goes on with what is left; late it is answered "expired while waiting"."""
    slow = Device(name="slow", downlink_converter="SerialDownlinkConverter", rpcs=(Rpc(method="set"),))
    world.say(encode(slow, "set", b'"x"', time_left_s=3.0))
    world.run_for(1.0)
    world.teach(slow)
    assert world.take_requests("exchange")[0].time_left_s == pytest.approx(2.0)
    other = Device(name="other")
    world.say(encode(other, "set", b"1", call_id="call-2", time_left_s=3.0))
    world.run_for(3.5)
    assert [(reply.id, reply.error) for reply in world.take(Reply)] == [("call-2", "expired while waiting")]
    world.take(Request)
    world.run_for(5.0)
    assert world.take(Request) == []


@pytest.mark.parametrize("time_left_s", [0.0, -1.0])
def test_a_call_without_time_is_refused(world: World, time_left_s: float) -> None:
    """Nothing is written for a caller who has gone."""
    world.say(encode(PRESS, "set", b"1", time_left_s=time_left_s))
    assert [reply.error for reply in world.take(Reply)] == ["expired while waiting"]


def test_calls_that_wait_are_bounded(world: World) -> None:
    """The one past the bound is answered at once."""
    for number in range(CALLS_HELD + 1):
        world.say(encode(Device(name="other"), "set", b"1", call_id=f"call-{number}"))
    assert [(reply.id, reply.error) for reply in world.take(Reply)] == [(f"call-{CALLS_HELD}", "queue full")]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("encode", b"\xc1"),
        ("encode", codec.pack([1])),
        ("encode", codec.pack({"method": "set", "params": 5})),
        ("encode", codec.pack({"method": 1, "params": b"5"})),
        ("encode_update", codec.pack({})),
        ("decode", codec.pack({"method": "get", "frame": "text"})),
    ],
)
def test_a_malformed_call_is_answered(world: World, verb: str, body: bytes) -> None:
    """Bad arguments are a reply, never a crash."""
    world.say(call(PRESS, verb, {}).replace(body=body))
    [reply] = world.take(Reply)
    assert reply.error.startswith("malformed request: ")


def test_a_verb_of_others_and_a_device_without_section_are_answered(world: World) -> None:
    """Both say which."""
    world.say(call(PRESS, "exchange", {}))
    world.say(encode(PRESS, "set", b"1").replace(section=""))
    assert [reply.error for reply in world.take(Reply)] == ["unknown verb exchange", "device press is not connected"]


def test_steps_that_could_not_be_sent_go_out_with_less_time(world: World) -> None:
    """A reply goes out late, an exchange with the time that is left, and not at all when none is."""
    world.say(encode(PRESS, "set", b"1", call_id="long", time_left_s=4.0))
    world.say(encode(PRESS, "set", b"1", call_id="short", time_left_s=1.0))
    world.say(encode(PRESS, "gone", b"1", call_id="failed"))
    for message in [*world.take_requests("exchange"), *world.take(Reply)]:
        world.hear(Blocked(Plane.CALLS, message))
    world.now_s += 2.0
    world.hear(Writable(Plane.CALLS))
    [again] = world.take_requests("exchange")
    assert again.id == "long"
    assert again.time_left_s == pytest.approx(2.0)
    assert {(reply.id, reply.error) for reply in world.take(Reply)} == {
        ("short", "expired while waiting"),
        ("failed", "Method not found"),
    }
