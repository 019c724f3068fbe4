"""`/api/stream`: what happens, as server-sent events. A page has one place for what it has not taken yet, and no queue:
one that stops reading costs nothing more than its connection, and not even that for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from services.monitor.core.changes import Documents, Told
from services.monitor.core.chronicle.chronicle import later
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.shell.web.news import News
from services.monitor.shell.web.view import View

MOST_STREAMS: Final = 20
"""Streams to pages at a time."""
SEND_S: Final = 10.0
"""A page that takes nothing for so long is let go; it comes back by itself when its phone wakes up."""
MOST_TOLD: Final = 50
"""Events that a page is told at a time; of more it is told how many, and asks for them."""
RETRY_MS: Final = 2_000
"""After this a page comes back whose connection broke."""
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # A proxy must not keep events back.
]


class Pages:
    """The streams that are open."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._documents = Documents()
        self._made: tuple[Snapshot, dict[str, Any]] | None = None

    def document(self, snapshot: Snapshot) -> dict[str, Any]:
        """What pages are told of a snapshot: made once for all of them, for with a thousand devices it is what a page
        costs."""
        if self._made is None or self._made[0] is not snapshot:
            document = self._documents.of(snapshot, time.monotonic(), time.time())
            self._made = snapshot, {**document, "configuration": self._view.configuration}
        return self._made[1]

    @property
    def is_full(self) -> bool:
        return self._view.streams >= MOST_STREAMS

    @asynccontextmanager
    async def opened(self, receive: Receive, news: News) -> AsyncIterator[asyncio.Future[None]]:
        """One more, as long as it lasts. Gives what is done when the page is gone, or the monitor ends. A page that
        takes nothing any more ends it without a word."""
        self._view.streams += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        over = asyncio.ensure_future(news.end_of_all())
        either = asyncio.ensure_future(_first(gone, over))
        try:
            yield either
        except (TimeoutError, OSError):
            pass
        finally:
            for task in (either, gone, over):
                task.cancel()
            self._view.streams -= 1


class Stream:
    """One page that listens, as an answer to its request."""

    def __init__(self, view: View, pages: Pages, news: News) -> None:
        self._view = view
        self._pages = pages
        self._news = news
        self._told = Told()
        self._last_event = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tells until the page goes away, or takes nothing any more."""
        async with self._pages.opened(receive, self._news) as gone:
            await send_head(send)
            snapshot, is_whole = self._view.snapshot, True
            while not gone.done():
                news = self._told.news(self._pages.document(snapshot))
                news |= self._events()
                await send_event(send, {"at_ms": int(time.time() * 1000), "is_whole": is_whole, **news})
                is_whole = False
                if self._view.snapshot is not snapshot:
                    self._view.updates_skipped += 1
                waiting: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
                await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                snapshot = waiting.result()

    def _events(self) -> dict[str, Any]:
        """What has happened since the page was told last. At first nothing: who wants to know asks `/api/events`."""
        events, last = self._view.events, self._last_event
        self._last_event = events[-1].id if events else 0
        if last < 0 or not events or events[-1].id <= last:
            return {}
        found, missed = later(events, last, MOST_TOLD)
        return {"events": [event.show() for event in found], "events_missed": missed}


async def send_head(send: Send) -> None:
    """Begins the answer. Raises TimeoutError, OSError."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await _send(send, b"retry: %d\n\n" % RETRY_MS)


async def send_event(send: Send, event: dict[str, Any]) -> None:
    """One event. Raises TimeoutError, OSError."""
    await _send(send, b"data: " + msgspec.json.encode(event) + b"\n\n")


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(*tasks: asyncio.Future[None]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
