"""Members of JSON, as devices print it, are values of their own, and one that is bad takes no other with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from common.conversion.grammar import loose_json
from common.conversion.joint import compile_section
from common.conversion.outcomes import BatchResult
from services.port_reader.core.framers import framer_of
from tests.devices.families import values_of
from tests.field.reading import read_device


def read(folder: Path, line: bytes, *points: dict[str, Any], **section: Any) -> BatchResult:
    """What becomes of the first frame of a line."""
    device, _ = read_device(folder, telemetry=list(points), **section)
    return compile_section(device).convert_batch(framer_of(device.framing).feed(line)[:1])


def members(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"key": name, "path": name, **more} for name in names]


@pytest.mark.parametrize("printed", ["nan", "NaN", "-nan", "inf", "-Infinity", "1.#QNAN", "nan(ind)", "null"])
@pytest.mark.parametrize("kind", ["float", None])
def test_a_sensor_that_is_not_there_takes_no_other_with_it(printed: str, kind: str | None, tmp_path: Path) -> None:
    """What the print functions of C and its relatives write for no number is no value; no JSON has it."""
    frame = b'{"temp":%s,"hum":40}\r\n' % printed.encode()
    result = read(tmp_path, frame, *members("temp", "hum", type=kind))
    assert values_of(result) == {"hum": 40}
    assert (result.nothing, result.errors, result.dead) == (1, 0, {})


@pytest.mark.parametrize(
    ("printed", "value"),
    [("+5", 5), ("007", 7), ("-08", -8), (".5", 0.5), ("5.", 5.0), ("+.25", 0.25), ("00.5", 0.5), ("1e3", 1000.0)],
)
def test_numbers_with_a_plus_or_zeros(printed: str, value: float, tmp_path: Path) -> None:
    """JSON forbids them, and firmware with a width of its own prints them."""
    frame = b'{"a": %s , "b":[%s]}\n' % ((printed.encode(),) * 2)
    found = values_of(read(tmp_path, frame, *members("a", "b[0]")))
    assert (found, type(found["a"])) == ({"a": value, "b[0]": value}, type(value))


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (b"ERR", "bad: found ERR, expected a value of JSON"),
        (b"1_000", "bad: found 1_000, expected a value of JSON"),
        (b"99999999999999999999999", "bad: found an integer of more than 64 bits"),
        (b'"T\xfcr"', "bad: found 'T\\udcfcr', expected text in UTF-8, or \"encoding\" names another"),
        (b'"\\ud800"', "bad: found , expected a value of JSON"),
        (b'{"x":ovf}', "bad: found ovf, expected a value of JSON"),
        (b"[1,[ovf]]", "bad: found ovf, expected a value of JSON"),
    ],
)
def test_a_bad_member_is_told_by_itself(member: bytes, said: str, tmp_path: Path) -> None:
    """With what stands there; all others are values."""
    result = read(tmp_path, b'{"hum":40,"bad":' + member + b',"x y":"a\x01b"}\n', *members("hum", "bad", "x y"))
    assert values_of(result) == {"hum": 40, "x y": "a\x01b"}
    assert (result.errors, result.dead) == (1, {})
    assert result.error_sample.startswith(said)


@pytest.mark.parametrize(
    "line",
    [
        b"OK\r\n",
        b"nan\r\n",
        b"{'t': 1}\r\n",
        b"{t:1}\r\n",
        b'{"t":1,}\r\n',
        b'{"t":1 "h":2}\r\n',
        b'{"t":1\r\n',
        b'{"t":1}}\r\n',
    ],
)
def test_what_has_no_form_of_json_is_none(line: bytes, tmp_path: Path) -> None:
    """Nobody knows which member is meant: one reason for the frame."""
    result = read(tmp_path, line, *members("t", "h"))
    assert result.dead[0].startswith("t, h: found ")
    assert ", expected JSON (" in result.dead[0]


@pytest.mark.parametrize(
    ("line", "section"),
    [
        (b'{"t":1,"h":2}{"t":3', {"delimiter": "}"}),
        (b'{\r\n  "t": 1,\r\n  "h": 2\r\n}\r\n', {"delimiter": "}"}),
        (b'{\r\n  "t": 1,\r\n  "h": 2\r\n}\r\n', {"framing": {"start": "{", "end": "}\r\n"}}),
        (b'DATA {"t":1,"h":2}\r\n', {"framing": {"start": "DATA ", "end": "\r\n"}}),
        (b'\x02{"t":1,"h":2}\x03', {"framing": "stx-etx"}),
        (b'\x00\xef\xbb\xbf{"t":1,"h":2}\x00\r\n', {}),
    ],
)
def test_wherever_the_object_stands(line: bytes, section: dict[str, Any], tmp_path: Path) -> None:
    """One behind the other, over several lines, behind a word, between control characters, with padding."""
    assert values_of(read(tmp_path, line, *members("t", "h"), **section)) == {"t": 1, "h": 2}


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "utf-16-le"])
def test_json_in_another_encoding(encoding: str, tmp_path: Path) -> None:
    """Where the device names it."""
    frame = '{"t":"Tür","ü":1}'.encode(encoding) + b"\x03"
    found = read(tmp_path, frame, *members("t", "ü"), encoding=encoding, delimiter="hex:03")
    assert values_of(found) == {"t": "Tür", "ü": 1}


@pytest.mark.parametrize(
    ("member", "point", "value"),
    [
        ('"23,5"', {"type": "float", "decimal": ","}, 23.5),
        ('"- 23.5 °C"', {"type": "float", "unit": "°C"}, -23.5),
        ('"9007199254740993"', {"type": "int"}, 9007199254740993),
        ('"0x1F"', {"type": "hexint"}, 31),
        ('"ON"', {"type": "bool"}, True),
        ('"zu"', {"type": "bool", "trueText": "AUF", "falseText": "ZU"}, False),
        ("0.5", {"type": "bool"}, True),
        ('"235"', {"type": "int", "scale": 0.1}, 23.5),
        ('"--"', {"type": "float", "invalid": "--"}, None),
        ('""', {"type": "int"}, None),
        ('"nan"', {"type": "float"}, None),
    ],
)
def test_a_value_in_quotes_is_read_as_it_is_anywhere_else(
    member: str, point: dict[str, Any], value: object, tmp_path: Path
) -> None:
    """Its comma, its unit, its words, each digit of a long number; and what says that there is none."""
    result = read(tmp_path, b'{"v":%s}\n' % member.encode(), *members("v", **point))
    assert values_of(result) == ({} if value is None else {"v": value})
    assert (result.nothing, result.errors) == (int(value is None), 0)


@pytest.mark.parametrize(
    ("member", "point", "said"),
    [
        ('"23,5"', {"type": "float"}, "v: found '23,5', expected a finite decimal number: a comma before the fraction"),
        ('"ajar"', {"type": "bool"}, "v: found 'ajar', expected a number, or a word for true"),
        ("[1]", {"type": "bool"}, "v: found [1], which is neither true nor false"),
        ('{"x":1}', {"type": "float"}, "v: found {'x': 1}, which is no number"),
    ],
)
def test_what_it_is_not_is_said_in_the_same_words(
    member: str, point: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """With the key that reads it, where there is one."""
    result = read(tmp_path, b'{"v":%s}\n' % member.encode(), *members("v", **point))
    assert result.dead[0].startswith(said)


@pytest.mark.parametrize(
    "frame",
    [b"{" + b"a" * 65_000, b'{"a":' + b"1" * 65_000 + b"x y}", b'"' + b'\\"' * 32_000, b'{"a":"' + b'\\"' * 32_000],
    ids=["a word", "digits", "no end", "a member without an end"],
)
def test_a_long_frame_that_is_no_json_costs_no_more_than_reading_it(frame: bytes) -> None:
    """Noise between two braces is not tried anew at each of its bytes: that took minutes."""
    start_s = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        loose_json.loads(frame, "")
    assert time.process_time() - start_s < 2
