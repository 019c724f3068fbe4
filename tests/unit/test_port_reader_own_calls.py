"""Calls that a port reader converts itself, since all of its device's converters are built in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.models import AttributeUpdate, Device, Rpc
from common.core.events import Drain, Note, Send
from common.stream.events import Append
from common.wire import codec
from common.wire.messages import Entry, Reply
from tests.support.port_reader_rig import Rig, frames_of

GET = Rpc(
    method="get", template="GET ${params}\n", with_response=True, response_type="int", response_from_byte=1, type="int"
)
SET = Rpc(method="set", type="int", length=2, with_response=False)
LIMIT = AttributeUpdate(attribute="limit", string_to_device="L=${limit}\n")


def _rig(**changes: Any) -> Rig:
    device = Device(
        name="d",
        downlink_converter="SerialDownlinkConverter",
        rpcs=(GET, SET),
        attribute_updates=(LIMIT,),
        **changes,
    )
    rig = Rig(device)
    rig.read(b"first\n")
    return rig


def _encode(rig: Rig, method: str, params: bytes, call_id: str = "c1", time_left_s: float = 10.0) -> None:
    rig.call("encode", {"method": method, "params": params}, call_id, time_left_s)


def _result(rig: Rig, call_id: str = "c1") -> Any:
    """The value that the platform gets, or the error's text."""
    reply = next(message for message in rig.calls if isinstance(message, Reply) and message.id == call_id)
    return reply.error or json.loads(codec.unpack(reply.body))


def _answers(rig: Rig) -> list[bytes]:
    """What the stream has of answers."""
    return [frame for row in rig.journal.rows.values() if row.kind == Entry.ANSWER for frame in frames_of(row)]


def test_params_are_written_and_the_answer_is_a_value():
    """No converter has part in it; the answer is journaled before anybody hears of it."""
    rig = _rig()
    _encode(rig, "get", b"7")
    assert rig.written == [b"GET 7\n"]
    rig.performed.clear()
    rig.read(b"A42\n")
    assert _result(rig) == {"result": 42}
    orders = [type(effect) for effect in rig.performed if isinstance(effect, Append | Send)]
    assert orders[0] is Append
    assert isinstance(rig.performed[1].message, Reply)
    assert _answers(rig) == [b"A42\n"]


def test_a_call_without_an_answer_ends_with_its_write():
    """Two bytes, big endian."""
    rig = _rig()
    _encode(rig, "set", b"258")
    assert rig.written == [b"\x01\x02"]
    assert rig.ended("c1") == "ok"


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("nobody", b"1", "Method not found"),
        ("set", b"null", "No data to send"),
        ("set", b'"x"', "params can't be converted: params: found 'x', expected a whole number"),
        ("set", b"{", "params can't be converted: not JSON"),
        ("set", b"70000", "params can't be converted"),
    ],
)
def test_params_from_which_no_bytes_can_be_made(method: str, params: bytes, error: str):
    """The platform gets the reason and the device nothing."""
    rig = _rig()
    _encode(rig, method, params)
    assert str(_result(rig)).startswith(error)
    assert rig.written == []


def test_an_answer_that_is_no_value():
    """It is in the stream all the same."""
    rig = _rig()
    _encode(rig, "get", b"7")
    rig.read(b"Axyz\n")
    assert str(_result(rig)).startswith("answer: found 'xyz")
    assert _answers(rig) == [b"Axyz\n"]


def test_an_attribute_update_is_written():
    """What no entry is configured for is logged, and an error if nothing else is there."""
    rig = _rig()
    rig.call("encode_update", {"data": b'{"limit": 5, "other": 1}'}, "u1")
    assert rig.written == [b"L=5\n"]
    notes = [effect for effect in rig.performed if isinstance(effect, Note) and effect.event == "update.no_entry"]
    assert [note.facts["attributes"] for note in notes] == ["other"]
    rig.call("encode_update", {"data": b'{"other": 1}'}, "u2")
    assert _result(rig, "u2") == "no attribute update is configured for other"
    assert sum(isinstance(effect, Note) and effect.event == "update.no_entry" for effect in rig.performed) == 2
    rig.call("encode_update", {"data": b"[]"}, "u3")
    assert _result(rig, "u3") == "an attribute update is no object"


