"""How long a call lives, and which bound ended it: the time that is configured is the time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.config.models import Connector, Device, Gateway, Line, Rpc
from common.wire import codec
from common.wire.calls import ANSWER_ROOM_S
from common.wire.messages import Entry, Reply, Request
from services.port_reader.core.events import PortLost
from services.publisher.core.known import KnownParts, known_of
from tests.field.reading import read_device
from tests.support.asked_rig import AskedRig
from tests.support.port_reader_rig import Rig, frames_of
from tests.support.publisher_driving import TYPES, Driver, batch, calls_sent, said

SLOW = Rpc(method="slow", template="SLOW\n", with_response=True, response_type="int", response_timeout_s=30.0)
QUICK = Rpc(method="quick", template="QUICK\n", with_response=True, response_type="int", response_timeout_s=2.0)
SET = Rpc(method="set", template="SET\n", response_timeout_s=40.0)


class _Driver(Driver):
    """A publisher of the devices that `TYPES` names, with these calls."""

    def __init__(self) -> None:
        devices = tuple(Device(name=name, rpcs=(SLOW, QUICK, SET)) for name in TYPES)
        gateway = Gateway(connectors=(Connector(name="Serial", devices=devices),))
        super().__init__(answer_times=KnownParts.of(known_of(gateway)).answer_times)
        self.up(limits={})
        self.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
        self.ack_all()
        self.published.clear()

    def ask(self, method: str) -> Request:
        message = {"device": "press1", "data": {"id": 7, "method": method, "params": None}}
        (request,) = calls_sent(self.say("v1/gateway/rpc", message))
        return request

    @property
    def replies(self) -> list[Any]:
        return [said(order)["data"] for order in self.published if order.topic == "v1/gateway/rpc"]


def _rig(*rpcs: Rpc, **line: Any) -> Rig:
    rig = Rig(Device(name="d", rpcs=rpcs or (SLOW, QUICK), line=Line(**line)))
    rig.read(b"first\n")
    return rig


def _ask(rig: Rig, method: str, call_id: str = "c1", time_left_s: float = 10.0) -> None:
    rig.call("encode", {"method": method, "params": b""}, call_id, time_left_s)


def _end(rig: Rig, call_id: str = "c1") -> Any:
    """How the call ended; None if it has not."""
    reply = next((one for one in rig.calls if isinstance(one, Reply) and one.id == call_id), None)
    if reply is None:
        return None
    return reply.error or json.loads(codec.unpack(reply.body))["result"]


@pytest.mark.parametrize("after_s", [0.5, 12, 29])
def test_an_answer_within_its_configured_time_is_the_reply(after_s):
    """Though a call from the platform mostly lives ten seconds: whoever configures more has it wait for that."""
    driver = _Driver()
    request = driver.ask("slow")
    assert request.time_left_s == 10
    driver.wait(after_s)
    driver.reply(request.id, data=b'{"result":20}')
    assert driver.replies == [{"result": 20}]
    rig = _rig()
    _ask(rig, "slow")
    rig.wait(after_s)
    rig.read(b"20\n", 0.0)
    assert _end(rig) == 20


@pytest.mark.parametrize(
    ("method", "lives_s"), [("slow", 30 + ANSWER_ROOM_S), ("quick", 10), ("set", 10), ("other", 10)]
)
def test_a_call_lives_no_longer_than_its_own_method_asks_for(method, lives_s):
    """The publisher ends it if nobody else has, and says whose time was over."""
    driver = _Driver()
    driver.ask(method)
    driver.wait(lives_s - 0.1)
    assert driver.replies == []
    driver.wait(0.2)
    ((error),) = [reply["error"] for reply in driver.replies]
    assert error.startswith(f"no answer in {lives_s:g} s (so long a call from the platform may take")
    assert "responseTimeoutSec" in error


def test_the_caller_of_the_command_line_has_a_time_of_its_own():
    """Shorter than the method's or longer, it is the bound, and the text says where it is set."""
    driver = _Driver()
    asked = codec.pack({"device": "press1", "method": "slow", "params": b""})
    driver.request(Request("call-1", "client:x", "publisher:0", "rpc", "", "", 3.0, asked))
    (reply,) = calls_sent(driver.wait(3.1))
    assert reply.error == "no answer in 3 s (so long its caller waits; serialgw rpc has --timeout for it)"


def test_a_device_that_does_not_answer_in_its_time():
    """The port reader knows which key that was."""
    rig = _rig()
    _ask(rig, "quick", time_left_s=60)
    rig.wait(2.1)
    assert _end(rig) == "no answer in 2 s (responseTimeoutSec)"


