"""What the HTTP server says of its callers, within bounds: whoever sends junk all day fills no log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

NAME: Final = "uvicorn.error"
"""The logger by which the server says that a request is none."""
APART_S: Final = 60.0
"""One line of a kind in so long; all of them are counted."""
MOST_KINDS: Final = 32
"""Sentences of the server that are told apart; it has a dozen."""


class OneLineAMinute(logging.Filter):
    """Lets the first line of each kind through, and then one a minute, with how many there have been."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that is only counted."""
        kind = str(record.msg)
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            kind = ""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        now_s = self._clock()
        if now_s - self._said_s.get(kind, float("-inf")) < APART_S:
            return False
        self._said_s[kind] = now_s
        record.msg, record.args = f"{record.getMessage()} ({count} since the start)", ()
        return True
