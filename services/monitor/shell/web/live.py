"""`/api/live?name=`: a few of a device's frames a second, each beside what was made of it, as server-sent events.

The samples are made only while somebody looks (`common.wire.peeks`), and come straight from the broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import zmq
import zmq.asyncio
from starlette.types import Receive, Scope, Send

from common.core.errors import WireError
from common.io.endpoints import Endpoints
from common.wire import codec
from common.wire.messages import PEEK, Tap
from common.wire.peeks import Seen, read_peek
from services.monitor.shell.web.news import News
from services.monitor.shell.web.stream import Pages, send_event, send_head

QUIET_S: Final = 15.0
"""A line that says nothing for so long is told to be there all the same, so that proxies keep the connection."""
HIGH_WATER: Final = 16
"""Samples that wait for a page; the rest is left out by the socket."""


class Live:
    """One page that looks at one device, as an answer to its request."""

    def __init__(
        self, context: zmq.asyncio.Context, endpoints: Endpoints, device: str, pages: Pages, news: News
    ) -> None:
        self._context = context
        self._endpoints = endpoints
        self._device = device
        self._pages = pages
        self._news = news

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Shows until the page goes away, or takes nothing any more."""
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SUBSCRIBE, f"{PEEK}.{self._device}.".encode())
        socket.connect(self._endpoints.events_out)
        try:
            async with self._pages.opened(receive, self._news) as gone:
                await send_head(send)
                while not gone.done():
                    heard: asyncio.Future[Any] = asyncio.ensure_future(socket.recv_multipart())
                    await asyncio.wait([heard, gone], timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
                    if not heard.done():
                        heard.cancel()
                        await send_event(send, {})
                        continue
                    event = _event(heard.result(), self._device)
                    if event is not None:
                        await send_event(send, event)
        finally:
            socket.close()


def _event(parts: list[bytes], device: str) -> dict[str, Any] | None:
    """A sample as JSON; None for what is none."""
    try:
        tap = codec.decode(parts[1:])
        if not isinstance(tap, Tap) or tap.device != device:
            return None
        skipped, seen = read_peek(tap)
    except WireError:
        return None
    return {"skipped": skipped, "frames": [_row(one) for one in seen]}


def _row(seen: Seen) -> dict[str, Any]:
    return {
        "number": seen.number,
        "ts": seen.ts_ms,
        "hex": seen.frame.hex(),
        "bytes": seen.size,
        "values": list(_values(seen)),
        "dead": seen.dead,
    }


def _values(seen: Seen) -> Iterator[dict[str, Any]]:
    """Each value with its key; one list, since keys are the device's words and no names of ours."""
    for device, text in seen.values:
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(found, dict):
            for key, value in found.items():
                yield {"key": key, "value": value, **({"device": device} if device else {})}
