"""Users' converters at their worst, in real processes: frames that kill, frames that hang, classes that don't load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.harness import ROOT, Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

CONVERTERS = """
import ctypes
import os
import time


class Deadly:
    def __init__(self, config, logger):
        self.name = config["name"]

    def convert(self, config, data):
        if data == b"exit\\n":
            os._exit(3)
        if data == b"crash\\n":
            ctypes.string_at(0)
        if data == b"hang\\n":
            while True:
                time.sleep(1)
        return {"deviceName": self.name, "deviceType": "t", "telemetry": [{"n": int(data)}]}


class Unbuildable:
    def __init__(self, config, logger):
        raise RuntimeError("no licence")

    def convert(self, config, data):
        return None
"""


def _configure(folder: Path, mqtt_port: int, devices: dict[str, tuple[Line, str]]) -> Path:
    (folder / "extensions" / "serial").mkdir(parents=True)
    (folder / "extensions" / "serial" / "deadly.py").write_text(CONVERTERS)
    point = [{"type": "int", "key": "n"}]
    sections = [
        {"name": name, "port": str(line.path), "firstFrame": "keep", "converter": converter, "telemetry": point}
        for name, (line, converter) in devices.items()
    ]
    return write_config(folder, mqtt_port, sections)


def _numbers(platform: Platform, device: str) -> list[int]:
    """The numbers that came, each once."""
    return list(dict.fromkeys(item["values"]["n"] for item in platform.telemetry(device)))


def _letters(gateway: Gateway, device: str) -> list[dict[str, Any]]:
    answer = gateway.cli("dead-letters", "--json", "--device", device)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_frames_that_kill_are_quarantined_and_cost_nobody_else(tmp_path: Path) -> None:
    """Under `serialgw run`: a frame that ends the process and one that crashes it become dead letters after three
    deaths; all other frames arrive, in order; a class that can't be built costs only its own device, and says where."""
    lines, mosquitto = [Line(tmp_path / f"tty{number}") for number in range(3)], Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    classes = ("Deadly", "Unbuildable", "SerialUplinkConverter")
    devices = dict(zip(("deadly", "broken", "plain"), zip(lines, classes, strict=True), strict=True))
    gateway = Gateway(tmp_path, _configure(tmp_path / "config", mosquitto.port, devices))
    log = tmp_path / "run.log"
    with closing(mosquitto, platform, *lines), log.open("wb") as output:
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(gateway.config), "--converters", "2"]
        run = subprocess.Popen(
            [*command, "--data-dir", str(gateway.data_dir)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            for name in ("deadly", "broken", "plain"):
                platform.wait_for(lambda _, name=name: platform.on("v1/gateway/connect", name), "connect", 40)
            lines[0].write(b"1\n2\nexit\n3\n4\ncrash\n5\n")
            for number in range(1, 4):
                lines[1].write(b"%d\n" % number)
                lines[2].write(b"%d\n" % number)
            platform.wait_for(lambda _: _numbers(platform, "plain") == [1, 2, 3], "the plain device's frames")
            platform.wait_for(
                lambda _: _numbers(platform, "deadly") == [1, 2, 3, 4, 5], "all that can be converted", 60
            )
            letters = wait_until(lambda: found if len(found := _letters(gateway, "deadly")) == 2 else None, "two dead")
            assert [bytes.fromhex(letter["hex"]) for letter in letters] == [b"exit\n", b"crash\n"]
            assert all("times in this frame alone" in letter["reason"] for letter in letters), letters
            broken = wait_until(lambda: found if len(found := _letters(gateway, "broken")) == 3 else None, "three dead")
            where = f"Unbuildable: {tmp_path / 'config/extensions/serial/deadly.py'}, line 24: RuntimeError"
            assert all(letter["reason"].startswith(where) for letter in broken), broken
            assert _letters(gateway, "plain") == []
        finally:
            run.terminate()
            assert run.wait(30) == 0
        said = log.read_text()
        # Three for each, and perhaps a copy that was on its way to the other converter; no converter with them.
        assert 6 <= said.count("host.ended") <= 10
        assert said.count("process.died") == 0
        assert said.count("converter.broken") in (1, 2)
        assert "line 24: RuntimeError: no licence" in said


def test_a_frame_that_hangs_is_quarantined_by_the_watchdog(tmp_path: Path) -> None:
    """Each death leaves a traceback that names the user's line; all other frames arrive, before and after it."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    gateway = Gateway(tmp_path, _configure(tmp_path / "config", mosquitto.port, {"deadly": (line, "Deadly")}))
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["deadly"], converters=0)
        gateway.start("converter0", "converter", "--slot", "0", "--watchdog-s", "0.3")
        platform.wait_for(lambda _: platform.on("v1/gateway/connect", "deadly"), "connect")
        line.write(b"1\nhang\n2\n")
        wait_until(lambda: _numbers(platform, "deadly") == [1, 2], "all that can be converted", 30)
        assert gateway.log("converter0").count("host.ended") >= 3
        assert gateway.processes["converter0"].poll() is None
        [letter] = wait_until(lambda: _letters(gateway, "deadly"), "the dead letter")
        assert bytes.fromhex(letter["hex"]) == b"hang\n"
        line.write(b"3\n")
        platform.wait_for(lambda _: _numbers(platform, "deadly") == [1, 2, 3], "the next frame")
        assert 'deadly.py", line 18 in convert' in gateway.log("converter0")
