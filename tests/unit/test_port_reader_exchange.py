"""The reader's core: calls, whose answer a frame is, and every way in which a call ends."""

from __future__ import annotations

import pytest

from common.config.framing import Framing
from common.config.models import Device, Line
from common.core.events import Blocked, Drain, Send, Writable
from common.stream.events import Append
from common.wire.messages import Entry, Plane, Reply, Request
from services.port_reader.core.events import (
    CancelWrite,
    CheckWrite,
    PortLost,
    WriteDrained,
    WriteFailed,
    WritePending,
)
from tests.support.port_reader_rig import Rig, frames_of


def _rig(**device):
    # A user's converter, so that answers are questions to a converter; else see test_port_reader_own_calls.py.
    rig = Rig(Device(name="d", downlink_converter="Mine", **device))
    rig.read(b"first\n")
    return rig


def _entries(rig, kind):
    return [frame for row in rig.journal.rows.values() if row.kind == kind for frame in frames_of(row)]


def test_without_a_response_the_write_is_the_answer():
    """Several writes go out in order as one, and the reply comes when they have left."""
    rig = _rig()
    rig.drains = False
    rig.exchange(writes=[b"a", b"b\n"], with_response=False)
    assert rig.written == [b"ab\n"]
    assert rig.ended("c1") is None
    rig.give(WriteDrained())
    assert rig.ended("c1") == "ok"


def test_a_call_that_comes_twice_is_written_once():
    """Nothing is tried again once it was written, whatever the links repeat."""
    rig = _rig()
    rig.exchange(writes=[b"a"], with_response=False)
    rig.exchange(writes=[b"a"], with_response=False)
    assert rig.written == [b"a"]


def test_the_first_frame_after_the_write_is_the_answer():
    """The answer goes to a converter and into the stream; all other frames are telemetry."""
    rig = _rig()
    rig.exchange()
    rig.read(b"21.5\nnext\n")
    assert rig.ended("c1") == "answer: 21.5\n"
    request = rig.calls[-1]
    assert isinstance(request, Request)
    assert (request.verb, request.target, request.reply_to, request.section) == (
        "decode",
        "converter@d",
        "publisher:0",
        "s1",
    )
    assert 9.8 < request.time_left_s < 10
    assert _entries(rig, Entry.ANSWER) == [b"21.5\n"]
    assert _entries(rig, Entry.FRAMES) == [b"first\n", b"next\n"]
    assert sorted(rig.journal.rows) == [1, 2, 3, 4]


def test_a_frame_that_had_begun_before_the_write_was_out_is_no_answer():
    """Its first byte came before the device could have answered."""
    rig = _rig()
    rig.read(b"48\r24")
    rig.exchange()
    rig.read(b"30\n21.5\n")
    assert rig.ended("c1") == "answer: 21.5\n"
    assert _entries(rig, Entry.FRAMES) == [b"first\n", b"48\r2430\n"]


def test_frames_while_the_write_is_on_its_way_are_telemetry():
    """The line is read while the write drains; only what begins afterwards can be the answer."""
    rig = _rig()
    rig.drains = False
    rig.exchange()
    rig.give(WritePending(4))
    rig.read(b"early\n")
    rig.give(WriteDrained())
    rig.read(b"late\n")
    assert rig.ended("c1") == "answer: late\n"


def test_a_pattern_picks_the_answer():
    """Only a frame that matches is the answer."""
    rig = _rig()
    rig.exchange(pattern=r"^T=")
    rig.read(b"48\r1\n")
    assert rig.ended("c1") is None
    rig.read(b"T=21\n")
    assert rig.ended("c1") == "answer: T=21\n"


@pytest.mark.parametrize(
    ("chunks", "answer", "frames"),
    [
        ([b"OK;"], "OK;", []),
        ([b"OK;\nnext\n"], "OK;", [b"next\n"]),
        ([b"O", b"K;", b"\nnext\n"], "OK;", [b"next\n"]),
        ([b"OK;rest\n"], "OK;", [b"rest\n"]),
        ([b"OK\n"], "OK\n", []),
    ],
)
def test_difference_8_the_answer_also_ends_at_until(chunks, answer, frames):
    """`responseUntilDelimiter` ends the answer, and a delimiter right behind it is swallowed."""
    rig = _rig()
    rig.exchange(until=b";")
    for chunk in chunks:
        rig.read(chunk)
    assert rig.ended("c1") == f"answer: {answer}"
    assert _entries(rig, Entry.FRAMES) == [b"first\n", *frames]


