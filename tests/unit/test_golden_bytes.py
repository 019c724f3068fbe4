"""The bytes on the wire and in journals, as release 0.2 wrote them: processes of two versions meet; journals stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.core.errors import WireError
from common.wire import codec
from common.wire.messages import (
    FrameBatch,
    FrameBody,
    Heartbeat,
    Message,
    ReadingBatch,
    ReadingBody,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
    UserReading,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "cases" / "wire" / "release-0.2.json").read_text())
FRAMES = FrameBody([1700000000000, 1700000000001], [b"a\n", b"\x00\xff"])
READINGS = ReadingBody(
    [1700000000000, 1700000000001],
    [b'{"n":1}', b""],
    b'{"serial":"7"}',
    {1: "why not"},
    {1: [UserReading("d", "t", [(None, b'{"x":1}'), (5, b"{}")], b'{"a":2}')]},
    ("call-1", b'{"result":1}'),
    "press",
)
STATE = {"epoch": "e1", "link": "up", "up_s": None}
DETAIL = {"section": "s", "pinned": False, "own_calls": True}
MESSAGES: list[Message] = [
    FrameBatch("press 1", "j0", 3, 10, 2, 8, "e1", 0, "0123456789abcdef", False, True, body=codec.pack_frames(FRAMES)),
    ReadingBatch("press 1", "j0", 3, 10, 2, 8, "e1", 0, "0", "i7", codec.pack_readings(READINGS)),
    StreamReport("j0", 3, "e1", 12, 9, 1048576, [(4, 5), (7, 7)], [(8, "too long")]),
    Heartbeat("publisher", "0", "i1", 42, "host", 1.5, STATE, {"n": 1, "big": 2**40}, 1.0),
    Tap("readings", "press 1", b"body"),
    Register("port_reader", "press 1", "i2", 43, "host", "/data/x.lock", DETAIL),
    Registered("converter:0", True, "", "b1", "frames.0123abcd"),
    Request(
        "call-1",
        "publisher:0",
        "converter@press 1",
        "encode",
        "press 1",
        "s",
        4.25,
        codec.pack({"method": "set", "params": b"5"}),
    ),
    Reply("call-1", "publisher:0", "no answer in 5 s", b""),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_each_message_has_the_bytes_it_had(message: Message) -> None:
    """Written and read: the same bytes, the same message."""
    golden = [bytes.fromhex(part) for part in GOLDEN["messages"][type(message).__name__]]
    assert list(codec.encode(message)) == golden
    assert codec.decode(golden) == message


def test_bodies_have_the_bytes_they_had() -> None:
    """Of frames, which the journal keeps, and of readings, with all that they may hold."""
    answer = FrameBody([1700000000000], [b"ok\n"], ["call-1", "get"])
    assert codec.pack_frames(answer).hex() == GOLDEN["bodies"]["frames"]
    assert codec.unpack_frames(bytes.fromhex(GOLDEN["bodies"]["frames"]), 1) == answer
    plain = ReadingBody([1], [b'{"n":1}'])
    assert codec.pack_readings(plain).hex() == GOLDEN["bodies"]["readings"]
    assert codec.unpack_readings(bytes.fromhex(GOLDEN["bodies"]["readings"]), 1) == plain
    assert codec.unpack_frames(bytes.fromhex(GOLDEN["messages"]["FrameBatch"][1]), 2) == FRAMES
    assert codec.unpack_readings(bytes.fromhex(GOLDEN["messages"]["ReadingBatch"][1]), 2) == READINGS


def test_the_golden_bytes_are_of_every_type() -> None:
    """A new message type needs bytes too."""
    assert [type(message) for message in MESSAGES] == list(codec._TYPES)
    assert set(GOLDEN["messages"]) == {cls.__name__ for cls in codec._TYPES}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_fields_that_a_newer_version_has_added_are_left_out(message: Message) -> None:
    """Headers and bodies may gain fields at their end; who does not know them reads on. (What is left out where it is
    empty is written where something stands behind it.)"""
    message = message.replace(origin="status") if isinstance(message, FrameBatch) else message
    header, body = codec.encode(message)
    longer = codec.pack([*codec.unpack(header), "new", {"more": [1]}])
    assert codec.decode([longer, body]) == message


def test_bodies_that_have_gained_fields_are_read() -> None:
    """The same of frames and readings."""
    assert codec.unpack_frames(codec.pack([*codec.unpack(codec.pack_frames(FRAMES)), 7]), 2) == FRAMES
    assert codec.unpack_readings(codec.pack([*codec.unpack(codec.pack_readings(READINGS)), None, 7]), 2) == READINGS


def test_a_field_with_a_default_may_be_missing() -> None:
    """As an older version leaves it out; one without may not."""
    header = codec.unpack(codec.encode(MESSAGES[3])[0])
    assert codec.decode([codec.pack(header[:-1]), b""]) == MESSAGES[3]
    with pytest.raises(WireError, match="Heartbeat: found 7 fields, expected 9"):
        codec.decode([codec.pack(header[:-2]), b""])
