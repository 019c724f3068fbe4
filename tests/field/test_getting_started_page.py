"""docs/getting-started.md, step by step as it stands there, with a pseudo-terminal as the adapter."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.harness import Line, Mosquitto, Platform, needs_mosquitto
from tests.support.waiting import wait_until

pytestmark = [needs_mosquitto, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "getting-started.md"
STAYS = ("serialgw run", "serialgw watch")
"""Commands that go on until somebody ends them."""
FOLDER = "mkdir -p ~/gateway && cd ~/gateway"
"""Here that is the test's own folder."""
MAY_FAIL = ("serialgw doctor", "serialgw ports")
"""These tell of the machine: a pseudo-terminal has no adapter."""


def steps() -> list[tuple[str, str]]:
    """(language, text) of each block of the page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_step_works(tmp_path: Path) -> None:
    """In their order, word by word but for the names of the port and the platform."""
    line, broker = Line(tmp_path / "ttyUSB0"), Mosquitto(tmp_path / "mqtt")
    platform, over = Platform(broker.port), threading.Event()

    def talk() -> None:
        number = 0
        while not over.wait(0.2):
            number += 1
            line.write(b"T:%d\r\n" % (20 + number % 5))

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_DATA_DIR": str(tmp_path / "data")}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for language, text in steps():
            if language == "json":
                take(tmp_path, json.loads("{" + text + "}"))
            for command in text.splitlines() if language == "sh" else ():
                words = named(command, line, broker)
                if command.startswith("export "):
                    name, _, value = words[1].partition("=")
                    environ[name] = value
                elif command == FOLDER:
                    continue
                elif command.startswith(STAYS):
                    running.append(begin(words, tmp_path, environ))
                    if command == "serialgw run":
                        platform.wait_telemetry("press1", 3, deadline_s=60)
                else:
                    finish(command, words, tmp_path, environ)
        assert platform.telemetry("press1")[0]["values"]["frame"].startswith("T:2")
        found = platform.wait_for(lambda _: [one for one in values(platform) if "temperature" in one], "the new value")
        assert found[0]["temperature"] in range(20, 25)
    finally:
        over.set()
        talker.join(10)
        for process in reversed(running):
            process.terminate()
            process.wait(30)
        for thing in (platform, line):
            thing.close()
        broker.stop()


def values(platform: Platform) -> list[dict[str, object]]:
    return [item["values"] for item in platform.telemetry("press1")]


def named(command: str, line: Line, broker: Mosquitto) -> list[str]:
    """A command's words, with the port and the platform of this test."""
    text = command.replace("/dev/ttyUSB0", str(line.path)).replace("127.0.0.1:1883", f"127.0.0.1:{broker.port}")
    return shlex.split(text)


def program(words: list[str]) -> list[str]:
    assert words[0] == "serialgw", words
    return [sys.executable, "-m", "services.cli", *words[1:]]


def begin(words: list[str], folder: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / f"{words[1]}.log").open("wb") as log:
        return subprocess.Popen(program(words), cwd=folder, env=environ, stdout=log, stderr=log)


def finish(command: str, words: list[str], folder: Path, environ: dict[str, str]) -> None:
    """It ends with 0; `status` may have to be asked again right after a start."""

    def is_done() -> bool:
        done = subprocess.run(
            program(words), cwd=folder, env=environ, capture_output=True, text=True, timeout=100, check=False
        )
        said.append(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode == 0 or command.startswith(MAY_FAIL)

    said: list[str] = []
    try:
        wait_until(is_done, command, 30 if words[1] == "status" else 0.1, 0.5)
    except AssertionError:
        raise AssertionError(said[-1]) from None


def take(folder: Path, change: dict[str, object]) -> None:
    """What the page says to put into the connector's file."""
    path = folder / "custom_serial.json"
    content = json.loads(path.read_text())
    content["devices"][0].update(change)
    path.write_text(json.dumps(content))


def test_the_page_is_found() -> None:
    """README leads to it first."""
    table = (ROOT / "README.md").read_text().partition("## Where to look next")[2]
    assert table.index("docs/getting-started.md") < table.index("docs/profiles.md")
