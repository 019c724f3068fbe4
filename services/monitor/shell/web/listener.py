"""One listening socket, served by uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

GRACE_S: Final = 1
"""What is being answered has so long."""
KEEP_S: Final = 30
"""A connection that asks nothing is kept for so long: a scraper comes each 15 s."""
MOST_CONNECTIONS: Final = 128
"""At a time; then new ones are answered 503. A browser has six a page."""


class Listener(uvicorn.Server):
    """Signals are the monitor's, and nothing has to be looked at ten times a second."""

    def __init__(self, app: ASGIApp, place: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_S,
                timeout_graceful_shutdown=GRACE_S,
                limit_concurrency=MOST_CONNECTIONS,
            )
        )
        self._place = place
        self._told = asyncio.Event()

    async def serve_until_told(self) -> None:
        """Serves; ends after `stop`."""
        await self.serve([self._place])

    def stop(self) -> None:
        """In the thread of its loop."""
        self._told.set()

    async def main_loop(self) -> None:
        """Waits for the end."""
        await self._told.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes none."""
        yield
