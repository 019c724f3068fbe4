"""How the web's loop hears that there is a new snapshot."""

from __future__ import annotations

import asyncio

from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.shell.web.view import View


class News:
    """Wakes all who wait, in the web's loop, when the monitor's thread has shown something new."""

    def __init__(self, view: View, loop: asyncio.AbstractEventLoop) -> None:
        self._view = view
        self._loop = loop
        self._next = asyncio.Event()
        self._over = asyncio.Event()
        view.tell = self._hear

    def _hear(self) -> None:
        """In the monitor's thread."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            pass  # It has ended meanwhile.

    def _wake(self) -> None:
        news, self._next = self._next, asyncio.Event()
        news.set()

    def end(self) -> None:
        """There will be no more."""
        self._view.tell = None
        self._over.set()

    async def wait(self) -> Snapshot:
        """The next snapshot."""
        await self._next.wait()
        return self._view.snapshot

    async def end_of_all(self) -> None:
        """Waits until there will be no more."""
        await self._over.wait()
