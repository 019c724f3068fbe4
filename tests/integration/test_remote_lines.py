"""Lines behind a server: ser2net in front of a pseudo-terminal, as RFC 2217 and raw."""

from __future__ import annotations

import os
import socket
import termios
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Line
from common.io.sources import Sources
from services.port_reader.core.events import (
    AdjustLine,
    CheckWrite,
    Chunk,
    ClosePort,
    LineRefused,
    Opened,
    OpenFailed,
    OpenPort,
    PortLost,
    WriteDrained,
    WritePending,
    WritePort,
)
from services.port_reader.shell.line_source import LineSource
from tests.support.ser2net import PROGRAM, Ser2net
from tests.support.waiting import wait_until


class Reader:
    """The line of a port reader with its loop; what happened is in a list."""

    def __init__(self, port: str, **settings: Any) -> None:
        self._sources: Sources[Any] = Sources()
        self._ours, self._theirs = socket.socketpair()
        self.line = LineSource(Line(port=port, **settings), self._sources, self._ours.fileno(), lambda: ())
        self.events: list[Any] = []

    def open(self) -> None:
        self.take(self.line.open_port(OpenPort()))

    def take(self, events: Iterable[Any]) -> None:
        self.events += events

    def run(self) -> None:
        """One round of the loop."""
        for source, flags in self._sources.poll(20):
            self.take(self._sources.take(source, flags))

    def wait_for(self, kind: type, count: int = 1) -> Any:
        """The last event of a kind, when there are so many of it."""
        self.wait(lambda: len(self.all(kind)) >= count)
        return self.all(kind)[-1]

    def wait(self, is_so: Callable[[], bool]) -> None:
        def look() -> bool:
            self.run()
            return is_so()

        wait_until(look, "what was waited for on the line")

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def data(self) -> bytes:
        return b"".join(chunk.data for chunk in self.all(Chunk))

    def close(self) -> None:
        self.take(self.line.close_port(ClosePort()))
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Ser2net]:
    if PROGRAM is None:
        pytest.skip("ser2net is not installed")
    found = Ser2net(tmp_path / "ser2net")
    yield found
    found.close()


ALL_BYTES = bytes(range(256))


def test_rfc2217_settings_are_applied_and_all_bytes_pass(server: Ser2net) -> None:
    """Before it counts as open; a change of speed is applied behind it, and bytes are the same at both ends."""
    reader = Reader(f"rfc2217://127.0.0.1:{server.rfc2217_port}", baudrate=19_200, stopbits=2, dtr=True, rts=False)
    reader.open()
    reader.wait_for(Opened)
    attributes = termios.tcgetattr(server.slave)
    assert attributes[4] == attributes[5] == termios.B19200
    assert attributes[2] & termios.CSTOPB
    os.write(server.master, ALL_BYTES)
    reader.wait(lambda: len(reader.data) >= 256)
    assert reader.data == ALL_BYTES
    reader.take(reader.line.adjust(AdjustLine(baudrate=115_200, dtr=False, rts=True)))
    reader.wait(lambda: termios.tcgetattr(server.slave)[4] == termios.B115200)
    reader.take(reader.line.write_port(WritePort(ALL_BYTES)))
    got = b""
    while len(got) < 256:
        got += os.read(server.master, 256)
    assert got == ALL_BYTES
    reader.close()


