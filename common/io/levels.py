"""How much a process logs while it runs: `serialgw run` leaves the levels in a file, and tells who runs by a signal.

The file says all of them, and each process looks at its start, too: so it does not matter who has heard the signal.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from common.core.events import Note
from common.io.logs import handler_of, log_note, set_level
from common.io.private import write_private
from common.io.variables import TOP_VARIABLE

FILE: Final = "levels.json"
"""In the folder of the sockets: kind of process → its level."""
SIGNAL: Final = signal.SIGURG
"""Who has not taken it is not ended by it, as a process that is just starting."""


class LogLevels:
    """The level of one process, by that file."""

    def __init__(self, sockets: Path, logger: logging.Logger, environ: Mapping[str, str] = os.environ) -> None:
        """The level of `logger` changes, and of nothing that users' code logs by loggers of its own. A process that was
        started by hand keeps the level that it was given there."""
        self._path = sockets / FILE
        self._logger = logger
        self._is_told = TOP_VARIABLE in environ

    def look(self) -> None:
        """Takes the level that the file says. Raises nothing: a file that can't be read says nothing."""
        handler = handler_of(self._logger)
        if not self._is_told or handler is None:
            return
        try:
            level = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str]).get(handler.process.split(":")[0])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return
        if level is not None and set_level(self._logger, level):
            log_note(self._logger, Note("info", "log.level", {"level": level}))


def write_levels(sockets: Path, levels: Mapping[str, str]) -> None:
    """Writes down which kind of process logs how much. Raises OSError."""
    write_private(sockets / FILE, msgspec.json.encode(dict(levels)).decode())
