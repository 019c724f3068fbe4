"""What a converter and its hosts say to each other: it comes out as it went in, and junk is refused, never believed."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.core.errors import WireError
from common.wire.messages import UserReading
from services.converter.core.events import (
    ConvertWithUserCode,
    EncodeWithUserCode,
    UserAnswered,
    UserConverted,
    UserFrame,
)
from services.converter.core.host_wire import pack_answered, pack_converted, pack_order, read_answer
from tests.support.converting import RPCS, USER

READING = UserReading("user", "type", [(None, b'{"a":1}'), (5, b'{"b":2}')], b'{"c":3}')
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.sampled_from([UserFrame([READING]), UserFrame([]), UserFrame([], "why")]), min_size=1), JSON)
def test_results_come_out_as_they_went_in(frames: list[UserFrame], value: Any) -> None:
    """Readings, dead letters, nothing at all, and values that JSON can carry."""
    for answer in (None, (value, ""), (None, "why")):
        event = UserConverted(7, frames, answer, 3)
        assert read_answer(msgpack.unpackb(pack_converted(event)), 3) == event


@given(JSON)
def test_steps_of_calls_come_out_as_they_went_in(value: Any) -> None:
    """Bytes of an encoded call, the value of a decoded answer, or why there is none."""
    for verb, event in (
        ("encoded", UserAnswered(7, b"\x00", "", 3)),
        ("encoded", UserAnswered(7, None, "why", 3)),
        ("decoded", UserAnswered(7, value, "", 3)),
        ("decoded", UserAnswered(7, None, "why", 3)),
    ):
        assert read_answer(msgpack.unpackb(pack_answered(verb, event)), 3) == event


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.sampled_from(["converted", "encoded", "decoded"]),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(), inner, max_size=2),
    )
)
def test_junk_is_refused(value: Any) -> None:
    """Whatever users' code writes there: an answer of the right shape, or WireError."""
    try:
        assert isinstance(read_answer(value, 0), UserConverted | UserAnswered)
    except WireError:
        pass


@pytest.mark.parametrize(
    "value",
    [
        ["converted", 1, 0, b"", None],
        ["converted", 1, 1, b"\xc1", None],
        ["converted", 1, 2, msgpack.packb([[0], [b""], b"", {}, {}, None, ""]), None],
        ["converted", 1, 1, msgpack.packb([[0], [b""], b"", {}, {0: [["d", 5, [], b""]]}, None, ""]), None],
        ["converted", 1, 1, msgpack.packb([[0], [b""], b"", {}, {}, None, ""]), [b"{", ""]],
        ["decoded", 1, b"\xff", ""],
        ["encoded", 1, None, ""],
        ["encoded", 1, "text", ""],
    ],
)
def test_what_almost_is_an_answer_is_refused(value: Any) -> None:
    """Counts that do not match, types that are others, JSON that is none."""
    with pytest.raises(WireError):
        read_answer(value, 0)


def test_params_that_can_not_travel_are_an_error() -> None:
    """Not one for the process: the call is answered with it."""
    with pytest.raises(WireError, match="params"):
        pack_order(EncodeWithUserCode(1, USER, "hash", RPCS[1], {1, 2}))
    assert msgpack.unpackb(pack_order(ConvertWithUserCode(1, USER, "hash", "j", 2, 3, [b"x"], RPCS[0])))[-1] == "get"
