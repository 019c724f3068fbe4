"""The monitor's HTTP: a second thread with a loop of its own, which reads one immutable snapshot.

It listens on a loopback address and on a Unix socket beside the others. Neither is worth the monitor: where an address
is taken, the log says so and the rest works.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.config.models import Web
from common.core.events import Note
from common.io.endpoints import Endpoints, socket_base
from common.io.logs import log_note
from common.io.private import write_private
from services.monitor.core.access import Access, Rules, names_of
from services.monitor.core.gateway.hiding import without_words
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.shell.web.keeping import Keeping
from services.monitor.shell.web.view import View

if TYPE_CHECKING:
    from services.monitor.shell.web.serving import Serving

SOCKET: Final = "web.sock"
"""In the folder of the sockets."""
FOLDER: Final = "web"
"""In the data directory: the tokens."""
TOKEN_BYTES: Final = 32
CLOSE_S: Final = 2.0
"""What is being answered has so long when the monitor ends."""
BACKLOG: Final = 64


class WebServer:
    """From the first `show` to `close`. Nothing of HTTP is loaded before, nor in the monitor's own thread."""

    def __init__(self, web: Web, config: Path, data_dir: Path, run_dir: Path, logger: logging.Logger) -> None:
        self._web = web
        self._config = config
        self._run_dir = run_dir
        self._logger = logger
        self._data_dir = data_dir
        self._view = View(data_dir)
        self._keeping = Keeping(self._view, data_dir, shows_frames=web.shows_frames) if web.is_on else None
        self._folder = data_dir / FOLDER
        self._thread: threading.Thread | None = None
        self._serving: Serving | None = None
        self._is_closed = False

    def show(self, snapshot: Snapshot) -> None:
        """This is what there is to be seen from now on. Raises nothing."""
        shown = snapshot if self._web.shows_frames else without_words(snapshot)
        if self._keeping is not None:
            self._keeping.take(shown)
        self._view.show(shown)
        if self._thread is None and self._web.is_on:
            self._thread = threading.Thread(target=self._run, name="web", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends it; waits a little for what is being answered."""
        self._is_closed = True
        if self._keeping is not None:
            self._keeping.close()
        if self._thread is None:
            return
        if self._serving is not None:
            self._serving.stop()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        # Here, not above: a monitor whose page is off is to be as small as it was.
        from services.monitor.shell.web.routes import Place
        from services.monitor.shell.web.serving import Serving

        try:
            private, public = self._listen_privately(), self._listen()
            found = [(place, place is private) for place in (private, public) if place is not None]
            link = "" if public is None else self._link
            endpoints, note = Endpoints(self._run_dir), partial(log_note, self._logger)
            place = Place(self._config, link, self._data_dir, endpoints, self._web.shows_frames, note)
            self._serving = Serving(self._view, Access(self._rules()), place)
            if not self._is_closed:
                self._serving.run(found)
        except Exception as error:  # noqa: BLE001 (the monitor goes on without its page)
            self._note("error", "web.failed", reason=f"{type(error).__name__}: {error}")

    @property
    def _link(self) -> str:
        """Where a browser on this machine finds the page."""
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._web.address, self._web.address)
        return f"http://{f'[{address}]' if ':' in address else address}:{self._web.port}/"

    def _rules(self) -> Rules:
        """Raises OSError where the tokens can't be kept."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        view, edit = (_token(self._folder / f"{role}.token") for role in ("view", "edit"))
        return Rules(view, edit, self._web.address, names_of(self._web.hosts), self._web.is_editable)

    def _listen_privately(self) -> socket.socket | None:
        path = os.path.join(socket_base(self._run_dir), SOCKET)
        try:
            (self._run_dir / SOCKET).unlink(missing_ok=True)
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            found.bind(path)
            (self._run_dir / SOCKET).chmod(0o600)
            found.listen(BACKLOG)
            return found
        except OSError as error:
            self._note("warning", "web.not_listening", at=SOCKET, reason=str(error))
            return None

    def _listen(self) -> socket.socket | None:
        at = f"{self._web.address}:{self._web.port}"
        try:
            places = socket.getaddrinfo(self._web.address, self._web.port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, place = places[0]
            found = socket.socket(family, kind, protocol)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(place)
            found.listen(BACKLOG)
        except OSError as error:
            why = f"{error}; web.port, or SERIALGW_WEB, names another one"
            self._note("warning", "web.not_listening", at=at, reason=why)
            return None
        self._note("info", "web.listening", at=at)
        return found

    def _note(self, level: str, event: str, **facts: str) -> None:
        log_note(self._logger, Note(level, event, facts))  # type: ignore[arg-type]


def _token(path: Path) -> str:
    """The token in a file, which is made where there is none. Raises OSError."""
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = secrets.token_urlsafe(TOKEN_BYTES)
        write_private(path, found + "\n")
    return found
