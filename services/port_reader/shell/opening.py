"""Opens a line, whatever its port is."""

from __future__ import annotations

import os

from common.config.models import Line
from common.core.errors import LinkError
from services.port_reader.shell.serial_line import (
    RFC2217_SCHEME,
    SOCKET_SCHEME,
    USB_SCHEME,
    SerialLine,
    begin_connecting,
    open_adapter,
    open_path,
)


def open_line(line: Line) -> SerialLine:
    """Opens the line's port, or begins to connect (`is_connecting`). Raises LinkError with the reason."""
    if line.port.startswith(SOCKET_SCHEME):
        connection = begin_connecting(line.port)
        return SerialLine(connection.fileno(), None, connection)
    if line.port.startswith(RFC2217_SCHEME):
        # Here: who has no such port needs none of it, and a port reader keeps what it has loaded.
        from services.port_reader.shell.remote_line import RemoteLine

        return RemoteLine(begin_connecting(line.port), line)
    if line.port.startswith(USB_SCHEME):
        return open_adapter(line)
    if not os.path.exists(line.port):
        raise LinkError("no such port")
    return open_path(line, line.port)
