"""The values of each family's sample frames, by configurations as users write them (tests/cases/any_device/devices)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device, device_of, section_of
from common.conversion.grammar.times import time_reader
from common.conversion.joint import compile_section
from tests.devices.families import SECTIONS, VECTORS, frames_of, origin_of, values_of
from tests.field.reading import read_device

READ_MS = {
    "dsmr-p1": time_reader("iso", "")("2017-01-02T18:20:04Z"),
    "nmea0183": time_reader("iso", "")("1994-11-19T22:54:50Z"),
}
"""When the frames were read, where the device says when it took its values."""


def device_for(family: str, folder: Path) -> Device:
    return read_device(folder, **SECTIONS[family])[0]


def test_every_family_has_a_configuration() -> None:
    """And every configuration a family."""
    assert SECTIONS.keys() == VECTORS.keys()


@pytest.mark.parametrize("family", VECTORS)
def test_frames_give_their_values(family: str, tmp_path: Path) -> None:
    """Each frame what the vector says of it, and nothing that it says of no frame; also from the journaled section."""
    vector = VECTORS[family]
    frames = frames_of(family)
    device = device_for(family, tmp_path)
    assert device_of(section_of(device)) == device
    result = compile_section(device).convert_batch(frames, [READ_MS.get(family, 0)] * len(frames), origin_of(device))
    found = [values_of(result, index) for index in range(len(frames))]
    together = {key: value for values in found for key, value in values.items()}
    missing = {key: value for key, value in vector["values"].items() if together.get(key) != value}
    assert not missing, (missing, together)
    known = {key for values in (vector["values"], *vector.get("values_per_frame", ())) for key in values}
    assert together.keys() <= known
    assert [type(together[key]) for key in vector["values"]] == [type(value) for value in vector["values"].values()]
    for values, expected in zip(found, vector.get("values_per_frame", ()), strict=False):
        assert {key: values.get(key) for key in expected} == expected
    assert result.errors == 0
    assert not result.unfit


ASKED_BY_HAND: dict[str, dict[str, Any]] = {
    "m-bus": {"address": None, "every": None, "messages": [{"name": "all", "ask": "hex:10 5B FE 59 16", "every": 900}]},
    "kamstrup-kmp": {
        "send": {"start": "hex:80", "checksum": True, "escape": True, "end": "\r"},
        "messages": [{"name": "read", "ask": "hex:3F 10 01 00 80", "every": 60}],
    },
}
"""What asks where the family's configuration asks otherwise, or only listens: the test address of M-Bus, to which every
meter answers; a request whose bytes are escaped by `send`."""


@pytest.mark.parametrize("family", [family for family, vector in VECTORS.items() if vector.get("request_hex")])
def test_what_is_asked_is_the_request(family: str, tmp_path: Path) -> None:
    """Byte by byte as it stands on the line: its checksum and its end with it."""
    changed = {**SECTIONS[family], **ASKED_BY_HAND.get(family, {})}
    section = {key: value for key, value in changed.items() if value is not None}
    if family == "m-bus":
        del section["telemetry"]
    device, _ = read_device(tmp_path, **section)
    assert device.asking is not None
    sent = [step.data.hex() for ask in device.asking.asks for step in ask.steps if step.kind == "send"]
    assert VECTORS[family]["request_hex"] in sent


def test_a_telegram_has_the_time_of_its_meter(tmp_path: Path) -> None:
    """19:20:02 in winter is 18:20:02 in UTC; 19:20:04 there was the time of reading."""
    device = device_for("dsmr-p1", tmp_path)
    frames = frames_of("dsmr-p1")
    ((reading,),) = compile_section(device).convert_batch(frames, [READ_MS["dsmr-p1"]]).user.values()
    assert reading.telemetry[0][0] == READ_MS["dsmr-p1"] - 2000


def test_a_time_far_from_ours_is_counted_and_not_taken(tmp_path: Path) -> None:
    """A clock without a battery says 2000; the values go out under our time."""
    device = device_for("dsmr-p1", tmp_path)
    frames = frames_of("dsmr-p1")
    result = compile_section(device).convert_batch(frames, [READ_MS["dsmr-p1"] + 700_000])
    assert result.times_refused == 1
    assert result.user[0][0].telemetry[0][0] is None


def test_each_sensor_that_is_heard_is_a_device(tmp_path: Path) -> None:
    """Name and type come from the frame."""
    device = device_for("rflink", tmp_path)
    frames = frames_of("rflink")
    readings = [reading for (reading,) in compile_section(device).convert_batch(frames).user.values()]
    assert [(one.device, one.device_type) for one in readings] == [
        ("sensor 0001", "UPM/Esic"),
        ("sensor 5a6d", "Oregon BTHR"),
        ("sensor 0086", "Alecto V1"),
    ]


def test_a_number_times_a_thousand_has_no_tail(tmp_path: Path) -> None:
    """2.027 kW are 2027.0 W and not 2027.0000000000002, by a unit and by a scale."""
    points = [
        {"key": "by_unit", "obis": "1-0:1.7.0", "type": "float", "unit": "W"},
        {"key": "by_scale", "regex": r"\((.*)\*kW", "type": "float", "scale": 1000},
    ]
    device, _ = read_device(tmp_path, framing={"start": "/", "end": "!"}, telemetry=points)
    result = compile_section(device).convert_batch([b"/x\r\n1-0:1.7.0(02.027*kW)\r\n!"])
    assert values_of(result) == {"by_unit": 2027.0, "by_scale": 2027.0}
