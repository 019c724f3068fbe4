"""Runs inside supervisord: a process that has ended with 78, for what it needs is not right, comes back when it may be.

supervisord starts it again only when it is told to: at once would be of no use, and never would be for good.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.cli.supervise.supervisord import Process

AGAIN_S: Final = 30.0
"""What it needs may be more than the files that we look at, such as a certificate."""
_Stamp = tuple[int, int, int]


class Revival:
    """Knows who waits for a better configuration. `check` is to be called every five seconds."""

    def __init__(self, files: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """`files`: those of the configuration; a change of any is a reason to try again at once."""
        self._files = tuple(files)
        self._clock = clock
        self._waiting: list[tuple[Process, float, tuple[_Stamp, ...]]] = []
        """(process, when it ended, the files then)."""
        self._is_stopped = False

    def wait(self, process: Process) -> None:
        """A process has ended with 78."""
        if self._is_stopped:
            return
        self._waiting.append((process, self._clock(), self._stamps()))

    def check(self) -> None:
        """Starts who may be right by now."""
        waiting, self._waiting = self._waiting, []
        now_s, stamps = self._clock(), self._stamps() if waiting else ()
        for process, since_s, seen in waiting:
            if process.pid:
                continue  # Somebody has started it.
            if now_s >= since_s + AGAIN_S or stamps != seen:
                process.spawn()
            else:
                self._waiting.append((process, since_s, seen))

    def stop(self) -> None:
        """Nobody comes back: the gateway was told to stop, and who is started now would hold that up."""
        self._is_stopped = True
        self._waiting.clear()

    def _stamps(self) -> tuple[_Stamp, ...]:
        return tuple(map(_stamp, self._files))


def _stamp(file: str) -> _Stamp:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino
