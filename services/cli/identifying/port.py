"""A port that is listened to, and asked, for a moment; nothing of it is kept."""

from __future__ import annotations

import errno
import os
import select
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import serial

from common.config.active import ACTIVE_NAME, read_active
from common.config.ports import identity_of
from common.config.profiles import settings_of
from common.core.errors import LinkError
from common.io.client import Client
from services.cli.commands.ports import PTS_MAJORS

_READ_BYTES: Final = 4096
QUIET_S: Final = 0.25
"""A line that said something, and then nothing for so long, has come to an end of it: adapters hand over in batches of
a few hundredths of a second."""


class Port:
    """An open port. Use as a context manager."""

    def __init__(self, path: str) -> None:
        """Raises LinkError: it is not there, may not be opened, or somebody has it."""
        self.path = path
        try:
            self._serial = serial.Serial(path, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            raise LinkError(f"{path}: {_why(path, error)}") from None
        self._fd: int = self._serial.fileno()
        self._is_pseudo = os.major(os.fstat(self._fd).st_rdev) in PTS_MAJORS

    def set(self, setting: str) -> None:
        """Changes the line to a setting such as `9600 8N1`, and forgets what came before. Raises LinkError for one that
        the adapter does not know."""
        for key, value in settings_of(setting).items():
            try:
                setattr(self._serial, key, value)
            except (OSError, ValueError, termios.error) as error:
                # A pseudo-terminal has no bits on a wire, and says so.
                if not self._is_pseudo:
                    raise LinkError(f"{self.path}: {setting}: {error}") from None
        termios.tcflush(self._fd, termios.TCIFLUSH)

    def say(self, data: bytes) -> None:
        """Writes, and waits until it is out. Raises LinkError."""
        try:
            self._serial.write(data)
            self._serial.flush()
        except (OSError, termios.error) as error:
            raise LinkError(f"{self.path}: {error}") from None

    def hear(self, seconds: float) -> Iterator[bytes]:
        """What comes in this time, chunk by chunk; b"" each time that the line has fallen silent. Raises LinkError."""
        has_said = False
        for chunk in heard_at(self._fd, self.path, seconds):
            if chunk or has_said:
                yield chunk
            has_said = bool(chunk)
        yield b""

    def fileno(self) -> int:
        """The descriptor, for `heard_at`."""
        return self._fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._serial.close()


def heard_at(fd: int, name: str, seconds: float) -> Iterator[bytes]:
    """What comes on a descriptor in this time, chunk by chunk; b"" for each QUIET_S in which nothing does. Raises
    LinkError."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], min(left_s, QUIET_S))
        if not ready:
            yield b""
            continue
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            continue
        except OSError as error:
            raise LinkError(f"{name}: {error.strerror}") from None
        if not chunk:
            raise LinkError(f"{name}: hung up")
        yield chunk


def _why(path: str, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.EAGAIN, errno.EBUSY) or "lock" in str(error):
        return "another process has it; end that one first"
    if code == errno.EACCES:
        from common.io.port_access import access_to

        return f"permission denied: {access_to(path)[2]}"
    return os.strerror(code) if code else str(error)


def holder_of(path: str, data_dir: Path) -> str:
    """The device to which the running gateway of a data directory has given this port; "" for none. Two that read one
    line would each get a part of it."""
    active = read_active(data_dir / ACTIVE_NAME)
    devices = () if active is None else active.gateway.devices
    named = next((one.name for one in devices if identity_of(one.line.port) == identity_of(path)), "")
    if not named:
        return ""
    try:
        with Client(data_dir):
            return named
    except LinkError:
        return ""
