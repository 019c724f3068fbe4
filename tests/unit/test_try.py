"""`serialgw try`: frames, files, calls and answers against a configuration, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.__main__ import main
from services.cli.text import unescape

DEVICE: dict[str, Any] = {
    "name": "press1",
    "type": "press",
    "port": "/dev/ttyUSB7",
    "downlink_converter": "SerialDownlinkConverter",
    "telemetry": [{"type": "float", "key": "humidity", "untilDelimiter": "\r"}],
    "attributes": [{"type": "string", "key": "SerialNumber", "fromByte": 3, "toByte": -1}],
    "serverSideRpc": [
        {
            "method": "set",
            "type": "int",
            "withResponse": True,
            "responseType": "float",
            "responseUntilDelimiter": ";",
            "responsePattern": "^[0-9]",
        },
        {"method": "say", "template": "SAY ${params}\r\n"},
    ],
}
USER_CONVERTER = """
class Mine:
    def __init__(self, config, logger):
        self.logger = logger
        print('a word of its own')
    def convert(self, config, data):
        if config is not None:
            return {"result": data.decode()} if isinstance(data, bytes) else data["bytes"].encode()
        if data == b"bad":
            raise ValueError("bad frame")
        if data == b"none":
            return None
        return {"deviceName": "other", "telemetry": [{"ts": 5, "values": {"n": len(data)}}], "attributes": {"a": 1}}
