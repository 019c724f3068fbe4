"""Dead letters end to end: listed from a running gateway, sent again after the configuration was mended, and what a
changed configuration does to frames that were journaled before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.io.journal.places import file_name
from tests.e2e.harness import ROOT, Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

PICKY = """
class Picky:
    def __init__(self, config, logger):
        self.name = config["name"]

    def convert(self, config, data):
        if data.startswith(b"bad"):
            raise ValueError("no number in " + repr(data))
        return {"deviceName": self.name, "deviceType": "t", "telemetry": [{"n": data.decode().strip()}]}
"""


def _device(name: str, line: Line, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "t", "port": str(line.path), "firstFrame": "keep", **fields}


def _letters(gateway: Gateway, *arguments: str) -> list[dict[str, Any]]:
    answer = gateway.cli("dead-letters", "--json", *arguments)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_dead_letters_are_listed_and_go_through_after_a_mend(tmp_path: Path) -> None:
    """Frames that a converter refuses are listed with time, reason and bytes; retried under a mended configuration they
    arrive with their old timestamps; pieces that never were frames stay; without a gateway the command says so."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    folder = tmp_path / "config"
    (folder / "extensions" / "serial").mkdir(parents=True)
    (folder / "extensions" / "serial" / "picky.py").write_text(PICKY)
    config = write_config(folder, mosquitto.port, [_device("p1", line, converter="Picky", maxFrameBytes=64)])
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, line, gateway):
        nobody = gateway.cli("dead-letters")
        assert (nobody.returncode, "no gateway is running" in nobody.stderr) == (69, True)
        gateway.start_all(["p1"])
        platform.wait_for(lambda _: platform.on("v1/gateway/connect", "p1"), "connect")
        line.write(b"1\nbad 2\n3\nbad 4\n" + b"x" * 100 + b"\n5\n")
        assert [item["values"]["n"] for item in platform.wait_telemetry("p1", 3)] == ["1", "3", "5"]
        letters = wait_until(lambda: found if len(found := _letters(gateway)) == 4 else None, "four dead letters")
        frames = [letter for letter in letters if letter["number"]]
        assert [bytes.fromhex(letter["hex"]) for letter in frames] == [b"bad 2\n", b"bad 4\n"]
        assert "picky.py, line 8: ValueError: no number in b'bad 2" in frames[0]["reason"]
        assert {letter["reason"] for letter in letters if not letter["number"]} == {"no delimiter within 64 bytes"}
        text = gateway.cli("dead-letters", "--device", "p1", "--last", "1")
        assert "4 dead letters" in text.stderr
        assert "3 older not shown" in text.stderr
        unknown = gateway.cli("dead-letters", "--device", "nobody")
        assert (unknown.returncode, 'no device "nobody"; there is: p1' in unknown.stderr) == (1, True)

        point = [{"type": "string", "key": "text"}]
        write_config(folder, mosquitto.port, [_device("p1", line, telemetry=point)])
        gateway.processes["p1"].send_signal(signal.SIGTERM)
        gateway.processes["p1"].wait(15)
        gateway.restart("p1")
        wait_until(lambda: gateway.cli("dead-letters").returncode == 0, "the reader is back", every_s=0.2)
        retried = gateway.cli("dead-letters", "--retry")
        said = "p1: 2 sent again; 2 stay, which never were frames\n"
        assert (retried.returncode, retried.stdout + retried.stderr) == (0, said)
        items = platform.wait_telemetry("p1", 5)[3:]
        assert [(item["ts"], item["values"]) for item in items] == [
            (letter["ts"], {"text": text}) for letter, text in zip(frames, ["bad 2", "bad 4"], strict=True)
        ]
        assert [letter["number"] for letter in _letters(gateway)] == [None, None]
        assert set(gateway.stop().values()) == {0}


