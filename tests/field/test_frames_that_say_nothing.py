"""Blank lines, NULs and bare delimiters: no reading, no empty text, no dead letter; one count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.conversion.joint import compile_section
from common.wire.messages import ReadingBatch
from services.cli.__main__ import main
from services.port_reader.core.framers import framer_of
from tests.field.reading import convert, read_device, telemetry, write_config
from tests.support.converting import World, body_of, frame_batch

BLANKS = b"\r\n  \r\n\t\n\x00\x00\x00\n\x00 \r\n\n"


@pytest.mark.parametrize(
    ("type_name", "values"),
    [("float", [23.5, 24.5]), ("string", ["23.5", "24.5"]), ("json", [23.5, 24.5]), ("bool", [True, True])],
)
def test_a_blank_line_behind_each_reading(type_name: str, values: list[Any], tmp_path: Path) -> None:
    """Two readings, whatever the type; the numbers of the frames stay whole."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "t", "type": type_name}])
    result = convert(device, b"23.5\r\n\r\n24.5\r\n\r\n")
    assert telemetry(result) == [{"t": value} for value in values]
    assert (len(result.telemetry), result.dead, result.errors, result.absent, result.blank) == (4, {}, 0, 0, 2)


@pytest.mark.parametrize("type_name", ["float", "int", "string", "bool", "json"])
@pytest.mark.parametrize(
    "place", [{}, {"untilDelimiter": ";"}, {"fromDelimiter": "T="}, {"fromByte": 1}, {"toByte": -1}]
)
def test_every_kind_of_blank(type_name: str, place: dict[str, Any], tmp_path: Path) -> None:
    """For telemetry and attributes, wherever the value would stand."""
    point = {"key": "t", "type": type_name, **place}
    device, _ = read_device(tmp_path, telemetry=[point], attributes=[{**point, "key": "a"}])
    result = convert(device, BLANKS)
    count = BLANKS.count(b"\n")
    assert result.telemetry == result.attributes == [b""] * count
    assert (result.dead, result.errors, result.absent, result.blank) == ({}, 0, 0, count)


def test_nuls_around_a_value(tmp_path: Path) -> None:
    """They are padding."""
    points = [{"key": "f", "type": "float"}, {"key": "s", "type": "string"}, {"key": "b", "type": "bool"}]
    for point, value in zip(points, (23.5, "23.5", True), strict=True):
        device, _ = read_device(tmp_path, telemetry=[point], attributes=[{**point, "key": "a"}])
        result = convert(device, b"\x0023.5\x00\r\n\x00\x0023.5\r\n")
        assert telemetry(result) == [{point["key"]: value}] * 2
        assert b"\\u0000" not in result.attributes[-1]


def test_a_text_that_is_empty_in_a_frame_that_says_something(tmp_path: Path) -> None:
    """It is a value, as ever."""
    device, _ = read_device(
        tmp_path, telemetry=[{"key": "s", "type": "string", "fromDelimiter": "N=", "untilDelimiter": ";"}]
    )
    assert telemetry(convert(device, b"N=;\nN=x;\n\n")) == [{"s": ""}, {"s": "x"}]


def test_the_delimiter_alone(tmp_path: Path) -> None:
    """Where it is no blank itself."""
    for delimiter in (">", "hex:03", "hex:FF FF FF"):
        device, _ = read_device(tmp_path, delimiter=delimiter, telemetry=[{"key": "s", "type": "string", "toByte": 1}])
        end = device.framing.delimiter
        result = convert(device, end + b"a" + end + b" \r\n" + end + b"b" + end)
        assert telemetry(result) == [{"s": "a"}, {"s": "b"}]
        assert result.blank == 2


