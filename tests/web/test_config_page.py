"""The page of the configuration, as a person has it in a browser, on a gateway that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Line, Mosquitto, Platform, free_port, needs_mosquitto
from tests.support.waiting import wait_until
from tests.web.browser import Browser

pytestmark = [needs_mosquitto, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "s3cret-token"
EVIL = "<img src=x onerror=document.title=1>"
SHAPES = [(1280, 800, False), (1280, 800, True), (390, 844, False), (390, 844, True)]


class Cabinet:
    """A gateway with two devices below `serialgw run`, whose files a person looks after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.broker = Mosquitto(folder / "mqtt")
        self.platform = Platform(self.broker.port)
        self.lines = {name: Line(folder / f"tty{number}") for number, name in enumerate(("press", EVIL))}
        self.main, self.serial = folder / "tb_gateway.json", folder / "serial.json"
        devices = [
            {"name": name, "port": str(line.path), "delimiter": "\n", "telemetry": [{"type": "string", "key": "f"}]}
            for name, line in self.lines.items()
        ]
        self.serial.write_text(json.dumps({"name": "S", "devices": devices}, indent=4))
        main = {
            "thingsboard": {"host": "127.0.0.1", "port": self.broker.port, "security": {"accessToken": TOKEN}},
            "web": {"port": self.port, "edit": True},
            "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
        }
        self.main.write_text(json.dumps(main, indent=4))
        self.environ = {**os.environ, "SERIALGW_WEB": "", "PYTHONPATH": str(ROOT)}
        with (folder / "run.log").open("wb") as log:
            command = [sys.executable, "-m", "services.cli", "run", self.main.name, "--data-dir", str(folder / "data")]
            self.run = subprocess.Popen(command, cwd=folder, env=self.environ, stdout=log, stderr=log)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.cli", *words, "--data-dir", str(self.folder / "data")]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=100
        )

    def link(self) -> str:
        """What `serialgw web` prints."""

        def printed() -> str:
            done = self.cli("web")
            return done.stdout.splitlines()[0] if done.returncode == 0 else ""

        return wait_until(printed, "serialgw web prints a link", 60, 0.5)

    def values(self, key: str) -> list[Any]:
        """Of this key, of the first device."""
        return [item["values"][key] for item in self.platform.telemetry("press") if key in item["values"]]

    def close(self) -> None:
        self.run.terminate()
        self.run.wait(30)
        for thing in (self.platform, *self.lines.values()):
            thing.close()
        self.broker.stop()


@pytest.fixture
def cabinet(tmp_path: Path) -> Iterator[Cabinet]:
    found = Cabinet(tmp_path)
    try:
        found.platform.wait_connected("press", EVIL, deadline_s=60)
        yield found
    finally:
        found.close()


def edit(browser: Browser, old: str, new: str) -> None:
    """Types into the text of the file that is shown."""
    text = browser.run("document.querySelector('textarea').value")
    assert old in text
    browser.type_into("Text of the file", text.replace(old, new, 1))


def choose(browser: Browser, name: str) -> None:
    """Shows another file."""
    script = f"""(() => {{ const one = document.querySelector('select'); one.value = {json.dumps(name)};
        one.dispatchEvent(new Event('change')); return one.value; }})()"""
    assert browser.run(script) == name


