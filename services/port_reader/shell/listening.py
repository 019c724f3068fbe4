"""The place where a device connects that is a TCP client itself; loaded only where such a port is named."""

from __future__ import annotations

import os
import socket
from typing import Final
from urllib.parse import urlsplit

from common.core.errors import LinkError
from services.port_reader.shell.serial_line import SerialLine, tell_of_pulled_cables

BACKLOG: Final = 1
"""Connections that the kernel keeps until the one before is done with: there is one device."""


class Listener:
    """Listens as long as its process runs, also while the port is closed: a device that connects then has to wait for
    the next opening only. The newest connection wins."""

    def __init__(self, url: str) -> None:
        """Raises LinkError with the reason if nobody can listen there."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, parts.port or 0), family=family, backlog=BACKLOG)
        except OSError as error:
            raise LinkError(f"nobody can listen there: {os.strerror(error.errno or 0)}") from None
        self._socket.setblocking(False)
        self._next: socket.socket | None = None
        self.fd = self._socket.fileno()

    def has_another(self) -> bool:
        """True if a device has connected, whom `take` gives next; one that waited for that is hung up."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            # Nobody, or one that has gone already.
            return self._next is not None
        if self._next is not None:
            self._next.close()
        self._next = connection
        return True

    def take(self) -> SerialLine | None:
        """The line to the device that has connected last; None if none has."""
        if not self.has_another() or self._next is None:
            return None
        connection, self._next = self._next, None
        connection.setblocking(False)
        tell_of_pulled_cables(connection)
        line = SerialLine(connection.fileno(), None, connection)
        line.is_connecting = False
        return line