"""

Captured = pytest.CaptureFixture[str]


def configure(folder: Path, *devices: dict[str, Any]) -> str:
    path = folder / "serial.json"
    path.write_text(json.dumps({"name": "Serial", "devices": devices or [DEVICE]}))
    return str(path)


def run_json(capsys: Captured, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["try", *arguments, "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_pages_example_as_json(tmp_path: Path, capsys: Captured) -> None:
    """One object a frame, in exactly the documented shape; escapes work in --text."""
    code, objects = run_json(capsys, configure(tmp_path), "--device", "press1", "--text", r"48\r2430947595\n")
    assert code == 0
    assert objects == [
        {
            "deviceName": "press1",
            "deviceType": "press",
            "telemetry": {"humidity": 48.0},
            "attributes": {"SerialNumber": "2430947595"},
            "errors": [],
            "message": "",
            "points": [
                {
                    **{"key": "humidity", "kind": "telemetry", "type": "float", "status": "value"},
                    **{"from": 0, "to": 2, "hex": "3438", "value": 48.0},
                },
                {
                    **{"key": "SerialNumber", "kind": "attribute", "type": "string", "status": "value"},
                    **{"from": 3, "to": 13, "hex": "32343330393437353935", "value": "2430947595"},
                },
            ],
            "bytes": 14,
            "hex": "34380d323433303934373539350a",
        }
    ]


def test_the_pages_example_as_text_shows_each_slice(tmp_path: Path, capsys: Captured) -> None:
    """A person sees each data point, the slice, the bytes it took and its value."""
    assert main(["try", configure(tmp_path), "--hex", "34380d32343330393437353935 0a"]) == 0
    out = capsys.readouterr().out
    assert "frame 1, 14 bytes: '48\\r2430947595\\n'\n  press1 (press)\n" in out
    assert "telemetry  humidity      float   [0:2]   '48'          = 48.0" in out
    assert "attribute  SerialNumber  string  [3:13]  '2430947595'  = \"2430947595\"" in out


def test_a_value_that_fails_or_is_absent_says_why(tmp_path: Path, capsys: Captured) -> None:
    """Errors name the key; only an error, not an absent data point, makes exit code 1."""
    config = configure(tmp_path)
    code, objects = run_json(capsys, config, "--text", "x")
    assert code == 1
    assert objects[0]["errors"] == [
        {"key": "humidity", "error": "found 'x', expected a finite decimal number"},
        {"key": "SerialNumber", "error": "absent: a frame of 1 bytes is too short for fromByte 3"},
    ]
    code, objects = run_json(capsys, config, "--text", r"4\r")
    assert (code, objects[0]["telemetry"], len(objects[0]["errors"])) == (0, {"humidity": 4.0}, 1)


def test_a_text_that_a_line_would_cut_is_taken_whole_and_noted(tmp_path: Path, capsys: Captured) -> None:
    """--text is one frame; what a line would do with it is said."""
    main(["try", configure(tmp_path), "--text", r"1\r\n2\r\n"])
    assert "(taken whole; a line would end the frame at the first '\\n')" in capsys.readouterr().out
    main(["try", configure(tmp_path), "--text", "1"])
    assert "(without the delimiter '\\n' at its end)" in capsys.readouterr().out


def test_a_file_goes_through_the_framer(tmp_path: Path, capsys: Captured) -> None:
    """Frames as on the line; what follows the last delimiter is shown and marked as partial."""
    frames = tmp_path / "frames.bin"
    frames.write_bytes(b"1\rAAA\n2\rBBB\n3\rC")
    code, objects = run_json(capsys, configure(tmp_path), "--file", str(frames))
    assert code == 0
    assert [frame["telemetry"] for frame in objects] == [{"humidity": 1.0}, {"humidity": 2.0}, {"humidity": 3.0}]
    assert [frame.get("partial") for frame in objects] == [None, None, True]


def test_a_run_too_long_for_a_frame_is_shown_as_a_dead_letter(tmp_path: Path, capsys: Captured) -> None:
    """What the framer would set aside is no frame here either, and says why."""
    frames = tmp_path / "frames.bin"
    frames.write_bytes(b"x" * 40 + b"\n1\rAAA\n")
    code, objects = run_json(capsys, configure(tmp_path, {**DEVICE, "maxFrameBytes": 16}), "--file", str(frames))
    assert code == 1
    assert objects[0]["errors"][0]["key"] == ""
    assert objects[0]["errors"][0]["error"]
    assert objects[-1]["telemetry"] == {"humidity": 1.0}


@pytest.mark.parametrize(
    ("arguments", "reply", "code"),
    [
        (["--rpc", "set", "--params", "256"], {"bytes_hex": "0100"}, 0),
        (["--rpc", "set", "--params", "1", "--answer", r"4.5;\n"], {"bytes_hex": "01", "result": 4.5}, 0),
        (["--rpc", "say", "--params", '"é"'], {"bytes_hex": "53415920c3a90d0a"}, 0),
        (["--rpc", "set"], {"error": "No data to send"}, 1),
        (["--rpc", "nope"], {"error": "Method not found"}, 1),
        (["--rpc", "set", "--params", '"x"'], {"error": "params: found 'x', expected a whole number"}, 1),
        (
            ["--rpc", "set", "--params", "1", "--answer", "1x;"],
            {
                "bytes_hex": "01",
                "error": "answer: found '1x', expected a finite decimal number:"
                " behind the number stands 'x', which untilDelimiter can cut off",
            },
            1,
        ),
        (
            ["--rpc", "set", "--params", "1", "--answer", "OK"],
            {"bytes_hex": "01", "error": "found 'OK', which does not match responsePattern ^[0-9]"},
            1,
        ),
    ],
)
def test_a_call_shows_its_bytes_and_its_answer(
    tmp_path: Path, capsys: Captured, arguments: list[str], reply: dict[str, Any], code: int
) -> None:
    """The bytes that would be written, what an answer would become, or the error that the platform would get."""
    config = configure(tmp_path)
    assert run_json(capsys, config, *arguments) == (code, [reply])
    assert main(["try", config, *arguments]) == code
    out = capsys.readouterr().out
    assert all(str(value) in out for value in reply.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--text", "x", "--device", "nope"], 'there is no device "nope" in '),
        (["--hex", "zz"], "--hex: found zz, expected pairs of hexadecimal digits"),
        (["--text", r"\q"], r"--text: found \q, expected \r, \n, \t, \0, \\ or \xNN"),
        (["--text", "x", "--params", "1"], "--params and --answer go with --rpc"),
        (["--rpc", "set", "--params", "{"], "--params: found {, expected JSON"),
        (["--file", "/nonexistent/frames"], "--file /nonexistent/frames: No such file"),
    ],
)
def test_wrong_usage_is_said_in_one_line(tmp_path: Path, capsys: Captured, arguments: list[str], said: str) -> None:
    """Exit code 2, on standard error, without a traceback."""
    assert main(["try", configure(tmp_path), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {said}")
    assert captured.err.count("\n") == 1


def test_a_configuration_error_is_exit_code_78(tmp_path: Path, capsys: Captured) -> None:
    """The configuration's problems are said as everywhere else."""
    assert main(["try", configure(tmp_path, {**DEVICE, "baudrate": "96oo"}), "--text", "x"]) == 78
    assert '"96oo"' in capsys.readouterr().err


