"""A file lock that proves that there is only one; released by the kernel however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from common.core.errors import LinkError


class FileLock:
    """Holds an exclusive flock on a file, from its making until `release`.

    Our pid stands in the file, so that whoever is refused can be told who holds it. The file itself stays when the lock
    is given back: removed, it could be locked by one process under its old and by another under its new inode.
    """

    def __init__(self, path: Path) -> None:
        """Raises LinkError with the holder's pid where another process holds it, OSError where no file can be made."""
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").partition("\n")[0] or "unknown"
            os.close(self._fd)
            raise LinkError(f"{path} is held by the process with pid {holder}") from None
        # Written over, not emptied first: who is refused at this moment still reads a whole first line.
        try:
            os.ftruncate(self._fd, os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0))
        except OSError:
            pass  # The disk is full. The lock holds all the same; only its holder's name is missing.

    @property
    def descriptor(self) -> int:
        """What holds the lock: so does a child that has it too."""
        return self._fd

    def keep_across_exec(self, number: int) -> None:
        """Moves the lock to this descriptor number, which the program that we become inherits and thereby holds."""
        if self._fd == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(self._fd, number, inheritable=True)

    def release(self) -> None:
        """Gives the lock back; the file stays."""
        os.close(self._fd)
