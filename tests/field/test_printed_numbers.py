"""Numbers as instruments print them: read, or refused by a sentence that names what stands there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import device_of, section_of
from common.conversion.calls import convert_answer, rpc_writes, update_writes
from common.conversion.joint import compile_section
from common.core.errors import ConfigError
from services.port_reader.core.framers import framer_of
from tests.field.reading import convert, read_device, telemetry


def _value(folder: Path, line: bytes, **point: Any) -> Any:
    device, warnings = read_device(folder, telemetry=[{"key": "w", "type": "float", **point}])
    assert warnings == []
    assert device_of(section_of(device)) == device
    result = convert(device, line)
    assert result.dead == {}
    [reading] = telemetry(result)
    return reading["w"]


def _reason(folder: Path, line: bytes, **point: Any) -> str:
    device, _ = read_device(folder, telemetry=[{"key": "w", "type": "float", **point}])
    return convert(device, line).dead[0]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"-   0.123kg\r\n", -0.123),
        (b"+  12 kg\r\n", 12.0),
        (b"  -\t7.5kg\r\n", -7.5),
        (b"\xc2\xa023.5\xc2\xa0kg\r\n", 23.5),
        (b"\xa023.5\xa0kg\r\n", 23.5),
        (b"\xe2\x88\x920.5kg\r\n", -0.5),
        (b"+\xe2\x80\x89 1e3kg\r\n", 1000.0),
        (b"\x00\x0023.5\x00kg\r\n", 23.5),
        (b"-.5kg\r\n", -0.5),
    ],
)
def test_signs_and_blanks(line: bytes, value: float, tmp_path: Path) -> None:
    """A scale prints the sign at the left of the field, and blanks of every kind."""
    assert _value(tmp_path, line, untilDelimiter="kg") == value


@pytest.mark.parametrize(
    ("line", "value"), [(b"-   12\r\n", -12), (b"+ 7\n", 7), (b"\xc2\xa05\r\n", 5), (b"\x005\x00\n", 5)]
)
def test_whole_numbers_too(line: bytes, value: int, tmp_path: Path) -> None:
    """The same rules."""
    found = _value(tmp_path, line, type="int")
    assert (found, type(found)) == (value, int)


@pytest.mark.parametrize(
    ("line", "value"),
    [(b"23,5\r\n", 23.5), (b"-  0,5\r\n", -0.5), (b"7\r\n", 7.0), (b",5\r\n", 0.5), (b"1,5E-3\r\n", 0.0015)],
)
def test_a_decimal_comma_that_is_named(line: bytes, value: float, tmp_path: Path) -> None:
    """The data point says so."""
    assert _value(tmp_path, line, decimal=",") == value


@pytest.mark.parametrize(
    ("line", "point", "clause"),
    [
        (b"23,5\r\n", {}, 'a comma before the fraction is named by "decimal": ","'),
        (b"1,234.5\r\n", {}, "separators of thousands are not read"),
        (b"1 234\r\n", {"type": "int"}, "separators of thousands are not read"),
        (b"1\xc2\xa0234.5\r\n", {}, "separators of thousands are not read"),
        (b"1'234.5\r\n", {}, "separators of thousands are not read"),
        (b"1.234,5\r\n", {"decimal": ","}, "separators of thousands are not read"),
        (b"23.5\r\n", {"decimal": ","}, 'with "decimal": "," a point can only separate thousands, which is not read'),
        (b"23.5 kg\r\n", {}, "behind the number stands ' kg', which untilDelimiter can cut off"),
        (b"23.5\r\n", {"type": "int"}, 'it has a fraction, which "float" reads'),
        (b"23,5\r\n", {"type": "int"}, 'it has a fraction, which "float" reads'),
        (b"0x1F\r\n", {"type": "int"}, "hexadecimal digits are not read as a number"),
        (b"1_234\r\n", {"type": "int"}, "separators of thousands are not read"),
        (b"23.5-\r\n", {}, "a sign behind the number is not read"),
        (b"1.5 E-3\r\n", {}, "a power of ten is read as e3 or E-3, without blanks"),
        (b"1.5D+03\r\n", {}, "a power of ten is read as e3 or E-3, without blanks"),
        (b"1.5x10^3 V\r\n", {}, "a power of ten is read as e3 or E-3, without blanks"),
        (b"1e400\r\n", {}, "it is larger than numbers can be"),
        (b"23.5,\r\n", {}, "behind the number stands ',', which untilDelimiter can cut off"),
        (
            b"23.5 \xb0C\r\n",
            {},
            "stands ' °C' in bytes that are no UTF-8, which untilDelimiter can cut off as \"hex:B0 43\"",
        ),
    ],
)
def test_what_is_not_read_is_named(line: bytes, point: dict[str, Any], clause: str, tmp_path: Path) -> None:
    """And what can be done, where something can."""
    reason = _reason(tmp_path, line, **point)
    assert reason.startswith("w: found ")
    assert reason.partition(", expected ")[2].partition(": ")[2].endswith(clause)


@pytest.mark.parametrize("kind", ["int", "float", "double"])
@pytest.mark.parametrize("line", [b"1_20\r\n", b"1_000\r\n", b"7_7_7\r\n"])
@pytest.mark.parametrize("beside", [b"", b"5\r\n5\r\n"])
def test_an_underscore_makes_no_number(kind: str, line: bytes, beside: bytes, tmp_path: Path) -> None:
    """Channel and value, most likely; alone, and among numbers that are read all at once."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "w", "type": kind}])
    result = convert(device, beside + line)
    assert list(result.dead) == [beside.count(b"\n")]
    device, _ = read_device(tmp_path, telemetry=[{"key": "w", "type": "bool"}])
    assert list(convert(device, line).dead) == [0]


