"""Decoders by name, and times: what meters say, and in which unit and zone it is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.conversion.grammar.mbus import records_of, wanted_of
from common.conversion.grammar.messages import MessageConverter
from common.conversion.grammar.obis import code_of
from common.conversion.grammar.times import iso_text, time_reader
from common.conversion.joint import compile_section
from common.conversion.outcomes import BatchResult
from tests.devices.families import SECTIONS, frames_of, values_of
from tests.field.reading import read_device


def convert(folder: Path, frame: bytes, **point: Any) -> BatchResult:
    device, _ = read_device(folder, telemetry=[{"key": "v", **point}])
    return compile_section(device).convert_batch([frame])


# --- OBIS in text ---


@pytest.mark.parametrize(
    ("said", "wanted", "fits"),
    [
        ("1-0:1.8.0", "1-0:1.8.0", True),
        ("1.8.0", "1-0:1.8.0", True),
        ("1-0:1.8.0*255", "1-0:1.8.0", True),
        ("1-0:1.8.0*01", "1-0:1.8.0*1", True),
        ("1-0:1.8.0*02", "1-0:1.8.0*1", False),
        ("1-0:1.8.1", "1-0:1.8.0", False),
        ("0-1:24.2.1", "0-2:24.2.1", False),
        ("1-0:01.08.00", "1-0:1.8.0", True),
        ("C.1.0", "C.1.0", True),
        ("F.F", "F.F", True),
    ],
)
def test_codes_that_say_the_same_fit(said: str, wanted: str, fits: bool) -> None:
    """Parts that one of them leaves out do not count, and leading zeros do not either."""
    assert code_of(wanted).fits(code_of(said)) is fits


@pytest.mark.parametrize("text", ["", "8", "1-0:", "1.8.0.0", "1-0:1.8.0)", "(1.8.0)", "1:8:0"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no OBIS code"):
        code_of(text)


def test_a_value_is_in_the_unit_that_is_wanted(tmp_path: Path) -> None:
    """A meter that is set to another unit does not become a thousandth; one of another quantity is an error."""
    frame = b"1-0:1.8.0(012345.6*Wh)\n"
    assert values_of(convert(tmp_path, frame, obis="1.8.0", type="float", unit="kWh")) == {"v": 12.3456}
    assert values_of(convert(tmp_path, frame, obis="1.8.0", type="float", unit="Wh")) == {"v": 12345.6}
    assert values_of(convert(tmp_path, frame, obis="1.8.0", type="float")) == {"v": 12345.6}
    result = convert(tmp_path, frame, obis="1.8.0", type="float", unit="V")
    assert result.dead == {0: "v: found a value in Wh, expected one in V"}


def test_brackets_are_counted(tmp_path: Path) -> None:
    """Also where the last one stands on a line of its own; one that is not there is absent, an empty one no value."""
    frame = b"0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00012.300)\r\n!\n"
    assert values_of(convert(tmp_path, frame, obis="0-1:24.3.0", group=6, type="float")) == {"v": 12.3}
    assert convert(tmp_path, frame, obis="0-1:24.3.0", group=7, type="float").absent == 1
    assert convert(tmp_path, b"0-0:96.13.0()\r\n\n", obis="0-0:96.13.0", type="int").nothing == 1


# --- SML ---


def test_a_value_of_an_sml_file_has_its_scaler_and_unit(tmp_path: Path) -> None:
    """22,462,413.6 Wh are 22,462.4136 kWh; a text comes as it is, bytes in hexadecimal."""
    frame = frames_of("sml")[0]
    assert values_of(convert(tmp_path, frame, obis="1-0:1.8.0", unit="kWh")) == {"v": 22462.4136}
    assert values_of(convert(tmp_path, frame, obis="1-0:16.7.0", type="float")) == {"v": 168.0}
    assert values_of(convert(tmp_path, frame, obis="129-129:199.130.3")) == {"v": "ISK"}
    assert convert(tmp_path, frame, obis="1-0:99.99.0").absent == 1


@pytest.mark.parametrize("cut", range(20, 380, 40))
def test_a_broken_sml_file_is_a_dead_letter(cut: int, tmp_path: Path) -> None:
    """Nothing else is: what was cut off is never guessed."""
    frame = frames_of("sml")[0][:cut]
    result = convert(tmp_path, frame, obis="1-0:99.99.0")
    assert result.absent or "SML" in result.dead[0]


# --- M-Bus ---


def test_records_are_found_by_what_they_are(tmp_path: Path) -> None:
    """In the unit that is wanted; of another storage there is none."""
    frame = frames_of("m-bus")[1]
    assert values_of(convert(tmp_path, frame, mbus="energy", unit="MWh")) == {"v": 19.019}
    assert values_of(convert(tmp_path, frame, mbus="energy", unit="GJ")) == {"v": 68.4684}
    assert values_of(convert(tmp_path, frame, mbus="energy", unit="kWh", type="float")) == {"v": 19019.0}
    assert values_of(convert(tmp_path, frame, mbus="fabrication number")) == {"v": 12345678}
    assert convert(tmp_path, frame, mbus="energy storage 1").absent == 1


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ("01 FD 17 00", 0),
        ("02 06 FF 7F", 32767),
        ("02 06 00 80", None),
        ("0A 06 34 F2", -234),
        ("0A 06 3A 12", None),
        ("05 2B 00 00 C0 7F", None),
        ("02 6C 1F 15", "2008-05-31"),
        ("02 6C FF FF", None),
        ("04 6D 32 37 1F 15", "2008-05-31T23:50"),
        ("0D 78 04 34 33 32 31", "1234"),
        ("2F 2F 01 FD 08 05", 5),
    ],
)
def test_values_of_records(record: str, value: object) -> None:
    """Whole numbers, digits, reals, dates, text; the marks for no value, and fillers."""
    content = bytes.fromhex(f"08 05 72 78 56 34 12 AE 4C 08 04 F9 00 00 00 {record}")
    frame = bytes([0x68, len(content), len(content), 0x68]) + content + b"\0\x16"
    assert [one.value for one in records_of(frame)] == [value]


def test_a_record_that_means_something_else_is_no_plain_one() -> None:
    """Its unit in words, or a qualifier that is not known here: it is left out, and the next one is read."""
    content = bytes.fromhex("08 05 72 78 56 34 12 AE 4C 08 04 F9 00 00 00 01 86 3B 07 01 7C 02 48 57 08 01 06 09")
    frame = bytes([0x68, len(content), len(content), 0x68]) + content + b"\0\x16"
    assert [one.value for one in records_of(frame)] == [9]


def test_what_is_wanted_is_said_in_words() -> None:
    assert wanted_of("volume flow, maximum, tariff 2") == ("volume flow", "maximum", 0, 2, 0)
    for text in ("", "energies", "energy storage", "energy storage x", "energy first"):
        with pytest.raises(ValueError, match=r"no record of that name|behind the name"):
            wanted_of(text)


# --- times ---


@pytest.mark.parametrize(
    ("form", "zone", "text", "moment"),
    [
        ("dsmr", "", "170102192002W", "2017-01-02T18:20:02Z"),
        ("dsmr", "Europe/Amsterdam", "191027023000S", "2019-10-27T00:30:00Z"),
        ("dsmr", "Europe/Amsterdam", "191027023000W", "2019-10-27T01:30:00Z"),
        ("nmea", "", "191194 225446", "1994-11-19T22:54:46Z"),
        ("nmea", "", "010124 235960.00", "2024-01-01T23:59:59Z"),
        ("iso", "", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ("iso", "Europe/Berlin", "2024-05-01 12:00:00", "2024-05-01T10:00:00Z"),
        ("epoch", "", "1719400000.5", "2024-06-26T11:06:40.500Z"),
        ("epochMs", "", "1719400000500", "2024-06-26T11:06:40.500Z"),
        ("%d.%m.%Y %H:%M", "Asia/Kolkata", "01.05.2024 12:00", "2024-05-01T06:30:00Z"),
    ],
)
def test_times_as_devices_write_them(form: str, zone: str, text: str, moment: str) -> None:
    """Each in its zone; the hour that comes twice by its letter."""
    assert iso_text(time_reader(form, zone)(text)) == moment


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *(("dsmr", text) for text in ("", "170102192002X", "171302192002W", "17010219200W")),
        *(("nmea", text) for text in ("", "191194", "321194 225446", "191194 995446")),
        *(("epoch", text) for text in ("", "nan", "inf", "-5", "1e300", "x")),
        *(("iso", text) for text in ("", "yesterday", "1900-01-01")),
    ],
)
def test_what_is_no_time_is_refused(form: str, text: str) -> None:
    """With ValueError only: then our time counts."""
    with pytest.raises(ValueError, match=r"."):
        time_reader(form, "")(text)


def test_no_time_at_all_leaves_ours(tmp_path: Path) -> None:
    """An RMC sentence without a fix has no date; a GPS that has just been switched on is not in doubt."""
    converter = compile_section(read_device(tmp_path, **SECTIONS["nmea0183"])[0])
    assert isinstance(converter, MessageConverter)
    result = converter.convert_batch([b"$GPRMC,225446,V,,,,,000.5,054.7,,020.3,E*00\r\n"], [0])
    assert result.user[0][0].telemetry[0] == (None, b'{"speed_kn":0.5,"course":54.7}')
    assert (result.times_refused, result.errors) == (0, 0)
