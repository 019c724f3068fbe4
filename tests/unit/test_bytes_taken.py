"""`serialgw try` shows the bytes that each data point took, and says what a frame is in the form that it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.core.modbus import frame_of
from services.cli.__main__ import main
from tests.profiles.samples import profile_of, samples_of

Captured = pytest.CaptureFixture[str]
REGISTERS = [
    {"key": "a", "register": "holding:2", "type": "uint16"},
    {"key": "b", "register": "holding:3", "type": "uint16", "bit": 0},
    {"key": "c", "register": "coil:10", "type": "bool"},
]


def tried(folder: Path, capsys: Captured, section: dict[str, Any], *what: str) -> tuple[int, Any, str]:
    """(exit code, the first object, the text) of `try` with a device like this."""
    path = folder / "c.json"
    path.write_text(json.dumps({"name": "S", "devices": [{"name": "d", "port": "/dev/ttyUSB9", **section}]}))
    code = main(["try", str(path), *what, "--json"])
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert main(["try", str(path), *what]) == code
    return code, first, capsys.readouterr().out


def rtu(unit: int, pdu: str) -> str:
    """A frame of Modbus RTU in hexadecimal."""
    return frame_of("modbus-rtu", unit, bytes.fromhex(pdu)).hex(" ").upper()


def places(shown: Any) -> dict[str, tuple[int, int] | None]:
    return {point["key"]: (point["from"], point["to"]) if "from" in point else None for point in shown["points"]}


@pytest.mark.parametrize(
    ("section", "text", "point", "place"),
    [
        ({"fields": ";"}, r"21.5;48\r\n", {"field": 1, "type": "int"}, (5, 7)),
        ({"fields": " "}, r"  21.5   48\r\n", {"field": -1, "type": "int"}, (9, 11)),
        ({"fields": ","}, r"4916.45,N,x\r\n", {"field": [0, 1]}, (0, 9)),
        ({"pairs": [" ", "="]}, r"T=21.5 H=48 T=22\r\n", {"name": "T", "type": "float"}, (14, 16)),
        ({"pattern": "S {w} {u}"}, r"S  100.0 g\r\n", {"name": "w", "type": "float"}, (3, 8)),
        ({"regex": "(?P<v>[0-9]+)%"}, r"H 48%\r\n", {"name": "v", "type": "int"}, (2, 4)),
        ({}, r"H 48%\r\n", {"regex": "([0-9]+)%", "type": "int"}, (2, 4)),
        ({}, r"1-0:1.8.0(000123.4*kWh)\r\n", {"obis": "1.8.0", "type": "float", "unit": "kWh"}, (10, 22)),
        ({}, r"{\"t\": 5}\r\n", {"path": "t"}, None),
        ({}, r"5\r\n", {"value": True}, None),
        ({"fields": ";"}, r"21.5\r\n", {"field": 3}, None),
    ],
)
def test_a_point_of_text_shows_where_it_stood(
    tmp_path: Path, capsys: Captured, section: dict[str, Any], text: str, point: dict[str, Any], place: Any
) -> None:
    """In the frame, whatever names the place; nothing where it is no one place, or not there."""
    what = text.replace('\\"', '"')
    device = {"framing": "lines", **section, "telemetry": [{"key": "k", **point}]}
    _, shown, _ = tried(tmp_path, capsys, device, "--text", what)
    assert places(shown) == {"k": place}
    if place is not None:
        frame = bytes.fromhex(shown["hex"])
        assert bytes.fromhex(shown["points"][0]["hex"]) == frame[slice(*place)]


def test_bytes_are_shown_in_hexadecimal_beside_text(tmp_path: Path, capsys: Captured) -> None:
    """A bit takes its byte, and not all that follows; a long frame has rows, whose numbers are those of the places."""
    framing = {"framing": {"start": "hex:AA", "length": 24}}
    points = [
        {"key": "bit", "at": 18, "bit": 3},
        {"key": "n", "at": 2, "type": "uint16"},
        {"key": "s", "at": 4, "length": 2, "type": "string"},
    ]
    _, shown, text = tried(tmp_path, capsys, {**framing, "telemetry": points}, "--hex", "AA 00 01 02 68 69" + "FF" * 18)
    assert places(shown) == {"bit": (18, 19), "n": (2, 4), "s": (4, 6)}
    assert text.splitlines()[:3] == [
        "frame 1, 24 bytes:",
        "       0  AA 00 01 02 68 69 FF FF FF FF FF FF FF FF FF FF  |....hi..........|",
        "      16  FF FF FF FF FF FF FF FF                          |........|",
    ]
    assert "[18:19]  FF" in text
    assert "[2:4]    01 02  = 258" in text
    assert "[4:6]    'hi'" in text


def test_what_was_decoded_is_shown_with_its_places(tmp_path: Path, capsys: Captured) -> None:
    """Digits on the line, bytes for the points."""
    device = {"framing": "lines", "decode": {"as": "hex"}, "telemetry": [{"key": "n", "at": 1, "type": "uint16"}]}
    _, shown, text = tried(tmp_path, capsys, device, "--text", r"0A 01 02\r\n")
    assert (places(shown), shown["decodedHex"]) == ({"n": (1, 3)}, "0a0102")
    assert "    decoded    0A 01 02  |...|\n" in text
    assert "[1:3]  01 02  = 258" in text


def test_registers_show_their_bytes(tmp_path: Path, capsys: Captured) -> None:
    """Of Modbus RTU in the frame; of coils the byte that they share."""
    device = {"framing": "modbus-rtu", "address": 1, "every": 1, "telemetry": REGISTERS}
    _, shown, text = tried(tmp_path, capsys, device, "--hex", rtu(1, "03 04 00 07 00 01"))
    assert places(shown) == {"a": (3, 5), "b": (5, 7)}
    assert "answers    holding:2+2" in text
    _, shown, _ = tried(tmp_path, capsys, device, "--hex", rtu(1, "01 01 01"))
    assert (places(shown), shown["telemetry"]) == ({"c": (3, 4)}, {"c": True})


def test_records_of_mbus_show_their_bytes(capsys: Captured) -> None:
    """The value, behind what says which it is."""
    sample = next(one for one in samples_of("m-bus-heat") if one.says["frames"] == 1)
    main(["try", "--profile", profile_of("m-bus-heat").name, "--hex", sample.stream.hex(), "--json"])
    shown = json.loads(capsys.readouterr().out.splitlines()[0])
    frame = bytes.fromhex(shown["hex"])
    taken = [point for point in shown["points"] if point["status"] == "value" and "from" in point]
    assert taken
    assert all(frame[point["from"] : point["to"]].hex() == point["hex"] for point in taken)
    assert all(0 < point["to"] - point["from"] <= 8 for point in taken if type(point["value"]) in (int, float))


def test_a_capture_shows_times_silences_and_questions(tmp_path: Path, capsys: Captured) -> None:
    """What silence ends, it ends there; another's answers on a bus are shown, and nothing is made of them."""
    capture, answer = tmp_path / "bus.txt", rtu(1, "03 04 00 07 00 01")
    capture.write_text(
        "serialgw capture 1\n"
        f"0.0 > {rtu(1, '03 00 02 00 02')}\n0.1 < {answer}\n"
        f"1.0 > {rtu(2, '03 00 00 00 01')}\n1.1 < {rtu(2, '03 02 00 05')}\n"
        f"2.0 < 01 03\n9.0 < {answer}\n"
    )
    device = {"framing": "modbus-rtu", "address": 1, "every": 1, "telemetry": REGISTERS}
    code, _, text = tried(tmp_path, capsys, device, "--file", str(capture))
    lines = text.splitlines()
    assert lines[0].startswith("told, 8 bytes, at 0.000 s: 01 03 00 02 00 02 ")
    assert lines[0].endswith(" (asks holding:2+2)")
    assert lines[1].startswith(f"frame 1, 9 bytes, at 0.100 s: {answer}  |")
    assert "frame 2, 7 bytes, at 1.100 s: 02 03 02 00 05 " in text
    assert "(stands behind a request that is none to this device)" in text
    assert "dead 1, 2 bytes, at 2.000 s: 01 03  |..|" in text
    assert "frame 3, 9 bytes, at 9.000 s" in text
    assert code == 1


