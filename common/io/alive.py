"""A file whose age says that a process goes round: what a health check can look at without a Python of its own.

Whoever `serialgw run` looks after shows itself by its pulse instead. A process that something else has started (a
container, a unit, a person) touches `run/alive/KIND-NAME`, or the file that SERIALGW_ALIVE_FILE names: in a container
that is one in memory, and the same for each process, whatever its name is. The check is one line for a shell:

    test $(( $(date +%s) - $(stat -c %Y FILE || echo 0) )) -lt 20
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.io.variables import ALIVE_VARIABLE, TOP_VARIABLE

FOLDER: Final = "alive"
"""In the folder of the sockets."""
EVERY_S: Final = 5.0
"""Seconds between two touches at least. Each is a write to the disk in the end, which a flash card should not see each
second; a process that has nothing to do goes round every ten."""
OLD_S: Final = 20
"""A file that is older says that its process stands still."""
LONGEST_NAME: Final = 200
"""Characters of a file's name; longer ones end with a digest."""


def alive_path(sockets: Path, address: str, environ: Mapping[str, str]) -> Path | None:
    """The file of the process of this address; None where `serialgw run` looks after it. Makes nothing."""
    if TOP_VARIABLE in environ:
        return None
    if named := environ.get(ALIVE_VARIABLE):
        return Path(named)
    return sockets / FOLDER / file_name(address)


def file_name(address: str) -> str:
    """`port_reader:press1` as the name of a file: `port_reader-press1`."""
    # Here, because a process below `serialgw run` needs none of this.
    from urllib.parse import quote

    from common.core.hashes import short_hash

    kind, _, name = address.partition(":")
    whole = f"{kind}-{quote(name, safe='')}"
    return whole if len(whole) <= LONGEST_NAME else f"{whole[: LONGEST_NAME - 9]}-{short_hash(address.encode(), 8)}"


class AliveFile:
    """The file of this process. No method raises: where it can't be written, it is old, and says so itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next_s = float("-inf")

    def touch(self, now_s: float) -> None:
        """The process has gone round once more. Costs a comparison, and every EVERY_S a system call."""
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self._make()
        except OSError:
            pass

    def remove(self) -> None:
        """The process ends in order: nobody has to wait until the file is old."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass

    def _make(self) -> None:
        try:
            if self._path.parent.name == FOLDER:
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError:
            pass
