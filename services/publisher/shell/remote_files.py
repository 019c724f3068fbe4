"""What the publisher shares with `serialgw run`, which looks after the processes: pipes beside the sockets, and files.

`remote/` in the data directory has what the platform wants configured (`request-N.json`, oldest first, until somebody
has looked at it) and `configured.json`, which says what is configured.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from common.config.overlay import CONFIGURED_NAME, REMOTE_DIR, requests_in
from common.io.clock import wall_ms
from common.io.orders import LOGS_PIPE, send_order
from common.io.private import write_private
from common.io.sources import Sources
from services.publisher.core.events import ConfiguredRead, Event, LogLines

MOST_REQUESTS: Final = 16
"""Requests that wait; a further one is refused. One is looked at within seconds."""
MOST_CONFIGURED_BYTES: Final = 16 * 1024 * 1024
"""As much as a configuration may have."""
READ_BYTES: Final = 65_536


class RemoteFiles:
    """Orders, requests and log lines. No method waits, and none raises."""

    def __init__(self, sockets: Path, data_dir: Path, sources: Sources[Event]) -> None:
        self._sockets = sockets
        self._folder = data_dir / REMOTE_DIR
        self._sources = sources
        self._logs = -1
        self._partial = b""

    def ask(self, order: str) -> str:
        """Gives an order to `serialgw run`; "" or why it could not be given."""
        return send_order(self._sockets, order)

    def keep(self, content: bytes) -> str:
        """Writes a request down and has it looked at; "" or why nobody will."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            waiting = requests_in(self._folder)
            if len(waiting) >= MOST_REQUESTS:
                return f"{MOST_REQUESTS} earlier ones were not looked at yet"
            number = int(waiting[-1].stem.partition("-")[2]) + 1 if waiting else 1
            path = self._folder / f"request-{number:06d}.json"
            write_private(path, content.decode(), flush=True)
        except (OSError, ValueError) as error:
            return f"it could not be written down: {error}"
        if why := send_order(self._sockets, "configure"):
            path.unlink(missing_ok=True)
        return why

    def read(self) -> ConfiguredRead:
        """What is configured, as far as anybody has written it down."""
        try:
            with (self._folder / CONFIGURED_NAME).open("rb") as file:
                content = file.read(MOST_CONFIGURED_BYTES + 1)
        except OSError:
            content = b""
        return ConfiguredRead(content if len(content) <= MOST_CONFIGURED_BYTES else b"")

    def hear_logs(self, is_wanted: bool) -> None:
        """Hears what all processes log, from now on or no more. Where the pipe can't be made, nothing is heard."""
        if self._logs >= 0:
            self._sources.remove_reader(self._logs)
            os.close(self._logs)
            self._logs, self._partial = -1, b""
        if not is_wanted:
            return
        path = self._sockets / LOGS_PIPE
        try:
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
            # For writing too, so that it never ends when nobody else has it open.
            self._logs = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        self._sources.add_reader(self._logs, self._take_lines)
        send_order(self._sockets, "logs")

    def _take_lines(self) -> Iterable[LogLines]:
        try:
            data = self._partial + os.read(self._logs, READ_BYTES)
        except OSError:
            return ()
        whole, newline, rest = data.rpartition(b"\n")
        self._partial = rest[-READ_BYTES:]
        return (LogLines(whole, wall_ms()),) if newline else ()
