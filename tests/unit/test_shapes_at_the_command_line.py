"""`serialgw check` and `serialgw try` with a device whose frames have shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.__main__ import main
from tests.support.framing import FRAMINGS

Captured = pytest.CaptureFixture[str]
GOOD = "AAC00600060058D93DAB"
WRONG = "AAC00800060058D93DAB"


def configure(folder: Path, family: str = "sds011", **more: Any) -> str:
    points = [{"key": "pm", "type": "hex", "fromByte": 2, "toByte": 4}]
    device = {"name": "air1", "port": "/dev/ttyUSB7", **FRAMINGS[family], "telemetry": points, **more}
    path = folder / "serial.json"
    path.write_text(json.dumps({"name": "Serial", "devices": [device]}))
    return str(path)


def test_check_says_what_it_understood(tmp_path: Path, capsys: Captured) -> None:
    """In words, as text and as JSON, below the line."""
    assert main(["check", configure(tmp_path)]) == 0
    words = "begins with AA C0, 10 bytes, ends with AB, byte 8 = sum of bytes 2 to 7"
    assert f"air1 (default) on /dev/ttyUSB7, 9600 8N1\n  frames     each {words}\n" in capsys.readouterr().out
    main(["check", configure(tmp_path), "--json"])
    [device] = json.loads(capsys.readouterr().out)["devices"]
    assert (device["framing"], "delimiter" in device) == (words, False)
    main(["check", configure(tmp_path, "nmea0183")])
    assert 'nmea: each begins with "$" (24) or "!" (21), ends with CR LF' in capsys.readouterr().out


def test_check_says_each_shape_in_a_row_of_its_own(tmp_path: Path, capsys: Captured) -> None:
    """And what holds for all of them below."""
    shapes = [{"start": "hex:AA", "length": 3, "skip": "hex:00"}, {"start": "hex:BB", "length": 4}]
    path = configure(tmp_path, framing=shapes, checksum=None)
    assert main(["check", path]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert rows[:3] == [
        "  frames     (1) begins with AA, 3 bytes",
        "             (2) begins with BB, 4 bytes",
        "             NUL (00) between frames means nothing",
    ]


def test_a_connection_has_no_baud_rate(tmp_path: Path, capsys: Captured) -> None:
    """It is set where the line is; a port behind RFC 2217 is set by us."""
    for port, line in (("socket://h:1", ""), ("tcp-listen://:4001", ""), ("rfc2217://h:1", ", 9600 8N1")):
        assert main(["check", configure(tmp_path, port=port)]) == 0
        assert f"air1 (default) on {port}{line}\n" in capsys.readouterr().out
    assert main(["check", configure(tmp_path, port="socket://h:1"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"][0]["line"] == ""


def test_check_refuses_what_can_not_work(tmp_path: Path, capsys: Captured) -> None:
    """With its place, what was found and what would be right."""
    assert main(["check", configure(tmp_path, framing={"length": 10}, checksum=[])]) == 78
    assert (
        "serial.json: devices[0].framing.length: found a fixed length with nothing to find its beginning by, expected "
        '"start", "end", "checksum" or "silenceMs" beside it'
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "said", "outcome"),
    [
        ("sds011", GOOD, "10 bytes"),
        ("sds011", WRONG, "checksum: the frame says 3D, its bytes give 3F"),
        ("sds011", GOOD + GOOD, "taken whole; a line would make 2 frames of it"),
        ("sds011", "00" + GOOD, "taken whole; a line would make only a part of it a frame"),
        ("sds011", "AAC0", "no frame in these bytes"),
        ("xbee-api2", "7E0002237D31CB", "6 bytes"),
    ],
)
def test_try_takes_a_frame_as_a_line_would(
    tmp_path: Path, capsys: Captured, family: str, said: str, outcome: str
) -> None:
    """Escapes undone; and says so where a line would not."""
    main(["try", configure(tmp_path, family), "--hex", said])
    assert outcome in capsys.readouterr().out


def test_try_cuts_a_file_as_a_line(tmp_path: Path, capsys: Captured) -> None:
    """Frames, and what is none with its reason, to the last byte."""
    frames = tmp_path / "capture.bin"
    frames.write_bytes(bytes.fromhex("00" + GOOD + WRONG + GOOD + "AAC0"))
    main(["try", configure(tmp_path), "--file", str(frames), "--json"])
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [frame["telemetry"] for frame in objects if frame["telemetry"]] == [{"pm": "0600"}] * 2
    assert sorted(error["error"] for frame in objects for error in frame["errors"]) == [
        "checksum: the frame says 3D, its bytes give 3F",
        "no frame in these bytes",
        "no frame in these bytes",
    ]
