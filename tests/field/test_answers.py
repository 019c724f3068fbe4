"""What is the answer to a call, on lines that also say something else: readings, repetitions, blank lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import DataPoint, Device, Rpc
from common.config.reading import read_gateway
from common.conversion.joint import compile_section
from common.core.events import Drain
from common.wire import codec
from common.wire.messages import NOBODY, Entry, Reply
from services.cli.__main__ import main
from services.port_reader.core import likeness
from services.port_reader.core.events import PortLost
from services.port_reader.core.exchange import PASSED_OVER_S
from tests.field.reading import read_device, telemetry, write_config
from tests.support.asked_rig import AskedRig
from tests.support.port_reader_rig import Rig, frames_of, stamps_of
from tests.support.publisher_driving import Driver, batch, calls_sent

FLOAT = DataPoint(key="t", type="float")
INT = DataPoint(key="t", type="int")
TEMPERATURE = DataPoint(key="t", type="string", from_delimiter="T=", until_delimiter=";")
LABELLED = DataPoint(key="t", type="string", from_delimiter="T:")


def _rig(*telemetry: DataPoint, **fields: Any) -> Rig:
    """A device whose call `get` writes "GET sp", and that has begun to talk."""
    asked = {"template": "GET sp\n", "with_response": True, "response_type": "string", **fields}
    rig = Rig(Device(name="d", telemetry=telemetry, rpcs=(Rpc(method="get", **asked),)))
    rig.read(b"0.1\n")
    rig.call("encode", {"method": "get", "params": b""})
    assert rig.written == [asked["template"].encode()]
    return rig


def _said(rig: Rig) -> Any:
    """What the call ended with; None if it has not."""
    reply = next((message for message in rig.calls if isinstance(message, Reply)), None)
    if reply is None:
        return None
    return reply.error or json.loads(codec.unpack(reply.body))["result"]


def _entries(rig: Rig, kind: Entry) -> list[bytes]:
    return [frame for row in rig.journal.rows.values() if row.kind == kind for frame in frames_of(row)]


def _answered(rig: Rig) -> list[tuple[str, bytes]]:
    """Entries that are answers, each with whose."""
    rows = [row for row in rig.journal.rows.values() if row.kind == Entry.ANSWER]
    return [(codec.unpack_frames(row.body, row.length).extra[0], frame) for row in rows for frame in frames_of(row)]


def _frames(rig: Rig) -> list[bytes]:
    return _entries(rig, Entry.FRAMES)[1:]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([b"GET sp\n", b"sp=20\n"], "sp=20\n"),
        ([b"GET sp\r\n", b"sp=20\r\n"], "sp=20\r\n"),
        ([b"  GET sp \n", b"sp=20\n"], "sp=20\n"),
        ([b"\n", b"sp=20\n"], "sp=20\n"),
        ([b"\r\n", b"sp=20\n"], "sp=20\n"),
        ([b" \t\n", b"\0\0\n", b"sp=20\n"], "sp=20\n"),
        ([b"GET sp\r\r\n", b"\r\n", b"sp=20\r\n"], "sp=20\r\n"),
        ([b"\r\n", b"GET sp\r\n", b"\r\n", b"sp=20\r\n"], "sp=20\r\n"),
    ],
)
def test_what_was_written_and_blank_lines_are_no_answer(lines, answer):
    """However the lines come: as one, or one by one. Blank lines are frames, which give no value; of the repetition
    nobody makes one."""
    for chunks in (lines, [b"".join(lines)]):
        rig = _rig()
        for chunk in chunks:
            rig.read(chunk, 0.01)
        assert _said(rig) == answer.strip()
        assert _frames(rig) == [line for line in lines if not line.strip(b"\r\n\t \0")]
        assert _answered(rig) == [(NOBODY, line) for line in lines if b"GET" in line] + [("c1", answer.encode())]


@pytest.mark.parametrize("repetition", [b"GET sp\n", b"GET sp\r\n"])
def test_a_repetition_is_the_answer_where_no_other_comes(repetition):
    """A device that says "done" by it is answered a moment later, and the next call goes on."""
    rig = _rig()
    rig.call("encode", {"method": "get", "params": b""}, "c2")
    rig.read(repetition)
    rig.wait(PASSED_OVER_S - 0.1)
    assert _said(rig) is None
    rig.wait(0.2)
    assert _said(rig) == repetition.decode().strip()
    assert len(rig.written) == 2
    assert (_frames(rig), _answered(rig)) == ([], [(NOBODY, repetition)])


@pytest.mark.parametrize("response_type", ["string", "float", "json", "bool"])
@pytest.mark.parametrize("lines", [b"\n", b"\r\n\r\n", b" \n\0\n"])
def test_a_blank_line_alone_is_no_answer(response_type, lines):
    """It says nothing, so there was no answer, and the bound that has ended the call is named."""
    rig = _rig(response_type=response_type, response_timeout_s=3.0)
    rig.read(lines)
    rig.wait(2.8)
    assert _said(rig) is None
    rig.wait(0.3)
    assert _said(rig) == "no answer in 3 s (responseTimeoutSec)"
    assert (_frames(rig), _answered(rig)) == (lines.splitlines(keepends=True), [])


@pytest.mark.parametrize(("frame", "value"), [(b"\0\n", "000a"), (b" \n", "200a"), (b"\r\n", "0d0a")])
def test_a_blank_is_a_value_where_the_answer_is_bytes(frame, value):
    """It may be just what the device has to say: the answer where no other comes."""
    rig = _rig(response_type="hex")
    rig.read(frame)
    rig.wait(1.1)
    assert (_said(rig), _frames(rig)) == (value, [frame])


def test_a_repetition_alone_that_can_be_no_answer():
    """There was no answer: what came back is not told as a wrong one."""
    rig = _rig(response_type="int", response_timeout_s=3.0)
    rig.read(b"\nGET sp\n")
    rig.wait(3.1)
    assert _said(rig) == "no answer in 3 s (responseTimeoutSec)"


def test_a_repetition_that_can_be_no_answer_waits_for_the_answer_all_the_time():
    """It is no number, and a number is wanted: three seconds later it comes."""
    rig = _rig(response_type="int")
    rig.read(b"GET sp\n")
    rig.wait(3)
    rig.read(b"20\n")
    assert _said(rig) == 20


def test_of_several_that_were_passed_over_one_that_says_something_is_the_answer():
    """Not the blank line before it."""
    rig = _rig()
    rig.read(b"\r\nGET sp\r\n")
    rig.wait(1.1)
    assert _said(rig) == "GET sp"


@pytest.mark.parametrize("ends", [PortLost("EIO", 0), Drain(), None])
def test_what_comes_while_a_call_waits_is_journaled_at_once(ends):
    """In its order and with its own time, however the process ends; a kill loses nothing of it."""
    rig = _rig(LABELLED, response_type="float")
    came_ms = []
    lines = [b"\r\n", b"GET sp\n", b"T:0.5\n", b"\n", b"GET sp\n", b"T:1.5\n"]
    for line in lines:
        rig.read(line, 0.2)
        came_ms.append(rig.wall_ms)
    rows = [row for row in rig.journal.rows.values() if row.kind in (Entry.FRAMES, Entry.ANSWER)][1:]
    assert [frame for row in rows for frame in frames_of(row)] == lines
    assert [stamp for row in rows for stamp in stamps_of(row)] == came_ms
    assert _answered(rig) == [(NOBODY, b"GET sp\n")]
    if ends:
        rig.give(ends)
    assert [frame for row in rig.journal.rows.values() for frame in frames_of(row)].count(b"GET sp\n") == 2


def test_blank_lines_are_not_kept_in_memory():
    """However many come while a call waits: each read is one entry of the journal."""
    rig = _rig(FLOAT, response_type="float", response_timeout_s=3600.0)
    for _ in range(20):
        rig.read(b"\n" * 500, 0.01)
    assert len(_frames(rig)) == 10_000
    assert len(rig.journal.rows) <= 25


@pytest.mark.parametrize(
    ("point", "template", "response", "lines", "answer", "frames", "answered"),
    [
        # A value that equals what was written.
        (INT, "${params}\n", "string", [b"20\n", b"20\n", b"21\n"], "21", [b"20\n", b"20\n", b"21\n"], []),
        (INT, "${params}\n", "int", [b"20\n", b"20\n"], 20, [b"20\n", b"20\n"], []),
        (TEMPERATURE, "T=${params}\n", "string", [b"T=20\n", b"OK\n", b"T=20\n"], "OK", [b"T=20\n"] * 2, [b"OK\n"]),
        (TEMPERATURE, "T=${params}\r\n", "json", [b"T=20\n", b"[1]\n"], [1], [b"T=20\n"], [b"[1]\n"]),
        # One that `responseUntilDelimiter` ends too.
        (
            TEMPERATURE,
            "T=${params}\n",
            "string",
            [b"T=20;", b"OK;", b"T=20;\n"],
            "OK",
            [b"T=20;", b"T=20;\n"],
            [b"OK;"],
        ),
    ],
)
def test_a_reading_that_equals_what_was_written_is_a_reading(
    point, template, response, lines, answer, frames, answered
):
    """Whatever it resembles: all data points read it. It is the answer only where no other comes."""
    until = ";" if b";" in lines[0] else None
    fields = {"response_type": response, "response_until_delimiter": until}
    rig = Rig(
        Device(name="d", telemetry=(point,), rpcs=(Rpc(method="set", template=template, with_response=True, **fields),))
    )
    rig.read(b"0\n")
    rig.call("encode", {"method": "set", "params": b"20"})
    for line in lines:
        rig.read(line, 0.1)
    rig.wait(1)
    assert (_said(rig), _frames(rig)) == (answer, frames)
    assert _answered(rig) == [("c1", frame) for frame in answered]


def test_each_line_that_was_written_is_repeated_once():
    """What says it a second time is a frame as any: a device may have it for its value."""
    rig = _rig(template="SET 5\nGET sp\n")
    rig.read(b"SET 5\nGET sp\nSET 5\nsp=20\n")
    assert (_said(rig), _frames(rig)) == ("sp=20", [b"SET 5\n"])
    assert _answered(rig) == [(NOBODY, b"SET 5\n"), (NOBODY, b"GET sp\n"), ("c1", b"sp=20\n")]


def test_a_late_repetition_is_nobodys_too():
    """A call that has ended without an answer does not make a value of its own words."""
    rig = _rig(response_timeout_s=2.0)
    rig.wait(2.1)
    rig.read(b"GET sp\nsp=20\n")
    assert (_frames(rig), _answered(rig)) == ([b"sp=20\n"], [(NOBODY, b"GET sp\n")])


def test_a_call_is_made_ready_once_for_all_frames(monkeypatch):
    """However many readings come while it waits, and while its late answer is waited for."""
    made = []
    compiled = likeness.compile_points
    monkeypatch.setattr(likeness, "compile_points", lambda points: made.append(points) or compiled(points))
    rig = _rig(LABELLED, response_type="int", response_timeout_s=2.0)
    for _ in range(50):
        rig.read(b"T:0.5 C\n", 0.1)
    assert (len(_frames(rig)), len(made)) == (50, 1)


@pytest.mark.parametrize(
    ("point", "fields", "readings", "answer", "value"),
    [
        (LABELLED, {"response_type": "int"}, [b"T:0.5 C\n"] * 3, b"20\n", 20),
        (LABELLED, {"response_type": "json"}, [b"T:0.5 C\n"], b'{"sp": 20}\n', {"sp": 20}),
        (FLOAT, {"response_type": "int"}, [b"0.5\n", b"1.5\n"], b"20\n", 20),
        (FLOAT, {"response_type": "string", "response_from_byte": 4}, [b"0.5\n"], b"sp= 20\n", "20"),
    ],
)
def test_a_reading_that_can_be_no_answer_is_passed_over(point, fields, readings, answer, value):
    """The device's data points find their values in it, and the answer's place or type does not fit."""
    rig = _rig(point, **fields)
    for reading in readings:
        rig.read(reading, 0.1)
    rig.read(answer, 0.05)
    assert _said(rig) == value
    assert _frames(rig)[: len(readings)] == readings


@pytest.mark.parametrize(("reading", "value"), [(b"0.5\n", "0.5"), (b"-1\n", "-1")])
def test_no_reading_is_lost_to_a_call_that_takes_it_for_its_answer(reading, value):
    """Where nothing tells them apart the first frame is the answer, and all that the data points read is telemetry."""
    rig = _rig(FLOAT)
    rig.read(reading + b"1.5\n2.5\nsp=20\n")
    assert _said(rig) == value
    assert _frames(rig) == [reading, b"1.5\n", b"2.5\n", b"sp=20\n"]


def test_what_no_data_point_reads_is_the_answer_even_if_it_is_wrong():
    """An error message of the device's ends the call at once, with what it says."""
    rig = _rig(FLOAT, response_type="int")
    rig.read(b"ERR 5\n")
    assert str(_said(rig)).startswith("answer: found 'ERR 5")


