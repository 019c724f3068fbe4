"""What the monitor does to the world: its sockets, and what it shows over HTTP. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from common.core.events import CommonEvent
from common.io.endpoints import Endpoints
from common.io.orders import send_order
from common.io.shell import Planes
from common.io.sources import Sources
from services.monitor.core.core import MonitorEffect, Show, Tell
from services.monitor.shell.web.server import WebServer


class MonitorShell:
    """Performs the effects of `MonitorCore`."""

    def __init__(
        self, endpoints: Endpoints, sources: Sources[CommonEvent], logger: logging.Logger, web: WebServer, sockets: Path
    ) -> None:
        self._sockets = sockets
        self._web = web
        self._planes = Planes(endpoints, sources, logger)
        self._planes.add_beats()
        self._planes.add_calls()

    def perform(self, effect: MonitorEffect) -> Iterable[CommonEvent]:
        """Carries out one effect; returns what follows from it at once."""
        if isinstance(effect, Show):
            self._web.show(effect.snapshot)
            return ()
        if isinstance(effect, Tell):
            # Where it can't be told, the next time comes.
            send_order(self._sockets, effect.order)
            return ()
        return self._planes.perform(effect)

    def close(self) -> None:
        """Closes all sockets at once: who still waits for an answer asks again."""
        self._planes.close(linger_ms=0)
        self._web.close()