@pytest.mark.parametrize("type_name", ["bytes", "hex", None, "uint16"])
def test_binary_frames_say_something_always(type_name: str | None, tmp_path: Path) -> None:
    """NULs are data where any byte is, for all of the device's points."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "x", "type": type_name, "toByte": -1}])
    result = convert(device, b"\x00\x00\n \n")
    assert telemetry(result) == [{"x": "0000"}, {"x": "20"}]
    assert result.blank == 0


HEX_POINTS: list[dict[str, Any]] = [
    {"key": "h"},
    {"key": "h", "type": "hex"},
    {"key": "h", "type": "bytes", "toByte": 2},
    {"key": "h", "type": "uint16", "fromByte": 0, "toByte": 2},
]


@pytest.mark.parametrize("binary", HEX_POINTS)
@pytest.mark.parametrize("type_name", ["string", "float", "int", "bool", "json"])
def test_each_point_is_judged_by_itself(type_name: str, binary: dict[str, Any], tmp_path: Path) -> None:
    """A blank line says nothing to a text and its bytes to a point that takes any: neither "" nor an error."""
    text = {"key": "t", "type": type_name}
    for points in ({"telemetry": [text, binary]}, {"telemetry": [binary, text]}):
        device, _ = read_device(tmp_path, **points)
        result = convert(device, b"\r\n1\r\n\x00\n")
        first, second, third = telemetry(result)
        assert (first, third) == ({"h": "0d0a"}, {"h": "000a"})
        assert set(second) == {"t", "h"}
        assert (result.dead, result.errors, result.absent, result.blank, result.never) == ({}, 0, 0, 0, ())


def test_an_attribute_of_bytes_beside_a_text(tmp_path: Path) -> None:
    """And the other way round: a blank line has no part in the text, and is no wrong value of it."""
    text, code = {"key": "t", "type": "string"}, {"key": "h", "type": "hex", "toByte": -1}
    device, _ = read_device(tmp_path, telemetry=[text], attributes=[code])
    result = convert(device, b"A\n\n\x00\n")
    assert telemetry(result) == [{"t": "A"}]
    assert result.attributes == [b'{"h":"41"}', b'{"h":""}', b'{"h":"00"}']
    device, _ = read_device(tmp_path, telemetry=[code], attributes=[text])
    result = convert(device, b"A\n\x00\n")
    assert telemetry(result) == [{"h": "41"}, {"h": "00"}]
    assert [text for text in result.attributes if text] == [b'{"t":"A"}']


def test_a_point_of_bytes_that_is_not_in_a_blank_line(tmp_path: Path) -> None:
    """Then the frame says nothing to anybody; and a text that is never there is still told of."""
    code = {"key": "id", "type": "hex", "fromDelimiter": "ID=", "untilDelimiter": "\n"}
    device, _ = read_device(tmp_path, telemetry=[{"key": "s", "type": "string", "fromDelimiter": "N="}, code])
    result = convert(device, b"ID=A\n\nID=B\n")
    assert telemetry(result) == [{"id": "41"}, {"id": "42"}]
    assert (result.blank, result.dead, list(result.never)) == (1, {}, ["s"])


@pytest.mark.parametrize(("code", "other"), [("hex:00", "hex:20"), ("hex:1E", "hex:1F"), ("hex:00 00", "hex:00")])
def test_a_word_that_is_made_of_blanks(code: str, other: str, tmp_path: Path) -> None:
    """A switch that says NUL for true: the configuration names it, so it is a value, and a blank line is none."""
    point = {"key": "on", "type": "bool", "trueText": code, "falseText": other}
    device, _ = read_device(
        tmp_path, delimiter="hex:03", telemetry=[{**point, "untilDelimiter": "\n"}, {"key": "s", "type": "string"}]
    )
    frame = bytes.fromhex(code.removeprefix("hex:"))
    result = convert(device, frame + b"\n\x03\t\n\x03")
    assert (telemetry(result), result.dead, result.errors, result.blank) == ([{"on": True}], {}, 0, 1)


def test_a_word_that_is_the_delimiter(tmp_path: Path) -> None:
    """ACK and nothing else: it ends the frame, and is what the frame says."""
    point = {"key": "on", "type": "bool", "trueText": "hex:06", "falseText": "hex:15 06"}
    device, _ = read_device(tmp_path, delimiter="hex:06", telemetry=[point])
    assert telemetry(convert(device, b"\x06\x15\x06\x06")) == [{"on": True}, {"on": False}, {"on": True}]


def test_separators_of_records_say_nothing(tmp_path: Path) -> None:
    """They are white space to every text, so a frame of them is no empty text either."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "s", "type": "string"}])
    result = convert(device, b"\x1e\n\x1c\x1d \r\nA\n")
    assert (telemetry(result), result.blank) == ([{"s": "A"}], 2)