def test_until_never_cuts_what_does_not_match():
    """Telemetry that happens to hold the answer's delimiter stays whole."""
    rig = _rig()
    rig.exchange(until=b"\r", pattern="^OK")
    rig.read(b"48\r24")
    rig.read(b"30\nOK\r")
    assert rig.ended("c1") == "answer: OK\r"
    assert _entries(rig, Entry.FRAMES) == [b"first\n", b"48\r2430\n"]


def test_no_answer_in_time_and_the_next_call_waits_for_the_late_one():
    """After a time-out the next exchange waits for one frame, so that a late answer is not taken for its own."""
    rig = _rig()
    rig.exchange("c1")
    rig.wait(2.1)
    assert rig.ended("c1") == "no answer in 2 s (responseTimeoutSec)"
    rig.exchange("c2")
    assert len(rig.written) == 1
    rig.read(b"late\n")
    assert len(rig.written) == 2
    rig.read(b"mine\n")
    assert rig.ended("c2") == "answer: mine\n"
    assert _entries(rig, Entry.FRAMES) == [b"first\n", b"late\n"]


def test_after_a_time_out_the_next_call_waits_no_longer_than_another():
    """If no late answer comes the next exchange goes on after the same time again."""
    rig = _rig()
    rig.exchange("c1")
    rig.exchange("c2")
    rig.wait(3.9)
    assert len(rig.written) == 1
    rig.wait(0.2)
    assert len(rig.written) == 2


def test_one_exchange_at_a_time_first_come_first_served():
    """The second write waits for the first answer."""
    rig = _rig()
    rig.exchange("c1", writes=[b"1"])
    rig.exchange("c2", writes=[b"2"])
    rig.exchange("c3", writes=[b"3"], with_response=False)
    assert rig.written == [b"1"]
    rig.read(b"one\n")
    rig.read(b"two\n")
    assert rig.written == [b"1", b"2", b"3"]
    assert [rig.ended(name) for name in ("c1", "c2", "c3")] == ["answer: one\n", "answer: two\n", "ok"]


def test_an_expired_call_is_not_written():
    """A call whose time is over, at arrival or when its turn comes, is answered and not written."""
    rig = _rig()
    rig.exchange("c0", time_left_s=0)
    assert rig.ended("c0") == "expired while waiting"
    rig.exchange("c1")
    rig.exchange("c2", time_left_s=0.5)
    rig.wait(1)
    rig.read(b"answer\n")
    assert rig.ended("c2") == "not written within 0.5 s: the device was still busy with a call before it"
    assert len(rig.written) == 1


def test_the_queue_is_bounded():
    """64 may wait; the next is refused at once."""
    rig = _rig()
    for at in range(66):
        rig.exchange(f"c{at}")
    assert rig.ended("c64") is None
    assert rig.ended("c65") == "queue full"


def test_a_write_that_fails():
    """The reason is told, and the next call goes on."""
    rig = _rig()
    rig.drains = False
    rig.exchange("c1")
    rig.exchange("c2")
    rig.give(WriteFailed("EIO"))
    assert rig.ended("c1") == "write failed: EIO"
    assert len(rig.written) == 2


def test_a_write_that_never_leaves():
    """writeTimeout ends it; until then it is looked at as often as the line's speed tells."""
    rig = _rig(line=Line(write_timeout_s=1.0))
    rig.drains = False
    rig.exchange("c1")
    rig.give(WritePending(10))
    rig.wait(0.5)
    assert CheckWrite() in rig.performed
    rig.wait(0.6)
    assert rig.ended("c1") == "write failed: timed out after 1 s (writeTimeout)"
    assert CancelWrite() in rig.performed


def test_an_unplugged_device_ends_all_calls():
    """Waiting ones and the one in progress are answered, new ones refused."""
    rig = _rig()
    rig.exchange("c1")
    rig.exchange("c2")
    rig.opens = False
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.exchange("c3")
    assert {rig.ended(name) for name in ("c1", "c2", "c3")} == {"device d is not connected"}


def test_a_port_lost_while_writing():
    """Nobody knows whether the device got it."""
    rig = _rig()
    rig.drains = False
    rig.exchange("c1")
    rig.give(PortLost("EIO", rig.wall_ms))
    assert rig.ended("c1") == "write failed: device d is not connected"


