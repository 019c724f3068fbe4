"""The page, as a person has it in a browser: on a desk and on a phone, light and dark."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from services.monitor.core.gateway.devices import DeviceWord
from services.monitor.shell.web.files import FOLDER
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, free_port, needs_mosquitto
from tests.support.waiting import wait_until
from tests.web.browser import Browser

pytestmark = [needs_mosquitto, pytest.mark.timeout(240)]
EVIL = '<img src=x onerror="document.title=1">'
SEEN_S = 2.0
"""What happens at a line is to be seen within this."""
SHAPES = [(1280, 800, False), (1280, 800, True), (390, 844, False), (390, 844, True)]


class Scene:
    """A gateway with two devices, one with a name that would be a script, and its platform."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.broker = Mosquitto(folder / "mqtt")
        self.platform = Platform(self.broker.port)
        self.press, self.evil = Line(folder / "ttyPress"), Line(folder / "ttyEvil")
        common = {"delimiter": "\n", "baudrate": 115200}
        press = {
            **common,
            "name": "press",
            "port": str(self.press.path),
            "telemetry": [{"type": "float", "key": "t", "fromByte": 2, "toByte": -1}],
            "serverSideRpc": [
                {"method": "setSpeed", "template": "SPD ${params}\n", "withResponse": True, "responseType": "string"},
            ],
            "attributeUpdates": [{"attributeOnPlatform": "limit", "stringToDevice": "LIM ${limit}\n"}],
        }
        evil = {
            **common,
            "name": EVIL,
            "port": str(self.evil.path),
            "telemetry": [{"type": "string", "key": "<b>k</b>", "fromByte": 0, "toByte": -1}],
        }
        main = {
            "thingsboard": {"host": "127.0.0.1", "port": self.broker.port, "security": {"accessToken": "hidden"}},
            "web": {"port": self.port, "edit": True},
            "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
        }
        (folder / "serial.json").write_text(json.dumps({"name": "S", "devices": [press, evil]}))
        (folder / "tb_gateway.json").write_text(json.dumps(main))
        self.gateway = Gateway(folder, folder / "tb_gateway.json", {"SERIALGW_WEB": ""})
        self.gateway.start_all(["press", EVIL])
        self.platform.wait_connected("press", EVIL)
        self._talking = threading.Event()
        self._talker: threading.Thread | None = None

    def link(self) -> str:
        """What `serialgw web` prints."""

        def printed() -> str:
            done = self.gateway.cli("web")
            return done.stdout.splitlines()[0] if done.returncode == 0 else ""

        return wait_until(printed, "serialgw web prints a link")

    def talk(self) -> None:
        """The device says a value ten times a second, and answers what is written to it."""

        def run() -> None:
            number = 0
            while not self._talking.wait(0.1):
                number += 1
                self.press.write(b"T:%d.5\n" % (number % 50))
                self.evil.write(b"<script>document.title=2</script> \x1b[31m\xe2\x80\xae %d\n" % number)

        self._talker = threading.Thread(target=run, daemon=True)
        self._talker.start()

    def hush(self) -> None:
        """Both are silent."""
        self._talking.set()
        if self._talker is not None:
            self._talker.join(10)

    def close(self) -> None:
        self.hush()
        for thing in (self.gateway, self.platform, self.press, self.evil):
            thing.close()
        self.broker.stop()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(found := Scene(tmp_path)):
        yield found


def seen_within(browser: Browser, words: str) -> float:
    """Seconds until a person sees these words."""
    begun_s = time.monotonic()
    browser.wait_for(words)
    return time.monotonic() - begun_s


