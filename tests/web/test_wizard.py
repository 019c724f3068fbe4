"""The wizard: from an adapter that was plugged in to a reading that the platform has accepted, in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Line, Mosquitto, Platform, free_port, needs_mosquitto
from tests.support.waiting import wait_until
from tests.web.browser import Browser

pytestmark = [needs_mosquitto, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
SDS011 = bytes.fromhex("aac00600060058d93dab")
MAIN_FILE = "tb_gateway.json"


class Cabinet:
    """A gateway with one device, below `serialgw run`, and two adapters of which it does not know yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.broker = Mosquitto(folder / "mqtt")
        self.platform = Platform(self.broker.port)
        self.old, self.text, self.air = (Line(folder / name) for name in ("ttyOld", "ttyText", "ttyAir"))
        old = {
            "name": "old",
            "port": str(self.old.path),
            "delimiter": "\n",
            "telemetry": [{"type": "string", "key": "f"}],
        }
        (folder / "serial.json").write_text(json.dumps({"name": "S", "devices": [old]}, indent=4))
        main = {
            "thingsboard": {"host": "127.0.0.1", "port": self.broker.port, "security": {"accessToken": "hidden"}},
            "web": {"port": self.port, "edit": True},
            "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
        }
        (folder / MAIN_FILE).write_text(json.dumps(main))
        self.environ = {**os.environ, "SERIALGW_WEB": "", "PYTHONPATH": str(ROOT)}
        with (folder / "run.log").open("wb") as log:
            command = [sys.executable, "-m", "services.cli", "run", MAIN_FILE, "--data-dir", str(folder / "data")]
            self.run = subprocess.Popen(command, cwd=folder, env=self.environ, stdout=log, stderr=log)
        self._over = threading.Event()
        self._talker = threading.Thread(target=self._talk, daemon=True)
        self._talker.start()

    def _talk(self) -> None:
        number = 0
        while not self._over.wait(0.2):
            number += 1
            self.text.write(b"T:%d.5\n" % (20 + number % 5))
            self.air.write(SDS011)

    def link(self) -> str:
        """What `serialgw web` prints."""

        def printed() -> str:
            command = [sys.executable, "-m", "services.cli", "web", "--data-dir", str(self.folder / "data")]
            done = subprocess.run(
                command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
            )
            return done.stdout.splitlines()[0] if done.returncode == 0 else ""

        return wait_until(printed, "serialgw web prints a link", 60, 0.5)

    def close(self) -> None:
        self._over.set()
        self._talker.join(10)
        self.run.terminate()
        self.run.wait(30)
        for thing in (self.platform, self.old, self.text, self.air):
            thing.close()
        self.broker.stop()


@pytest.fixture
def cabinet(tmp_path: Path) -> Iterator[Cabinet]:
    found = Cabinet(tmp_path)
    try:
        found.platform.wait_connected("old", deadline_s=60)
        yield found
    finally:
        found.close()


def choose(browser: Browser, line: Line) -> None:
    """Step 1: which port."""
    browser.run(f"location.hash = '#/add?port=' + encodeURIComponent({json.dumps(str(line.path))})")
    browser.wait_for("Which port")
    wait_until(lambda: browser.run("!document.querySelector('form button').disabled"), "it may listen", 30, 0.1)
    browser.click("Listen")


def save(browser: Browser, name: str) -> None:
    """Step 4: what it is called."""
    browser.wait_for("Save and start")
    browser.type_into("Name of the device", name)
    browser.click("Save and start")


def test_two_adapters_are_set_up_in_a_browser(cabinet: Cabinet) -> None:
    """One is known by its checksums, the bytes of the other are marked; the values of both are accepted by the
    platform, the first device goes on, and no other byte of the file has changed."""
    before = (cabinet.folder / "serial.json").read_text()
    with Browser() as browser:
        browser.open(cabinet.link())
        browser.wait_for("1 device served", 60)
        choose(browser, cabinet.air)
        browser.wait_for("it is sds011", 60)
        browser.click("it is sds011")
        save(browser, "air")
        assert cabinet.platform.wait_telemetry("air", 1, deadline_s=90)[0]["values"] == {"pm25": 0.6, "pm10": 0.6}
        browser.wait_for("receiving", 60)
        choose(browser, cabinet.text)
        browser.wait_for("this is it", 60)
        browser.click("this is it")
        browser.wait_for("add this value")
        for place in (2, 5):
            browser.run(f"document.querySelectorAll('.mark-row')[0].querySelectorAll('button')[{place}].click()")
        browser.type_into("Name of the value", "temperature")
        browser.wait_for("temperature\n", 30)
        browser.click("add this value")
        browser.click("go on")
        save(browser, "room")
        values = cabinet.platform.wait_telemetry("room", 1, deadline_s=90)[0]["values"]
        assert values["temperature"] in {20.5, 21.5, 22.5, 23.5, 24.5}
        browser.wait_for("receiving", 60)
        browser.wait_for("3 devices served", 60)
        assert browser.console == []
    after = (cabinet.folder / "serial.json").read_text()
    assert after.startswith(before[: before.rindex("\n    ]")])
    assert [device["name"] for device in json.loads(after)["devices"]] == ["old", "air", "room"]
    cabinet.old.write(b"still here\n")
    cabinet.platform.wait_telemetry("old", 1)
