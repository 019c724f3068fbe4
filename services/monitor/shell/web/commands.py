"""What the page has the command line do: each command is a child that ends by itself, is killed after its time, and
whose output is bounded. So nothing that touches ports, or reads configurations, is loaded in the monitor.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from common.config.web_reading import VARIABLE
from common.core.errors import GatewayError
from common.io.variables import ASKED_BY_VARIABLE
from services.monitor.shell.web.aside import aside

MOST_AT_ONCE: Final = 2
"""Commands at a time; more wait. Each is a Python interpreter on a small machine."""
MOST_OUTPUT_BYTES: Final = 4 * 1024 * 1024
PORTS_S: Final = 20.0
PROBE_S: Final = 150.0
"""It listens for two minutes at most by itself."""
TRY_S: Final = 30.0
ADD_S: Final = 30.0
CHECK_S: Final = 90.0
"""It also loads users' classes, one after the other, and ends by itself."""
RELOAD_S: Final = 240.0
"""Half a minute each to come up and to hold, and the same for the way back. Then it goes on, and is not waited for."""
PORTS_KEPT_S: Final = 1.0
"""So long all who ask for the ports are told the same."""
MOST_CAPTURE_S: Final = 300
"""A person waits for it with the page open; `serialgw capture` takes a day."""
MOST_CAPTURE_BYTES: Final = 768 * 1024
"""Of the line: its file has up to five times as many, and is to be whole."""
MOST_CAPTURES: Final = 2
"""Recordings at a time; one more is refused, for nobody knows how long it would wait."""
START_S: Final = 15.0
"""A command's own start and end."""
CAPTURE_HEAD: Final = "serialgw capture 1"
"""The first line of a capture, as `serialgw capture` writes it."""
MOST_FRAMES: Final = 64
"""Frames of one preview."""


class Done(NamedTuple):
    """How a command has ended."""

    code: int
    out: str
    error: str
    """Its last words on standard error, without what begins all errors."""


