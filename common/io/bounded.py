"""A search in bounded time: a regular expression of a configuration may take for ever on what some device says.

Python's engine takes no limit of its own, but it looks for signals while it works, and a handler may raise. The timer
counts this process's own processor time, so that a machine that is busy elsewhere cuts no honest search short.
"""

from __future__ import annotations

import re
import signal
from typing import Any, Final

LIMIT_S: Final = 0.1
"""Processor time for one search: a thousand times what an honest pattern takes on a frame."""


class _OverError(Exception):
    """The time is over."""


class BoundedSearch:
    """Looks for patterns, as long as LIMIT_S. The engine looks for signals while it works, so a timer can stop it. One
    for a process, made in its main thread."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._is_searching = False
        signal.signal(signal.SIGPROF, self._stop)

    def __call__(self, pattern: re.Pattern[bytes], data: bytes) -> bool | None:
        """Whether the pattern is found in the data; None if that was not known in time."""
        signal.setitimer(signal.ITIMER_PROF, self._limit_s)
        try:
            try:
                self._is_searching = True
                return pattern.search(data) is not None
            finally:
                self._is_searching = False
        except _OverError:
            self._is_searching = False
            return None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _stop(self, *_: Any) -> None:
        # The signal may come when the search is over already, and must not end what follows it.
        if self._is_searching:
            raise _OverError
