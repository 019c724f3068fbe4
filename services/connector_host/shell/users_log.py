"""What the connector logs and prints goes where our log goes, within bounds: a flood of it is shown in part."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

from common.io.logs import TRACE, LogHandler, handler_of
from common.io.outlet import LineStream

PRINTED: Final = "print"
"""The logger under which printed lines stand."""
SILENT: Final = logging.CRITICAL + 1
"""The level of a connector that is to log nothing."""


class PrintedLines(LineStream):
    """A stream whose lines become log lines."""

    LONGEST = 8_192

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` takes each line."""
        super().__init__()
        self._tell = tell

    def tell_lines(self, whole: str) -> None:
        for line in whole.removesuffix("\n").split("\n"):
            self._tell(line)


def take_users_logs(logger: logging.Logger, level: str) -> None:
    """From now on every logger of the user's code writes as ours does, from `level` on; so does `print`."""
    root, ours = logging.getLogger(), handler_of(logger)
    number = SILENT if level == "NONE" else TRACE if level == "TRACE" else logging.getLevelName(level)
    root.setLevel(number)
    if ours is None:
        return
    root.handlers[:] = [ours]
    sys.stdout = sys.stderr = PrintedLines(_printing(ours, number))


def _printing(handler: LogHandler, level: int) -> Callable[[str], None]:
    """What takes printed lines. They pass no logger: those are the user's, and may have handlers that print."""

    def tell(line: str) -> None:
        if level <= logging.INFO:
            handler.handle(logging.LogRecord(PRINTED, logging.INFO, "", 0, "%s", (line,), None))

    return tell
