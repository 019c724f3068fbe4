"""The direction of an RS-485 line, switched by the port's driver: what it is told, and what is said where it can't."""

from __future__ import annotations

import os
import pty
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device, Line, Rs485
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.port_reader.core.events import LineRefused, PortLost
from services.port_reader.core.rs485 import SIZE_BYTES, packed, refused
from services.port_reader.shell.serial_line import open_path
from tests.field.reading import write_config
from tests.support.port_reader_rig import Rig

NOTHING = bytes(SIZE_BYTES)


def numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack("=8I", data)


@pytest.mark.parametrize(
    ("settings", "flags", "delays"),
    [
        (Rs485(), 0b00011, (0, 0)),
        (Rs485(rts_on_send=False), 0b00101, (0, 0)),
        (Rs485(hears_itself=True), 0b10011, (0, 0)),
        (Rs485(delay_before_ms=1, delay_after_ms=20), 0b00011, (1, 20)),
    ],
)
def test_what_the_driver_is_told(settings: Rs485, flags: int, delays: tuple[int, int]) -> None:
    """Enabled; RTS on while sending or after it; the receiver on meanwhile; the delays in ms."""
    assert numbers(packed(settings, NOTHING)) == (flags, *delays, 0, 0, 0, 0, 0)


def test_what_is_not_ours_stays() -> None:
    """Termination is a flag of the board's; delays and level of another program are not kept."""
    before = struct.pack("=8I", 1 << 5 | 0b10101, 9, 9, 1, 2, 3, 4, 5)
    assert numbers(packed(Rs485(), before)) == (1 << 5 | 0b00011, 0, 0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("settings", "found", "said"),
    [
        (Rs485(delay_before_ms=3), (0b00011, 3, 0), []),
        (Rs485(delay_before_ms=3), (0b00011, 0, 0), ["rs485.delayBeforeMs 3 (the driver makes it 0)"]),
        (Rs485(delay_after_ms=3), (0b00011, 0, 1), ["rs485.delayAfterMs 3 (the driver makes it 1)"]),
        (Rs485(), (0b00101, 0, 0), ["rs485.rtsOnSend (the driver knows the other level only)"]),
        (Rs485(hears_itself=True), (0b00011, 0, 0), ["rs485: the line is not heard while it is written to"]),
        (Rs485(), (0b10011, 0, 0), ["rs485: the line is heard while it is written to"]),
        (Rs485(), (0, 0, 0), ["rs485 (the driver leaves it off)"]),
    ],
)
def test_what_a_driver_makes_of_it_is_said(settings: Rs485, found: tuple[int, int, int], said: list[str]) -> None:
    """A driver takes what it can, and says what that is when it is asked."""
    assert refused(packed(settings, NOTHING), struct.pack("=3I", *found) + bytes(20)) == said


@pytest.fixture
def terminal() -> Iterator[str]:
    """A port without such a driver."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_port_whose_driver_can_t_is_opened_and_says_so(terminal: str) -> None:
    """Once; an adapter that switches by itself works all the same."""
    line = open_path(Line(port=terminal, rs485=Rs485()), terminal)
    [said] = line.take_refused()
    assert said.startswith("rs485 (Inappropriate ioctl for device: the driver of this port can't switch")
    assert line.take_refused() == []
    line.close()
    plain = open_path(Line(port=terminal), terminal)
    assert plain.take_refused() == []
    plain.close()


def test_a_refused_setting_is_in_the_heartbeat() -> None:
    """It is as true a minute later, and explains why nothing is answered; an opening that takes it ends it."""
    rig = Rig(Device(name="d"))
    rig.give(LineRefused(["rs485 (it can't)"]))
    rig.give(LineRefused(["rs485 (it can't)"]))
    rig.wait(60)
    assert rig.core._state(rig.now_s).refused == "rs485 (it can't)"
    rig.give(PortLost("EIO", rig.wall_ms))
    rig.wait(2)
    assert rig.core._port.is_connected
    assert rig.core._state(rig.now_s).refused == ""


def unit(address: int, **more: Any) -> dict[str, Any]:
    return {
        "name": f"u{address}",
        "port": "/dev/ttyS1",
        "framing": "modbus-rtu",
        "address": address,
        "every": 1,
        "telemetry": [{"key": "v", "register": "input:0"}],
        **more,
    }


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        (True, Rs485()),
        ({}, Rs485()),
        (
            {"rtsOnSend": False, "delayBeforeMs": 1, "delayAfterMs": 2},
            Rs485(rts_on_send=False, delay_before_ms=1, delay_after_ms=2),
        ),
        (False, None),
        (None, None),
    ],
)
def test_one_member_of_a_bus_says_it_for_the_line(tmp_path: Path, said: Any, settings: Rs485 | None) -> None:
    """Whichever; the line is one."""
    found = read_gateway(write_config(tmp_path, unit(1), unit(2, bus={"rs485": said})), {})
    assert [device.line.rs485 for device in found.gateway.devices] == [settings, settings]


def test_an_echo_leaves_the_receiver_on(tmp_path: Path) -> None:
    """Who says that what is written comes back wants to hear it, and to find collisions by that."""
    [device] = read_gateway(write_config(tmp_path, unit(1, bus={"rs485": True, "echo": True})), {}).gateway.devices
    assert device.line.rs485 == Rs485(hears_itself=True)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"bus": {"rs485": "yes"}}, 'bus.rs485: found "yes", expected true, or an object'),
        ({"bus": {"rs485": {"delayBeforeMs": 101}}}, "bus.rs485.delayBeforeMs: found 101"),
        ({"bus": {"rs485": True}, "rtscts": True}, 'rs485 beside "rtscts"'),
        ({"bus": {"rs485": True}, "rts": True}, 'rs485 beside "rts"'),
    ],
)
def test_what_can_t_be_is_refused(tmp_path: Path, more: dict[str, Any], problem: str) -> None:
    """With its place, and what would be right."""
    with pytest.raises(ConfigError) as found:
        read_gateway(write_config(tmp_path, unit(1, **more)), {})
    assert problem in str(found.value)


def test_a_port_elsewhere_has_no_direction_of_ours(tmp_path: Path) -> None:
    """Its server switches it, or the adapter there."""
    found = read_gateway(write_config(tmp_path, unit(1, port="socket://h:1", bus={"rs485": True})), {})
    assert any("rs485" in one and "has no effect" in one for one in found.warnings)