def test_data_points_that_read_anything_tell_nothing():
    """A device whose whole line is a text: any line may be the answer."""
    rig = _rig(DataPoint(key="code", type="string"), response_type="int")
    rig.read(b"abc\n")
    assert str(_said(rig)).startswith("answer: found 'abc")


def test_a_pattern_decides_alone():
    """It may even want the repetition, or a blank line."""
    for pattern, line in (("^GET", b"GET sp\n"), (r"^\r?\n$", b"\r\n"), ("^[0-9.]+\n$", b"0.5\n")):
        rig = _rig(FLOAT, response_pattern=pattern)
        rig.read(b"x\n" + line)
        assert _said(rig) == line.decode().strip()
        assert (_frames(rig), _entries(rig, Entry.ANSWER)) == ([b"x\n"], [line])


def test_a_repetition_before_an_answer_with_an_end_of_its_own():
    """Both end at `responseUntilDelimiter`, and nothing else comes."""
    for chunks in ([b"GET sp>", b"20>"], [b"GET sp>20>"], [b"GET", b" sp", b">2", b"0>"]):
        rig = _rig(response_until_delimiter=">")
        for chunk in chunks:
            rig.read(chunk, 0.01)
        assert _said(rig) == "20"
    rig = _rig(response_until_delimiter="\r")
    rig.read(b"GET sp\r20\r\n")
    assert (_said(rig), _frames(rig)) == ("20", [])


