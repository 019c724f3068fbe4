"""Where a description is nearly right, the message names the key that makes it right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.reading import read_gateway
from common.conversion.joint import compile_section
from common.core.checksum import Check
from common.core.errors import ConfigError
from common.core.frame_shape import Checksum
from common.wire import codec
from common.wire.messages import Entry, Reply
from tests.field.reading import read_device, write_config
from tests.support.asked_rig import AskedRig
from tests.support.port_reader_rig import Rig

BINARY: dict[str, Any] = {"framing": {"start": "hex:C0", "length": 5}}


@pytest.mark.parametrize(
    ("field", "cure"),
    [
        ("  13,9", '"decimal": ","'),
        ("13.9%", "behind the number stands '%', which \"unit\" can cut off"),
    ],
)
def test_a_number_that_is_not_read_says_which_key_reads_it(field: str, cure: str, tmp_path: Path) -> None:
    """In a message, as where a data point stands in the device itself."""
    point = {"key": "t", "field": 0, "type": "float"}
    device, _ = read_device(tmp_path, framing="lines", fields=";", telemetry=[point])
    dead = compile_section(device).convert_batch([field.encode() + b"\r"]).dead
    assert cure in dead[0]


def test_a_checksum_the_other_way_round_says_so() -> None:
    """High and low byte are the most frequent thing to mistake; a checksum that reads the same is wrong otherwise."""
    frame = bytes.fromhex("0B11002AFF380007D014FFE2568F")
    big, little = (Check(Checksum(type="crc16-ccitt-false", spelling=spelling)) for spelling in ("big", "little"))
    assert big.fault_of(frame).endswith('give 8F 56: the same the other way round, which "as": "little" reads')
    assert not little.fault_of(frame)
    assert "other way" not in big.fault_of(frame[:-1] + b"\0")


@pytest.mark.parametrize("name", ["crc16-ccitt", "CRC-CCITT", "crc16"])
def test_a_checksum_of_several_is_told_by_its_parameters(name: str, tmp_path: Path) -> None:
    """No name is guessed that the manual does not say."""
    with pytest.raises(ConfigError, match=r'"crc16-ccitt-false" \(polynomial 0x1021, initial value 0xFFFF\)'):
        read_device(tmp_path, **BINARY, checksum={"type": name}, telemetry=[{"key": "t", "at": 1, "type": "uint8"}])


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("escape", {"byte": "hex:DB", "xor": 32}, 'into "framing"'),
        ("length", 10, 'into "framing"'),
        ("decimal", ",", "into a data point"),
        ("invalid", "n/a", "into a data point"),
        ("unit", "C", "into a data point"),
    ],
)
def test_a_key_beside_its_place_says_where_it_belongs(key: str, value: Any, where: str, tmp_path: Path) -> None:
    """Whoever has the right word only needs the place."""
    _, warnings = read_device(tmp_path, telemetry=[{"key": "t", "type": "string"}], **{key: value})
    assert any(one.startswith(f"{key}: it has no effect here, it belongs {where}") for one in warnings)


@pytest.mark.parametrize(
    ("kind", "mark", "expected"),
    [
        ("int16", "0x8000", 'found "0x8000", which stands for 6 bytes, expected 2 bytes, such as "hex:80 00"'),
        ("int16", 32768, "found 32768, which no int16 is, expected a number from -32768 to 32767"),
        ("uint8", -1, "found -1, which no uint8 is, expected a number from 0 to 255"),
    ],
)
def test_a_mark_that_never_comes_is_refused(kind: str, mark: Any, expected: str, tmp_path: Path) -> None:
    """Else the mark itself would go to the platform, as a value."""
    with pytest.raises(ConfigError) as error:
        read_device(tmp_path, **BINARY, telemetry=[{"key": "t", "at": 1, "type": kind, "invalid": mark}])
    assert expected in str(error.value)


@pytest.mark.parametrize("mark", ["hex:80 00", -32768])
def test_a_mark_of_the_right_size_is_no_value(mark: Any, tmp_path: Path) -> None:
    """As bytes, and as the number that they are."""
    point = {"key": "t", "at": 1, "type": "int16", "invalid": mark}
    device, _ = read_device(tmp_path, **BINARY, telemetry=[point])
    assert compile_section(device).convert_batch([bytes.fromhex("C080000000")]).nothing == 1


def test_positions_beside_a_delimiter_of_an_answer_are_warned_of(tmp_path: Path) -> None:
    """As beside a data point's."""
    rpc = {"method": "m", "template": "A", "withResponse": True, "responseFromByte": 5, "responseUntilDelimiter": "*"}
    _, warnings = read_device(tmp_path, serverSideRpc=[rpc])
    assert any("responseFromByte: has no effect, because responseUntilDelimiter is named" in one for one in warnings)


