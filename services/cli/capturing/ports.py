"""A port that is opened to be recorded: it is listened to, and nothing is ever written to it."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from common.config.models import Device, Line
from common.config.ports import identity_of, port_fault
from common.config.profile_devices import find_profile
from common.config.profiles import settings_of
from common.config.reading import read_gateway
from common.core.errors import LinkError
from services.cli.captures.form import Chunk
from services.cli.identifying.port import Port, heard_at
from services.cli.usage import UsageError

SETTING: Final = "9600 8N1"
"""What counts where nothing is said, as for a device of the configuration."""
CONNECT_S: Final = 5.0
"""A device server that is there takes a connection at once."""
SOCKET: Final = "socket://"


def setting_of(line: Line) -> str:
    """A line's speed and format as one text."""
    return f"{line.baudrate} {line.bytesize}{line.parity}{line.stopbits:g}"


def configured_setting(port: str, config: str, environ: Mapping[str, str]) -> str:
    """The setting of the device that a configuration has at this port. Raises ConfigError, UsageError."""
    devices = read_gateway(config, environ).gateway.devices
    found = next((one for one in devices if identity_of(one.line.port) == identity_of(port)), None)
    if found is None:
        raise UsageError(f"found no device at {port} in {config}; there is: {_ports_of(devices)}")
    return setting_of(found.line)


def _ports_of(devices: tuple[Device, ...]) -> str:
    return ", ".join(f"{device.name} at {device.line.port}" for device in devices) or "none"


def profile_setting(name: str) -> str:
    """The usual setting of a profile's devices. Raises ConfigError."""
    return find_profile(name, Path()).formats[0]


class PortSource:
    """A port of this machine, or a TCP connection to one."""

    missed = 0
    """Nothing is missed that the kernel has kept."""
    begun_ms: int | None = None

    def __init__(self, name: str, path: str, setting: str) -> None:
        """`path`: what is opened for the port `name`. Raises UsageError for one that can't be recorded."""
        if fault := port_fault(path):
            raise UsageError(f"found {name}{fault}")
        if "://" in path and not path.startswith(SOCKET):
            raise UsageError(
                f"found {name}, expected a port of this machine or socket://HOST:PORT; configure a device with this "
                "port, and record it by the device's name"
            )
        try:
            settings_of(setting)
        except ValueError as error:
            raise UsageError(f"--setting: {error}") from None
        self._path = path
        self._setting = setting
        self.name = name if path.startswith(SOCKET) else f"{name}, {setting}"

    def hear(self) -> Iterator[Chunk | None]:
        """What comes, with seconds since this was called; None now and then while nothing does. Raises LinkError."""
        if self._path.startswith(SOCKET):
            with closing(_connected(self._path)) as connection:
                yield from _timed(connection.fileno(), self._path)
            return
        with Port(self._path) as port:
            port.set(self._setting)
            yield from _timed(port.fileno(), self._path)


def _timed(fd: int, name: str) -> Iterator[Chunk | None]:
    begun_s = time.monotonic()
    # Whoever records wants to know that it has begun.
    yield None
    for data in heard_at(fd, name, math.inf):
        yield Chunk(time.monotonic() - begun_s, False, data) if data else None


def _connected(url: str) -> socket.socket:
    """A connection to `socket://HOST:PORT`. Raises LinkError."""
    parts = urlsplit(url)
    try:
        connection = socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_S)
    except OSError as error:
        raise LinkError(f"{url}: {error.strerror or os.strerror(error.errno) if error.errno else error}") from None
    connection.setblocking(False)
    return connection
