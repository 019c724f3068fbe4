"""What the page's server says of junk that is sent to it: one line a minute."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from services.monitor.shell.web.listener import Listener
from services.monitor.shell.web.quiet import APART_S, MOST_KINDS, NAME, OneLineAMinute


def test_each_kind_is_said_once_a_minute_with_its_count() -> None:
    """Kinds without end are one."""
    now_s = 0.0
    quiet = OneLineAMinute(lambda: now_s)

    def say(text: str) -> str:
        record = logging.LogRecord(NAME, logging.WARNING, "", 0, text, (), None)
        return record.getMessage() if quiet.filter(record) else ""

    assert [say("junk") for _ in range(3)] == ["junk (1 since the start)", "", ""]
    assert say("other") == "other (1 since the start)"
    now_s = APART_S
    assert say("junk") == "junk (4 since the start)"
    assert sum(bool(say(f"kind {number}")) for number in range(10 * MOST_KINDS)) == MOST_KINDS - 2 + 1


def test_who_sends_junk_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred requests that are none; each is answered."""
    path = str(tmp_path / "sock")
    place = socket.socket(socket.AF_UNIX)
    place.bind(path)
    place.listen(200)

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        """Nobody gets so far."""

    async def send() -> bytes:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"\x00junk\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async def serve() -> list[bytes]:
        listener = Listener(app, place)
        serving = asyncio.ensure_future(listener.serve_until_told())
        answers = [await send() for _ in range(100)]
        listener.stop()
        await serving
        return answers

    quiet, logger = OneLineAMinute(), logging.getLogger(NAME)
    logger.addFilter(quiet)
    try:
        with caplog.at_level(logging.WARNING):
            answers = asyncio.run(serve())
    finally:
        logger.removeFilter(quiet)
    assert all(answer.startswith(b"HTTP/1.1 400") for answer in answers)
    assert [record.getMessage() for record in caplog.records] == ["Invalid HTTP request received. (1 since the start)"]
