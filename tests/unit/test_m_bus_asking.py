"""How meters on M-Bus are asked: by their address, alone on a line by 254, by their number through 253."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.config.reading import read_gateway
from common.core.errors import ConfigError
from tests.field.reading import read_device, write_config
from tests.support.asked_rig import AskedRig, Behaviour

HEAT: dict[str, Any] = {"framing": "m-bus", "every": 10, "telemetry": [{"key": "energy", "mbus": "energy"}]}


def long_frame(address: int, content: str = "72 78 56 34 12 AE 4C 08 04 F9 00 00 00 0C 06 19 90 01 00") -> bytes:
    """What a meter of this primary address answers."""
    inside = bytes((0x08, address)) + bytes.fromhex(content)
    return bytes((0x68, len(inside), len(inside), 0x68)) + inside + bytes((sum(inside) & 0xFF, 0x16))


def answers(**said: bytes) -> Behaviour:
    """A meter that answers to the requests that are its names, in hexadecimal."""
    return lambda data: [(0.05, said[data.hex()])] if data.hex() in said else []


def test_a_meter_that_is_alone_is_asked_by_254_and_answers_as_who_it_is(tmp_path: Path) -> None:
    """Its own primary address stands in its answer, whatever that is; a lone acknowledgement is no answer."""
    device, warnings = read_device(tmp_path, **HEAT, address=254)
    rig = AskedRig(device, answers(**{"105bfe5916": long_frame(17)}))
    rig.run(15)
    assert not warnings
    assert rig.lines == [bytes.fromhex("105BFE5916")] * 2
    assert [frame for _, frame in rig.entries("d")] == [long_frame(17)] * 2
    assert (rig.count("asks"), rig.count("asks_answered")) == (2, 2)
    rig = AskedRig(device, answers(**{"105bfe5916": b"\xe5"}))
    rig.run(5)
    assert rig.count("asks_answered") == 0


def test_254_and_another_on_the_line_are_refused(tmp_path: Path) -> None:
    """All meters on the line would answer at once."""
    path = write_config(
        tmp_path,
        {"name": "a", "port": "/dev/bus", **HEAT, "address": 254},
        {"name": "b", "port": "/dev/bus", **HEAT, "address": 3},
    )
    with pytest.raises(ConfigError, match=r"devices\[1\].*/dev/bus"):
        read_gateway(path, {})


@pytest.mark.parametrize("address", [251, 253, 255, None])
def test_other_addresses_are_refused(address: int | None, tmp_path: Path) -> None:
    """253 is for who is selected by number, 255 is answered by nobody."""
    with pytest.raises(
        ConfigError, match=r"address: found .*, expected the meter's primary address, from 0 to 250, or 254"
    ):
        read_device(tmp_path, **HEAT, **({} if address is None else {"address": address}))


def test_a_meter_is_selected_by_its_number(tmp_path: Path) -> None:
    """In two steps, as the standard has it: its acknowledgement is awaited before it is asked."""
    inside = bytes.fromhex("53 FD 52 78 56 34 12 FF FF FF FF")
    select = b"\x68\x0b\x0b\x68" + inside + bytes((sum(inside) & 0xFF, 0x16))
    messages = [
        {"name": "selected", "when": {"at": 0, "is": "hex:E5"}},
        {
            "name": "all",
            "when": {"at": 0, "is": "hex:68"},
            "ask": [{"send": f"hex:{select.hex()}"}, {"expect": "selected"}, {"send": "hex:10 5B FD 58 16"}],
            "every": 10,
            "telemetry": HEAT["telemetry"],
        },
    ]
    device, warnings = read_device(tmp_path, framing="m-bus", messages=messages)
    rig = AskedRig(device, answers(**{select.hex(): b"\xe5", "105bfd5816": long_frame(17)}))
    rig.run(5)
    assert not warnings
    assert rig.lines == [select, bytes.fromhex("105BFD5816")]
    assert rig.entries("d")[-1] == ("all", long_frame(17))
