"""Data points that never find anything, or never a value that can be read, are told by name, wherever they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.publisher.core.yields import ENOUGH_FRAMES
from tests.devices.test_lacking_points import Watched
from tests.field.reading import read_device


@pytest.mark.parametrize(
    ("frame", "section", "point"),
    [
        (b"T=23.5\r\n", {}, {"type": "float", "fromDelimiter": "T:"}),
        (b"T=23.5\r\n", {}, {"type": "float", "fromByte": 20}),
        (b"T=23.5\r\n", {}, {"fromByte": 20, "toByte": 22}),
        (b"23.5,40\r\n", {"fields": ","}, {"field": 5, "type": "float"}),
        (b"temp=23.5\r\n", {"pairs": [" ", "="]}, {"name": "Temp", "type": "float"}),
        (b'{"temp":23.5}\r\n', {}, {"path": "Temp", "type": "float"}),
        (b'{"ch":[1,2]}\r\n', {}, {"path": "ch[2]"}),
        (b"T=23.5\r\n", {}, {"regex": "t=([0-9.]+)", "type": "float"}),
        (b"\xaa\x01\x02\n", {}, {"at": 3, "type": "uint32"}),
        (b"1-0:1.8.0(00012.5*kWh)\r\n", {}, {"obis": "1-0:2.8.0", "type": "float"}),
    ],
)
@pytest.mark.parametrize("kind", ["telemetry", "attributes"])
def test_a_point_that_is_in_no_frame_is_told(
    kind: str, frame: bytes, section: dict[str, Any], point: dict[str, Any], tmp_path: Path
) -> None:
    """Another spelling, another case, a place behind the end: after some frames, also beside one that is always
    there."""
    found = {"key": "all", "regex": "(?s).*", "type": "hex"} if section or "regex" in point else {"key": "all"}
    points = {"telemetry": [found], kind: [{"key": "T", **point}, *([found] if kind == "telemetry" else [])]}
    device, _ = read_device(tmp_path, **section, **points)
    assert device.all_telemetry
    watched = Watched(tmp_path, **section, **points)
    assert watched.say(frame, times=ENOUGH_FRAMES).absent == ["T"]
