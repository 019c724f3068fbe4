"""`make pictures`: docs/pictures, made anew from a gateway that runs here, with devices on pseudo-terminals.

Paths of this machine stand in no picture: names of ports and folders are those that a reader has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from docs.terminal import Ran, session_as_svg
from tests.e2e.harness import Line, Mosquitto, Platform, free_port
from tests.support.waiting import wait_until
from tests.web.browser import Browser

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "pictures"
DUST: Final = bytes.fromhex("aac00600060058d93dab")
FRAMES: Final = 6
"""So many live frames make a picture of a device."""
COLUMNS: Final = 150
"""As wide as the recorded terminal is."""


class Hall:
    """A gateway below `serialgw run` with five devices, of which not all are well, and an adapter that is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder / "mqtt")
        self.platform = Platform(self.broker.port)
        names = ("ttyUSB0", "ttyUSB1", "ttyUSB2", "ttyUSB3", "ttyACM0", "ttyUSB4")
        self.lines = {name: Line(folder / name) for name in names}
        self.unsaid = {
            str(folder / "tty"): "/dev/tty",
            str(folder / "data"): "/var/lib/serialgw",
            str(folder): "/etc/serialgw",
            f"127.0.0.1:{self.broker.port}": "thingsboard.example.org:1883",
            f'"port": {self.broker.port}': '"port": 1883',
        }
        """What stands here → what a reader has."""
        point = {"key": "force", "regex": "F=([0-9.]+)", "type": "float", "unit": "kN"}
        rpc = {"method": "setSpeed", "template": "SPD ${params}\n", "withResponse": True, "responsePattern": "^OK"}
        press: dict[str, Any] = {"type": "press", "framing": "lines", "telemetry": [point], "serverSideRpc": [rpc]}
        room = [
            {"key": "temperature", "name": "T", "type": "float", "unit": "°C"},
            {"key": "humidity", "name": "H", "type": "int", "unit": "%"},
        ]
        devices: list[dict[str, Any]] = [
            {"name": "press1", "port": "ttyUSB0", **press},
            {"name": "press2", "port": "ttyUSB1", **press},
            {"name": "dust", "port": "ttyUSB2", "profile": "sds011"},
            {"name": "oven", "port": "ttyUSB3", "telemetry": [{"key": "t", "type": "float"}]},
            {"name": "greenhouse", "port": "ttyACM0", "framing": "lines", "pairs": [" ", "="], "telemetry": room},
        ]
        for device in devices:
            device["port"] = str(folder / device["port"])
        self.serial = folder / "serial.json"
        self.serial.write_text(json.dumps({"name": "Serial", "devices": devices}, indent=2, ensure_ascii=False))
        main = {
            "thingsboard": {"host": "127.0.0.1", "port": self.broker.port, "security": {"accessToken": "unseen"}},
            "web": {"port": free_port(), "edit": True},
            "connectors": [{"name": "Serial", "type": "serial", "configuration": "serial.json"}],
        }
        (folder / "tb_gateway.json").write_text(json.dumps(main, indent=2))
        place = {"SERIALGW_DATA_DIR": str(folder / "data"), "SERIALGW_WEB": "", "COLUMNS": str(COLUMNS)}
        (folder / "tb_gateway.json").chmod(0o600)
        self.environ = {**os.environ, **place, "PYTHONPATH": str(ROOT)}
        with (folder / "run.log").open("wb") as log:
            self.gateway = subprocess.Popen(self.words("run"), cwd=folder, env=self.environ, stdout=log, stderr=log)
        self._over = threading.Event()
        self._talker = threading.Thread(target=self._talk, daemon=True)
        self._talker.start()

    def words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "services.cli", *arguments]

    def _talk(self) -> None:
        number = 0
        while not self._over.wait(0.25):
            number += 1
            said = {
                "ttyUSB0": b"F=%d.%d\r\n" % (12 + number % 3, number % 10),
                "ttyUSB1": b"F=%d.%d\r\n" % (11 + number % 4, number * 3 % 10),
                "ttyUSB2": DUST if number % 4 == 0 else b"",
                "ttyUSB3": b"%d.5;" % (180 + number % 5),
                "ttyACM0": b"T=21.%d H=48\r\n" % (number % 10) if number % 4 == 0 else b"",
                "ttyUSB4": b"T:%d.5\r\n" % (20 + number % 5) if number % 2 == 0 else b"",
            }
            for name, data in said.items():
                if data and self.lines[name].master >= 0:
                    self.lines[name].write(data)

    def ran(self, *arguments: str, seconds: float | None = None) -> Ran:
        """A command and what it prints; `seconds`: one that goes on is ended by Ctrl-C after them."""
        process = subprocess.Popen(
            self.words(*arguments), cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            said = process.communicate(timeout=seconds or 60)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[0]
        words = [f"'{word}'" if set(word) & set("\\ ") else word for word in arguments]
        lines = self.said(said.decode()).rstrip("\n").split("\n")
        return Ran(self.said(" ".join(["serialgw", *words])), lines)

    def said(self, text: str) -> str:
        """A text without what is this machine's."""
        for here, there in self.unsaid.items():
            text = text.replace(here, there)
        return text

    def close(self) -> None:
        self.gateway.terminate()
        self.gateway.wait(30)
        self._over.set()
        self._talker.join(10)
        for thing in (self.platform, *self.lines.values()):
            thing.close()
        self.broker.stop()


def narrowed(status: Ran, hall: Hall) -> Ran:
    """The table of devices, with its column of ports as wide as the names in it are for a reader."""
    lines = status.lines[: status.lines.index("") + 3]
    wide = len(str(hall.folder / "tty")) - len("/dev/tty")
    return status._replace(lines=[lines[0].replace("PORT" + wide * " ", "PORT", 1), *lines[1:]])


def rename(browser: Browser, hall: Hall) -> None:
    """From now on the page shows the reader's names of ports and folders, before anything is painted."""
    browser.run(f"""(() => {{
        const pairs = Object.entries({json.dumps(hall.unsaid)});
        const said = (text) => pairs.reduce((all, [here, there]) => all.replaceAll(here, there), text);
        const all = () => {{
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            for (let node; (node = walker.nextNode());) {{
                const text = said(node.data);
                if (text !== node.data) node.data = text;
            }}
        }};
        all();
        new MutationObserver(all).observe(document.body, {{ subtree: true, childList: true, characterData: true }});
    }})()""")


def take(browser: Browser, hall: Hall, name: str) -> None:
    """A picture of what is shown."""
    browser.run(f"""(() => {{
        for (const field of document.querySelectorAll("input, textarea"))
            for (const [here, there] of Object.entries({json.dumps(hall.unsaid)}))
                field.value = field.value.replaceAll(here, there);
    }})()""")
    assert str(hall.folder) not in browser.text
    browser.picture(FOLDER / f"{name}.png")


def photograph(hall: Hall, link: str) -> None:
    """Five pages: all devices, one of them, what has happened, a new adapter, the configuration."""
    with Browser() as browser:
        browser.open(link)
        browser.wait_for("no frame end", 90)
        rename(browser, hall)
        hall.lines["ttyUSB1"].unplug()
        browser.wait_for("port closed", 30)
        take(browser, hall, "overview")
        browser.click("press1")
        browser.wait_for("Live frames")
        browser.wait_for("force 1", 30)
        rows = "document.querySelectorAll('.pair').length"
        wait_until(lambda: browser.run(rows) >= FRAMES, "some frames are shown", 30, 0.2)
        browser.run("document.querySelector('.pair').click()")
        browser.wait_for("takes bytes")
        browser.run("[...document.querySelectorAll('h2')].find((one) => one.textContent === 'Values').scrollIntoView()")
        take(browser, hall, "device")
        browser.run("location.hash = '#/events'")
        browser.wait_for("no such port")
        take(browser, hall, "events")
        browser.run(f"location.hash = '#/add?port=' + encodeURIComponent({json.dumps(str(hall.folder / 'ttyUSB4'))})")
        browser.wait_for("Which port")
        wait_until(lambda: browser.run("!document.querySelector('form button').disabled"), "it may listen", 30, 0.1)
        browser.click("Listen")
        browser.wait_for("this is it", 60)
        browser.click("this is it")
        browser.wait_for("add this value")
        for place in (2, 5):
            browser.run(f"document.querySelectorAll('.mark-row')[0].querySelectorAll('button')[{place}].click()")
        browser.type_into("Name of the value", "temperature")
        browser.wait_for("temperature\n", 30)
        browser.run("document.querySelector('.mark-row').scrollIntoView({ block: 'center' })")
        take(browser, hall, "wizard")
        browser.run("location.hash = '#/'")
        browser.wait_for("Last frame")
        browser.click("Configuration")
        browser.wait_for("The files are what runs.")
        browser.wait_for("start")
        choice = """(() => { const one = document.querySelector("select"); one.value = "serial.json";
            one.dispatchEvent(new Event("change")); return one.value; })()"""
        wait_until(lambda: browser.run(choice) == "serial.json", "the file can be chosen", 20, 0.2)
        text = "document.querySelector('textarea').value"
        wait_until(lambda: '"oven"' in browser.run(text), "the file is shown", 20, 0.1)
        browser.type_into("Text of the file", browser.run(text).replace('"key": "t"', '"key": "temperature"', 1))
        browser.click("save")
        browser.wait_for("This is what applying it does.", 60)
        browser.run("scrollTo(0, 0)")
        take(browser, hall, "configuration")


def main() -> int:
    """Makes all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="serialgw-pictures-", ignore_cleanup_errors=True) as place:
        hall = Hall(Path(place))
        try:
            hall.platform.wait_connected("press1", "dust", "greenhouse", deadline_s=60)

            def link() -> str:
                return next(iter(line for line in hall.ran("web").lines if line.startswith("http")), "")

            found = wait_until(link, "serialgw web prints a link", 60, 0.5)
            photograph(hall, found)
            watched = hall.ran("watch", "press1", seconds=3.5)
            session = [
                narrowed(hall.ran("status"), hall),
                watched._replace(lines=watched.lines[:4]),
                hall.ran("try", "serial.json", "dust", "--hex", DUST.hex(" ")),
                hall.ran("reload"),
            ]
            title = "A terminal: serialgw status, watch, try and reload"
            (FOLDER / "terminal.svg").write_text(session_as_svg(session, title), "utf-8")
        finally:
            hall.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