def test_a_capture_and_its_bytes_say_the_same(tmp_path: Path, capsys: Captured) -> None:
    """How it was cut, and how it is written, change nothing; a line without its end is a part, as ever."""
    capture, raw = tmp_path / "c.txt", tmp_path / "c.bin"
    raw.write_bytes(b"1\r\n2\r\n3")
    capture.write_text('serialgw capture 1\n0 < "1\\r"\n0.1 < 0A 32 0D 0A 33\n')
    device = {"telemetry": [{"key": "n", "type": "int", "untilDelimiter": "\r"}]}
    found = [tried(tmp_path, capsys, device, "--file", str(path))[2] for path in (capture, raw)]
    assert [line.partition(", at ")[0] for line in found[0].splitlines()][::3] == ["frame 1, 3 bytes"] * 0 + [
        "frame 1, 3 bytes",
        "frame 2, 3 bytes",
        "frame 3, 1 byte",
    ]
    assert found[0].count("= ") == found[1].count("= ") == 3
    assert found[0].count("(partial: the delimiter has not come)") == 1


def test_a_capture_with_a_wrong_line_says_which(tmp_path: Path, capsys: Captured) -> None:
    """With the option, the file and the line; what stands before it is shown."""
    capture = tmp_path / "c.txt"
    capture.write_text('serialgw capture 1\n0 < "1\\n"\nnonsense\n')
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"name": "S", "devices": [{"name": "d", "port": "/dev/ttyUSB9"}]}))
    assert main(["try", str(config), "--file", str(capture)]) == 2
    out, err = capsys.readouterr()
    assert "frame 1" in out
    assert err.startswith(f'error: --file {capture}: line 3: found "nonsense", expected SECONDS')
