"""The pins DTR and RTS at the opening of a port."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from serial import serialposix

from common.config.models import Line
from common.config.reading import read_gateway
from services.cli.described import describe_line
from services.port_reader.shell.opening import open_line

NAMES = {termios.TIOCM_DTR: "DTR", termios.TIOCM_RTS: "RTS"}
WAYS = {termios.TIOCMBIS: "on", termios.TIOCMBIC: "off"}


@pytest.fixture
def terminal() -> Iterator[str]:
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernel is told about pins, which pseudo-terminals don't have."""
    found: list[str] = []
    real = fcntl.ioctl

    def ioctl(fd: int, request: int, *rest: object) -> object:
        if request in WAYS:
            number = rest[0]
            assert isinstance(number, bytes)
            found.append(f"{NAMES[struct.unpack('I', number)[0]]} {WAYS[request]}")
        return real(fd, request, *rest)  # type: ignore[call-overload]

    monkeypatch.setattr(serialposix.fcntl, "ioctl", ioctl)
    return found


@pytest.mark.parametrize(
    ("line", "pins"),
    [
        (Line(), ["DTR on", "RTS on"]),
        (Line(dtr=False), ["DTR off", "RTS on"]),
        (Line(dtr=True, rts=False), ["DTR on", "RTS off"]),
        (Line(dsrdtr=True, rtscts=True), []),
    ],
)
def test_pins_are_as_the_configuration_says(line: Line, pins: list[str], terminal: str, moved: list[str]) -> None:
    """From the opening on, and on where nothing is said; with flow control they are the driver's."""
    opened = open_line(msgspec.structs.replace(line, port=terminal))
    # pyserial stops at the first pin that a port does not have, as a pseudo-terminal has none.
    assert moved == pins[:1]
    opened.adjust(None, line.dtr, line.rts)
    opened.close()


@pytest.mark.parametrize(("dtr", "stays"), [(None, False), (False, False), (True, True)])
def test_dtr_that_is_on_stays_so_when_the_port_is_closed(dtr: bool | None, stays: bool, terminal: str) -> None:
    """The kernel would drop it at the end of each process, and raise it at the next: a reset of each Arduino."""
    with open(terminal, "rb", buffering=0) as other:
        attributes = termios.tcgetattr(other)
        attributes[2] |= termios.HUPCL
        termios.tcsetattr(other, termios.TCSANOW, attributes)
    opened = open_line(Line(port=terminal, dtr=dtr))
    for _ in range(2):
        assert bool(termios.tcgetattr(opened.fd)[2] & termios.HUPCL) is not stays
        # A change of speed must not bring it back.
        opened.adjust(19_200, None, None)
    opened.close()


def read(tmp_path: Path, **keys: object) -> Line:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": [{"port": "/dev/ttyUSB0", **keys}]}))
    return read_gateway(file, {}).gateway.devices[0].line


def test_pins_are_keys_of_a_device(tmp_path: Path) -> None:
    """True, false, or absent; `check` says them in words."""
    line = read(tmp_path, dtr=False, rts=True)
    assert (line.dtr, line.rts) == (False, True)
    assert describe_line(line) == "9600 8N1 DTR off RTS on"
    line = read(tmp_path)
    assert (line.dtr, line.rts) == (None, None)


@pytest.mark.parametrize(("key", "flow"), [("dtr", "dsrdtr"), ("rts", "rtscts")])
def test_a_pin_of_flow_control_is_the_drivers(key: str, flow: str, tmp_path: Path) -> None:
    """Both can't be had, and the file says so."""
    file = tmp_path / "c.json"
    for flows, warnings in ((True, 1), (False, 0)):
        file.write_text(json.dumps({"name": "x", "devices": [{"port": "/dev/ttyUSB0", key: True, flow: flows}]}))
        said = read_gateway(file, {}).warnings
        assert len(said) == warnings
        assert all(f'devices[0].{key}: beside "{flow}" this means nothing' in one for one in said)
