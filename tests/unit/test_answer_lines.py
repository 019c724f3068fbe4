"""Answers of several lines: which frames are their lines, where they end, and what becomes of those that do not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from common.config.answer_ends import has_several_lines, is_beyond_a_frame
from common.config.device.named_framings import NAMED
from common.config.framing import Framing
from common.config.models import DataPoint, Device, Rpc
from common.core.events import Drain
from common.core.frame_shape import Shape
from common.wire import codec
from common.wire.calls import TOO_SLOW_PATTERN
from common.wire.messages import NOBODY, Entry, Reply
from services.port_reader.core.answer_lines import ANSWER_BYTES, ANSWER_LINES
from services.port_reader.core.events import PortLost
from tests.support.port_reader_rig import Rig, frames_of, stamps_of

LINES = Framing(kind="shapes", shapes=NAMED["lines"].shapes)


def _rig(*telemetry: DataPoint, framing: Framing | None = None, until: str = "OK\r\n", **fields: Any) -> Rig:
    """A device whose call `get` is on the line, and that has begun to talk."""
    rpc = Rpc(
        **{
            "method": "get",
            "template": "LIST\r\n",
            "with_response": True,
            "response_type": "string",
            "response_until_delimiter": until,
            **fields,
        }
    )
    rig = Rig(Device(name="d", telemetry=telemetry, rpcs=(rpc,), framing=framing or Framing()))
    rig.read(b"0.1\n")
    rig.call("encode", {"method": "get", "params": b""})
    assert rig.written == [b"LIST\r\n"]
    return rig


def _said(rig: Rig, call_id: str = "c1") -> Any:
    """What the call ended with; None if it has not."""
    reply = next((one for one in rig.calls if isinstance(one, Reply) and one.id == call_id), None)
    if reply is None:
        return None
    return reply.error or json.loads(codec.unpack(reply.body))["result"]


def _stream(rig: Rig) -> list[bytes]:
    """All that is telemetry, but for what came first."""
    return [frame for row in rig.journal.rows.values() if row.kind == Entry.FRAMES for frame in frames_of(row)][1:]


def _answers(rig: Rig) -> list[tuple[str, bytes]]:
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.ANSWER]
    return [(codec.unpack_frames(row.body, row.length).extra[0], frame) for row in rows for frame in frames_of(row)]


def _cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, one by one, and in drawn chunks."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for seed in range(8):
        draw = random.Random(seed)
        places = sorted({0, len(data), *(draw.randrange(len(data)) for _ in range(draw.randrange(1, 8)))})
        yield [data[start:end] for start, end in pairwise(places)]


@pytest.mark.parametrize(
    ("until", "framing", "several"),
    [
        ("OK\r\n", Framing(), True),
        ("\nOK", Framing(), True),
        ("\r\n> ", Framing(), True),
        ("\r\n\r\n", Framing(), True),
        ("\n\n", Framing(), True),
        ("\r\n", Framing(), False),
        ("\n", Framing(), False),
        (";", Framing(), False),
        ("\r", Framing(), False),
        (">\r\n", Framing(delimiter=b">"), False),
        ("OK\r\n", Framing(delimiter=b"OK\r\n"), False),
        ("OK\r\n", LINES, True),
        ("\r\n", LINES, False),
        ("\r\n\r\n", LINES, False),
    ],
)
def test_when_an_answer_has_several_lines(until: str, framing: Framing, several: bool) -> None:
    """Where its end has the end of a frame in it, and says more than that."""
    assert has_several_lines(until.encode(), framing) == several


def test_an_end_that_the_framing_hides() -> None:
    """A frame with a shape is not looked at before its end has come; what is skipped is never seen."""
    skipping = Framing(kind="shapes", shapes=(Shape(ends=(b"\r",)),), skip=b"\n")
    for until, framing in ((b"OK\r>", LINES), (b"OK\r\n\r", skipping)):
        assert is_beyond_a_frame(until, framing)
        assert not has_several_lines(until, framing)


ANSWERS = [
    ("OK\r\n", b"a=1\r\nb=2\r\nOK\r\n", b"a=1\r\nb=2\r\nOK\r\n", "a=1\r\nb=2"),
    ("OK\r\n", b"a=1\r\n\r\nb=2\r\n\r\nOK\r\n", b"a=1\r\n\r\nb=2\r\n\r\nOK\r\n", "a=1\r\n\r\nb=2"),
    ("\r\nOK\r\n", b"\r\n+CSQ: 20\r\n\r\nOK\r\n", b"+CSQ: 20\r\n\r\nOK\r\n", "+CSQ: 20"),
    ("\r\n\r\n", b"\r\na=1\r\nb=2\r\n\r\n", b"a=1\r\nb=2\r\n\r\n", "a=1\r\nb=2"),
    ("\n> ", b"a=1\nb=2\n> ", b"a=1\nb=2\n> ", "a=1\nb=2"),
    ("OK\r\n", b"20 OK\r\n", b"20 OK\r\n", "20"),
    ("OK\r\n", b"OK\r\n", b"OK\r\n", ""),
]


@pytest.mark.parametrize(
    ("until", "said", "answer", "value", "framing"),
    [
        *((*case, Framing()) for case in ANSWERS),
        # Of a framing that knows no blank lines there are none in the answer either.
        *(
            (until, said, answer.replace(b"\r\n\r\n", b"\r\n"), value.replace("\r\n\r\n", "\r\n"), LINES)
            for until, said, answer, value in ANSWERS
            if has_several_lines(until.encode(), LINES)
        ),
    ],
)
@pytest.mark.parametrize("echo", [b"", b"LIST\r\n", b"> LIST\r\n"])
def test_the_lines_up_to_the_end_are_one_answer(
    until: str, said: bytes, answer: bytes, value: str, framing: Framing, echo: bytes
) -> None:
    """However they are cut, behind a repetition or not; what comes behind them is telemetry."""
    for chunks in _cuts(echo + said):
        rig = _rig(framing=framing, until=until)
        for chunk in chunks:
            rig.read(chunk, 0.001)
        assert _said(rig) == value
        rig.read(b"next\n")
        assert [one for one in _answers(rig) if one[0] != NOBODY] == [("c1", answer)]
        assert [frame for frame in _stream(rig) if frame.strip()] == [b"next\n"]


def test_what_stands_behind_the_end_is_a_frame() -> None:
    """Where the end of the answer is not that of a frame."""
    rig = _rig(until="\n> ")
    rig.read(b"a=1\nb=2\n> T=3\nT=4\n")
    assert (_said(rig), _stream(rig)) == ("a=1\nb=2", [b"T=3\n", b"T=4\n"])


def test_a_blank_line_or_a_repetition_does_not_end_it() -> None:
    """Neither before it has begun, though the end of the answer stands in them."""
    rig = _rig(until="ST\r\n")
    rig.read(b"\r\nLIST\r\n\r\n")
    assert _said(rig) is None
    rig.read(b"a=1\r\nLAST\r\n")
    assert (_said(rig), _stream(rig)) == ("a=1\r\nLA", [b"\r\n", b"\r\n"])
    assert _answers(rig) == [(NOBODY, b"LIST\r\n"), ("c1", b"a=1\r\nLAST\r\n")]


def test_readings_in_between_are_told_by_the_pattern() -> None:
    """The answer begins with the line in which it is found; from there on what the data points read is no line of it,
    unless it is found there too."""
    point = DataPoint(key="t", type="float")
    for chunks in _cuts(b"1.5\nx\na=1\n2.5\nb\n3.5\na=2\nOK\r\n4.5\n"):
        rig = _rig(point, response_pattern="^a=")
        for chunk in chunks:
            rig.read(chunk, 0.001)
        assert _said(rig) == "a=1\nb\na=2"
        assert _stream(rig) == [b"1.5\n", b"x\n", b"2.5\n", b"3.5\n", b"4.5\n"]


def test_a_reading_that_nothing_tells_apart_is_both() -> None:
    """No reading is lost to a call, and the answer has all that may be its own."""
    rig = _rig(DataPoint(key="t", type="float"))
    rig.read(b"20\n30\nOK\r\n4.5\n")
    assert _said(rig) == "20\n30"
    assert (_stream(rig), _answers(rig)) == ([b"20\n", b"30\n", b"4.5\n"], [("c1", b"20\n30\nOK\r\n")])


@pytest.mark.parametrize("pattern", ["OK|ERROR", r"^a=[0-9]\r\nb=[0-9]\r\nOK", r"OK\r\n$"])
def test_a_pattern_that_is_found_in_the_end_alone(pattern: str) -> None:
    """The answer is all that came since the write, but for readings: it would be empty else, and look good."""
    rig = _rig(DataPoint(key="t", type="float"), response_pattern=pattern)
    rig.read(b"1.5\na=1\r\n2.5\nb=2\r\nOK\r\n")
    assert _said(rig) == "a=1\r\nb=2"
    assert _answers(rig) == [("c1", b"a=1\r\nb=2\r\nOK\r\n")]


def test_another_answers_end_is_passed_over() -> None:
    """Where a pattern says that it is another's, and of one line it takes no more than that line, as ever."""
    rig = _rig(response_pattern="^b=")
    rig.read(b"a=1\r\nOK\r\nx\r\nb=2 OK\r\n")
    assert _said(rig) == "b=2"
    assert _stream(rig) == [b"a=1\r\n", b"OK\r\n", b"x\r\n"]