def test_an_error_can_always_be_sent():
    """Whatever names a platform makes up; before, the reader died of it."""
    rig = _rig()
    rig.call("encode_update", {"data": b'{"\\ud800": 2}'}, "u1")
    assert _result(rig, "u1") == "no attribute update is configured for \\ud800"
    for message in rig.calls:
        codec.encode(message)


@pytest.mark.parametrize("depth", [200, 950, 980, 983, 990, 5_000])
def test_params_that_are_nested_deeply_are_an_error(depth: int):
    """A reply, no exception, however deep."""
    params = b'{"a":' * depth + b"1" + b"}" * depth
    rig = _rig()
    _encode(rig, "get", params)
    _encode(rig, "set", params, "c2")
    rig.call("encode_update", {"data": b'{"limit":' + params + b"}"}, "u1")
    rig.read(b"A1\n")
    assert {message.id for message in rig.calls} >= {"c2", "u1"} or rig.written
    for message in rig.calls:
        codec.encode(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(params=JSON | st.binary(max_size=12), answer=st.binary(max_size=12))
def test_whatever_is_said_ends_the_call(params: Any, answer: bytes):
    """Any JSON or junk for params and data, any bytes for an answer: a reply that can be sent, and no exception."""
    text = params if isinstance(params, bytes) else json.dumps(params).encode()
    rig = _rig()
    _encode(rig, "get", text)
    rig.read(answer.replace(b"\n", b"") + b"\n")
    rig.read(b"A1\n")
    _encode(rig, "set", text, "c2")
    rig.call("encode_update", {"data": text}, "u1")
    rig.call("encode_update", {"data": b'{"limit":' + text + b"}"}, "u2")
    assert {"c1", "c2", "u1", "u2"} <= {message.id for message in rig.calls}
    for message in rig.calls:
        codec.encode(message)


def test_an_answer_after_its_time_is_for_nobody():
    """The next call waits for it, and gets its own."""
    rig = _rig()
    _encode(rig, "get", b"7", "c1")
    _encode(rig, "get", b"8", "c2")
    rig.wait(GET.response_timeout_s + 0.1)
    assert str(_result(rig, "c1")).startswith("no answer in")
    rig.read(b"A7\n")
    rig.read(b"A8\n")
    assert _result(rig, "c2") == {"result": 8}


def test_a_call_that_comes_twice_late_or_malformed():
    """Written once, never when its time is over, and refused with what was found."""
    rig = _rig()
    _encode(rig, "set", b"1")
    _encode(rig, "set", b"1")
    assert len(rig.written) == 1
    _encode(rig, "set", b"1", "c2", time_left_s=0.0)
    assert _result(rig, "c2") == "expired while waiting"
    _encode(rig, "nobody", b"1", "c4", time_left_s=0.0)
    assert _result(rig, "c4") == "expired while waiting"
    rig.call("encode", {"method": 7, "params": b""}, "c3")
    assert _result(rig, "c3") == "malformed request: Expected `str`, got `int` - at `$.method`"
    assert len(rig.written) == 1


def test_users_converters_stay_with_converters():
    """Their code runs nowhere else."""
    rig = Rig(Device(name="d", converter="Mine", rpcs=(GET,)))
    rig.read(b"first\n")
    _encode(rig, "get", b"7")
    assert _result(rig) == "unknown verb encode"


def test_a_reader_that_ends_takes_no_call():
    """As any call."""
    rig = _rig()
    rig.beat()
    rig.give(Drain())
    _encode(rig, "set", b"1")
    assert _result(rig) == "shutting down"
