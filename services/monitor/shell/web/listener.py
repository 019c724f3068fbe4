"""One listening socket, served by uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

GRACE_S: Final = 1
"""What is being answered has so long."""
KEEP_S: Final = 30
"""A connection that asks nothing is kept for so long: a scraper comes each 15 s."""
MOST_CONNECTIONS: Final = 128
"""At a time; then new ones are answered 503. A browser has six a page."""
MOST_OPEN: Final = 2 * MOST_CONNECTIONS
"""Connections that are held at all; further ones are closed, so that whoever opens them takes no file from the rest of
the monitor."""


class Connection(H11Protocol):
    """One connection. One that asks nothing is not kept for ever, whether it has asked before or not: uvicorn looks at
    those only that have had an answer."""

    _look: asyncio.TimerHandle | None = None
    _seen: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has come."""
        super().connection_made(transport)
        if len(self.connections) > MOST_OPEN:
            transport.abort()
            return
        self._look = self.loop.call_later(KEEP_S, self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        """Closes it if nothing is being answered, and nothing has been since the last look."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is self._seen and (cycle is None or cycle.response_complete):
            self.transport.close()
            return
        self._seen = cycle
        self._look = self.loop.call_later(KEEP_S, self._look_again)


class Listener(uvicorn.Server):
    """Signals are the monitor's, and nothing has to be looked at ten times a second."""

    def __init__(self, app: ASGIApp, place: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Connection,
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
