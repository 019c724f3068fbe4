"""docs/coming-from-thingsboard.md, followed word by word: its files where the other gateway has them, its commands in
their order, with mosquitto as the platform and pseudo-terminals as the devices."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.config.extension_files import SHARED_EXTENSIONS
from services.cli.command_line import COMMANDS
from tests.e2e.harness import Line, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from-thingsboard.md").read_text()
FILE = re.compile(r"^`(/\S+)`:\n\n```(?:json|python)\n(.*?)```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)```", re.MULTILINE | re.DOTALL)
RUN, WATCH, STATUS = "serialgw run", "serialgw watch", "serialgw status"
TIME = re.compile(r"^\S+T\S+ ")


class Step(NamedTuple):
    command: str
    printed: str


def steps() -> list[Step]:
    """The commands of the page with what it says that they print."""
    found = []
    for block in CONSOLE.findall(PAGE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append(Step(command, printed))
    return found


class Technician:
    """Somebody at a terminal, whose machine has other ports, and other places, than the page."""

    def __init__(self, folder: Path, lines: list[Line], mqtt_port: int) -> None:
        self.folder = folder
        self.work = folder
        self._instead = {f"/dev/ttyUSB{number}": str(line.path) for number, line in enumerate(lines)} | {
            "/etc/thingsboard-gateway": f"{folder}/etc",
            "/var/lib/thingsboard_gateway": f"{folder}/lib",
            "/home/tech/.local/share/serialgw": f"{folder}/data",
            "thingsboard.example.org:1883": f"127.0.0.1:{mqtt_port}",
            "thingsboard.example.org": "127.0.0.1",
            '"port": 1883': f'"port": {mqtt_port}',
        }
        scripts = str(Path(sys.executable).parent)
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TB_GW_")},
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "SERIALGW_DATA_DIR": f"{folder}/data",
        }

    def here(self, text: str) -> str:
        """The same text on this machine."""
        for word, instead in self._instead.items():
            text = text.replace(word, instead)
        return text

    def write_files(self) -> None:
        """What the other gateway has."""
        for name, content in FILE.findall(PAGE):
            path = Path(self.here(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.here(content))

    def do(self, command: str) -> str:
        """Types a command; what it has printed. It has to succeed."""
        if command.startswith("cd "):
            self.work = self.work / command.removeprefix("cd ")
            return ""
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.work,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stdout}"
        return done.stdout

    def begin(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Types a command that goes on until Ctrl-C."""
        with log.open("wb") as output:
            return subprocess.Popen(
                command.split(), cwd=self.work, env=self._environ, stdout=output, stderr=subprocess.STDOUT
            )

    def looks_like(self, said: str, printed: str) -> bool:
        """Whether it is what the page shows: a line of three dots stands for any lines."""
        pattern = re.escape(self.here(printed)).replace(re.escape("...\n"), "(?:.*\n)*")
        return re.fullmatch(pattern, said) is not None