@pytest.mark.alone
def test_a_technician_at_the_page(scene: Scene) -> None:
    """Devices with their states; an unplug and a return within two seconds, with the reason; live frames beside their
    values; a call that the device answers; nothing in the console."""
    scene.talk()
    with Browser() as browser:
        browser.open(scene.link())
        browser.wait_for("2 devices served, platform up")
        browser.wait_for("receiving")
        assert EVIL in browser.text
        browser.click("press")
        browser.wait_for("Live frames")
        browser.wait_for("t 7.5")
        browser.click("show as hex")
        browser.wait_for("54 3a")
        scene.hush()
        scene.press.unplug()
        assert seen_within(browser, "port closed") <= SEEN_S + 1.0, "and as much for a busy machine"
        browser.wait_for("no such port")
        scene.press.plug_in()
        back_s = seen_within(browser, "idle")
        assert back_s <= SEEN_S + 5.0, "with the pause between two tries of the port"
        browser.type_into("Params of setSpeed", "42")
        browser.click("call")
        assert scene.press.read_until(b"SPD 42\n") == b"SPD 42\n"
        scene.press.write(b"DONE\n")
        browser.wait_for('{"result":"DONE"}')
        browser.type_into("New value of limit", "9")
        browser.click("set")
        assert scene.press.read_until(b"LIM 9\n").endswith(b"LIM 9\n")
        browser.wait_for("written")
        assert browser.console == []


@pytest.mark.parametrize(("width", "height", "dark"), SHAPES)
def test_each_page_fits_and_runs_nothing_of_a_device(
    scene: Scene, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    """No page is wider than its window, names and frames that would be scripts are text, and the console is empty."""
    scene.talk()
    with Browser(width, height, dark=dark) as browser:
        browser.open(scene.link())
        browser.wait_for("receiving")
        for page, words in {"#/": "Last frame", "#/gateway": "port reader press", "#/events": "connected to"}.items():
            browser.run(f"location.hash = {json.dumps(page)}")
            browser.wait_for(words)
            assert browser.run("document.documentElement.scrollWidth") <= width
            browser.picture(tmp_path / f"{width}-{dark}.png")
        browser.run(f"location.hash = '#/device/' + encodeURIComponent({json.dumps(EVIL)})")
        browser.wait_for("<script>document.title=2</script>")
        browser.wait_for("\\x1b[31m\\xe2\\x80\\xae")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.title") in ("serialgw", "● serialgw")
        assert browser.run("document.querySelectorAll('main img, main script').length") == 0
        background = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads("[" + background.partition("(")[2].rstrip(")") + "]")[:3]) < 200) is dark
        assert browser.console == []


def test_a_page_finds_back_to_a_monitor_that_was_killed(scene: Scene) -> None:
    """It says how old what it shows is, and goes on by itself."""
    scene.talk()
    with Browser() as browser:
        browser.open(scene.link())
        browser.wait_for("receiving")
        scene.gateway.kill("monitor")
        browser.wait_for("no news for")
        scene.gateway.restart("monitor")
        browser.wait_for("2 devices served", 40)
        wait_until(lambda: "no news for" not in browser.text, "it is fresh again")


def test_who_may_only_look_is_told_so(scene: Scene) -> None:
    """Its forms are there, and send nothing."""
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{scene.port}/#/device/press")
        browser.wait_for("This page only looks")
        assert browser.run("[...document.querySelectorAll('form button')].every((one) => one.disabled)")


def test_the_page_knows_each_state() -> None:
    """With a word for it and what to do next."""
    text = (FOLDER / "words.js").read_text()
    known = re.findall(r"^  (\w+): \[\"", text, re.MULTILINE)
    assert sorted(known) == sorted(get_args(DeviceWord))


def test_a_search_is_in_the_address_and_says_what_it_hides(scene: Scene) -> None:
    """So a filter that is left on one phone is not taken for a gateway with one device."""
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{scene.port}/#/?q=pres")
        browser.wait_for("1 of 2 shown, show all")
        assert EVIL not in browser.text
        browser.click("show all")
        browser.wait_for(EVIL)


