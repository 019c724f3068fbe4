"""Settings of a line that change while its port is open, on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import time
import tty
from collections.abc import Iterator

import msgspec
import pytest

from common.config.models import Line
from common.io.sources import Sources
from services.port_reader.core.events import AdjustLine, Chunk, ClosePort, Event, LineRead, Opened, OpenPort, ReadOut
from services.port_reader.shell.line_source import LineSource
from services.port_reader.shell.serial_line import SerialLine


class Terminal:
    """The device's end and ours."""

    def __init__(self, device: int, ours: int) -> None:
        self.device = device
        self.path = os.ttyname(ours)
        self._ours = ours

    def write(self, data: bytes, waiting_bytes: int) -> None:
        """Writes `data` as the device, and waits until `waiting_bytes` can be read at our end: the kernel hands them
        over later."""
        os.write(self.device, data)
        deadline_s = time.monotonic() + 10
        while struct.unpack("i", fcntl.ioctl(self._ours, termios.FIONREAD, bytes(4)))[0] < waiting_bytes:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A pseudo-terminal that neither end closes before the test is over."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield Terminal(master, slave)
    os.close(slave)
    os.close(master)


class _Deaf:
    """A socket by which nobody says anything."""

    def fileno(self) -> int:
        return -1


def test_they_are_set_at_once_and_nothing_that_has_come_is_lost(terminal: Terminal) -> None:
    """Speed, stop bits and flow control; the bytes that waited are read behind them; the next opening has them too."""
    settings = Line(port=terminal.path)
    sources: Sources[Event] = Sources()
    source = LineSource(settings, sources, _Deaf(), tuple)  # type: ignore[arg-type]
    assert [type(event) for event in source.open_port(OpenPort())] == [Opened]
    terminal.write(b"12\n3", waiting_bytes=4)
    new = msgspec.structs.replace(settings, baudrate=38_400, stopbits=2, xonxoff=True)
    assert list(source.adjust(AdjustLine(settings=new))) == []
    attributes = termios.tcgetattr(terminal.device)
    assert attributes[4] == attributes[5] == termios.B38400
    assert attributes[2] & termios.CSTOPB
    assert attributes[0] & termios.IXON
    terminal.write(b"4\n", waiting_bytes=6)
    events = list(source.read_out(ReadOut()))
    assert b"".join(event.data for event in events if isinstance(event, Chunk)) == b"12\n34\n"
    assert isinstance(events[-1], LineRead)
    list(source.close_port(ClosePort()))
    line = source.open_port(OpenPort())
    assert [type(event) for event in line] == [Opened]
    assert termios.tcgetattr(terminal.device)[4] == termios.B38400
    list(source.close_port(ClosePort()))


def test_a_port_that_is_closed_has_them_when_it_is_opened(terminal: Terminal) -> None:
    """An adapter that is away while the configuration changes."""
    source = LineSource(Line(port="/dev/none"), Sources(), _Deaf(), tuple)  # type: ignore[arg-type]
    list(source.open_port(OpenPort()))
    assert list(source.adjust(AdjustLine(settings=Line(port=terminal.path, baudrate=1200)))) == []
    assert [type(event) for event in source.open_port(OpenPort())] == [Opened]
    assert termios.tcgetattr(terminal.device)[4] == termios.B1200
    list(source.close_port(ClosePort()))


def test_a_connection_has_none() -> None:
    """What stands behind `socket://` is set at its other end."""
    SerialLine(-1, None, None).apply(Line(baudrate=1200))
