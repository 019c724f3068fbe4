"""Answers that look otherwise than all else on the line: a question's own framing, in force while it is awaited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import Device
from common.config.reading import read_gateway
from common.conversion.joint import compile_section
from common.core.errors import ConfigError
from common.stream.events import Bury
from services.cli.__main__ import main
from services.port_reader.core.events import Chunk
from tests.field.reading import write_config
from tests.support.asked_rig import AskedRig

ANSWER = b"\x05\x01\x02\x03\x05\x0b"
"""Five bytes that say nothing of where they begin, and the sum of all but the first."""
LINE_END_IN_IT = b"\x05\x01\x02\x0a\x05\x12"
READING = b"T=21.5\n"
BINARY: dict[str, Any] = {
    "name": "energy",
    "ask": "hex:05 00",
    "every": 2,
    "retries": 0,
    "framing": {"length": 6},
    "checksum": {"type": "sum8", "from": 1, "at": -1},
    "telemetry": [{"key": "energy", "at": 1, "type": "uint16"}],
}
TALK: dict[str, Any] = {
    "name": "talk",
    "when": "^T=",
    "telemetry": [{"key": "t", "at": 2, "length": 4, "type": "float"}],
}


def sections(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A device that says lines by itself, and has these messages."""
    return {"name": "d", "framing": {"end": "\n"}, "messages": [*messages], **more}


def device(folder: Path, *messages: dict[str, Any], **more: Any) -> Device:
    return read_gateway(write_config(folder, sections(*messages, **more)), {}).gateway.devices[0]


def answering(*said: tuple[float, bytes]) -> Any:
    return lambda _: said


def dead(rig: AskedRig) -> list[tuple[str, bytes]]:
    return [(one.reason, one.data) for effect in rig.performed if isinstance(effect, Bury) for one in effect.dead]


def test_an_answer_of_a_known_length_between_lines(tmp_path: Path) -> None:
    """The question knows how long it is; a line end in it ends nothing, and lines before and behind are lines."""
    rig = AskedRig(device(tmp_path, BINARY, TALK), answering((0.1, LINE_END_IN_IT)))
    for at in (0.7, 2.7, 4.7):
        rig.say(at, READING)
    rig.run(6)
    said = rig.entries("d")
    assert [frame for origin, frame in said if origin == "energy"] == [LINE_END_IN_IT] * 3
    assert [frame for origin, frame in said if not origin] == [READING] * 3
    assert dead(rig) == []


def test_what_stands_behind_the_answer_is_looked_at_again(tmp_path: Path) -> None:
    """A line that comes in the same chunk is a line: the answer's framing ends with the answer."""
    rig = AskedRig(device(tmp_path, BINARY, TALK), answering((0.1, ANSWER + READING[:3]), (0.15, READING[3:])))
    rig.run(3)
    assert rig.entries("d") == [("energy", ANSWER), ("", READING)] * 2
    assert dead(rig) == []


def test_a_line_that_had_begun_before_the_question_is_no_part_of_its_answer(tmp_path: Path) -> None:
    """It has no end, and is told as such."""
    rig = AskedRig(device(tmp_path, BINARY, TALK), answering((0.1, ANSWER)))
    rig.say(1.99, READING[:4])
    rig.run(3)
    assert rig.entries("d") == [("energy", ANSWER)] * 2
    assert dead(rig) == [("another framing has begun in mid-frame", READING[:4])]


def test_an_answer_that_silence_ends(tmp_path: Path) -> None:
    """Where nothing else does; the lines of the device need no silence."""
    message = {**BINARY, "framing": {"silenceMs": 50}}
    del message["checksum"]
    rig = AskedRig(device(tmp_path, message, TALK), answering((0.1, ANSWER[:2]), (0.12, ANSWER[2:])))
    rig.say(1.0, READING)
    rig.run(1.5)
    assert rig.entries("d") == [("energy", ANSWER), ("", READING)]