@pytest.mark.parametrize(
    ("line", "point", "section"),
    [
        ("23.5 °C\r\n".encode("latin-1"), {"unit": "°C"}, {}),
        ("23.5 °C\r\n".encode(), {"unit": "°C"}, {"encoding": "latin-1"}),
        ("23.5 °C\r\n".encode("cp437"), {"unit": "°C", "encoding": "cp437"}, {}),
        ("23.5 µS/cm\r\n".encode("latin-1"), {"unit": "µS/cm"}, {"encoding": "latin-1"}),
        ("23,5 кг\r\n".encode("cp1251"), {"unit": "кг", "decimal": ","}, {"encoding": "cp1251"}),
        ("23.5 °C\r\n".encode("latin-1"), {"untilDelimiter": "hex:B0 43"}, {}),
        (b"\x0223.5\x03\r\n", {}, {"framing": "stx-etx"}),
        (b"#23.5*\r", {}, {"framing": {"start": "#", "end": "*\r", "restart": True}}),
    ],
)
def test_what_stands_around_a_number(
    line: bytes, point: dict[str, Any], section: dict[str, Any], tmp_path: Path
) -> None:
    """A unit however the device writes its letters, and what its frames begin and end with."""
    device, warnings = read_device(tmp_path, telemetry=[{"key": "w", "type": "float", **point}], **section)
    assert warnings == []
    result = compile_section(device).convert_batch(framer_of(device.framing).feed(line))
    assert (telemetry(result), result.dead) == ([{"w": 23.5}], {})


@pytest.mark.parametrize("line", [b"nan", b"-NaN", b"inf", b"+Infinity", b"", b"  "])
@pytest.mark.parametrize("kind", ["float", "int"])
def test_no_number_is_no_value_in_a_place(line: bytes, kind: str, tmp_path: Path) -> None:
    """A sensor that is not there, in one field of several."""
    points = [{"key": key, "field": number, "type": kind} for number, key in enumerate("ab")]
    device, _ = read_device(tmp_path, fields=";", telemetry=points)
    result = compile_section(device).convert_batch([line + b";7\r\n"])
    assert (telemetry(result), result.nothing, result.errors) == ([{"b": 7}], 1, 0)


@pytest.mark.parametrize(
    ("line", "point"),
    [
        (b"0x1F\r\n", {}),
        (b"S=1f;\r\n", {"fromDelimiter": "S=", "untilDelimiter": ";"}),
        (b"ID 001F\r\n", {"fromByte": 3, "toByte": 7}),
    ],
)
def test_hexadecimal_digits_by_their_type_alone(line: bytes, point: dict[str, Any], tmp_path: Path) -> None:
    """It needs no other key of a place; the digits are a number, not its bytes in hexadecimal."""
    device, warnings = read_device(tmp_path, telemetry=[{"key": "w", "type": "hexint", **point}])
    assert warnings == []
    assert telemetry(compile_section(device).convert_batch([line])) == [{"w": 31}]


@pytest.mark.parametrize(
    "line", [b"- -5\r\n", b"OL\r\n", b"- nan\r\n", b"----\r\n", b"\xd9\xa3\r\n", b"5-\r\n", b"+-5\r\n"]
)
def test_what_is_no_number_stays_none(line: bytes, tmp_path: Path) -> None:
    """Nothing is guessed."""
    assert "expected a finite decimal number" in _reason(tmp_path, line)


def test_good_and_odd_numbers_in_one_batch(tmp_path: Path) -> None:
    """Frame by frame or all at once, the values are the same."""
    device, _ = read_device(tmp_path, telemetry=[{"key": "w", "type": "float"}])
    assert telemetry(convert(device, b"1.5\n- 2\n3\n")) == [{"w": 1.5}, {"w": -2.0}, {"w": 3.0}]


def test_a_comma_in_what_is_written_and_answered(tmp_path: Path) -> None:
    """The same key, both directions."""
    rpc = {"method": "m", "template": "SP ${params}\n", "withResponse": True, "responseType": "float", "decimal": ","}
    update = {"attributeOnPlatform": "sp", "stringToDevice": "SP ${sp}\n", "decimal": ","}
    device, warnings = read_device(tmp_path, serverSideRpc=[rpc], attributeUpdates=[update])
    assert warnings == []
    assert rpc_writes(device, device.rpcs[0], json.dumps(2.5).encode()) == [b"SP 2,5\n"]
    assert rpc_writes(device, device.rpcs[0], json.dumps("2.5").encode()) == [b"SP 2.5\n"]
    assert update_writes(device, b'{"sp": -0.5}')[0] == [b"SP -0,5\n"]
    assert convert_answer(device.rpcs[0], b"2,75\r\n") == 2.75


def test_the_key_is_a_comma_or_a_point(tmp_path: Path) -> None:
    """All else is refused; where it has no effect it is said."""
    with pytest.raises(ConfigError, match=r'decimal: found ";", expected one of "\.", ","'):
        read_device(tmp_path, telemetry=[{"key": "w", "type": "float", "decimal": ";"}])
    _, warnings = read_device(tmp_path, telemetry=[{"key": "w", "type": "int", "decimal": ","}])
    assert warnings == ['telemetry[0].decimal: has no effect: only "float" and "double" have a fraction']
    device, warnings = read_device(tmp_path, telemetry=[{"key": "w", "type": "float", "decimal": "."}])
    assert (device.telemetry[0].decimal, warnings) == ("", [])
