"""Whether the files are others than those that were taken: looked at cheaply, as it is asked each second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.config.taken import TAKEN_NAME, Taken, read_taken

LOOK_S: Final = 10.0
"""Between two looks at the users' files: one `stat` each, and they are read only where that says something new."""
RECORD_S: Final = 1.0
"""Between two looks at the record: what was applied is to be seen at once."""

Stamp = tuple[int, int, int]


class Pending:
    """For one thread."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._taken = Taken()
        self._is_pending = False
        self._record: Stamp | None = None
        self._stamps: dict[str, Stamp] = {}
        self._record_s = self._files_s = float("-inf")

    def look(self, now_s: float) -> tuple[Taken, bool]:
        """(how they were taken last, whether they are others by now)."""
        if now_s >= self._record_s + RECORD_S:
            self._record_s = now_s
            record = _stamp(str(self._data_dir / TAKEN_NAME))
            if record != self._record:
                self._record, self._taken = record, read_taken(self._data_dir)
                self._files_s, self._stamps = float("-inf"), {}
        if now_s >= self._files_s + LOOK_S:
            self._files_s = now_s
            stamps = {path: _stamp(path) for path in self._taken.files}
            if stamps != self._stamps:
                self._stamps, self._is_pending = stamps, self._taken.is_pending
            elif not stamps:
                self._is_pending = False
        return self._taken, self._is_pending

    def hurry(self) -> None:
        """Somebody has just written them: the next look is not put off."""
        self._record_s = self._files_s = float("-inf")


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
