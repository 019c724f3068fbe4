"""What other people's decoders say of the same bytes, on generated data."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import meterbus  # type: ignore[import-untyped]
import pynmea2  # type: ignore[import-untyped]
import pytest
from dsmr_parser import parsers  # type: ignore[import-untyped]
from dsmr_parser import telegram_specifications as specifications
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.conversion.grammar.mbus import records_of
from common.conversion.grammar.times import time_reader
from common.conversion.joint import compile_section
from common.core.checksum import calculator
from common.core.frame_shape import Checksum
from tests.devices.families import SECTIONS, values_of
from tests.field.reading import read_device

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2079, 12, 31))


def sentence(*fields: str) -> bytes:
    """An NMEA sentence with its checksum."""
    content = ",".join(fields)
    return f"${content}*{reduce(xor, content.encode()):02X}\r\n".encode()


def angles(limit: int) -> st.SearchStrategy[str]:
    """Degrees and minutes as receivers write them, with as many digits as they like."""
    width = 2 if limit == 90 else 3
    return st.builds(
        lambda degrees, minutes, digits: f"{degrees:0{width}}{minutes:0{digits + 3}.{digits}f}",
        st.integers(0, limit - 1),
        st.floats(0, 59.9),
        st.integers(1, 5),
    )


def test_nmea_sentences_mean_what_pynmea2_reads(tmp_path: Path) -> None:
    """Latitude, longitude, speed, course, and the time of the receiver."""
    section = SECTIONS["nmea0183"] | {"messages": [SECTIONS["nmea0183"]["messages"][0]]}
    converter = compile_section(read_device(tmp_path, **section)[0])
    read = time_reader("nmea", "")

    @settings(max_examples=60, deadline=None)
    @given(angles(90), st.sampled_from("NS"), angles(180), st.sampled_from("EW"), MOMENTS, st.floats(0, 300))
    def check(lat: str, north: str, lon: str, east: str, moment: datetime, speed: float) -> None:
        when = (f"{moment:%H%M%S}.{moment.microsecond // 10_000:02}", f"{moment:%d%m%y}")
        frame = sentence(
            *("GPRMC", when[0], "A", lat, north, lon, east, f"{speed:.2f}", "054.7", when[1], "020.3", "E")
        )
        theirs: Any = pynmea2.parse(frame.decode().strip())
        found = values_of(converter.convert_batch([frame]))
        assert found["latitude"] == pytest.approx(theirs.latitude, abs=1e-6)
        assert found["longitude"] == pytest.approx(theirs.longitude, abs=1e-6)
        assert found["speed_kn"] == theirs.spd_over_grnd
        if moment.year >= 2000:
            # In years of two digits the other one takes the century otherwise.
            moment_ms = datetime.combine(theirs.datestamp, theirs.timestamp.replace(tzinfo=UTC)).timestamp() * 1000
            assert read(f"{when[1]} {when[0]}") == pytest.approx(moment_ms, abs=1) or theirs.datestamp.year < 2000

    check()


KINDS = {
    **dict.fromkeys(range(8), "energy"),
    **dict.fromkeys(range(16, 24), "volume"),
    **dict.fromkeys(range(40, 48), "power"),
    **dict.fromkeys(range(56, 64), "volume flow"),
    **dict.fromkeys(range(88, 92), "flow temperature"),
    **dict.fromkeys(range(92, 96), "return temperature"),
    **dict.fromkeys(range(96, 100), "temperature difference"),
}
"""VIF → what it is, for those whose unit the other one has as its base too: Wh, m³, W, m³/h, °C, K."""


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """One record: an integer, decimal digits or a real, of some storage, tariff and subunit."""
    form = draw(st.sampled_from((1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14)))
    sizes = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
    digits = {9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
    if form in sizes:
        high = 1 << 8 * sizes[form] - 1
        data = draw(st.integers(-high + 1, high - 1)).to_bytes(sizes[form], "little", signed=True)
    elif form in digits:
        number = draw(st.integers(0, 10 ** (2 * digits[form]) - 1))
        data = bytes.fromhex(f"{number:0{2 * digits[form]}}")[::-1]
    else:
        data = struct.pack("<f", draw(st.floats(-1e6, 1e6, width=32)))
    # Function, storage, and how many bytes say more of storage, tariff and subunit.
    more = draw(st.lists(st.integers(0, 0x7F), max_size=3))
    head = bytearray([form | draw(st.sampled_from((0x00, 0x10, 0x20, 0x40))), *more])
    for at in range(len(more)):
        head[at] |= 0x80
    return bytes(head) + bytes([draw(st.sampled_from(sorted(KINDS)))]) + data


def long_frame(content: bytes) -> bytes:
    """An answer of a heat meter with these records."""
    inner = bytes.fromhex("08 05 72 78 56 34 12 AE 4C 08 04 F9 00 00 00") + content
    size = len(inner)
    return bytes([0x68, size, size, 0x68]) + inner + bytes([sum(inner) & 0xFF, 0x16])


@settings(max_examples=100, deadline=None)
@given(st.lists(records(), min_size=1, max_size=6))
@example([*[bytes.fromhex("84 00 00 00 00 00 00")] * 7, bytes.fromhex("02 06 07 00")])
def test_m_bus_records_mean_what_pymeterbus_reads(content: list[bytes]) -> None:
    """Value, function and storage of each."""
    frame = long_frame(b"".join(content))
    # Left to guess, the other one takes a frame whose length is 44 in hexadecimal for a wireless one.
    theirs = meterbus.TelegramLong.parse(list(frame)).records
    ours = records_of(frame)
    assert len(ours) == len(theirs) == len(content)
    for mine, its, record in zip(ours, theirs, content, strict=True):
        vif = record[next(at for at, byte in enumerate(record) if not byte & 0x80) + 1]
        assert mine.kind.name == KINDS[vif]
        assert isinstance(mine.value, int | float)
        assert float(mine.value * mine.kind.factor) == pytest.approx(float(its.parsed_value), rel=1e-5, abs=1e-6)
        storage, tariff, subunit = its.dib.parse_dife()
        assert (mine.storage, mine.tariff, mine.subunit) == (storage, tariff or 0, subunit or 0)
        assert {"": 0, "maximum": 1, "minimum": 2, "error": 3}[mine.function] == record[0] >> 4 & 3


def telegram(*lines: str) -> bytes:
    """A P1 telegram with its checksum."""
    content = "\r\n".join(["/ISk5\\2MT382-1000", "", "1-3:0.2.8(50)", *lines, "!"]).encode()
    return content + f"{calculator(Checksum(type='crc16-arc'))(content):04X}\r\n".encode()


def test_p1_telegrams_mean_what_dsmr_parser_reads(tmp_path: Path) -> None:
    """Energies, power, voltage, tariff, gas, and the time of the meter in both halves of the year."""
    converter = compile_section(read_device(tmp_path, **SECTIONS["dsmr-p1"])[0])
    theirs = parsers.TelegramParser(specifications.V5)
    numbers = st.integers(0, 999_999_999)

    @settings(max_examples=30, deadline=None)
    @given(numbers, numbers, numbers, st.sampled_from(("170102192002W", "190702202002S", "191027023000S")))
    def check(energy: int, power: int, gas: int, moment: str) -> None:
        frame = telegram(
            f"0-0:1.0.0({moment})",
            f"1-0:1.8.1({energy / 1000:010.3f}*kWh)",
            f"1-0:1.7.0({power % 100_000 / 1000:06.3f}*kW)",
            "1-0:32.7.0(230.1*V)",
            "0-0:96.14.0(0002)",
            "0-1:24.1.0(003)",
            f"0-1:24.2.1({moment})({gas / 10_000:09.3f}*m3)",
        )
        said = theirs.parse(frame.decode())
        time_ms = round(said.P1_MESSAGE_TIMESTAMP.value.timestamp() * 1000)
        result = converter.convert_batch([frame], [time_ms + 1000])
        found = values_of(result)
        assert found["energy_in_1_kWh"] == float(said.ELECTRICITY_USED_TARIFF_1.value)
        assert found["power_in_kW"] == float(said.CURRENT_ELECTRICITY_USAGE.value)
        assert found["voltage_l1_V"] == float(said.INSTANTANEOUS_VOLTAGE_L1.value)
        assert found["tariff"] == int(said.ELECTRICITY_ACTIVE_TARIFF.value)
        assert found["gas_m3"] == float(said.MBUS_DEVICES[0].MBUS_METER_READING.value)
        if moment != "191027023000S":
            # In the hour that comes twice the other one does not look at the letter.
            assert result.user[0][0].telemetry[0][0] == time_ms

    check()