def test_a_refusal_fails_the_call_that_it_answers(tmp_path: Path) -> None:
    """What the message's `error` says, though the answer's pattern fits the frame too."""
    device, _ = read_device(
        tmp_path,
        framing="lines",
        send={"end": "\r\n"},
        messages=[
            {"name": "refusal", "pattern": "#05?E1", "error": "the drive does not know the command"},
            {"name": "state", "pattern": "#05ST{w}", "telemetry": [{"key": "w", "name": "w"}]},
        ],
        serverSideRpc=[{"method": "raw", "ask": "@05${params}", "answer": "^#05", "responseType": "string"}],
    )
    for said, expected in ((b"#05?E1\r\n", "the drive does not know the command"), (b"#05STR\r\n", "#05STR")):
        rig = Rig(device)
        rig.read(b"#05STM\r\n")
        rig.call("encode", {"method": "raw", "params": b'"XX"'})
        assert rig.written == [b"@05XX\r\n"]
        rig.read(said)
        reply = next(message for message in rig.calls if isinstance(message, Reply))
        assert expected == (reply.error or json.loads(codec.unpack(reply.body))["result"])


@pytest.mark.parametrize("question", [{}, {"ask": "@05ST", "every": 60}], ids=["called alone", "asked by itself, too"])
def test_a_refusal_that_the_answer_does_not_fit_fails_the_call_at_once(
    question: dict[str, Any], tmp_path: Path
) -> None:
    """In the device's words, and not after the time that an answer may take; the next call is written then. What is
    neither is telemetry, as ever."""
    device, _ = read_device(
        tmp_path,
        framing="lines",
        messages=[
            {"name": "refusal", "when": "^ERR", "error": "the drive does not know the command"},
            {"name": "state", "pattern": "#05ST{w}", "telemetry": [{"key": "w", "name": "w"}], **question},
        ],
        serverSideRpc=[{"method": "raw", "ask": "@05${params}", "answer": "^#05OK", "responseType": "string"}],
    )
    answers = {b"@05XX": [(0.1, b"#05STR\r"), (0.2, b"ERR 3\r")], b"@05YY": [(0.1, b"#05OK\r")]}
    rig = AskedRig(device, lambda data: answers.get(data, [(0.1, b"#05STM\r")]))
    rig.run(1)
    rig.call("encode", {"method": "raw", "params": b'"XX"'}, "c1")
    rig.call("encode", {"method": "raw", "params": b'"YY"'}, "c2")
    rig.run(0.25)
    assert rig.ended("c1") == "the drive does not know the command"
    assert rig.entries("d", Entry.ANSWER) == [("", b"ERR 3\r")]
    assert rig.entries("d")[-1] == ("", b"#05STR\r")
    assert rig.lines[-2:] == [b"@05XX", b"@05YY"]
    rig.run(0.5)
    assert rig.ended("c2") == "ok"