@pytest.mark.parametrize("delimiter", ["1;", "5", "hex:31 00", "true", "null"])
@pytest.mark.parametrize("type_name", ["string", "int", "float", "bool", "json"])
@pytest.mark.parametrize("place", [{}, {"toByte": 1}, {"untilDelimiter": ";"}])
def test_a_delimiter_that_could_be_a_value(
    place: dict[str, Any], type_name: str, delimiter: str, tmp_path: Path
) -> None:
    """Alone it says nothing, whether frames come one by one or together."""
    device, _ = read_device(tmp_path, delimiter=delimiter, telemetry=[{"key": "v", "type": type_name, **place}])
    result = convert(device, device.framing.delimiter * 3)
    assert (result.telemetry, result.dead, result.blank) == ([b""] * 3, {}, 3)


@pytest.mark.parametrize("type_name", ["string", "float", "int", "bool", "json"])
@pytest.mark.parametrize(
    ("framing", "line"),
    [
        ("stx-etx", b"\x02\x03\x02  \x03\x02\r\n\x00\x03\x021\x03"),
        ({"start": "#", "end": "*", "restart": True}, b"#*# *#\r\n*#1*"),
        ({"start": "<SOH>", "end": "\r"}, b"\x01\r\x01 \r\x01\x00\r\x011\r"),
    ],
)
def test_nothing_between_a_start_and_an_end(framing: Any, line: bytes, type_name: str, tmp_path: Path) -> None:
    """What a frame begins and ends with is no value: an empty one says nothing, and is no dead letter."""
    device, _ = read_device(tmp_path, framing=framing, telemetry=[{"key": "v", "type": type_name}])
    frames = framer_of(device.framing).feed(line)
    result = compile_section(device).convert_batch(frames)
    assert len(frames) == 4
    assert (len(telemetry(result)), result.dead, result.errors) == (1, {}, 0)


@pytest.mark.parametrize(("blank", "encoding"), [(b"\xef\xbb\xbf", "utf-8"), (b"\xa0", "latin-1"), (b" \0", "utf-8")])
def test_a_field_of_blanks_of_another_kind(blank: bytes, encoding: str, tmp_path: Path) -> None:
    """A byte order mark, a blank that does not break: no empty text is sent."""
    points = [{"key": "a", "field": 0}, {"key": "b", "field": 1}]
    device, _ = read_device(tmp_path, fields=";", encoding=encoding, telemetry=points)
    result = compile_section(device).convert_batch([blank + b";x\n"])
    assert (telemetry(result), result.nothing) == ([{"b": "x"}], 1)


def test_the_last_attribute_is_not_wiped_out(tmp_path: Path) -> None:
    """A blank line behind the line with the serial number."""
    device, _ = read_device(
        tmp_path, telemetry=[{"key": "t", "type": "float"}], attributes=[{"key": "s", "type": "string"}]
    )
    result = convert(device, b"17\r\n\r\n")
    assert [text for text in result.attributes if text] == [b'{"s":"17"}']


def test_a_converter_counts_them_and_settles_all(tmp_path: Path) -> None:
    """Every number that goes in comes out."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "t", "type": "float"}])
    world = World().start()
    world.know(device)
    before = dict(world.core.counters)
    frames = framer_of(device.framing).feed(b"23.5\r\n\r\n24.5\r\n\x00\n")
    world.say(frame_batch(device, frames))
    [batch] = world.take(ReadingBatch)
    body = body_of(batch)
    assert (batch.length, body.telemetry, body.dead) == (4, [b'{"t":23.5}', b"", b'{"t":24.5}', b""], {})
    counts = {name: count - before[name] for name, count in world.core.counters.items()}
    assert (counts["frames_blank"], counts["readings_made"], counts["dead_letters"]) == (2, 2, 0)
    assert counts["conversion_errors"] == counts["points_absent"] == 0


def test_try_says_that_a_frame_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And that it is no fault."""
    path = write_config(tmp_path, {"name": "d", "telemetry": [{"key": "t", "type": "float"}]})
    assert main(["try", str(path), "--text", r"\r\n"]) == 0
    assert "blank      the frame says nothing: no reading, and no dead letter" in capsys.readouterr().out
    assert main(["try", str(path), "--text", r"\r\n", "--json"]) == 0
    assert '"telemetry":{},"attributes":{},"errors":[]' in capsys.readouterr().out


def test_try_shows_bytes_beside_a_text_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each point by itself."""
    points = [{"key": "s", "type": "string"}, {"key": "h", "type": "hex"}]
    path = write_config(tmp_path, {"name": "d", "telemetry": points})
    assert main(["try", str(path), "--text", r"\r\n"]) == 0
    said = capsys.readouterr().out
    assert "blank: the frame says nothing" in said
    assert '= "0d0a"' in said