def test_a_late_answer_is_known_by_its_framing_too(tmp_path: Path) -> None:
    """For as long again as it may take; then frames are the line's own."""
    rig = AskedRig(device(tmp_path, {**BINARY, "every": 5, "timeoutMs": 200}, TALK), answering((0.3, ANSWER)))
    rig.say(1.0, READING)
    rig.run(3)
    assert rig.entries("d") == [("energy", ANSWER), ("", READING)]
    assert rig.count("asks_late") == 1
    rig.behaviour = answering()
    rig.say(2.5, READING)
    rig.run(4)
    assert rig.entries("d")[-1] == ("", READING)
    assert dead(rig) == []


def test_wrong_checksums_of_both_framings_are_counted(tmp_path: Path) -> None:
    """Whichever is in force when it is asked."""
    config = {"framing": {"end": "\n"}, "checksum": {"type": "xor8", "as": "hex", "at": -3}}
    rig = AskedRig(device(tmp_path, BINARY, TALK, **config), answering((0.1, ANSWER[:5] + b"\x0e")))
    rig.say(1.5, b"T=21.500\n")
    rig.say(1.7, b"T=21.500\n")
    rig.run(2.5)
    rig.run(20)
    assert rig.core._port._line.wrong_frames >= 4


@pytest.mark.parametrize("cut", [1, 3, 7, 30])
def test_a_line_behind_an_answer_of_bare_length_is_no_second_answer(tmp_path: Path, cut: int) -> None:
    """No checksum tells the two apart, and the line has as many bytes as the answer: it is a line in whatever chunks
    it comes."""
    message = {key: value for key, value in BINARY.items() if key != "checksum"}
    stream = ANSWER + READING + b"T=1234.5\n"
    said = [(0.1 + at / 10_000, stream[at : at + cut]) for at in range(0, len(stream), cut)]
    rig = AskedRig(device(tmp_path, message, TALK), answering(*said))
    rig.run(1.5)
    assert rig.entries("d") == [("energy", ANSWER), ("", READING), ("", b"T=1234.5\n")]
    assert dead(rig) == []
    assert rig.count("bytes_read") == len(stream)


def test_an_answer_behind_a_frame_that_is_none_in_one_chunk(tmp_path: Path) -> None:
    """The framing is in force until the answer is there: what is cut by it and no answer is not its end."""
    message = {**BINARY, "when": {"at": 0, "is": "hex:05"}}
    del message["checksum"]
    rig = AskedRig(device(tmp_path, message, TALK), answering((0.1, b"\x07abcde" + ANSWER + READING)))
    rig.run(1.5)
    assert ("energy", ANSWER) in rig.entries("d")
    assert rig.entries("d")[-1] == ("", READING)


def test_a_reply_is_that_of_the_message_that_was_asked(tmp_path: Path) -> None:
    """One for whatever the line says by itself is not sent after an answer in another framing; the message's own is."""
    other = {"name": "other", "reply": "<NAK>", "telemetry": [{"key": "x", "at": 0, "type": "string"}]}
    rig = AskedRig(device(tmp_path, BINARY, other), answering((0.1, ANSWER)))
    rig.say(1.0, READING)
    rig.run(1.5)
    assert rig.lines == [b"\x05\0", b"\x15"]
    rig = AskedRig(device(tmp_path, {**BINARY, "reply": "<ACK>"}, TALK), answering((0.1, ANSWER)))
    rig.say(1.0, READING)
    rig.run(1.5)
    assert rig.lines == [b"\x05\0", b"\x06"]


def test_what_is_wrong_with_answers_is_told_though_lines_are_looked_for_by_then(tmp_path: Path) -> None:
    """The checksum, and which one would fit: not another baud rate."""
    rig = AskedRig(device(tmp_path, {**BINARY, "every": 0.5, "timeoutMs": 200}, TALK), answering())
    answers = [bytes((5, n, 2, 3, 5, n ^ 2 ^ 3 ^ 5)) for n in range(20, 60)]
    rig.behaviour = lambda _: [(0.05, answers[len(rig.asked) % len(answers)])]
    for at in range(80):
        rig.say(at + 0.47, READING)
    rig.run(80)
    seen = rig.core._port.seen(rig.now_s, 0)
    assert "the last one: checksum: the frame says" in seen.damaged
    assert "xor8" in seen.damaged
    assert "baudrate" not in seen.unframed


