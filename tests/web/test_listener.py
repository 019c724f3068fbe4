"""One listening socket, and who only holds its places."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from services.monitor.shell.web import listener as module
from services.monitor.shell.web.listener import MOST_CONNECTIONS, MOST_OPEN, Listener

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
DEADLINE_S = 20.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    place = socket.create_server(("127.0.0.1", 0), backlog=MOST_OPEN)
    listener = Listener(app, place)
    task = asyncio.ensure_future(listener.serve_until_told())
    try:
        yield int(place.getsockname()[1])
    finally:
        listener.stop()
        await task


async def is_answered(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    line = await reader.readline()
    writer.close()
    return b" 200 " in line


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n"], ids=["nothing", "half a request"])
def test_who_asks_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Whoever opens all connections there may be, and says nothing, keeps nobody out for long."""
    monkeypatch.setattr(module, "KEEP_S", 0.5)

    async def check() -> None:
        async with listening() as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
            for _, writer in held:
                writer.write(said)
            async with asyncio.timeout(DEADLINE_S):
                for reader, _ in held:
                    assert await reader.read() == b""
                assert await is_answered(port)
            for _, writer in held:
                writer.close()

    asyncio.run(check())


def test_only_so_many_connections_are_held() -> None:
    """Those above are closed at once: they take no file from the rest of the monitor."""

    async def check() -> None:
        async with listening() as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_OPEN)]
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with suppress(ConnectionResetError):
                    assert await reader.read() == b"", "it may also have been closed without a word"
            for _, one in [*held, (reader, writer)]:
                one.close()

    asyncio.run(check())


def test_who_goes_on_asking_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scraper's connection stays open between its questions."""
    monkeypatch.setattr(module, "KEEP_S", 2.0)

    async def check() -> None:
        async with listening() as port, asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(8):
                writer.write(ASK)
                head = await reader.readuntil(b"\r\n\r\n")
                assert b" 200 " in head
                await reader.readexactly(2)
                await asyncio.sleep(0.5)
            writer.close()

    asyncio.run(check())
