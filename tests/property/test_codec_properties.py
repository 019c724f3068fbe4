"""The wire form: what is encoded comes back, and anything else is a WireError."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.core.errors import WireError
from common.wire import codec
from common.wire.messages import (
    MOST_ENTRIES,
    MOST_NUMBER,
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

texts = st.text(max_size=12)
blobs = st.binary(max_size=40)
numbers = st.integers(-(2**63), 2**64 - 1)
heads = st.integers(-MOST_NUMBER, MOST_NUMBER)
counts = st.integers(0, MOST_NUMBER)
lengths = st.integers(0, MOST_ENTRIES)
floats = st.floats(allow_nan=False)
facts = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts | blobs,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
maps = st.dictionaries(texts, facts, max_size=3)
counters = st.dictionaries(texts, numbers, max_size=3)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        FrameBatch,
        texts,
        texts,
        counts,
        counts,
        lengths,
        counts,
        texts,
        heads,
        texts,
        st.booleans(),
        st.booleans(),
        texts,
        blobs,
    ),
    st.builds(ReadingBatch, texts, texts, counts, counts, lengths, counts, texts, heads, texts, texts, blobs),
    st.builds(
        StreamReport,
        texts,
        heads,
        texts,
        heads,
        heads,
        heads,
        st.lists(st.tuples(numbers, numbers), max_size=3),
        st.lists(st.tuples(numbers, texts), max_size=3),
    ),
    st.builds(Heartbeat, texts, texts, texts, heads, texts, floats, maps, counters),
    st.builds(Tap, texts, texts, blobs),
    st.builds(Register, texts, texts, texts, heads, texts, texts, maps),
    st.builds(Registered, texts, st.booleans(), texts, texts, texts),
    st.builds(Request, texts, texts, texts, texts, texts, texts, floats, blobs),
    st.builds(Reply, texts, texts, texts, blobs),
)

anything = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts | blobs,
    lambda inner: st.lists(inner, max_size=14) | st.dictionaries(numbers | texts, inner, max_size=3),
    max_leaves=20,
)


@given(messages)
def test_every_message_comes_back(message: Message) -> None:
    """Each of the nine types, with any contents of the right types; the body is the same bytes."""
    found = codec.decode(codec.encode(message))
    assert found == message
    assert type(found) is type(message)


def test_the_round_trip_covers_every_type() -> None:
    """A new message type needs a line above."""
    assert len(codec._TYPES) == 9


@given(st.lists(blobs, max_size=4))
@example([b"", b""])
@example([b"\x90", b""])
@example([b"\xc1", b""])
@example([b"\x91\xc3", b""])
@example([b"\xdd\xff\xff\xff\xff", b""])
@example([b"\x81\x90\x01", b""])
@example([b"\xc7\x01\xff\x00", b""])
@example([b"\xa1\xff", b""])
@example([b"\x91" * 5000, b""])
def test_junk_is_a_wire_error(parts: list[bytes]) -> None:
    """Bytes from anywhere: never another exception."""
    with pytest.raises(WireError):
        codec.decode(parts)


@given(st.integers(-2, 12), st.lists(anything, max_size=14), blobs)
@settings(max_examples=300)
def test_a_header_of_the_wrong_shape_is_a_wire_error(code: int, fields: list[Any], body: bytes) -> None:
    """Well-formed msgpack with a type code: a message whose fields have their types, or a WireError."""
    try:
        message = codec.decode([msgpack.packb([code, *fields]), body])
    except WireError:
        return
    assert codec.decode(codec.encode(message)) == message or message != message


@given(messages, st.data())
def test_one_wrong_field_is_a_wire_error(message: Message, data: st.DataObject) -> None:
    """A field of another type never gets through: None fits none."""
    header, body = codec.encode(message)
    fields = codec.unpack(header)
    fields[data.draw(st.integers(1, len(fields) - 1))] = None
    with pytest.raises(WireError):
        codec.decode([codec.pack(fields), body])


@given(messages, st.integers(0, 200))
def test_a_cut_header_is_a_wire_error(message: Message, length: int) -> None:
    """A prefix of a header is no message."""
    header, body = codec.encode(message)
    with pytest.raises(WireError):
        codec.decode([header[: min(length, len(header) - 1)], body])


@given(st.lists(st.tuples(numbers, blobs), max_size=5), st.lists(texts, max_size=2))
def test_frames_come_back(entries: list[tuple[int, bytes]], extra: list[str]) -> None:
    """The body that the journal stores too."""
    body = FrameBody([ts for ts, _ in entries], [frame for _, frame in entries], extra)
    assert codec.unpack_frames(codec.pack_frames(body), len(entries)) == body
    with pytest.raises(WireError):
        codec.unpack_frames(codec.pack_frames(body), len(entries) + 1)


user_readings = st.builds(UserReading, texts, texts, st.lists(st.tuples(st.none() | numbers, blobs), max_size=2), blobs)


@given(
    st.lists(st.tuples(numbers, blobs), max_size=5),
    blobs,
    st.dictionaries(st.integers(0, 9), texts, max_size=2),
    st.dictionaries(st.integers(0, 9), st.lists(user_readings, max_size=2), max_size=2),
    st.none() | st.tuples(texts, blobs),
    texts,
)
def test_readings_come_back(
    entries: list[tuple[int, bytes]],
    attributes: bytes,
    dead: dict[int, str],
    user: dict[int, list[UserReading]],
    answer: tuple[str, bytes] | None,
    device_type: str,
) -> None:
    """With dead letters, users' readings, an answer."""
    body = ReadingBody([ts for ts, _ in entries], [v for _, v in entries], attributes, dead, user, answer, device_type)
    assert codec.unpack_readings(codec.pack_readings(body), len(entries)) == body


@given(blobs | anything.map(codec.pack), st.integers(0, 3))
@settings(max_examples=300)
def test_a_junk_body_is_a_wire_error(data: bytes, count: int) -> None:
    """Bodies are opened by who reads them: the same promise there."""
    for read in (codec.unpack_frames, codec.unpack_readings):
        try:
            read(data, count)
        except WireError:
            continue
    for read_any in (codec.unpack, codec.unpack_map):
        try:
            read_any(data)
        except WireError:
            continue


@given(
    st.dictionaries(anything.filter(lambda value: not isinstance(value, list | dict)), anything, max_size=2),
    anything,
)
@settings(max_examples=300)
def test_readings_with_junk_inside_are_a_wire_error(user: dict[Any, Any], answer: Any) -> None:
    """The nested parts, whose shapes are checked in turn."""
    try:
        codec.unpack_readings(codec.pack([[1], [b""], b"", {}, user, answer, ""]), 1)
    except WireError:
        return