def test_frames_are_converted_under_the_section_they_were_journaled_with(tmp_path: Path) -> None:
    """With the platform away, frames before a change of the data points keep their old keys, those after it have the
    new ones; a converter that starts while the configuration is broken serves all the same."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    folder = tmp_path / "config"
    old, new = [{"type": "int", "key": "old"}], [{"type": "int", "key": "new"}]
    gateway = Gateway(tmp_path, write_config(folder, mosquitto.port, [_device("p1", line, telemetry=old)]))
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["p1"])
        platform.wait_for(lambda _: platform.on("v1/gateway/connect", "p1"), "connect")
        mosquitto.stop()
        line.write(b"1\n2\n")
        _wait_for_backlog(gateway, 2)
        gateway.kill("p1")
        write_config(folder, mosquitto.port, [_device("p1", line, telemetry=new)])
        gateway.restart("p1")
        line.write(b"3\n")
        _wait_for_backlog(gateway, 4)
        good = (folder / "custom_serial.json").read_text()
        (folder / "custom_serial.json").write_text(good[: len(good) // 2])
        gateway.kill("converter0")
        gateway.restart("converter0")
        line.write(b"4\n")
        mosquitto.start()
        platform.wait_for(lambda _: {"new": 4} in _values(platform), "what came last", 40)
        assert _values(platform) == [{"old": 1}, {"old": 2}, {"new": 3}, {"new": 4}]


def _values(platform: Platform) -> list[dict[str, Any]]:
    """What was published, each value once: an MQTT broker that goes in the middle of a publish gets it again."""
    values = [item["values"] for item in platform.telemetry("p1")]
    return [value for index, value in enumerate(values) if value not in values[:index]]


def _wait_for_backlog(gateway: Gateway, count: int) -> None:
    wait_until(lambda: gateway.status().get("backlog", {}).get("frames", 0) >= count, f"{count} in the journal", 30)


def test_run_drains_what_forgotten_devices_left(tmp_path: Path) -> None:
    """A journal whose device is no longer configured is sent, ends with `disconnect`, and is removed; its reader is not
    started again, and nothing of it stays behind in `status`."""
    lines, mosquitto = [Line(tmp_path / "tty1"), Line(tmp_path / "tty2")], Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    folder, point = tmp_path / "config", [{"type": "int", "key": "n"}]
    devices = [_device(name, line, telemetry=point) for name, line in zip(["gone 1", "stays"], lines, strict=True)]
    gateway = Gateway(tmp_path, write_config(folder, mosquitto.port, devices))
    log = tmp_path / "run.log"
    with closing(mosquitto, platform, *lines, gateway):
        # No publisher: what is read stays in the journal.
        gateway.start("broker", "broker")
        gateway.start("monitor", "monitor")
        gateway.start("gone 1", "port_reader", "--device", "gone 1")
        lines[0].write(b"1\n2\n3\n")
        _wait_for_backlog(gateway, 4)
        for name in ("gone 1", "broker", "monitor"):
            gateway.kill(name)
        write_config(folder, mosquitto.port, devices[1:])
        command = [sys.executable, "-m", "services.cli", "run", "--config", str(gateway.config)]
        with log.open("wb") as output:
            run = subprocess.Popen(
                [*command, "--data-dir", str(gateway.data_dir), "--converters", "1"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            assert [item["values"]["n"] for item in platform.wait_telemetry("gone 1", 3, 40)] == [1, 2, 3]
            platform.wait_for(lambda _: platform.on("v1/gateway/disconnect", "gone 1"), "disconnect")
            journal = gateway.data_dir / "journals" / file_name("gone 1")
            wait_until(lambda: not journal.exists(), "the journal is gone")
            wait_until(lambda: "process.finished" in log.read_text(), "the reader has finished")
            lines[1].write(b"7\n")
            platform.wait_telemetry("stays", 1)
            names = {process["name"] for process in gateway.status()["processes"] if process["kind"] == "port_reader"}
            assert "stays" in names
            wait_until(lambda: gateway.cli("status").returncode == 0, "nothing is missed", 30, 0.5)
        finally:
            run.terminate()
            assert run.wait(30) == 0
        said = log.read_text()
        assert "1 journal of earlier devices to send" in said
        assert said.count("journal.removed") == 1
        assert "process.died" not in said