def test_a_reading_does_not_end_the_wait_for_a_late_answer():
    """After a time-out the next call waits for what belongs to the one before; a reading is not that."""
    rig = _rig(LABELLED, response_type="int", response_timeout_s=2.0)
    rig.call("encode", {"method": "get", "params": b""}, "c2")
    rig.wait(2.1)
    rig.read(b"T:0.5 C\n\r\n")
    assert len(rig.written) == 1
    rig.read(b"20\n")
    assert len(rig.written) == 2


def test_nothing_of_an_answered_call_is_published():
    """Neither a value nor a dead letter, though the data points find nothing in what was journaled with it."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    message = {"device": "press1", "data": {"id": 7, "method": "get", "params": None}}
    (request,) = calls_sent(driver.say("v1/gateway/rpc", message))
    driver.reply(request.id, data=b'{"result":20}')
    answer = (request.id, b'{"result":"GET sp"}')
    driver.take(batch(2, [None], kind=Entry.ANSWER, dead={0: "t: found 'GET sp', expected a number"}, answer=answer))
    driver.ack_all()
    driver.wait(1)
    assert (driver.reports["journal-press1"].settled, driver.reports["journal-press1"].dead) == (3, [])


def test_what_nobody_has_asked_for_is_never_published():
    """A repetition before an answer that could not be read: its call has ended with an error, and no value says it."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    message = {"device": "press1", "data": {"id": 7, "method": "get", "params": None}}
    (request,) = calls_sent(driver.say("v1/gateway/rpc", message))
    driver.reply(request.id, error="answer: found 'ERR 5\\n', expected a decimal whole number")
    driver.ack_all()
    published = len(driver.published)
    driver.take(batch(2, [{"code": "GET sp"}], kind=Entry.ANSWER, answer=(NOBODY, b'{"result":"GET sp"}')))
    driver.take(batch(3, [None], kind=Entry.ANSWER, dead={0: "no number"}, answer=(NOBODY, b'{"error":"no number"}')))
    driver.ack_all()
    driver.wait(1)
    assert len(driver.published) == published
    assert (driver.reports["journal-press1"].settled, driver.reports["journal-press1"].dead) == (4, [])


