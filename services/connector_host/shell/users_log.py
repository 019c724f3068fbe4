"""What the connector logs and prints goes where our log goes, within bounds: a flood of it is shown in part."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from common.io.logs import TRACE, handler_of

PRINTED: Final = "print"
"""The logger under which printed lines stand."""
LONGEST_LINE: Final = 8_192
"""Characters that wait for the end of their line."""
SILENT: Final = logging.CRITICAL + 1
"""The level of a connector that is to log nothing."""


class PrintedLines:
    """A stream whose lines become log lines."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._partial = ""

    def write(self, text: str) -> int:
        whole, newline, rest = (self._partial + text).rpartition("\n")
        self._partial = rest[:LONGEST_LINE]
        if newline:
            for line in whole.split("\n"):
                self._logger.info("%s", line)
        return len(text)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        """The rest of a line waits on."""

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def take_users_logs(logger: logging.Logger, level: str) -> logging.Logger:
    """From now on every logger of the user's code writes as ours does, from `level` on; so does `print`. Returns the
    logger of what is said about that code."""
    root, ours = logging.getLogger(), handler_of(logger)
    if ours is not None:
        root.handlers[:] = [ours]
    root.setLevel(SILENT if level == "NONE" else TRACE if level == "TRACE" else level)
    sys.stdout = sys.stderr = PrintedLines(logging.getLogger(PRINTED))
    return logging.getLogger("connector")