def test_try_takes_a_refusal_for_one_whatever_answers_look_like(tmp_path: Path) -> None:
    """As the gateway does."""
    section = {
        "name": "d",
        "framing": "lines",
        "messages": [{"name": "refusal", "when": "^ERR", "error": "the drive does not know it"}],
        "serverSideRpc": [{"method": "raw", "ask": "@05", "answer": "^#05OK"}],
    }
    (tmp_path / "serial.json").write_text(json.dumps({"name": "Serial", "devices": [section]}))
    tried = _serialgw(tmp_path, "try", "serial.json", "d", "--rpc", "raw", "--answer", "ERR 3\\r")
    assert "error: the drive does not know it" in tried.stdout


def test_a_refusal_of_a_question_is_told_with_what_was_asked_and_is_no_dead_letter(tmp_path: Path) -> None:
    """A battery manager that was asked has answered: its state says so. What nobody asked for is a dead letter."""
    path = write_config(tmp_path, {"name": "battery", "profile": "jbd-bms"})
    device = read_gateway(path, {}).gateway.devices[0]
    refused = bytes.fromhex("DD 03 80 00 FF 80 77")
    rig = AskedRig(device, lambda data: [(0.1, refused)] if data[2] == 3 else [])
    rig.run(1)
    assert rig.entries("battery") == [("basic", refused)]
    assert rig.count("asks_refused") == 1
    converter = compile_section(device)
    found = converter.convert_batch([refused], [0], "basic")
    assert not found.dead
    assert (found.errors, found.error_sample) == (1, "basic: the battery management system refuses the request")
    assert converter.convert_batch([refused], [0]).dead == {0: "the battery management system refuses the request"}


def _serialgw(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "services.cli", *words]
    environ = {"PYTHONPATH": str(root), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_add_without_a_configuration_names_init(tmp_path: Path) -> None:
    """In a fresh folder there is nothing to add to."""
    said = _serialgw(tmp_path, "add", "/dev/ttyUSB0")
    assert "`serialgw init /dev/ttyUSB0` writes one" in said.stderr
    assert said.returncode == 78


def test_check_and_try_say_what_is_added_to_a_call(tmp_path: Path) -> None:
    """A call's template is sent as a question is: with the checksum and the end of `send`."""
    section = {
        "name": "d",
        **{"framing": {"start": "#", "end": "\r"}, "checksum": {"type": "sum8", "as": "hex", "after": "*", "to": -4}},
        "send": {"checksum": True, "end": "\r"},
        "telemetry": [{"key": "t", "type": "string"}],
        "serverSideRpc": [{"method": "state", "ask": "@05ST", "answer": "^#05ST"}],
    }
    (tmp_path / "serial.json").write_text(json.dumps({"name": "Serial", "devices": [section]}))
    tried = _serialgw(tmp_path, "try", "serial.json", "d", "--rpc", "state")
    assert "written to d, 9 bytes: '@05ST*4C\\r'" in tried.stdout
    said = _serialgw(tmp_path, "check", "serial.json")
    assert 'writes "@05ST", then its checksum and CR (0D)' in said.stdout


def test_try_shows_what_a_call_of_a_modbus_device_writes(tmp_path: Path) -> None:
    """As the gateway would: by the register, with address and checksum; and what the answer says."""
    section = {
        **{"name": "pump", "framing": "modbus-rtu", "address": 2, "every": 1},
        "telemetry": [{"key": "speed", "register": "holding:100"}],
        "serverSideRpc": [{"method": "set", "register": "holding:100"}],
    }
    (tmp_path / "serial.json").write_text(json.dumps({"name": "Serial", "devices": [section]}))
    call = ("try", "serial.json", "pump", "--rpc", "set", "--params", "5", "--answer")
    taken = _serialgw(tmp_path, *call, r"\x02\x06\x00\x64\x00\x05\x08\x25")
    assert "written to pump, 8 bytes" in taken.stdout
    assert "(hex 0206006400050" in taken.stdout
    assert "result: true" in taken.stdout
    refused = _serialgw(tmp_path, *call, r"\x02\x86\x02\x33\xa1")
    assert "error: " in refused.stdout
    assert "Downlink converter not defined" not in refused.stdout