def test_a_change_from_the_page_and_the_way_back(cabinet: Cabinet) -> None:
    """A mistake is shown at its line and not written; what is right is saved, planned, applied, and found in the
    history; going back returns the files and the gateway; and no token is anywhere on the way."""
    before = cabinet.serial.read_text()
    with Browser() as browser:
        browser.open(cabinet.link())
        browser.wait_for("2 devices served", 60)
        browser.click("Configuration")
        browser.wait_for("The files are what runs.")
        browser.wait_for("start")
        shown = browser.run("document.querySelector('textarea').value")
        assert TOKEN not in shown
        assert "<secret " in shown
        choose(browser, "serial.json")
        edit(browser, '"delimiter"', '"baudrate": "fast", "delimiter"')
        browser.click("save")
        browser.wait_for("1 problem: nothing is written", 40)
        browser.wait_for("devices[0].baudrate: found")
        assert cabinet.serial.read_text() == before
        line = browser.run("document.querySelector('.gutter b').textContent")
        browser.click(line.replace("● ", "line "))
        chosen = browser.run(
            "(({value, selectionStart: a, selectionEnd: b}) => value.slice(a, b))(document.activeElement)"
        )
        assert '"baudrate": "fast"' in chosen
        edit(browser, '"baudrate": "fast", ', "")
        edit(browser, '"key": "f"', '"key": "g"')
        browser.click("save")
        browser.wait_for("This is what applying it does.", 60)
        browser.wait_for("changes press: 1 data point (no interruption)")
        assert cabinet.serial.read_text() == before.replace('"f"', '"g"', 1)
        browser.wait_for("The files of the configuration differ from what runs.")
        browser.click("apply")
        browser.wait_for("Applied: all processes go by these files.", 90)
        browser.wait_for("The files are what runs.")
        cabinet.lines["press"].write(b"one\n")
        cabinet.platform.wait_for(lambda _: cabinet.values("g") == ["one"], "the new key", 60)
        browser.wait_for("~ press: 1 data point (no interruption)")

        cabinet.main.write_text(cabinet.main.read_text() + "\n")
        choose(browser, "serial.json")
        edit(browser, '"key": "g"', '"key": "h"')
        browser.click("save")
        browser.wait_for("somebody has changed the files since you have read them", 40)
        browser.click("undo my changes")
        wait_until(lambda: '"g"' in browser.run("document.querySelector('textarea').value"), "it is undone")

        browser.click("go back")
        browser.wait_for("The files become those of 1", 60)
        browser.wait_for("What going back to 1 does")
        browser.click("go back to 1")
        browser.wait_for("The files are those of 1 again, and all processes go by them.", 90)
        assert cabinet.serial.read_text() == before
        assert json.loads(cabinet.main.read_text())["thingsboard"]["security"]["accessToken"] == TOKEN
        cabinet.lines["press"].write(b"two\n")
        cabinet.platform.wait_for(lambda _: "two" in cabinet.values("f"), "the old key", 60)
        assert [line for line in browser.console if "412" not in line and "422" not in line] == []
    history = cabinet.cli("config", "history").stdout.splitlines()
    assert [line.rpartition("  ")[2].partition(":")[0] for line in history] == ["back to 1", "page", "start"]
    log = (cabinet.folder / "run.log").read_text()
    assert "configuration.saved asked_by=page files=serial.json" in log
    kept = "".join(path.read_text() for path in (cabinet.folder / "data" / "history").iterdir())
    assert TOKEN not in log + kept


def test_who_may_only_look_sees_files_differences_and_history(cabinet: Cabinet, tmp_path: Path) -> None:
    """On a desk and on a phone, light and dark; nothing of a name is run, and no page is wider than its window."""
    cabinet.serial.write_text(cabinet.serial.read_text().replace('"f"', '"g"', 1))
    assert cabinet.cli("reload").returncode == 0
    cabinet.serial.write_text(cabinet.serial.read_text().replace('"g"', '"h"', 1))
    for width, height, dark in SHAPES:
        with Browser(width, height, dark=dark) as browser:
            browser.open(f"http://127.0.0.1:{cabinet.port}/#/config?file=serial.json")
            browser.wait_for("This page only looks", 30)
            browser.wait_for("The files of the configuration differ from what runs.", 30)
            browser.wait_for("command line")
            assert EVIL in browser.run("document.querySelector('textarea').value")
            seen = "[...document.querySelectorAll('main button')].filter((one) => one.offsetParent)"
            assert set(browser.run(f"{seen}.map((one) => one.textContent)")) == {"compare with what runs", "show"}
            browser.click("compare with what runs")
            browser.wait_for('"key": "h"')
            assert "- " in browser.run("document.querySelector('.diff .gone').textContent")
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert browser.run("document.querySelectorAll('main img, main script').length") == 0
            browser.picture(tmp_path / f"{width}-{dark}.png", whole=True)
            assert browser.console == []