@pytest.mark.parametrize("ends", ["time", "lost", "drain"])
def test_an_answer_without_its_end_is_told_and_nothing_of_it_is_lost(ends: str) -> None:
    """The call says what had come; its lines are frames as any, each in its place and with its time."""
    rig = _rig(response_timeout_s=3.0)
    came_ms = []
    for line in (b"LIST\r\n", b"a=1\r\n", b"b=2\r\n"):
        rig.read(line, 0.5)
        came_ms.append(rig.wall_ms)
    if ends == "time":
        rig.wait(3)
        assert _said(rig) == (
            "no answer in 3 s (responseTimeoutSec); 2 lines had come without the end \"OK\\r\\n\": 'a=1\\r\\nb=2\\r\\n'"
        )
    else:
        rig.give(PortLost("EIO", rig.wall_ms) if ends == "lost" else Drain())
        assert _said(rig) in ("device d is not connected", "shutting down")
    assert _stream(rig) == [b"a=1\r\n", b"b=2\r\n"]
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.FRAMES][1:]
    assert [stamp for row in rows for stamp in stamps_of(row)] == came_ms[1:]


def test_no_frame_is_older_than_one_before_it() -> None:
    """A reading has come behind a line of the answer, and is journaled first."""
    rig = _rig(DataPoint(key="t", type="float"), response_pattern="^a=", response_timeout_s=3.0)
    for line in (b"a=1\r\n", b"1.5\n", b"a=2\r\n"):
        rig.read(line, 0.5)
    rig.wait(3)
    assert _stream(rig) == [b"1.5\n", b"a=1\r\n", b"a=2\r\n"]
    assert rig.count("timestamps_repeated") == 0


