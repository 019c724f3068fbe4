"""Which data point takes which bytes of a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.config.models import Device
from common.config.reading import read_gateway
from common.core.modbus import frame_of
from services.monitor.core.marks import DECODED, NO_FIT, USERS, marks_of
from tests.field.reading import write_config


def device(folder: Path, **section: Any) -> Device:
    """A device as its section says."""
    return read_gateway(write_config(folder, {"name": "d", **section}), {}).gateway.devices[0]


def places(device: Device, frame: bytes, *keys: str) -> dict[str, tuple[int, int]]:
    """Key → its bytes, of those that have some."""
    found = marks_of(device, frame, keys)
    return {point.key: point.span for point in found.points if point.span is not None}


def test_a_slice_of_a_line(tmp_path: Path) -> None:
    """As the reference's own sections say it; a point that the frame has no place for has no bytes, and says why."""
    found = device(
        tmp_path,
        delimiter="\n",
        telemetry=[
            {"type": "float", "key": "t", "fromByte": 2, "toByte": -1},
            {"type": "string", "key": "far", "fromByte": 20},
        ],
    )
    marks = marks_of(found, b"T:21.5\n", ["t"]).show()
    assert marks["why"] == ""
    assert [(point["key"], point.get("from"), point.get("to")) for point in marks["points"]] == [
        ("t", 2, 6),
        ("far", None, None),
    ]
    assert "too short" in marks["points"][1]["why"]


def test_a_message_of_several(tmp_path: Path) -> None:
    """The first that fits; what fits none has nothing to be marked."""
    found = device(
        tmp_path,
        framing={"end": "\n"},
        messages=[
            {"name": "h", "when": "^H=", "telemetry": [{"key": "h", "at": 2, "length": 2, "type": "int"}]},
            {"name": "t", "when": "^T=", "telemetry": [{"key": "t", "at": 2, "length": 4, "type": "float"}]},
        ],
    )
    assert places(found, b"T=21.5\n", "t") == {"t": (2, 6)}
    assert marks_of(found, b"X=21.5\n", []).why == NO_FIT


def test_an_answer_that_does_not_say_what_was_asked(tmp_path: Path) -> None:
    """The values that it became tell which of two questions of one length it answers."""
    points = [
        {"key": "volts", "register": "holding:0", "type": "uint16"},
        {"key": "amps", "register": "holding:100", "type": "uint16"},
    ]
    section = {"address": 1, "every": 5, "telemetry": points}
    answer = frame_of("modbus-rtu", 1, bytes((3, 2, 0, 230)))
    rtu = device(tmp_path, framing="modbus-rtu", **section)
    assert places(rtu, answer, "volts") == {"volts": (3, 5)}
    assert places(rtu, answer, "amps") == {"amps": (3, 5)}


def test_places_that_are_not_the_frames(tmp_path: Path) -> None:
    """Of what the frame is decoded to first, a place marks nothing; nor does a class that users have written."""
    section = {"address": 1, "every": 5, "telemetry": [{"key": "volts", "register": "holding:0", "type": "uint16"}]}
    ascii_answer = frame_of("modbus-ascii", 1, bytes((3, 2, 0, 230)))
    found = marks_of(device(tmp_path, framing="modbus-ascii", **section), ascii_answer, ["volts"])
    assert (found.why, [point.span for point in found.points]) == (DECODED, [None])
    users = device(tmp_path, converter="json:JSONDecoder", delimiter="\n")
    assert marks_of(users, b"x\n", []).why == USERS