class Weighing:
    """The scale of the page: it is asked, and answers."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        os.set_blocking(line.master, False)
        self._thread.start()

    def _answer(self) -> None:
        said = b""
        while not self._stop.wait(0.02):
            try:
                said += os.read(self._line.master, 64)
            except (BlockingIOError, OSError):
                continue
            while b"\n" in said:
                asked, _, said = said.partition(b"\n")
                self._line.write(b"12.5\n" if asked == b"W" else b"OK\n")

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C, and waits."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Technician, list[Line], Platform]]:
    """A machine with three adapters, and a platform."""
    lines = [Line(tmp_path / f"tty{number}") for number in range(3)]
    broker = Mosquitto(tmp_path / "mqtt")
    platform = Platform(broker.port)
    scale = Weighing(lines[2])
    with closing(*lines, broker, platform, scale):
        yield Technician(tmp_path, lines, broker.port), lines, platform


def test_the_page_word_by_word(site: tuple[Technician, list[Line], Platform]) -> None:
    """The files are copied and checked, the gateway runs on them, and what was said on the lines is on the platform."""
    technician, lines, platform = site
    technician.write_files()
    before = {path: path.read_bytes() for path in technician.folder.glob("etc/**/*") if path.is_file()}
    gateway, log = None, technician.folder / "run.log"
    try:
        for command, printed in steps():
            if command == RUN:
                gateway = technician.begin(command, log)
                devices_talk(lines, platform)
                assert technician.here(printed.splitlines()[0]) in log.read_text()
            elif command == WATCH:
                watch(technician, lines, printed)
            elif command == STATUS:
                wait_until(lambda printed=printed: states(technician) == rows(printed), f"status shows {printed}", 30)
            else:
                said = technician.do(command)
                assert technician.looks_like(said, printed), f"{command}: {said}"
        assert gateway is not None, "the page runs the gateway"
        assert lines[1].read_until(b"\n") == b"setLimit=60\n"
        assert platform.call("Scale1", "tare", None, 1) == {"result": "OK"}
        platform.say("v1/gateway/attributes", {"device": "SerialDevice1", "data": {"attr1": 25}})
        assert lines[0].read_until(b"\n") == b"value = 25\n"
        assert end(gateway) == 0
    finally:
        if gateway is not None and gateway.poll() is None:
            end(gateway)
    assert "Traceback" not in log.read_text()
    assert {path: path.read_bytes() for path in before} == before, "the old gateway's files are as they were"


def devices_talk(lines: list[Line], platform: Platform) -> None:
    """All three devices, and what the platform has of them."""
    platform.wait_connected("SerialDevice1", "SerialDevice2", "Scale1", deadline_s=40)
    say_all(lines)
    assert platform.wait_telemetry("SerialDevice1", 1)[0]["values"] == {"humidity": 48.0}
    assert platform.wait_telemetry("SerialDevice2", 1)[0]["values"] == {"humidity": 48.0}
    assert platform.wait_telemetry("Scale1", 1)[0]["values"] == {"weight": 12.5}
    for device, kind in (("SerialDevice1", "default"), ("SerialDevice2", "dryer"), ("Scale1", "scale")):
        assert platform.on("v1/gateway/connect", device)[0]["type"] == kind
    for device in ("SerialDevice1", "SerialDevice2"):
        platform.wait_for(
            lambda _, device=device: {"SerialNumber": "2430947595"} in platform.on("v1/gateway/attributes", device),
            f"the serial number of {device}",
        )


def say_all(lines: list[Line]) -> None:
    lines[0].write(b"48\r2430947595\n")
    lines[1].write(b"48;2430947595\n")


def watch(technician: Technician, lines: list[Line], printed: str) -> None:
    """Each line of the page's comes, at another time."""
    output = technician.folder / "watch.log"
    process = technician.begin(WATCH, output)
    wanted = {TIME.sub("", line) for line in printed.splitlines()}

    def seen() -> bool:
        say_all(lines)
        return wanted <= {TIME.sub("", line) for line in output.read_text().splitlines()}

    try:
        wait_until(seen, f"{wanted} shown", 30, 0.5)
    finally:
        code = end(process)
    assert code == 0


def states(technician: Technician) -> list[list[str]]:
    """What `status` says now: (device, state), and whether the platform is reached; [] while it is not complete."""
    try:
        return rows(technician.do(STATUS))
    except AssertionError:
        return []


def rows(printed: str) -> list[list[str]]:
    """The first two words of each line of the upper part, and of what follows it."""
    return [line.split()[:2] for line in printed.splitlines() if re.match(r"(Serial|Scale|connector:|platform:)", line)]


def test_what_the_page_says_of_places_is_what_serialgw_looks_at() -> None:
    """The shared folder of extensions, and every command that stands in the text."""
    assert f"`{SHARED_EXTENSIONS}`" in PAGE
    named = set(re.findall(r"`serialgw ([a-z-]+)", PAGE))
    assert named
    assert named <= set(COMMANDS)
