"""Ends a host when users' code doesn't come back, even while it holds the interpreter's lock."""

from __future__ import annotations

import faulthandler
import sys
from types import TracebackType
from typing import Final

LIMIT_S: Final = 10.0
"""How long one order may take, of frames a slice; the converter ends a host 2 s later that is still at it."""


class Watchdog:
    """`with watchdog:` around users' code: past the limit the tracebacks of all threads go to standard error, and the
    process exits with code 1. A thread in C does both, so it needs nothing of the interpreter."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s

    def __enter__(self) -> None:
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=sys.__stderr__ or sys.stderr)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.cancel_dump_traceback_later()