def _warnings(folder: Path, **device: Any) -> list[str]:
    path = folder / "custom_serial.json"
    point = {"key": "t", "type": "float"}
    call = {"method": "get", "template": "GET\n", "withResponse": True, "responseType": "int"}
    whole = {"name": "d", "port": "/dev/ttyS0", "telemetry": [point], "serverSideRpc": [call], **device}
    path.write_text(json.dumps({"name": "Serial", "devices": [whole]}))
    return [str(warning) for warning in read_gateway(path, {"TB_GW_ACCESS_TOKEN": "t"}).warnings]


@pytest.mark.parametrize("points", ["telemetry", "timeseries", "attributes"])
def test_check_warns_where_an_answer_can_not_be_told_from_a_reading(tmp_path, points):
    """It names the methods and the key."""
    device: dict[str, Any] = {"telemetry": [], points: [{"key": "t", "type": "float"}]}
    (warning,) = [text for text in _warnings(tmp_path, **device) if "responsePattern" in text]
    assert 'this device also sends by itself, and a call of "get" may take that for its answer' in warning
    assert "devices[0].serverSideRpc" in warning


@pytest.mark.parametrize(
    "changes",
    [
        {"telemetry": []},
        {"serverSideRpc": [{"method": "get", "template": "GET\n", "withResponse": False}]},
        {"serverSideRpc": [{"method": "get", "template": "G\n", "withResponse": True, "responsePattern": "^A"}]},
    ],
)
def test_check_is_silent_where_it_can(tmp_path, changes):
    """A device that only answers, a call without an answer, and one that says what its answer looks like."""
    assert not [text for text in _warnings(tmp_path, **changes) if "responsePattern" in text]