def test_events_as_they_happen(scene: Scene) -> None:
    """An unplug is told with its reason and what to do, of one device and on its own page; filters are in the address,
    a pause holds it, and an empty list says why it is empty."""
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{scene.port}/#/events")
        browser.wait_for("platform\tup")
        browser.run("location.hash = '#/device/press'")
        browser.wait_for("Nothing has happened to it")
        browser.run("location.hash = '#/events?kind=port'")
        browser.wait_for("No event fits")
        browser.click("pause")
        scene.press.unplug()
        browser.wait_for("go on (1 since)")
        assert "no such port" not in browser.run("document.querySelector('.log').innerText")
        browser.click("go on (1 since)")
        browser.wait_for("port closed\n" + str(scene.press.path) + ": no such port; serialgw ports lists")
        browser.wait_for("Plug the adapter in, or see why it can't be opened: serialgw doctor tells.")
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d", browser.text)
        browser.type_into("Only events of this device", EVIL)
        browser.wait_for("No event fits")
        assert "device=%3Cimg" in browser.run("location.hash")
        browser.click("show all")
        browser.wait_for("connected to")
        browser.click("press")
        browser.wait_for("all its events")
        browser.wait_for("no such port; serialgw ports lists")
        browser.click("all its events")
        # Hung up, and then away: one event, or two where the first was told before the port was looked for.
        wait_until(lambda: re.search(r"The newest [12] events?\.", browser.text), "the device's events", 20, 0.1)
        assert browser.console == []


def test_which_point_takes_which_byte_and_a_recording(scene: Scene) -> None:
    """A byte of a live frame shows its point, a value its bytes, by keys too; and the line goes into a file."""
    scene.talk()
    with Browser() as browser:
        browser.open(scene.link())
        browser.wait_for("receiving")
        browser.run("location.hash = '#/device/press'")
        browser.wait_for("t 7.5")
        browser.run("document.querySelector('.pair').click()")
        browser.wait_for("takes bytes 2 to ")
        marked = "[...document.querySelectorAll('.byte.is')].map((one) => one.textContent).join('')"
        assert re.fullmatch(r"\d+\.5", browser.run(marked))
        browser.run("document.querySelectorAll('.marked .byte')[0].click()")
        browser.wait_for("No data point takes byte 0.")
        browser.run("document.querySelectorAll('.marked .byte')[2].click()")
        browser.wait_for("Byte 2 is taken by t (bytes 2 to ")
        browser.click("close")
        key = "new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })"
        browser.run(f"document.querySelector('.frame [role=button]').dispatchEvent({key})")
        browser.wait_for("Press a byte")
        caret = """import('./page/marks.js').then(({ byteAt }) =>
            [[false, 0], [false, 2], [false, 3], [true, 4]].map(([isHex, at]) => byteAt("540a41", isHex, at)))"""
        assert browser.run(caret) == [0, 1, 2, 1]
        browser.tell("Page.setDownloadBehavior", behavior="allow", downloadPath=str(scene.folder))
        browser.run("document.querySelector('.record select').append(new Option('1 s', '1', true, true))")
        browser.click("record the line")
        browser.wait_for("recorded;", 40)
        (file,) = wait_until(lambda: [*scene.folder.glob("press-*.txt")], "the file is there")
        assert file.read_text().startswith("serialgw capture 1")
        assert "< 54 3A " in file.read_text()
        assert browser.console == []


def test_a_table_is_sorted_by_its_heads(scene: Scene) -> None:
    """By keys too, and so that the address has it; a second press turns it round, a third forgets it."""
    names = "[...document.querySelectorAll('tbody .name')].map((one) => one.textContent)"
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{scene.port}/#/?sort=-device")
        browser.wait_for(EVIL)
        assert browser.run(names) == ["press", EVIL]
        assert browser.run("document.querySelector('th').getAttribute('aria-sort')") == "descending"
        browser.run("document.querySelector('.sort').focus()")
        for kind in ("keyDown", "keyUp"):
            browser.tell(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )
        wait_until(lambda: browser.run("location.hash") == "#/", "the order is forgotten")
        browser.run("document.querySelector('.sort').click()")
        assert (browser.run("location.hash"), browser.run(names)) == ("#/?sort=device", [EVIL, "press"])
        assert browser.console == []
