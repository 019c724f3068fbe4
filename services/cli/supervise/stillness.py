"""When files that were changed hold still: an editor writes in halves, and two files make one change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.config.taken import read_taken

HOLD_STILL_S: Final = 2.0
"""After the last change. Shorter, and a change of two files is taken in halves; longer, and a person wonders."""
LOOK_S: Final = 0.5

Stamps = dict[str, tuple[int, int, int]]
"""Path → what of a file is another one when it was written: inode, size, time."""


def stamps_of(data_dir: Path) -> Stamps:
    """Of the files that were taken last."""
    return {path: _stamp(path) for path in read_taken(data_dir).files}


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


class Stillness:
    """Watches stamps; pure."""

    def __init__(self, stamps: Stamps, *, is_due: bool) -> None:
        """`is_due`: they are others already than those that were taken."""
        self._stamps = stamps
        self._is_due = is_due
        self._since_s: float | None = None

    def look(self, stamps: Stamps, now_s: float) -> bool:
        """True once after each change, when nothing has changed any more for HOLD_STILL_S. A file that is watched only
        since the last look is no change: it was read when it came."""
        common = stamps.keys() & self._stamps.keys()
        if any(stamps[path] != self._stamps[path] for path in common):
            self._is_due, self._since_s = True, now_s
        elif self._since_s is None:
            self._since_s = now_s
        self._stamps = stamps
        if not self._is_due or now_s < self._since_s + HOLD_STILL_S:
            return False
        self._is_due = False
        return True