@settings(deadline=None, max_examples=60)
@given(st.data(), st.lists(st.integers(1, 15), max_size=12))
def test_how_chunks_were_cut_changes_nothing(data: Any, cuts: list[int]) -> None:
    """An answer and the line behind it, in whatever chunks they come."""
    stream = ANSWER + READING + READING
    places = sorted({min(sum(cuts[: at + 1]), len(stream)) for at in range(len(cuts))} | {len(stream)})
    rig = AskedRig(_read_once(), answering())
    rig.run(0.1)
    assert rig.lines == [b"\x05\x00"]
    before = 0
    for place in places:
        rig.give(Chunk(stream[before:place], rig.wall_ms))
        before = place
        if data.draw(st.booleans()):
            rig.run(0.001)
    assert rig.entries("d") == [("energy", ANSWER), ("", READING), ("", READING)]


def _read_once(known: list[Device] = []) -> Device:  # noqa: B006 (read once for all examples)
    if not known:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            known.append(device(Path(folder), BINARY, TALK))
    return known[0]


def test_the_parts_of_an_answer_are_those_of_its_own_framing(tmp_path: Path) -> None:
    """Fields are looked for in its body: between its start and its end, not the line's."""
    text = {
        "name": "status",
        "ask": "?",
        "every": 1,
        "framing": {"start": "<", "end": ">"},
        "fields": ",",
        "telemetry": [{"key": "a", "field": 0, "type": "int"}, {"key": "b", "field": 1, "type": "int"}],
    }
    found = compile_section(device(tmp_path, text, TALK)).convert_batch([b"<1,2>"], [0], "status")
    assert json.loads(found.telemetry[0]) == {"a": 1, "b": 2}


def test_a_message_with_its_own_framing_takes_no_frame_of_the_line(tmp_path: Path) -> None:
    """Though it stands first and says nothing of how it is told: neither what comes by itself, nor what answers another
    question."""
    asked = {**TALK, "name": "asked", "when": "^A=", "ask": "A?", "every": 1}
    mixed = device(tmp_path, BINARY, asked, TALK)
    converter = compile_section(mixed)
    assert json.loads(converter.convert_batch([READING], [0], "").telemetry[0]) == {"t": 21.5}
    assert json.loads(converter.convert_batch([b"A=1.50\n"], [0], "asked").telemetry[0]) == {"t": 1.5}
    assert json.loads(converter.convert_batch([ANSWER], [0], "energy").telemetry[0]) == {"energy": 258}
    rig = AskedRig(mixed, lambda data: [(0.01, ANSWER if data == b"\x05\0" else b"A=1.50\n")])
    rig.run(3)
    assert {origin for origin, _ in rig.entries("d")} == {"energy", "asked"}
    assert rig.count("asks_unanswered") == 0


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (sections({**TALK, "framing": {"length": 6}}), 'a framing of its own, and no "ask"'),
        ({"name": "d", "messages": [BINARY, TALK]}, "a framing of its own on a line with a delimiter"),
        (sections({key: BINARY[key] for key in BINARY if key != "name"}, TALK), "a framing of its own, and no name"),
        (
            sections(BINARY, {**TALK, "ask": [{"send": "A"}, {"expect": "energy"}, {"send": "B"}], "every": 1}),
            'energy, whose "framing" is in force only while its own question is answered',
        ),
        (
            sections(BINARY, TALK, init=[{"send": "A"}, {"expect": "energy"}]),
            'energy, whose "framing" is in force only',
        ),
        (sections({**BINARY, "framing": {"start": "<"}}, TALK), "a start, and nothing that ends a frame"),
        (sections({**BINARY, "telemetry": [{"key": "x", "at": 6, "type": "uint8"}]}, TALK), "up to byte 6 of a frame"),
        (
            {"name": "d", "framing": {"length": 6}, "telemetry": [{"key": "x", "at": 0}]},
            "nothing to find its beginning",
        ),
    ],
)
def test_what_can_t_be_is_refused(tmp_path: Path, section: dict[str, Any], problem: str) -> None:
    """With its place. A bare length is right for an answer alone, whose first byte is known."""
    with pytest.raises(ConfigError) as found:
        read_gateway(write_config(tmp_path, section), {})
    assert problem in str(found.value)


def test_check_and_try_know_the_answers_framing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an answer looks like, in words; and its values, though no frame of the line looks so."""
    path = str(write_config(tmp_path, sections(BINARY, TALK)))
    assert main(["check", path]) == 0
    assert (
        "takes what answers its question; each 6 bytes, the last byte = sum of all before it from byte 1"
        in capsys.readouterr().out
    )
    assert main(["try", path, "d", "--hex", ANSWER.hex()]) == 0
    shown = capsys.readouterr().out
    assert "as the answer to energy is framed" in shown
    assert "= 258" in shown


READ: dict[str, Any] = {
    "name": "read",
    "ask": "R",
    "every": 2,
    "fields": " ",
    "telemetry": [{"key": "x", "field": 0, "type": "float"}],
}
ALARM: dict[str, Any] = {
    "name": "alarm",
    "when": "^ALARM",
    "reply": "<ACK>",
    "fields": " ",
    "telemetry": [{"key": "a", "field": 1, "type": "int"}],
}


@pytest.mark.parametrize("messages", [(READ, ALARM), (ALARM, READ)])
def test_a_question_that_takes_any_answer_takes_no_other_message(tmp_path: Path, messages: Any) -> None:
    """In whatever order they stand: what comes by itself is what it looks like, has its values, and its reply."""
    both = device(tmp_path, *messages)
    rig = AskedRig(both, lambda data: [(0.01, b"23.5\n")] if data == b"R" else [])
    rig.say(1.0, b"ALARM 7\n")
    rig.run(1.5)
    assert rig.entries("d") == [("read", b"23.5\n"), ("", b"ALARM 7\n")]
    assert rig.lines == [b"R", b"\x06"]
    converter = compile_section(both)
    assert json.loads(converter.convert_batch([b"ALARM 7\n"], [0], "").telemetry[0]) == {"a": 7}
    assert json.loads(converter.convert_batch([b"23.5\n"], [0], "read").telemetry[0]) == {"x": 23.5}


@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_dialogue_expects_is_known_in_any_order(tmp_path: Path, is_first: bool) -> None:
    """Though the question's own message would take any frame."""
    readout = {**READ, "name": "readout", "ask": [{"send": "A"}, {"expect": "identification"}, {"send": "B"}]}
    told = {"name": "identification", "when": "^/"}
    both = (readout, told) if is_first else (told, readout)
    rig = AskedRig(device(tmp_path, *both), lambda data: [(0.01, b"/ID\n" if data == b"A" else b"1.5\n")])
    rig.run(1.5)
    assert rig.entries("d") == [("identification", b"/ID\n"), ("readout", b"1.5\n")]


def test_try_follows_the_framing_through_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each answer that is awaited, and no longer than the reader does."""
    path = str(write_config(tmp_path, sections(BINARY, TALK)))
    capture = tmp_path / "capture.txt"
    capture.write_text(
        "serialgw capture 1\n"
        '0.000 < "T=20.5\\n"\n'
        "0.500 > 05 00\n"
        f"0.600 < {LINE_END_IN_IT.hex(' ')}\n"
        '1.000 < "T=21.5\\n"\n'
        "2.500 > 05 00\n"
        f"2.600 < {(ANSWER + READING).hex(' ')}\n"
        "4.500 > 05 00\n"
        '9.000 < "T=22.5\\n"\n'
        "10.000 end\n"
    )
    assert main(["try", path, "d", "--file", str(capture), "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [one["telemetry"] for one in shown if one.get("telemetry")]
    assert found == [{"t": 20.5}, {"energy": 258}, {"t": 21.5}, {"energy": 258}, {"t": 21.5}, {"t": 22.5}]