def test_drain_ends_all_calls():
    """A process that ends says so."""
    rig = _rig()
    rig.beat()
    rig.exchange("c1")
    rig.exchange("c2")
    rig.give(Drain())
    rig.exchange("c3")
    assert {rig.ended(name) for name in ("c1", "c2", "c3")} == {"shutting down"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"writes": []}, "No data to send"),
        ({"writes": [b""]}, "No data to send"),
        ({"writes": "x"}, "malformed request: Expected `array`, got `str` - at `$.writes`"),
        ({"writes": [1]}, "malformed request: Expected `bytes`, got `int` - at `$.writes[0]`"),
        ({"timeout_s": None}, "malformed request: Expected `float`, got `null` - at `$.timeout_s`"),
        ({"pattern": "("}, "responsePattern is no regular expression"),
    ],
)
def test_a_malformed_exchange_is_answered(body, error):
    """Whatever comes, the caller hears why not."""
    rig = _rig()
    rig.exchange(**body)
    assert rig.ended("c1").startswith(error)
    assert rig.written == []


def test_silence_ends_an_answer_on_a_line_without_delimiters():
    """On a line that never sent its delimiter `timeout` ends the answer too."""
    rig = Rig(Device(name="d", downlink_converter="Mine", framing=Framing(timeout_s=0.2)))
    rig.read(b"tele")
    rig.wait(0.3)
    rig.exchange()
    rig.read(b"answer")
    rig.wait(0.3)
    assert rig.ended("c1") == "answer: answer"


def test_a_reply_that_could_not_be_sent_is_kept():
    """EAGAIN on the calls plane: the reply goes when the socket takes it."""
    rig = _rig()
    rig.exchange(with_response=False)
    reply = rig.calls.pop()
    rig.give(Blocked(Plane.CALLS, reply))
    rig.give(Writable(Plane.CALLS))
    assert rig.calls == [reply]


def test_a_question_that_could_not_be_sent_goes_with_the_time_that_is_left():
    """EAGAIN on the calls plane again and again: its time goes on meanwhile, and where none is left the caller hears
    so."""
    rig = _rig()
    rig.exchange("c1", 4.0, timeout_s=9.0)
    rig.read(b"21.5\n")
    question = rig.calls.pop()
    assert (question.verb, round(question.time_left_s, 3)) == ("decode", 3.9)
    for left_s in (2.9, 1.9):
        rig.give(Blocked(Plane.CALLS, question))
        rig.wait(1.0)
        rig.give(Writable(Plane.CALLS))
        question = rig.calls.pop()
        assert question.time_left_s == pytest.approx(left_s)
    rig.give(Blocked(Plane.CALLS, question))
    rig.wait(2.0)
    failed = rig.count("exchanges_failed")
    rig.give(Writable(Plane.CALLS))
    assert rig.calls == [Reply("c1", "publisher:0", "expired while waiting", b"")]
    assert rig.count("exchanges_failed") == failed + 1
    rig.give(Writable(Plane.CALLS))
    assert len(rig.calls) == 1


def test_an_asked_beat_whose_time_is_over_is_not_asked_for_again():
    """Nobody waits for it but the reader, which is answered nothing and counts no failed call."""
    rig = _rig()
    beat = next(
        effect.message
        for effect in rig.performed
        if isinstance(effect, Send) and isinstance(effect.message, Request) and effect.message.verb == "beat"
    )
    rig.give(Blocked(Plane.CALLS, beat))
    rig.wait(beat.time_left_s + 1.0)
    rig.performed.clear()
    rig.give(Writable(Plane.CALLS))
    assert [effect for effect in rig.performed if isinstance(effect, Send) and effect.plane is Plane.CALLS] == []
    assert rig.count("exchanges_failed") == 0


def test_a_frame_in_progress_that_turns_out_to_be_none_is_not_waited_for():
    """What had begun before the write is no answer; where it becomes a dead letter, the next frame is one."""
    rig = Rig(Device(name="d", type="t", downlink_converter="Mine", framing=Framing(max_frame_bytes=64)))
    rig.wait(1)
    rig.read(b"first\n")
    rig.read(b"par")
    rig.exchange("c1")
    rig.read(b"x" * 200)
    rig.read(b"tail\n")
    assert rig.ended("c1") is None
    rig.read(b"ANSWER\n")
    assert rig.ended("c1") == "answer: ANSWER\n"


def test_frames_beside_an_awaited_answer_are_one_entry_of_the_journal():
    """However many: a busy line must not cost a row a frame because a call waits."""
    rig = Rig()
    rig.beat()
    rig.exchange(pattern="^answer")
    rig.performed.clear()
    rig.read(b"x\n" * 300 + b"answer\n" + b"y\n" * 5)
    [append] = [effect for effect in rig.performed if isinstance(effect, Append)]
    assert [(block.kind, block.length) for block in append.blocks] == [
        (Entry.FRAMES, 300),
        (Entry.ANSWER, 1),
        (Entry.FRAMES, 5),
    ]
