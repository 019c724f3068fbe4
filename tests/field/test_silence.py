"""A gateway without data says why: for each device a state with a reason, in `status` and in the log."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.core.checksum import sealed
from common.core.frame_shape import Checksum
from services.monitor.core.gateway.devices import SERVED
from tests.e2e.harness import ROOT, Gateway, Line, Mosquitto, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

FLOAT = {"key": "t", "type": "float"}
COUNT = {"key": "n", "at": 1, "type": "uint8"}
WEIGHT = {"key": "w", "regex": "([0-9.]+)", "type": "float"}
SAYS: dict[str, tuple[dict[str, Any], bytes]] = {
    "carriage": ({"telemetry": [FLOAT]}, b"23.0\r"),
    "etx": ({"telemetry": [FLOAT]}, b"\x0223.0\x03"),
    "parity": ({"telemetry": [FLOAT]}, bytes(byte | 0x80 * (byte.bit_count() % 2) for byte in b"weight 12.5 kg ")),
    "rate": ({"timeout": 0.1, "telemetry": [FLOAT]}, b"\x00\xf8\x80\xe6\x00\x9e\xf8\x80\x06\x1e\xf8\x00\x80"),
    "noise": ({"telemetry": [FLOAT]}, b"\x00\xf8\x80\xe6\x00\x9e\xf8\x80\x06\x1e\xf8\x00\x80"),
    "place": ({"telemetry": [{**FLOAT, "fromDelimiter": "T:"}]}, b"T=23.5\r\n"),
    "comma": ({"telemetry": [FLOAT]}, b"ERR 7\r\n"),
    "half": ({"telemetry": [{**FLOAT, "fromDelimiter": "T="}, {**FLOAT, "key": "h", "fromDelimiter": "H:"}]}, b"T=1\n"),
    "good": ({"telemetry": [FLOAT]}, b"23.5\r\n"),
    "quiet": ({"telemetry": [FLOAT]}, b""),
    "sum": (
        {"framing": {"start": "hex:AA", "length": 6}, "checksum": {"type": "sum8"}, "telemetry": [COUNT]},
        b"".join(sealed(Checksum(type="xor8", from_byte=1), bytes((0xAA, at, 7, 9 * at, 200))) for at in range(1, 6)),
    ),
    "asked": (
        {"framing": "lines", "send": {"end": "\r\n"}, "ask": "SI", "every": 1, "retries": 0, "telemetry": [WEIGHT]},
        b"",
    ),
    "kind": (
        {"framing": "lines", "messages": [{"name": "weight", "when": "^S ", "telemetry": [WEIGHT]}]},
        b"X 17\r\n",
    ),
}
"""Device → its section, and what it says twice a second."""
EXPECTED = {
    "carriage": ("no_frame_end", ['awaits "\\n"', 'has "\\r" instead: set "delimiter": "\\r"', "23.0\\r23.0\\r"]),
    "etx": ("no_frame_end", ['set "delimiter": "hex:03"']),
    "parity": ("no_frame_end", ['text of 7 data bits and even parity: try "bytesize": 7, "parity": "E"']),
    "rate": ("no_values", ["frames in a row gave no value", 'the device uses another "baudrate" or "parity"']),
    "noise": ("no_frame_end", ['the bytes are no text: the device uses another "baudrate"']),
    "place": ("no_values", ["frames in a row gave no value", "no frame has the data point t"]),
    "comma": ("no_values", ["t: found 'ERR 7", "expected a finite decimal number"]),
    "half": ("some_values_missing", ["no frame has the data point h"]),
    "good": ("receiving", []),
    "quiet": ("idle", ["the port is open, and nothing has come yet"]),
    "sum": (
        "no_frame_end",
        ["begins with AA, 6 bytes", "the frame says", 'set "checksum": {"type": "xor8", "from": 1}', "newest bytes"],
    ),
    "asked": ("no_answer", ["asked, no answer: 'SI\\r\\n' was not answered within 1 s; nothing came: is the device"]),
    "kind": ("no_values", ["frames in a row gave no value; the last error: no message fits"]),
    "away": ("port_closed", ["no such port; `serialgw ports` lists those that are there"]),
    "busy": ("port_closed", ["in use by another process"]),
}
"""Device → its state, and what its reason says."""


class World:
    """A gateway whose devices are wrong in all ways, and one that is right."""

    def __init__(self, folder: Path) -> None:
        self.lines = {name: Line(folder / f"tty-{name}") for name in (*SAYS, "busy")}
        self.mosquitto = Mosquitto(folder / "mosquitto")
        devices = [
            {"name": name, "port": str(line.path), **SAYS.get(name, ({"telemetry": [FLOAT]}, b""))[0]}
            for name, line in self.lines.items()
        ]
        devices.append({"name": "away", "port": str(folder / "ttyUSB7"), "telemetry": [FLOAT]})
        self.busy = os.open(self.lines["busy"].path, os.O_RDWR | os.O_NOCTTY)
        # What every terminal program does: root alone may open it all the same, but for the lock that pyserial takes.
        fcntl.ioctl(self.busy, termios.TIOCEXCL)
        fcntl.flock(self.busy, fcntl.LOCK_EX)
        self.gateway = Gateway(folder, write_config(folder / "config", self.mosquitto.port, devices))
        self.gateway.start_all([device["name"] for device in devices])
        self._ends = threading.Event()
        self._talking = threading.Thread(target=self._talk)
        self._talking.start()

    def _talk(self) -> None:
        while not self._ends.wait(0.5):
            for name, (_, said) in SAYS.items():
                self.lines[name].write(said)

    def devices(self) -> dict[str, dict[str, Any]]:
        """What `status` says of each."""
        return {device["name"]: device for device in self.gateway.status().get("devices", [])}

    def close(self) -> None:
        self._ends.set()
        self._talking.join()
        self.gateway.close()
        os.close(self.busy)
        self.mosquitto.stop()
        for line in self.lines.values():
            line.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("silence"))
    with closing(made):
        yield made


@pytest.mark.timeout(120)
def test_each_device_has_a_state_and_a_reason(world: World) -> None:
    """Within half a minute, also where all that is wrong is a delimiter."""
    found: dict[str, dict[str, Any]] = {}

    def all_known() -> bool:
        found.update(world.devices())
        return {name: device["state"] for name, device in found.items()} == {
            name: state for name, (state, _) in EXPECTED.items()
        }

    wait_until(all_known, "all states", 60, every_s=0.5)
    for name, (_, parts) in EXPECTED.items():
        for part in parts:
            assert part in found[name]["reason"], (name, found[name])
    assert found["good"]["frame_age_s"] < 10
    assert found["quiet"]["frame_age_s"] is None
    assert found["comma"]["conversion_errors"] >= 5
    assert {name for name, device in found.items() if device["is_served"]} == {"half", "good", "quiet"}


@pytest.mark.timeout(60)
def test_the_log_has_a_line_for_each_change(world: World) -> None:
    """Once, however long it lasts."""
    troubled = [name for name, (state, _) in EXPECTED.items() if state not in ("receiving", "idle")]

    def all_told() -> bool:
        return all(f"device={name} state=" in world.gateway.log("monitor") for name in troubled)

    wait_until(all_told, "a line for each device", 40)
    lines = [line for line in world.gateway.log("monitor").splitlines() if "device.state" in line]
    [carriage] = [line for line in lines if "device=carriage " in line]
    assert "WARNING" in carriage
    assert "no frame end" in carriage
    [asked] = [line for line in lines if "device=asked " in line]
    assert 'state="no answer"' in asked


@pytest.mark.timeout(60)
def test_status_is_for_people_and_for_health_checks(world: World) -> None:
    """The reason stands below the device; the exit code says that somebody has to look."""
    answer = world.gateway.cli("status")
    assert answer.returncode == 1
    lines = answer.stdout.splitlines()
    assert lines[0].split() == [
        "DEVICE",
        "STATE",
        "FOR",
        "PORT",
        "LAST",
        "FRAME",
        "RATE",
        "WAITING",
        "DEAD",
        "LETTERS",
        "ERRORS",
    ]
    [row] = [line for line in lines if line.startswith("away ")]
    assert "port closed" in row
    assert "no such port" in lines[lines.index(row) + 1]


@pytest.mark.timeout(60)
def test_the_doctor_says_so_too(world: World) -> None:
    """Each device that is not served is a fault, with its reason; the platform is the gateway's own to tell of; ports
    that the gateway has open are no fault, and the one that another program has is."""
    answer = world.gateway.cli("doctor", "--config", str(world.gateway.config), "--json")
    assert answer.returncode == 1
    found = json.loads(answer.stdout)["findings"]
    faults = {one["subject"]: one["found"] for one in found if one["check"] == "device"}
    # More is told of both ports that can't be opened.
    assert faults.keys() == {name for name, (state, _) in EXPECTED.items() if state not in SERVED} - {"away", "busy"}
    assert [one["check"] for one in found if one["level"] == "fault" and "ttyUSB7" in one["subject"]] == ["port"]
    assert faults["carriage"].startswith("no frame end: ")
    assert all(one["cure"] for one in found if one["level"] != "ok")
    [platform] = [one for one in found if one["check"] == "platform"]
    assert (platform["level"], platform["found"]) == ("ok", "the gateway that runs is connected")
    held = [one["found"] for one in found if one["check"] == "holder" and one["level"] == "fault"]
    assert len(held) == 1
    assert f"pid {os.getpid()}" in held[0]


@pytest.mark.timeout(60)
def test_watch_shows_what_waits(world: World) -> None:
    """Also where no frame comes: the port, or the bytes."""
    with subprocess.Popen(
        [sys.executable, "-m", "services.cli", "watch", "--data-dir", str(world.gateway.data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as watching:
        assert watching.stdout is not None
        wanted = {"carriage line    bytes come, and no frame ends", "away line    the port is closed: no such port"}
        for line in watching.stdout:
            wanted -= {text for text in wanted if text in line}
            if not wanted:
                break
        watching.kill()
    assert not wanted


@pytest.mark.timeout(60)
def test_to_open_a_port_is_no_frame(world: World) -> None:
    """A device that has said nothing has no frames."""
    readers = {p["device"]: p for p in world.gateway.status()["processes"] if p["kind"] == "port_reader"}
    assert readers["quiet"]["counters"]["frames_read"] == 0
    assert readers["good"]["counters"]["frames_read"] > 0
