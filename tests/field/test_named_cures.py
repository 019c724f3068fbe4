"""Where a description is nearly right, the message names the key that makes it right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.conversion.joint import compile_section
from common.core.checksum import Check
from common.core.errors import ConfigError
from common.core.frame_shape import Checksum
from common.wire import codec
from common.wire.messages import Reply
from tests.field.reading import read_device
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
