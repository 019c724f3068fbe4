"""The web's loop, from its thread's first moment to its last: loaded in that thread alone, with all that HTTP needs."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

import zmq.asyncio

from services.monitor.core.access import Access
from services.monitor.shell.web.guard import Guard
from services.monitor.shell.web.listener import Listener
from services.monitor.shell.web.news import News
from services.monitor.shell.web.quiet import NAME, OneLineAMinute
from services.monitor.shell.web.routes import Place, Routes
from services.monitor.shell.web.view import View


class Serving:
    """Serves some sockets until it is told to stop."""

    def __init__(self, view: View, access: Access, place: Place) -> None:
        self._view: Final = view
        self._access: Final = access
        self._place: Final = place
        self._end: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._is_told = False

    def run(self, sockets: list[tuple[socket.socket, bool]]) -> None:
        """Until `stop`. The flag says that only the gateway's own user can open that socket."""
        asyncio.run(self._run(sockets))

    def stop(self) -> None:
        """From another thread."""
        self._is_told = True
        if self._end is None:
            return
        loop, stop = self._end
        try:
            loop.call_soon_threadsafe(stop.set)
        except RuntimeError:
            pass  # It has ended by itself.

    async def _run(self, sockets: list[tuple[socket.socket, bool]]) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._end = loop, stop
        if self._is_told:
            return
        news = News(self._view, loop)
        context = zmq.asyncio.Context()
        routes = Routes(self._view, news, self._access, self._place, context)
        listeners = [
            Listener(Guard(routes.app(is_private=private), self._access, is_private=private), place)
            for place, private in sockets
        ]
        quiet, said = OneLineAMinute(), logging.getLogger(NAME)
        said.addFilter(quiet)
        serving = [asyncio.ensure_future(listener.serve_until_told()) for listener in listeners]
        await stop.wait()
        news.end()
        for listener in listeners:
            listener.stop()
        await asyncio.gather(*serving)
        said.removeFilter(quiet)
        context.destroy(linger=0)