def test_the_device_must_be_named_where_there_are_several(tmp_path: Path, capsys: Captured) -> None:
    """With one device --device may be left out; with two the names are listed."""
    config = configure(tmp_path, DEVICE, {**DEVICE, "name": "press2", "port": "/dev/ttyUSB8"})
    assert main(["try", config, "--text", "x"]) == 2
    assert "choose one with --device: press1, press2" in capsys.readouterr().err
    code, objects = run_json(capsys, config, "--device", "press2", "--text", r"1\rAAA")
    assert (code, objects[0]["deviceName"]) == (0, "press2")


def test_a_users_converters_run_as_well(tmp_path: Path, capsys: Captured) -> None:
    """Frames, answers and params go through the class of the extension folder; its faults are the frame's error."""
    folder = tmp_path / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(USER_CONVERTER)
    config = configure(tmp_path, {**DEVICE, "converter": "Mine", "downlink_converter": "Mine"})
    code, objects = run_json(capsys, config, "--text", "abc")
    assert code == 0
    assert objects == [
        {
            **{"deviceName": "other", "deviceType": "press", "telemetry": {"n": 3}, "attributes": {"a": 1}},
            **{"errors": [], "message": "", "points": [], "bytes": 3, "hex": "616263"},
        }
    ]
    assert main(["try", config, "--text", "abc"]) == 0
    assert 'telemetry  {"n":3}  at 5 ms' in capsys.readouterr().out
    code, objects = run_json(capsys, config, "--text", "none")
    assert (code, objects[0]["telemetry"], objects[0]["errors"]) == (0, {}, [])
    code, objects = run_json(capsys, config, "--text", "bad")
    assert code == 1
    assert objects[0]["errors"][0]["error"].endswith("mine.py, line 10: ValueError: bad frame")
    call = ["--rpc", "set", "--params", '{"bytes":"hi"}', "--answer", "5"]
    assert run_json(capsys, config, *call) == (0, [{"bytes_hex": "6869", "result": "5"}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\r\n\t\0\\", b"a\r\n\t\0\\"),
        (r"\x00\x7f\x80\xFF", b"\x00\x7f\x80\xff"),
        (r"\xc3\xa9é", b"\xc3\xa9\xc3\xa9"),
        (r"\\n", b"\\n"),
        ("raw\n", b"raw\n"),
        ("\udcff", b"\xff"),
    ],
)
def test_escapes_become_bytes(text: str, expected: bytes) -> None:
    r"""`\xNN` is one byte, never a character; bytes of the command line that are no UTF-8 come through."""
    assert unescape(text) == expected


@pytest.mark.parametrize("text", [r"\q", r"\x4", r"\xg0", "\\"])
def test_other_escapes_are_refused(text: str) -> None:
    """A typing error never becomes bytes on a device's line."""
    with pytest.raises(ValueError, match="expected"):
        unescape(text)


def test_the_converter_of_the_documentation_works(tmp_path: Path, capsys: Captured) -> None:
    """Its code, its configuration and its frame, as they stand on the page."""
    page = (Path(__file__).parents[2] / "docs" / "converters.md").read_text()
    code, device = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("python", "json"))
    folder = tmp_path / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "scale.py").write_text(code)
    status, objects = run_json(capsys, configure(tmp_path, json.loads(device)), "--text", r"ST,+00012.5kg\r\n")
    assert status == 0
    assert objects[0]["telemetry"] == {"weight": 12.5}
    assert objects[0]["attributes"] == {"stable": True}


