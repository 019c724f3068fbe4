"""The wire form of messages, by example."""

from __future__ import annotations

import pytest

from common.core.errors import WireError
from common.wire import codec
from common.wire.messages import (
    FrameBatch,
    Heartbeat,
    ReadingBody,
    Reply,
    StreamReport,
    Tap,
    topic_of,
)

BATCH = FrameBatch("press", "j", 1, 10, 2, 8, "e1", 0, "hash", False, True, body=b"body")


def test_a_message_is_a_header_with_a_type_code_and_its_body() -> None:
    """The layout on the wire: changing it breaks processes of two versions."""
    header, body = codec.encode(BATCH)
    assert codec.unpack(header) == [0, "press", "j", 1, 10, 2, 8, "e1", 0, "hash", False, True]
    assert body == b"body"


def test_a_batch_says_what_was_asked_for_only_where_something_was() -> None:
    """Unasked frames cost no byte more than before there were questions, and an older version reads all of them."""
    asked = BATCH.replace(origin="input:0+10")
    header, body = codec.encode(asked)
    assert codec.unpack(header)[12:] == ["input:0+10"]
    assert codec.decode([header, body]) == asked
    assert codec.decode(codec.encode(BATCH)).origin == ""


def test_a_message_without_a_body_has_an_empty_second_part() -> None:
    """All messages are two parts."""
    report = StreamReport("j", 1, "e1", 5, 3, 1000, [(4, 4)], [(2, "why")])
    header, body = codec.encode(report)
    assert codec.unpack(header)[0] == 2
    assert body == b""


def test_whole_numbers_stand_for_floats() -> None:
    """msgpack of another language writes 1.0 as 1."""
    beat = Heartbeat("monitor", "0", "i", 1, "h", 1, {}, {})
    assert codec.decode(codec.encode(beat)) == beat


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "found 0 parts, expected 2"),
        ([b"a", b"b", b"c", b"d"], "found 4 parts, expected 2"),
        ([*codec.encode(Reply("id", "to", "", b"")), b"c"], "found 3 parts, expected 2"),
        ([codec.pack({}), b""], "the header is no array that begins with a type code"),
        ([codec.pack([]), b""], "the header is no array that begins with a type code"),
        ([codec.pack(["0"]), b""], "the header is no array that begins with a type code"),
        ([codec.pack([99]), b""], "unknown message type 99"),
        ([codec.pack([-1]), b""], "unknown message type -1"),
        ([codec.pack([8, "id", "to"]), b""], "Reply: found 2 fields, expected 3"),
        ([codec.pack([8, "id", "to", 5]), b""], "Reply.error: found int, expected str"),
        ([codec.pack([8, "id", True, ""]), b""], "Reply.target: found bool, expected str"),
        ([codec.pack([8, "id"]), b""], "Reply: found 1 fields, expected 3"),
        (codec.encode(BATCH.replace(base=-1)), "FrameBatch.base: found -1, which is no number of ours"),
        (codec.encode(BATCH.replace(length=65_537)), "FrameBatch.length: found 65537, which is no number of ours"),
        (codec.encode(BATCH.replace(first=2**63)), f"FrameBatch.first: found {2**63}, which is no number of ours"),
        (
            [codec.pack([2, "j", 1, "e", 1, 1, 1, [[1]], []]), b""],
            "StreamReport.missing: Expected `array` of length 2, got 1",
        ),
        (
            [codec.pack([2, "j", 1, "e", 1, 1, 1, [], [[1, 2]]]), b""],
            "StreamReport.dead: found int, expected str",
        ),
    ],
)
def test_what_is_no_message_says_why(parts: list[bytes], reason: str) -> None:
    """The reason stands in the log when junk first comes in."""
    with pytest.raises(WireError) as caught:
        codec.decode(parts)
    assert str(caught.value) == reason


def test_a_huge_number_in_an_answer_allocates_nothing() -> None:
    """A body of a few bytes must not turn into gigabytes."""
    body = codec.pack([[1], [b""], b"", {}, {}, ["id", 2**40], ""])
    with pytest.raises(WireError):
        codec.unpack_readings(body, 1)


def test_an_empty_reading_body_is_one() -> None:
    """A batch of length 0 only gives credit back."""
    assert codec.unpack_readings(codec.pack_readings(ReadingBody([], [])), 0) == ReadingBody([], [])


def test_arguments_of_a_call_are_a_map() -> None:
    """Anything else is refused."""
    assert codec.unpack_map(codec.pack({"method": "get"})) == {"method": "get"}
    with pytest.raises(WireError, match="found int, expected a map"):
        codec.unpack_map(codec.pack(5))
    assert codec.decode(codec.encode(Reply("id", "to", "", codec.pack(None)))).body == b"\xc0"


def test_topics_end_with_a_dot() -> None:
    """Subscriptions are prefixes: `press1` must not hear `press10`."""
    assert topic_of(Tap("frames", "press1", b"")) == b"tap.press1."
    assert topic_of(Tap("line", "press1", b"")) == b"line.press1."
    assert topic_of(StreamReport("j", 1, "e", 1, 1, 1, [], [])) == b"ack.j."
    assert topic_of(Heartbeat("broker", "0", "i", 1, "h", 1.0, {}, {})) == b"beat.broker.0."
