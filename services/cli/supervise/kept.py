"""Runs inside supervisord: keeps what all processes have logged in two files, for `serialgw logs`.

When the newer file is full it takes the older one's place. So there is always at least one file's worth to look at, and
never more than two on the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.core.errors import LinkError
from common.io.kept_log import FOLDER, NAME, OLDER
from common.io.outlet import LogOutlet, Sink
from common.io.private import make_private

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of each of both files: a gateway that is well logs a few kilobytes a day, one whose ports come and go all the time
some hundred. Where somebody logs each frame it is the last quarter of an hour."""


class KeptFile:
    """The newer file, open for writing. It is opened anew after whatever went wrong with it."""

    def __init__(self, data_dir: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = data_dir / FOLDER
        self._most_bytes = most_bytes
        self._file = -1
        self._size = 0
        self._is_open = False
        """True if the last line that was written has no end yet."""
        self._is_cut = False
        """True if it never will have: the disk was full in the middle of it."""

    def put(self, data: bytes) -> int:
        """Writes; how much of it. Raises OSError, also for a folder that others could have made."""
        if self._file >= 0 and self._size and self._size + len(data) > self._most_bytes:
            self.close()
            os.replace(self._folder / NAME, self._folder / OLDER)
        if self._file < 0:
            self._open()
        try:
            if self._is_cut:
                self._size += os.write(self._file, b"\n")
                self._is_open = self._is_cut = False
            written = os.write(self._file, data)
        except OSError:
            self._is_cut = self._is_open
            self.close()
            raise
        self._size += written
        self._is_open = not data[:written].endswith(b"\n")
        return written

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        try:
            make_private(self._folder, close=True)
        except LinkError as error:
            raise OSError(errno.EPERM, str(error)) from None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(self._folder / NAME, flags, 0o600)
        self._size = os.fstat(self._file).st_size


def keep_lines(data_dir: Path, tell_dropped: Callable[[int], bytes]) -> LogOutlet:
    """An outlet into these files. What can't be written, as on a full disk, is left out, counted and told later by the
    line that `tell_dropped` makes."""
    return LogOutlet(Sink(KeptFile(data_dir).put), tell_dropped)
