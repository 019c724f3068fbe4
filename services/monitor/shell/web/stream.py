"""`/api/stream`: what happens, as server-sent events. A page has one place for what it has not taken yet, and no queue:
one that stops reading costs nothing more than its connection, and not even that for long."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from services.monitor.core.changes import Told, document_of
from services.monitor.shell.web.news import News
from services.monitor.shell.web.view import View

MOST_STREAMS: Final = 20
"""Pages that listen at a time."""
SEND_S: Final = 10.0
"""A page that takes nothing for so long is let go; it comes back by itself when its phone wakes up."""
RETRY_MS: Final = 2_000
"""After this a page comes back whose connection broke."""
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # A proxy must not keep events back.
]


class Stream:
    """One page that listens, as an answer to its request."""

    def __init__(self, view: View, news: News) -> None:
        self._view = view
        self._news = news
        self._told = Told()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tells until the page goes away, or takes nothing any more."""
        self._view.streams += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send(send, b"retry: %d\n\n" % RETRY_MS)
            snapshot = self._view.snapshot
            while not (gone.done() or self._news.is_over):
                now_s, wall_s = time.monotonic(), time.time()
                news = self._told.news(document_of(snapshot, now_s, wall_s))
                body = msgspec.json.encode({"at_ms": int(wall_s * 1000), **news})
                await self._send(send, b"data: " + body + b"\n\n")
                if self._view.snapshot is not snapshot:
                    self._view.updates_skipped += 1
                waiting = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    break
                snapshot = waiting.result()
        except (TimeoutError, OSError):
            pass  # It takes nothing any more, or is gone.
        finally:
            gone.cancel()
            self._view.streams -= 1

    async def _send(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(SEND_S):
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