SETPOINT = {"method": "get", "template": "GET sp\n", "withResponse": True, "responseType": "string"}


def _called(folder: Path, first: bytes, *call: dict[str, Any], **section: Any) -> Rig:
    """A device of this section, that has said something, and is called."""
    device, _ = read_device(folder, serverSideRpc=[{**SETPOINT, **(call[0] if call else {})}], **section)
    rig = Rig(device)
    rig.read(first)
    rig.call("encode", {"method": "get", "params": b""}, time_left_s=60.0)
    return rig


@pytest.mark.parametrize("pattern", [None, "^sp="])
def test_a_device_that_says_ten_readings_a_second(pattern: str | None, tmp_path: Path) -> None:
    """No reading is lost to the call. Where no pattern tells the answer, `check` has said so, and the answer is one of
    them; with one it is the answer that came among them."""
    rig = _called(tmp_path, b"0.5\n", {"responsePattern": pattern}, telemetry=[{"key": "t", "type": "float"}])
    said = [b"%d.5\n" % number for number in range(20)]
    for number, line in enumerate(said):
        rig.read(line + (b"sp=20\n" if number == 1 else b""), 0.1)
    frames = _frames(rig)
    assert [frame for frame in frames if frame != b"sp=20\n"] == said
    assert _said(rig) == ("sp=20" if pattern else "0.5")


