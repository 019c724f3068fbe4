"""What the page has the command line do."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import pty
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.core.errors import GatewayError
from services.monitor.shell.web import commands as module
from services.monitor.shell.web.commands import MOST_CAPTURES, Commands
from tests.support.waiting import wait_until
from tests.web.test_server import Gateway

STOP_S = 8.0


@pytest.fixture
def editable(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path, edit=True)
    try:
        found.wait()
        yield found
    finally:
        found.close()


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for word in (task / "children").read_text().split()
    ]


def test_a_monitor_ends_while_a_port_is_listened_to(editable: Gateway) -> None:
    """And what listens ends with it: nobody waits for two minutes, and the port is free again."""
    ours, theirs = pty.openpty()
    body = json.dumps({"port": os.ttyname(theirs)})
    headers = {"Content-Type": "application/json", **editable.token("edit")}

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", editable.port, timeout=60)
        try:
            connection.request("POST", "/api/probe", body, headers)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass  # It has ended.

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    wait_until(lambda: bool(children_of(editable.monitor.pid)), "it listens")
    (child,) = children_of(editable.monitor.pid)
    editable.monitor.terminate()
    assert editable.monitor.wait(STOP_S) == 0
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "what listens has ended")
    asking.join(STOP_S)
    os.close(ours)
    os.close(theirs)


def test_a_name_that_no_command_can_have_is_a_sentence(tmp_path: Path) -> None:
    """A NUL in it, which no word of a command may hold."""
    with pytest.raises(GatewayError, match="could not be started"):
        asyncio.run(Commands(tmp_path / "tb_gateway.json", tmp_path).probe("/dev/a\0b"))


def test_all_who_ask_for_the_ports_share_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may look may ask: it starts one command, however many ask."""
    started: list[object] = []
    begin = module.subprocess.Popen

    class Counted(begin):  # type: ignore[misc, valid-type]
        def __init__(self, command: list[str], **more: object) -> None:
            started.append(command)
            super().__init__(command, **more)

    monkeypatch.setattr(module.subprocess, "Popen", Counted)
    commands = Commands(tmp_path / "tb_gateway.json", tmp_path)

    async def ask() -> list[bytes]:
        return await asyncio.gather(*(commands.ports() for _ in range(20)))

    assert len(set(asyncio.run(ask()))) == 1
    assert len(started) == 1


def test_only_so_many_lines_are_recorded_at_a_time(tmp_path: Path) -> None:
    """One more is told so at once, and has its turn when one has ended; where no gateway runs, that is said."""
    commands = Commands(tmp_path / "tb_gateway.json", tmp_path)

    async def ask() -> list[str]:
        asked = [commands.capture("press", 1) for _ in range(MOST_CAPTURES + 1)]
        said = await asyncio.gather(*asked, commands.capture("press", 1), return_exceptions=True)
        return [*map(str, said), str((await asyncio.gather(commands.capture("press", 1), return_exceptions=True))[0])]

    *begun, refused, also, later = asyncio.run(ask())
    assert (refused, also) == (f"{MOST_CAPTURES} recordings are being made already: wait for the end of one",) * 2
    assert all("no gateway is running" in said for said in (*begun, later)), begun
