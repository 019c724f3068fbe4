"""Runs inside supervisord: hands on what all processes log to the publisher, while it wants to tell the platform."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from common.io.orders import LOGS_PIPE

PIPE_BYTES: Final = 4_096
"""What a pipe takes whole or not at all (PIPE_BUF); what comes at once is cut behind a line."""


class PublisherLines:
    """The writing end of the publisher's pipe. No method waits, and none raises: what it does not take is left out."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOGS_PIPE
        self._pipe = -1
        self.left_out = 0
        """Pieces that the publisher has not taken."""

    def open(self) -> None:
        """Looks whether the publisher wants to hear, or still does. To be called when it says so, and now and then."""
        self.close()
        try:
            self._pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            pass  # It does not.

    def close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def put(self, lines: bytes) -> None:
        """One or more whole lines."""
        while self._pipe >= 0 and lines:
            end = len(lines)
            if end > PIPE_BYTES:
                # A line that is longer than all that goes its way in pieces.
                end = lines.rfind(b"\n", 0, PIPE_BYTES) + 1 or PIPE_BYTES
            try:
                os.write(self._pipe, lines[:end])
            except BlockingIOError:
                self.left_out += 1
                return
            except OSError:
                self.close()
            lines = lines[end:]