def test_a_write_is_out_when_the_line_has_had_its_time(server: Ser2net) -> None:
    """Else a change of speed would come in the middle of it: at 300 baud 6 bytes need 0.2 s."""
    reader = Reader(f"rfc2217://127.0.0.1:{server.rfc2217_port}", baudrate=300)
    reader.open()
    reader.wait_for(Opened)
    reader.take(reader.line.write_port(WritePort(b"\x06050\r\n")))
    assert reader.wait_for(WritePending).left_bytes > 0
    assert not reader.all(WriteDrained)

    def is_out() -> bool:
        reader.take(reader.line.check_write(CheckWrite()))
        return bool(reader.all(WriteDrained))

    wait_until(is_out, "the write is out")
    assert os.read(server.master, 100) == b"\x06050\r\n"
    reader.close()


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_unplugged_behind_the_server_and_back(server: Ser2net, scheme: str) -> None:
    """The loss is noticed here; when the adapter is back, the line is opened as ever."""
    port = server.rfc2217_port if scheme == "rfc2217" else server.raw_port
    reader = Reader(f"{scheme}://127.0.0.1:{port}", baudrate=19_200)
    reader.open()
    reader.wait_for(Opened)
    os.write(server.master, b"one\n")
    reader.wait(lambda: reader.data == b"one\n")
    server.pull()
    reader.wait_for(PortLost)
    reader.take(reader.line.close_port(ClosePort()))
    server.plug()

    def has_come_back() -> bool:
        reader.events.clear()
        reader.open()
        reader.wait(lambda: bool(reader.all(Opened) or reader.all(OpenFailed)))
        if reader.all(Opened):
            os.write(server.master, b"two\n")
            reader.wait(lambda: b"\n" in reader.data or bool(reader.all(PortLost)))
        reader.take(reader.line.close_port(ClosePort()))
        return reader.data == b"two\n"

    wait_until(has_come_back, "the line is read again")
    reader.close()


def test_a_server_that_is_none_of_rfc2217_refuses(tmp_path: Path) -> None:
    """One that refuses the option is told with what would be right."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\xff\xfe\x2c")
                connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        reader = Reader(f"rfc2217://127.0.0.1:{listener.getsockname()[1]}")
        reader.open()
        assert "socket://" in reader.wait_for(OpenFailed).reason
        reader.close()
        thread.join()


def test_refused_settings_are_told_when_the_port_is_open(tmp_path: Path) -> None:
    """It is open all the same: what the server has may well do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\xff\xfd\x2c\xff\xfa\x2c\x65\x00\x00\x4b\x00\xff\xf0hello")
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        reader = Reader(f"rfc2217://127.0.0.1:{listener.getsockname()[1]}")
        reader.open()
        reader.wait_for(Opened)
        assert reader.all(LineRefused) == [LineRefused(["baud rate 9600 (it has 19200)"])]
        reader.take(reader.line._read(1))
        assert reader.data == b"hello"
        reader.close()
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_device_connects_by_itself_and_the_newest_wins() -> None:
    """One that comes back while its old connection still looks alive is served at the next opening, with what it has
    said meanwhile."""
    port = free_port()
    reader = Reader(f"tcp-listen://127.0.0.1:{port}")
    reader.open()
    assert reader.events == []
    with socket.create_connection(("127.0.0.1", port)) as first:
        reader.wait_for(Opened)
        first.sendall(b"one\n")
        reader.wait(lambda: reader.data == b"one\n")
        reader.take(reader.line.write_port(WritePort(b"go\n")))
        assert first.recv(10) == b"go\n"
        with socket.create_connection(("127.0.0.1", port)) as second:
            second.sendall(b"two\n")
            assert "in its place" in reader.wait_for(PortLost).reason
            reader.take(reader.line.close_port(ClosePort()))
            assert first.recv(10) == b""
            reader.open()
            reader.wait(lambda: reader.data == b"one\ntwo\n")
            assert len(reader.all(Opened)) == 2
    reader.wait_for(PortLost, 2)
    reader.close()


def test_who_connects_while_the_port_is_closed_waits() -> None:
    """The process listens on: nothing is refused between two openings."""
    port = free_port()
    reader = Reader(f"tcp-listen://127.0.0.1:{port}")
    reader.open()
    reader.take(reader.line.close_port(ClosePort()))
    with socket.create_connection(("127.0.0.1", port)) as device:
        device.sendall(b"hello")
        reader.open()
        reader.wait(lambda: reader.data == b"hello")
    reader.close()


def test_an_address_that_is_taken_is_told() -> None:
    """As why the port is not open."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        reader = Reader(f"tcp-listen://127.0.0.1:{other.getsockname()[1]}")
        reader.open()
        assert "nobody can listen there: Address already in use" in reader.wait_for(OpenFailed).reason
        reader.close()
