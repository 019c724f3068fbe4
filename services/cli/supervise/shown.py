"""What others see of a process that was forked and never became a new program: its command line and environment.

The kernel shows the bytes that an exec has put into the process's memory, and so those of whoever has forked it. They
are written over there: `ps` names the service, a gateway that was killed finds what is left of it, and no secret of the
parent's stands in a child's environment.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from common.io.variables import GATEWAY_VARIABLE, RELEASE_VARIABLE, TOP_VARIABLE

ROOM_BYTES: Final = 4_096
"""Kept free behind the command line of a process that forks others: a reader's has some 300, and a device's name may
have 255 characters of four bytes, each of which is spelled with twelve."""
ROOM_OPTION: Final = ("-X", f"serialgw_room={'.' * ROOM_BYTES}")
"""Arguments for Python that mean nothing to it, and have that room."""
TOLD_BY: Final = (GATEWAY_VARIABLE, TOP_VARIABLE, RELEASE_VARIABLE)
"""Variables by which processes of a gateway are found, from outside too."""
_ARGUMENTS_START: Final = 47
"""The place of `arg_start` among the numbers of /proc/PID/stat, from 0; three others follow (proc_pid_stat(5))."""


class Places(NamedTuple):
    """Where this process's command line and its environment stand in its memory, from one address up to another."""

    arguments: int
    arguments_end: int
    environ: int
    environ_end: int

    @property
    def are_sound(self) -> bool:
        """False where the kernel does not say them."""
        return 0 < self.arguments < self.arguments_end <= self.environ < self.environ_end


def find_places() -> Places:
    """Those of this process. Raises OSError where /proc is missing."""
    # The name, which may have blanks, stands in brackets.
    numbers = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first = _ARGUMENTS_START - 2
    return Places(*map(int, numbers[first : first + 4]))


def laid_out(words: Iterable[bytes], room: int) -> bytes:
    """The words, each with its end, as far as whole ones fit into `room` bytes, and nothing behind them."""
    found = bytearray()
    for word in words:
        if len(found) + len(word) + 1 <= room:
            found += word + b"\0"
    return bytes(found.ljust(room, b"\0"))


def show_command(places: Places, words: Iterable[str]) -> None:
    """From now on the kernel shows this command line, as far as whole words of it have room."""
    command = laid_out(map(_encoded, words), places.arguments_end - places.arguments)
    ctypes.memmove(places.arguments, command, len(command))


def show_environ(places: Places, environ: Mapping[str, str]) -> None:
    """From now on the kernel shows this environment, as far as whole variables have room: first those by which our
    processes are told, then the shortest."""
    ordered = sorted(environ.items(), key=lambda item: (item[0] not in TOLD_BY, len(item[0]) + len(item[1])))
    shown = laid_out((_encoded(f"{name}={value}") for name, value in ordered), places.environ_end - places.environ)
    ctypes.memmove(places.environ, shown, len(shown))


def _encoded(word: str) -> bytes:
    return word.encode(errors="surrogateescape")
