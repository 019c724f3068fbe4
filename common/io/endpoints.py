"""Where the broker's sockets are. Here, and not with the sockets, because who only names them needs no ZeroMQ."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from common.core.errors import LinkError
from common.io.private import find_folder, make_private

RUN: Final = "run"
PATH_LIMIT_BYTES: Final = 90
"""A Unix socket path ends at 107 bytes; the rest is for our file names."""
_FRAMES: Final = re.compile(r"frames\.[0-9a-f]{8}")


def socket_dir(data_dir: Path) -> Path:
    """The folder of a gateway's sockets, `run` below its data directory, for a process of the gateway: both are private
    and made when missing.

    Raises LinkError for a folder that somebody else may have had a hand in, OSError where none can be made.
    """
    place = data_dir.absolute() / RUN
    make_private(data_dir)
    make_private(place, close=True)
    return place


def find_socket_dir(data_dir: Path) -> Path:
    """Finds that folder for who only looks, whoever it belongs to. Makes nothing. Raises LinkError, OSError."""
    place = data_dir.absolute() / RUN
    find_folder(place)
    return place


def socket_base(directory: Path) -> str:
    """The folder as sockets are to name it in this process: where its path is too long for a Unix socket, by a
    descriptor that stays open. Raises OSError."""
    if is_short(directory):
        return str(directory)
    return f"/proc/self/fd/{os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}"


def is_short(directory: Path) -> bool:
    """True if sockets can be named by this path."""
    return len(os.fsencode(directory)) <= PATH_LIMIT_BYTES


def keep_folder_across_exec(directory: Path, number: int) -> None:
    """Opens the folder as this descriptor, which the program that we become inherits. Raises OSError."""
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if folder == number:
        os.set_inheritable(number, True)
        return
    os.dup2(folder, number, inheritable=True)
    os.close(folder)


class Endpoints:
    """The broker's endpoints in one socket directory. What a message calls an endpoint is a name, such as
    `frames.0123abcd`; `at` says where that is for this process."""

    def __init__(self, directory: Path) -> None:
        self._base = f"ipc://{socket_base(directory)}"

    def at(self, name: str) -> str:
        """The address of a converter's endpoint. Raises LinkError for what is no such name."""
        name = name.rpartition("/")[2]  # Brokers before version 0.2 say the whole path.
        if not _FRAMES.fullmatch(name):
            raise LinkError(f"found the endpoint {name!r}, expected frames. and 8 hexadecimal digits")
        return f"{self._base}/{name}"

    @property
    def frames_in(self) -> str:
        return f"{self._base}/frames.in"

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


def frames_name(tag: str) -> str:
    """The name of the endpoint from which one converter pulls; `tag` has 8 hexadecimal digits."""
    return f"frames.{tag}"