def test_the_next_call_waits_for_the_end_of_a_late_answer() -> None:
    """What comes of it behind its time is no answer to the next."""
    rig = _rig(response_timeout_s=2.0)
    rig.call("encode", {"method": "get", "params": b""}, "c2")
    rig.read(b"a=1\r\n")
    rig.wait(2.1)
    rig.read(b"b=2\r\n")
    assert len(rig.written) == 1
    rig.read(b"OK\r\n")
    assert len(rig.written) == 2
    rig.read(b"a=3\r\nOK\r\n")
    assert _said(rig, "c2") == "a=3"
    assert _stream(rig) == [b"a=1\r\n", b"b=2\r\n", b"OK\r\n"]


@pytest.mark.parametrize("line", [b"x" * 1000 + b"\r\n", b"\r\n", b"y\n"])
@pytest.mark.parametrize("count", [7, 3000])
def test_an_answer_has_a_bound(line: bytes, count: int) -> None:
    """A device that never says the end does not fill our memory: the call says so, the lines are frames, and the next
    call waits until it is over."""
    rig = _rig(response_timeout_s=600.0)
    rig.call("encode", {"method": "get", "params": b""}, "c2")
    rig.read(b"a=1\r\n")
    sent = 0
    while _said(rig) is None and sent < 2 * (ANSWER_BYTES + ANSWER_LINES):
        rig.read(line * count, 0.01)
        sent += count
    assert _said(rig) == (
        'the answer does not end: no "OK\\r\\n" (responseUntilDelimiter) within 65536 bytes and 4096 lines; it begins'
        f" with {rig.calls[-1].error.partition('begins with ')[2]}"
    )
    assert rig.count("answers_too_long") == 1
    assert _stream(rig) == [b"a=1\r\n", *[line] * sent]
    assert len(rig.written) == 1
    rig.read(b"OK\r\n")
    assert len(rig.written) == 2


