"""Where the broker's sockets are. Here, and not with the sockets, because who only names them needs no ZeroMQ."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.errors import LinkError
from common.hashes import short_hash

PATH_LIMIT_BYTES: Final = 90
"""A Unix socket path ends at 107 bytes; the rest is for our file names."""


def socket_dir(data_dir: Path) -> Path:
    """The directory of the ipc sockets of a data directory, mode 0700: `run` below it, or, where that path is too
    long for a Unix socket, one in /tmp named after it. Created when missing.

    Raises LinkError if the directory belongs to somebody else.
    """
    place = data_dir.resolve() / "run"
    if len(os.fsencode(place)) > PATH_LIMIT_BYTES:
        place = Path("/tmp") / f"serialgw-{os.getuid()}-{short_hash(os.fsencode(place), 16)}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    stat = place.stat()
    if stat.st_uid != os.getuid() and os.getuid() != 0:
        raise LinkError(f"{place} belongs to user id {stat.st_uid}, expected {os.getuid()}")
    if stat.st_mode & 0o077:
        place.chmod(0o700)
    return place


class Endpoints:
    """Names of the broker's endpoints in one socket directory."""

    def __init__(self, directory: Path) -> None:
        self._base = f"ipc://{directory}"

    @property
    def frames_in(self) -> str:
        return f"{self._base}/frames.in"

    def frames_out(self, converter: str) -> str:
        """The endpoint from which one converter pulls."""
        return f"{self._base}/frames.{converter}"

    @property
    def readings_in(self) -> str:
        return f"{self._base}/readings.in"

    @property
    def readings_out(self) -> str:
        return f"{self._base}/readings.out"

    @property
    def calls(self) -> str:
        return f"{self._base}/calls"

    @property
    def events_in(self) -> str:
        """The broker's XSUB: everyone's PUB connects."""
        return f"{self._base}/events.in"

    @property
    def events_out(self) -> str:
        """The broker's XPUB: everyone's SUB connects."""
        return f"{self._base}/events.out"
