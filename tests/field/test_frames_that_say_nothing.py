"""Blank lines, NULs and bare delimiters: no reading, no empty text, no dead letter; one count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