def test_what_comes_before_an_answer_is_bounded_too() -> None:
    """A busy line does not fill our memory, nor fails the call: its answer begins where the pattern says."""
    rig = _rig(response_pattern="^a=", response_timeout_s=600.0)
    for _ in range(12):
        rig.read(b"x" * 98 + b"\r\n" + b"y\n" * 1000, 0.01)
    rig.read(b"a=1\r\nOK\r\n")
    assert _said(rig) == "a=1"
    rig = _rig(response_pattern="OK", response_timeout_s=600.0)
    rig.read(b"y\n" * (ANSWER_LINES + 1) + b"z\nOK\r\n")
    assert "does not end" in _said(rig)


def test_a_frame_that_had_begun_before_the_write_is_no_line() -> None:
    """As for an answer of one line."""
    rig = Rig(
        Device(
            name="d",
            rpcs=(
                Rpc(
                    method="get",
                    template="LIST\r\n",
                    with_response=True,
                    response_type="string",
                    response_until_delimiter="OK\r\n",
                ),
            ),
        )
    )
    rig.read(b"0.1\n")
    rig.read(b"ear")
    rig.call("encode", {"method": "get", "params": b""})
    rig.read(b"ly\na=1\r\nOK\r\n")
    assert (_said(rig), _stream(rig)) == ("a=1", [b"early\n"])


def test_a_users_converter_gets_all_lines() -> None:
    """It reads the whole answer, in one question."""
    rig = Rig(Device(name="d", downlink_converter="Mine"))
    rig.read(b"first\n")
    rig.exchange(until=b"OK\r\n")
    rig.read(b"a=1\r\nb=2\r\n", 0.1)
    assert rig.ended("c1") is None
    rig.read(b"OK\r\n", 0.1)
    assert rig.ended("c1") == "answer: a=1\r\nb=2\r\nOK\r\n"


def test_a_pattern_that_explodes_ends_the_call_and_keeps_its_lines() -> None:
    """No line is lost to it."""
    answers = iter([True, None])
    rig = Rig(
        Device(name="d", downlink_converter="Mine"),
        search=lambda pattern, frame: next(answers, None),
    )
    rig.read(b"first\n")
    rig.exchange(until=b"OK\r\n", pattern="^a")
    rig.read(b"a=1\r\nb=2\r\n")
    assert rig.ended("c1") == TOO_SLOW_PATTERN
    assert sorted(_stream(rig)) == [b"a=1\r\n", b"b=2\r\n"]
