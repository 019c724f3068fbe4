"""What the monitor does to the world: its sockets, and nothing else. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from common.core.events import CommonEffect, CommonEvent
from common.io.endpoints import Endpoints
from common.io.shell import Planes
from common.io.sources import Sources


class MonitorShell:
    """Performs the effects of `MonitorCore`, which orders none but those that every core may order."""

    def __init__(self, endpoints: Endpoints, sources: Sources[CommonEvent], logger: logging.Logger) -> None:
        self._planes = Planes(endpoints, sources, logger)
        self._planes.add_beats()
        self._planes.add_calls()

    def perform(self, effect: CommonEffect) -> Iterable[CommonEvent]:
        """Carries out one effect; returns what follows from it at once."""
        return self._planes.perform(effect)

    def close(self) -> None:
        """Closes all sockets at once: who still waits for an answer asks again."""
        self._planes.close(linger_ms=0)