TELLING: list[tuple[bytes, dict[str, Any]]] = [
    (b"$T,0\n", {"messages": [{"name": "t", "when": "^[$]T", "telemetry": [{"key": "t", "regex": "[0-9]+"}]}]}),
    (b"T 21.5 C\n", {"pattern": "T {t} C", "telemetry": [{"key": "t", "name": "t", "type": "float"}]}),
    (b"A;7\n", {"regex": "^A;(?P<t>.*)\n", "telemetry": [{"key": "t", "name": "t"}]}),
]
NOT_TELLING: list[tuple[bytes, dict[str, Any]]] = [
    (b"1,2,3\n", {"fields": ",", "telemetry": [{"key": "t", "field": 2}]}),
    (b'{"t":1}\n', {"telemetry": [{"key": "t", "path": "t"}]}),
    (b"T=1 H=2\n", {"pairs": [" ", "="], "telemetry": [{"key": "t", "name": "T", "type": "int"}]}),
]


@pytest.mark.parametrize(("reading", "section"), TELLING)
def test_a_frame_that_a_message_tells_is_no_answer(reading: bytes, section: dict[str, Any], tmp_path: Path) -> None:
    """The device says by itself what the configuration knows as its own: the next frame is the answer."""
    rig = _called(tmp_path, reading, **section)
    rig.read(reading)
    rig.read(reading + b"sp=20\n", 0.2)
    assert (_said(rig), _frames(rig)) == ("sp=20", [reading] * 2)
    assert _answered(rig) == [("c1", b"sp=20\n")]


@pytest.mark.parametrize(("reading", "section"), TELLING)
def test_it_is_the_answer_where_no_other_comes(reading: bytes, section: dict[str, Any], tmp_path: Path) -> None:
    """A device may answer in the form of its readings: then the reply comes a moment later, and the value as well."""
    rig = _called(tmp_path, reading, **section)
    rig.read(reading)
    rig.wait(PASSED_OVER_S + 0.1)
    assert (_said(rig), _frames(rig)) == (reading.decode().strip(), [reading])


@pytest.mark.parametrize(("reading", "section"), NOT_TELLING)
def test_no_reading_of_fields_or_members_is_lost(reading: bytes, section: dict[str, Any], tmp_path: Path) -> None:
    """Where the answer could look the same the first frame is it; and it is telemetry too. A reading that
    `responseType` can't read is passed over."""
    rig = _called(tmp_path, reading, **section)
    rig.read(reading + b"sp:20\n")
    assert (_said(rig), _frames(rig)) == (reading.decode().strip(), [reading, b"sp:20\n"])
    rig = _called(tmp_path, reading, {"responseType": "int"}, **section)
    rig.read(reading + b"20\n")
    assert (_said(rig), _frames(rig)) == (20, [reading])


def test_a_refusal_of_a_message_ends_the_call(tmp_path: Path) -> None:
    """Though the message takes the frame: it says what went wrong."""
    messages = [{"when": "^ERR", "error": "it refuses"}, {"telemetry": [{"key": "t", "regex": "T=(.*)"}]}]
    rig = _called(tmp_path, b"T=1\n", messages=messages)
    rig.read(b"T=2\nERR 5\n")
    assert _said(rig) == "T=2"
    rig = _called(tmp_path, b"T=1\n", messages=messages)
    rig.read(b"ERR 5\nT=2\n")
    assert _said(rig) == "it refuses"


@pytest.mark.parametrize("prompt", [b"> ", b">", b"meter# ", b"root@meter:~$ "])
def test_what_was_typed_behind_a_prompt_is_no_answer(prompt: bytes, tmp_path: Path) -> None:
    """A device with a command line repeats it behind the prompt that it had shown before."""
    section = {"telemetry": [{"key": "t", "type": "float"}]}
    rig = _called(tmp_path, b"0.5\n", **section)
    rig.read(prompt + b"GET sp\r\nsp=20\r\n")
    assert (_said(rig), _frames(rig)) == ("sp=20", [])
    rig = _called(tmp_path, b"0.5\n", **section)
    rig.read(b"value of GET sp\nsp=20\n")
    assert _said(rig) == "value of GET sp"