def test_a_call_that_waited_behind_another_is_not_told_that_nobody_answered():
    """It was never written, and its caller hears so before giving up."""
    rig = _rig()
    _ask(rig, "slow", "c1")
    _ask(rig, "quick", "c2", time_left_s=10)
    _ask(rig, "quick", "c3", time_left_s=20)
    rig.wait(9.9)
    assert _end(rig, "c2") == "not written within 10 s: the device was still busy with a call before it"
    assert (_end(rig, "c3"), rig.written) == (None, [b"SLOW\n"])
    rig.read(b"20\n")
    assert (_end(rig, "c1"), rig.written) == (20, [b"SLOW\n", b"QUICK\n"])


def test_a_call_that_waited_for_a_late_answer_is_told_so_too():
    """The call before it has ended, and its answer may still come."""
    rig = _rig()
    _ask(rig, "quick", "c1")
    _ask(rig, "quick", "c2", time_left_s=3)
    rig.wait(3.1)
    assert _end(rig, "c1") == "no answer in 2 s (responseTimeoutSec)"
    assert _end(rig, "c2") == "not written within 3 s: the device was still busy with a call before it"


@pytest.mark.parametrize(
    ("line", "after_s", "error"),
    [
        ({"write_timeout_s": 1.5}, 1.6, "write failed: timed out after 1.5 s (writeTimeout)"),
        ({}, 10.1, "write failed: timed out after 10 s (so long the call may take; writeTimeout may be less)"),
    ],
)
def test_a_write_that_does_not_leave_says_whose_time_was_over(line, after_s, error):
    """The configured one, or what the call had."""
    rig = _rig(**line)
    rig.drains = False
    _ask(rig, "quick")
    rig.wait(after_s)
    assert _end(rig) == error


def test_a_converter_has_time_for_an_answer_that_came_late_but_in_time():
    """What was left of the call's own time is long over then."""
    rig = Rig(Device(name="d", downlink_converter="Mine"))
    rig.exchange(timeout_s=30.0)
    rig.wait(12)
    rig.read(b"20\n", 0.0)
    question = rig.calls[-1]
    assert (question.verb, question.time_left_s) == ("decode", ANSWER_ROOM_S)


def test_a_port_that_goes_ends_those_that_wait_with_that_reason():
    """Not with a time."""
    rig = _rig()
    _ask(rig, "slow", "c1")
    _ask(rig, "quick", "c2")
    rig.opens = False
    rig.give(PortLost("EIO", 0))
    assert {_end(rig, "c1"), _end(rig, "c2")} == {"device d is not connected"}


def test_a_question_has_its_configured_time_too(tmp_path):
    """The gateway's own question, answered after 12 s of 30."""
    asked = {"name": "t", "ask": "READ?", "every": 20, "timeoutMs": 30_000, "retries": 0, "regex": "^(?P<v>[0-9.]+)"}
    point = {"key": "t", "name": "v", "type": "float"}
    device, _ = read_device(tmp_path, framing="lines", messages=[{**asked, "telemetry": [point]}])
    rig = AskedRig(device, lambda _: [(12, b"23.5\r\n")])
    rig.run(59)
    assert rig.entries("d") == [("t", b"23.5\r")] * 3
    assert rig.lines == [b"READ?"] * 3


@pytest.mark.parametrize(
    ("section", "pieces", "frame"),
    [
        ({"timeout": 60}, [b"T=2", b"3.5\n"], b"T=23.5\n"),
        ({"timeout": 60}, [b"T=2", b"3.5"], b"T=23.5"),
        ({"framing": {"end": "\n", "partialMs": 60_000}}, [b"T=2", b"3.5\n"], b"T=23.5\n"),
        ({"framing": {"start": "#", "end": "\n", "partialMs": 60_000}}, [b"#2", b"3.5\n"], b"#23.5\n"),
        ({"framing": {"silenceMs": 60_000}}, [b"T=2", b"3.5"], b"T=23.5"),
    ],
)
def test_a_frame_may_pause_as_long_as_is_configured(section, pieces, frame, tmp_path):
    """45 s, of 60: no bound of ours that nobody has named comes before it."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "t", "type": "string"}], **section)
    rig = Rig(device)
    rig.wait(1)
    for piece in pieces:
        rig.read(piece, 0.0)
        rig.wait(45)
    rig.wait(70)
    kept = [one for row in rig.journal.rows.values() if row.kind == Entry.FRAMES for one in frames_of(row)]
    assert (kept, rig.journal.dead) == ([frame], [])
