"""A line whose serial port is another machine's, behind a server of RFC 2217; loaded only where one is named."""

from __future__ import annotations

import math
import os
import socket

import msgspec

from common.config.models import Line
from common.core.errors import LinkError
from common.io.clock import monotonic_s
from services.port_reader.core.port import byte_seconds
from services.port_reader.core.rfc2217 import Rfc2217
from services.port_reader.shell.serial_line import SerialLine


class RemoteLine(SerialLine):
    """The same as a line here, but for what is done on the way there and back.

    Nothing tells when the server has sent its last byte, and a change of speed in the middle of a write would spoil it.
    So a write counts as on its way for as long as the line needs for it.
    """

    is_remote = True

    def __init__(self, connection: socket.socket, line: Line) -> None:
        super().__init__(connection.fileno(), None, connection)
        self._protocol = Rfc2217(line)
        self._settings = line
        self._byte_s = byte_seconds(line)
        self._controls = b""
        """What is said to the server, as far as it has not gone."""
        self._whole = b""
        self._payload = b""
        self._out_s = 0.0
        """When the line has sent all that was written."""

    @property
    def is_ready(self) -> bool:
        """True once the server has applied the settings."""
        return self._protocol.is_ready

    def finish_connecting(self) -> None:
        super().finish_connecting()
        self._send_controls()

    def negotiate(self) -> None:
        """Goes on with making the port there ready. Raises LinkError if that can't be."""
        self._payload += self._read_payload()
        if self._protocol.fault:
            raise LinkError(self._protocol.fault)

    def read(self) -> bytes:
        payload, self._payload = self._payload, b""
        return payload or self._read_payload()

    def _read_payload(self) -> bytes:
        payload = self._protocol.receive(super().read())
        self.errors = self._protocol.take_errors()
        self._send_controls()
        return payload

    def look_for_answer(self) -> None:
        """An answer shows that the write is out, whatever the time says: the server may have another speed than it was
        told. What else the device says by itself ends the wait too early, and costs nothing but that."""
        if self._unwritten:
            return
        try:
            self._payload += self._read_payload()
        except LinkError:
            # The next read says so.
            return
        if self._payload:
            self._out_s = 0.0

    def take_refused(self) -> list[str]:
        return self._protocol.take_refused()

    def begin_write(self, data: bytes) -> None:
        self._whole = self._protocol.escaped(data)
        super().begin_write(self._whole)
        self._out_s = max(self._out_s, monotonic_s()) + len(data) * self._byte_s

    def write_more(self) -> tuple[int, int]:
        self._send_controls()
        if self._controls or self._protocol.is_suspended:
            unwritten = len(self._unwritten)
            return (unwritten if self._controls else 0), unwritten + self._queued_bytes()
        return super().write_more()

    def cancel_write(self) -> None:
        """Throws away what has not left, but for the second half of an escape whose first has."""
        sent = self._whole[: len(self._whole) - len(self._unwritten)]
        is_half = (len(sent) - len(sent.rstrip(b"\xff"))) % 2
        super().cancel_write()
        self._protocol.purge_output()
        self._controls = b"\xff" * is_half + self._controls
        self._whole, self._out_s = b"", 0.0
        try:
            self._send_controls()
        except LinkError:
            # What comes next shows it.
            pass

    def adjust(self, baudrate: int | None, dtr: bool | None, rts: bool | None) -> None:
        self._protocol.adjust(baudrate, dtr, rts)
        if baudrate is not None:
            self._byte_s = byte_seconds(msgspec.structs.replace(self._settings, baudrate=baudrate))
        self._send_controls()

    def apply(self, line: Line) -> None:
        """Only the speed: all else is agreed upon when the connection is made."""
        self._settings = line
        self.adjust(line.baudrate, None, None)

    def _send_controls(self) -> None:
        """Sends what is to be said to the server, but never inside a write."""
        if self._unwritten and len(self._unwritten) < len(self._whole):
            return
        self._controls += self._protocol.take_output()
        try:
            if self._controls:
                self._controls = self._controls[os.write(self.fd, self._controls) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise LinkError(os.strerror(error.errno or 0)) from None

    def _queued_bytes(self) -> int:
        return max(0, math.ceil((self._out_s - monotonic_s()) / self._byte_s))
