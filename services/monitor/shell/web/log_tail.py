"""What is logged, as far as `serialgw run` keeps it: the end of a file that grows, and is exchanged when it is full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.io.kept_log import FOLDER, NAME, OLDER

HISTORY_BYTES: Final = 1024 * 1024
"""Of what was logged before we came so much is read, a few thousand lines: a start is not to wait for more."""
MOST_BYTES: Final = 256 * 1024
"""Read at once; more is read the next time."""


class LogTail:
    """Lines of the kept log. Where none is kept, as in containers, there are none."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER
        self._file = -1
        self._inode = 0
        self._partial = b""

    def history(self) -> list[str]:
        """What was logged before, oldest first; `read` goes on from there. Raises nothing."""
        self._open()
        newer = self._take(HISTORY_BYTES, from_end=True)
        older = b""
        if len(newer) < HISTORY_BYTES:
            older = _end_of(self._folder / OLDER, HISTORY_BYTES - len(newer))
        return self._lines(older + newer)

    def read(self) -> list[str]:
        """Whole lines that have come since. Raises nothing."""
        if self._file < 0:
            self._open()
        data = self._take(MOST_BYTES)
        if len(data) < MOST_BYTES and self._is_exchanged():
            # What was written between that look and the exchange comes first.
            data += self._take(MOST_BYTES)
            self.close()
            self._open()
        return self._lines(data) if data else []

    def close(self) -> None:
        """Reads no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        try:
            self._file = os.open(self._folder / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            self._inode = os.fstat(self._file).st_ino
        except OSError:
            self._file = -1

    def _take(self, most: int, *, from_end: bool = False) -> bytes:
        if self._file < 0:
            return b""
        try:
            if from_end:
                os.lseek(self._file, max(0, os.fstat(self._file).st_size - most), os.SEEK_SET)
            return os.read(self._file, most)
        except OSError:
            return b""

    def _is_exchanged(self) -> bool:
        try:
            return self._file >= 0 and os.stat(self._folder / NAME).st_ino != self._inode
        except OSError:
            return False

    def _lines(self, data: bytes) -> list[str]:
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[-MOST_BYTES:]
        return [line.decode("utf-8", "backslashreplace") for line in lines]


def _end_of(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read(most)
    except OSError:
        return b""