PUMP: dict[str, Any] = {
    "name": "pump",
    "port": "/dev/ttyUSB8",
    "framing": {"start": "$", "end": "\r"},
    "checksum": {"type": "xor8", "from": 1, "to": -4, "after": "*", "as": "hex"},
    "send": {"checksum": True, "end": "\r"},
    "serverSideRpc": [
        {
            "method": "set",
            "ask": "$1SET",
            "answer": "^\\$1SET",
            "responseType": "string",
            "responseFromByte": 2,
            "responseToByte": 5,
        },
        {
            "method": "early",
            "ask": "$1X",
            "answer": "^\\$1SET",
            "responseUntilDelimiter": ";",
            "responseType": "string",
        },
    ],
}


def test_the_checksum_of_an_answer_is_checked_as_on_the_line(tmp_path, capsys):
    """A call whose answer is damaged would wait out its time: here the checksum that was expected is said."""
    call = (configure(tmp_path, PUMP), "pump", "--rpc", "set", "--answer")
    assert run_json(capsys, *call, "$1SET*73\\r") == (0, [{"bytes_hex": "24315345542a37330d", "result": "SET"}])
    code, (said,) = run_json(capsys, *call, "$1SET*74\\r")
    assert code == 1
    assert said["error"] == "answer: checksum: the frame says 74, its bytes give 73"
    assert "result" not in said
    code, (said,) = run_json(capsys, *call, "$1SET*73")
    assert code == 1
    assert said["error"].startswith("answer: ")


def test_an_answer_of_several_frames_is_taken_whole_with_a_word(tmp_path, capsys):
    """The word says what the line would do."""
    call = ("try", configure(tmp_path, PUMP), "pump", "--rpc", "set", "--answer", "xx$1SET*73\\r")
    main([*call])
    assert "note: taken whole; a line would make only a part of it a frame" in capsys.readouterr().out


def test_an_answer_that_ends_before_its_frame_needs_no_checksum(tmp_path, capsys):
    """`responseUntilDelimiter` ends it, and nobody waits for the rest."""
    code, (said,) = run_json(capsys, configure(tmp_path, PUMP), "pump", "--rpc", "early", "--answer", "$1SET;")
    assert (code, said["result"]) == (0, "$1SET")


def test_an_answer_is_read_without_its_escapes(tmp_path, capsys):
    """As data points read frames."""
    device = {
        "name": "slip",
        "port": "/dev/ttyUSB9",
        "framing": "slip",
        "serverSideRpc": [{"method": "m", "ask": "A", "answer": "^A", "responseType": "hex", "responseFromByte": 1}],
    }
    code, (said,) = run_json(capsys, configure(tmp_path, device), "slip", "--rpc", "m", "--answer", r"A\xdb\xdc\xc0")
    assert (code, said["result"]) == (0, "c0")


@pytest.mark.parametrize(
    ("framing", "good", "bad", "right"),
    [
        ("modbus-rtu", "hex:01 06 00 65 05 DC 9B 1C", "hex:01 06 00 65 05 DC 9B 1D", "01 06 00 65 05 DC 9B 1C"),
        ("modbus-rtu", "hex:01 86 02 C3 A1", "hex:01 86 02 C3 A2", "01 86 02 C3 A1"),
        ("modbus-ascii", r":0106006505DCB3\r\n", r":0106006505DCB4\r\n", "3A 30"),
    ],
)
def test_only_its_question_tells_how_long_a_modbus_answer_is(tmp_path, capsys, framing, good, bad, right):
    """No shape of the line finds it alone: its checksum is held against it."""
    device = {
        "name": "plc",
        "port": "/dev/ttyUSB9",
        "framing": framing,
        "address": 1,
        "every": 2,
        "telemetry": [{"key": "speed", "register": "holding:100"}],
        "serverSideRpc": [{"method": "set", "register": "holding:101"}],
    }
    call = (configure(tmp_path, device), "plc", "--rpc", "set", "--params", "1500", "--answer")
    code, (said,) = run_json(capsys, *call, good)
    assert (code, said["result"]) == (0, True) if "86" not in good else "exception 2" in said["error"]
    code, (said,) = run_json(capsys, *call, bad)
    assert code == 1
    assert said["error"].startswith(f"answer: its checksum is wrong; with the right one it is {right}")