@pytest.mark.parametrize(
    ("answers", "frames"),
    [
        ([(0.05, b"READ?\r\n"), (0.1, b"23.5\r\n")], [("t", b"23.5\r")]),
        ([(0.05, b"\r\n \r\n\0\r\n"), (0.1, b"23.5\r\n")], [("t", b"23.5\r")]),
        ([(0.05, b"ALARM 5\r\n"), (0.1, b"23.5\r\n")], [("", b"ALARM 5\r"), ("t", b"23.5\r")]),
        ([(0.05, b"READ?\r\r\n23"), (0.3, b".5\r\n")], [("t", b"23.5\r")]),
    ],
)
def test_the_same_of_what_the_gateway_asks(
    answers: list[tuple[float, bytes]], frames: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """An echo, blank lines, what the device says by itself: each answer is that of its question."""
    asked = {"name": "t", "ask": "READ?", "every": 1, "regex": "^(?P<v>[0-9.]+)"}
    messages = [
        {**asked, "telemetry": [{"key": "t", "name": "v", "type": "float"}]},
        {"name": "alarm", "when": "^ALARM", "telemetry": [{"key": "alarm", "regex": "[0-9]+", "type": "int"}]},
    ]
    device, _ = read_device(tmp_path, framing="lines", send={"end": "\r\n"}, messages=messages)
    rig = AskedRig(device, lambda data: answers if data == b"READ?\r\n" else [])
    rig.run(2.9)
    assert rig.lines == [b"READ?\r\n"] * 3
    # Blank lines are frames too, that say nothing.
    assert [entry for entry in rig.entries("d") if entry[1].strip(b" \r\0")] == frames * 3


def test_an_answer_of_several_lines_to_a_question(tmp_path: Path) -> None:
    """It ends where the device's messages end, and is one frame."""
    points = [{"key": "t", "name": "T", "type": "int"}, {"key": "h", "name": "H", "type": "int"}]
    section = {"delimiter": "OK\r\n", "ask": "READ?\r\n", "every": 1, "pairs": ["\r\n", "="], "telemetry": points}
    device, _ = read_device(tmp_path, **section)
    rig = AskedRig(device, lambda _: [(0.05, b"T=1\r\n"), (0.1, b"H=2\r\n"), (0.15, b"OK\r\n")])
    rig.run(0.9)
    [(_, frame)] = rig.entries("d")
    assert telemetry(compile_section(device).convert_batch([frame])) == [{"t": 1, "h": 2}]


@pytest.mark.parametrize("framing", [{}, {"framing": "lines"}])
def test_an_answer_of_several_lines_to_a_call(framing: dict[str, Any], tmp_path: Path) -> None:
    """Behind a repetition and a blank line, with a reading in between that a message tells: it ends where
    `responseUntilDelimiter` says, and the result is what stands before it."""
    call = {**SETPOINT, "responseUntilDelimiter": "OK\r\n"}
    messages = [{"name": "t", "when": "^T ", "pattern": "T {v} C", "telemetry": [{"key": "t", "name": "v"}]}]
    rig = _called(tmp_path, b"T 1.5 C\r\n", call, messages=messages, **framing)
    said = [b"GET sp\r\n", b"\r\n", b"sp=20\r\n", b"T 2.5 C\r\n", b"mode=3\r\n", b"OK\r\n", b"T 3.5 C\r\n"]
    for line in said:
        assert _said(rig) == ("sp=20\r\nmode=3" if line is said[-1] else None)
        rig.read(line, 0.05)
    assert [frame.strip() for frame in _frames(rig) if frame.strip()] == [b"T 2.5 C", b"T 3.5 C"]
    assert _answered(rig)[-1] == ("c1", b"sp=20\r\nmode=3\r\nOK\r\n")


def test_the_first_lines_of_an_answer_are_never_its_result(tmp_path: Path) -> None:
    """Where its end does not come the call says so, and what had come."""
    call = {**SETPOINT, "responseUntilDelimiter": "OK\r\n", "responseTimeoutSec": 2}
    rig = _called(tmp_path, b"0.5\n", call, telemetry=[{"key": "t", "type": "float", "fromDelimiter": "T:"}])
    rig.read(b"sp=20\r\n")
    rig.wait(2.1)
    assert _said(rig) == (
        "no answer in 2 s (responseTimeoutSec); 1 line had come without the end \"OK\\r\\n\": 'sp=20\\r\\n'"
    )
    assert _frames(rig) == [b"sp=20\r\n"]


def test_a_refusal_of_a_message_ends_an_answer_of_several_lines(tmp_path: Path) -> None:
    """At once, wherever it comes: what had come before it is telemetry."""
    messages = [{"when": "^ERR", "error": "it refuses"}, {"telemetry": [{"key": "t", "regex": "T=(.*)"}]}]
    for said in (b"", b"sp=20\r\n"):
        rig = _called(tmp_path, b"T=1\n", {"responseUntilDelimiter": "OK\r\n"}, messages=messages)
        rig.read(said + b"ERR 5\r\nT=2\n")
        assert _said(rig) == "it refuses"
        assert _frames(rig) == [*said.splitlines(keepends=True), b"T=2\n"]


def test_the_same_on_a_line_that_is_asked(tmp_path: Path) -> None:
    """No question goes out before the answer is whole."""
    asked = {"name": "t", "ask": "READ?", "every": 1, "regex": "^(?P<v>[0-9.]+)"}
    messages = [{**asked, "telemetry": [{"key": "t", "name": "v", "type": "float"}]}]
    call = {"method": "list", "ask": "LIST", "answer": "^sp", "responseType": "string"}
    call["responseUntilDelimiter"] = "OK\r\n"
    device, _ = read_device(
        tmp_path, framing="lines", send={"end": "\r\n"}, messages=messages, serverSideRpc=[call], type="t"
    )
    said = {b"READ?\r\n": [(0.05, b"23.5\r\n")], b"LIST\r\n": [(0.5, b"sp=20\r\n"), (1.6, b"mode=3\r\nOK\r\n")]}
    rig = AskedRig(device, said.__getitem__)
    rig.run(0.5)
    rig.call("encode", {"method": "list", "params": b""})
    rig.run(3.0)
    assert _said(rig) == "sp=20\r\nmode=3"
    assert [data for _, data in rig.asked][:3] == [b"READ?\r\n", b"LIST\r\n", b"READ?\r\n"]


@pytest.mark.parametrize(
    ("framing", "until", "is_told"),
    [
        ({}, "OK\r\n", False),
        ({}, "\n>", False),
        ({}, "\r\n", False),
        ({"framing": "lines"}, "OK\r\n", False),
        ({"framing": "lines"}, "\r\n", False),
        ({"framing": "lines"}, "\r\n> ", True),
        ({"framing": "lines"}, "\r\n\r\n", True),
    ],
)
def test_an_end_that_is_never_found_is_warned_of(
    framing: dict[str, Any], until: str, is_told: bool, tmp_path: Path
) -> None:
    """Where the framing hides it: the first line would be the result, and look good."""
    call = {**SETPOINT, "responsePattern": "^a", "responseUntilDelimiter": until}
    _, warnings = read_device(tmp_path, telemetry=[{"key": "t", "type": "float"}], serverSideRpc=[call], **framing)
    assert ["its first frame" in warning for warning in warnings] == [True] * is_told


def test_check_says_which_lines_are_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has written an end sees what it was taken for."""
    call = {**SETPOINT, "responseUntilDelimiter": "OK\r\n"}
    path = write_config(tmp_path, {"name": "d", "serverSideRpc": [call, {**call, "responseUntilDelimiter": "\r\n"}]})
    main(["check", str(path)])
    said = capsys.readouterr().out
    assert 'answer of all lines up to "OK\\r\\n" within 5 s' in said
    assert said.count("of all lines") == 1