class Commands:
    """Commands of one gateway."""

    def __init__(self, config: Path, data_dir: Path) -> None:
        self._config = config
        self._data_dir = data_dir
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._captures = 0
        self._looking: asyncio.Task[Done] | None = None
        self._looked_s = 0.0

    async def ports(self) -> bytes:
        """The ports of this host, as JSON; whoever may look may ask, so all have the same answer, and none of the
        places of those who change something. Raises GatewayError."""
        is_old = self._looking is None or (self._looking.done() and time.monotonic() > self._looked_s + PORTS_KEPT_S)
        if self._looking is None or is_old:
            self._looking = asyncio.ensure_future(_run(PORTS_S, ("ports", "--json")))
            self._looking.add_done_callback(self._have_looked)
        return (await asyncio.shield(self._looking)).out.encode()

    def _have_looked(self, task: asyncio.Task[Done]) -> None:
        self._looked_s = time.monotonic()
        if not task.cancelled():
            task.exception()  # Also where nobody waits for it any more.

    async def probe(self, port: str) -> bytes:
        """What is heard at a port, as JSON. Raises GatewayError where it can't be had."""
        places = ("--data-dir", str(self._data_dir), "--dir", str(self._config.parent))
        done = await self._run(PROBE_S, "probe", "--json", *places, "--", port)
        if not done.out.strip():
            raise GatewayError(done.error or "the port can't be listened to")
        return done.out.encode()

    async def capture(self, device: str, seconds: int) -> bytes:
        """What passes on a device's line for so long, as JSON: `{"capture": TEXT}`, which is the file that `serialgw
        capture` writes. Raises GatewayError where nothing came."""
        if self._captures >= MOST_CAPTURES:
            raise GatewayError(f"{MOST_CAPTURES} recordings are being made already: wait for the end of one")
        limits = ("--seconds", str(seconds), "--bytes", str(MOST_CAPTURE_BYTES), "--data-dir", str(self._data_dir))
        self._captures += 1
        try:
            done = await _run(seconds + START_S, ("capture", *limits, "--", device))
        finally:
            self._captures -= 1
        if done.code:
            raise GatewayError(done.error or "nothing was recorded")
        return msgspec.json.encode({"capture": done.out})

    async def try_frames(self, section: dict[str, Any], frames: list[bytes]) -> bytes:
        """What a device section makes of frames: a JSON list, an object a frame. Raises GatewayError for a section
        that can't be used, with its problems."""
        with tempfile.TemporaryDirectory(prefix="serialgw-try-") as name:
            folder = Path(name)
            section = {"name": "new", "port": "/dev/null", **section}
            content = {"name": "Serial", "devices": [section]}
            (folder / "serial.json").write_bytes(msgspec.json.encode(content))
            # As a capture, with a second between any two: so silence ends frames, too.
            lines = [f"{at:.3f} < {frame.hex()}" for at, frame in enumerate(frames[:MOST_FRAMES], start=1)]
            end = f"{len(lines) + 1:.3f} end"
            file = str(folder / "frames.txt")
            Path(file).write_text("\n".join([CAPTURE_HEAD, *lines, end, ""]))
            done = await self._run(TRY_S, "try", str(folder / "serial.json"), "--file", file, "--json")
        if not done.out.strip():
            raise GatewayError(done.error or "nothing came of it")
        return b"[" + b",".join(line.encode() for line in done.out.splitlines() if line.startswith("{")) + b"]"

    async def add(self, section: dict[str, Any]) -> str:
        """Puts a device into the configuration; what was said of it. Raises GatewayError."""
        places = ("--config", str(self._config), "--data-dir", str(self._data_dir))
        # Not as a word of the command, which others on this machine see.
        done = await self._run(ADD_S, "add", *places, "--section", "-", given=msgspec.json.encode(section))
        if done.code:
            raise GatewayError(done.error)
        return done.out.strip()

    async def reload(self, *options: str, by: str = "page") -> Done:
        """Makes the running gateway take its configuration; its output is the JSON that `serialgw reload` says. Raises
        GatewayError where it can't be started, or takes too long."""
        places = (str(self._config), "--json", *options, "--data-dir", str(self._data_dir))
        return await self._run(RELOAD_S, "reload", *places, may_stay=True, by=by)

    async def config(self, action: str, *words: str, given: bytes = b"", may_stay: bool = False) -> Done:
        """What `serialgw config` says as JSON; `given` stands on its standard input, where no list of processes shows
        it. Raises GatewayError where it can't be started, or takes too long."""
        places = ("--config", str(self._config), "--data-dir", str(self._data_dir), "--json")
        most_s = RELOAD_S if action == "back" else CHECK_S
        return await self._run(most_s, "config", action, *words, *places, may_stay=may_stay, given=given)

    async def _run(
        self, most_s: float, *arguments: str, may_stay: bool = False, by: str = "", given: bytes = b""
    ) -> Done:
        async with self._room:
            return await _run(most_s, arguments, may_stay=may_stay, by=by, given=given)


async def _run(
    most_s: float, arguments: Sequence[str], *, may_stay: bool = False, by: str = "", given: bytes = b""
) -> Done:
    """`may_stay`: half of its work would be worse than none, so it goes on when nobody waits for it any more."""
    command = [sys.executable, "-P", "-m", "services.cli", *arguments]
    environ = {**os.environ, VARIABLE: "off", "COLUMNS": "200", ASKED_BY_VARIABLE: by or "page"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if given else subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                env=environ,
            )
        except (OSError, ValueError) as reason:  # ValueError: a NUL in a word.
            raise GatewayError(f"it could not be started: {reason}") from None
        code: int | None = None
        try:
            async with asyncio.timeout(most_s):
                await aside(lambda: child.communicate(given or None))
                code = child.returncode
        except TimeoutError:
            goes_on = ", and goes on: `serialgw status` shows what runs" if may_stay else ""
            raise GatewayError(f"it has taken longer than {most_s:g} s{goes_on}") from None
        finally:
            if code is None and not may_stay:
                child.kill()
        return Done(code if code is not None else -1, _text(out), _words(_text(error)))


def _text(file: Any) -> str:
    file.seek(0)
    found: bytes = file.read(MOST_OUTPUT_BYTES)
    return found.decode("utf-8", "backslashreplace")


def _words(text: str) -> str:
    """The errors in what a command has said, without progress."""
    lines = text.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return "; ".join(errors) if errors else (lines[-1] if lines else "")
