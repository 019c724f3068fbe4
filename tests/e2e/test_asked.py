"""Devices that are asked, and one that waits for acknowledgements, on real lines through the whole gateway."""

from __future__ import annotations

import os
import random
import select
import threading
from pathlib import Path
from typing import Any

from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

SCALE: dict[str, Any] = {
    "name": "scale",
    "framing": {"end": "\r\n"},
    "send": {"end": "\r\n"},
    "init": [{"send": "@"}, {"expect": "ready"}],
    "messages": [
        {"name": "ready", "pattern": "I4 A {serial}", "attributes": [{"key": "serial", "name": "serial"}]},
        {
            "name": "weight",
            "ask": "SI",
            "every": 0.1,
            "pattern": "S {stable} {weight} {unit}",
            "telemetry": [{"key": "weight", "name": "weight", "type": "float"}],
        },
        {"name": "alarm", "pattern": "ALARM {code}", "telemetry": [{"key": "alarm", "name": "code", "type": "int"}]},
    ],
    "serverSideRpc": [{"method": "tare", "ask": "T${params}", "answer": "^T A", "responseType": "string"}],
}
ANALYSER: dict[str, Any] = {
    "name": "analyser",
    "framing": [
        {"start": ["<ENQ>", "<EOT>"], "length": 1},
        {
            "start": "<STX>",
            "end": ["<ETX>", "<ETB>"],
            "endUntil": "\r\n",
            "restart": True,
            "checksum": {"type": "sum8", "as": "hex", "from": 1, "at": -4},
        },
    ],
    "messages": [
        {"name": "enquiry", "when": "^\\x05", "reply": "<ACK>", "telemetry": []},
        {"name": "end", "when": "^\\x04", "telemetry": []},
        {
            "name": "result",
            "when": "^\\x02\\dR\\|",
            "reply": "<ACK>",
            "fields": "|",
            "telemetry": [{"key": "n", "field": 1, "type": "int"}],
        },
    ],
    "onBadFrame": {"send": "<NAK>"},
    "dropRepeats": True,
}


class Talker(threading.Thread):
    """A device at the end of a line, in a thread of its own."""

    def __init__(self, line: Line) -> None:
        super().__init__(daemon=True)
        self.line = line
        self.is_over = False

    def hear(self, seconds: float) -> bytes:
        """What the gateway has written, b"" after so long."""
        ready, _, _ = select.select([self.line.master], [], [], seconds)
        try:
            return os.read(self.line.master, 4096) if ready else b""
        except OSError:
            # Nobody has the line open.
            return b""

    def close(self) -> None:
        self.is_over = True
        self.join(10)


class Scale(Talker):
    """Answers its commands, and says an alarm by itself now and then."""

    def run(self) -> None:
        said = b""
        asked = 0
        while not self.is_over:
            said += self.hear(0.05)
            while b"\r\n" in said:
                command, said = said.split(b"\r\n", 1)
                if command == b"SI":
                    asked += 1
                    self.line.write((b"ALARM 3\r\n" if asked % 5 == 0 else b"") + b"S S   %d.50 g\r\n" % asked)
                elif command == b"@":
                    self.line.write(b"I4 A 4711\r\n")
                elif command.startswith(b"T"):
                    self.line.write(b"T A %s g\r\n" % command[1:])


class Analyser(Talker):
    """Says each result until it is acknowledged, as ASTM E1381 has it; `acknowledged` are those that were."""

    def __init__(self, line: Line, results: int) -> None:
        super().__init__(line)
        self.results = results
        self.acknowledged = 0

    def run(self) -> None:
        for number in range(1, self.results + 1):
            self._say(b"\x05")
            body = b"%dR|%d|\x03" % (number % 8, number)
            self._say(b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF))
            self.acknowledged = number
            self.line.write(b"\x04")

    def _say(self, frame: bytes) -> None:
        while not self.is_over:
            # What was answered late is no answer to this.
            self.hear(0.0)
            self.line.write(frame)
            if b"\x06" in self.hear(2.0):
                return


def test_a_scale_is_asked_and_its_alarms_are_heard(tmp_path: Path) -> None:
    """Values and what it says by itself; a call in between gets its own answer; the device is connected once it has
    taken its `init`."""
    line = Line(tmp_path / "tty")
    scale = Scale(line)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**SCALE, "port": str(line.path)}])
    gateway = Gateway(tmp_path, config)
    scale.start()
    with closing(line, mosquitto, platform, scale, gateway):
        gateway.start_all(["scale"])
        platform.wait_connected("scale")
        platform.wait_telemetry("scale", 20)
        for number in range(1, 6):
            answer = platform.call("scale", "tare", number, number)
            assert answer["result"].strip() == f"T A {number} g"
        values = [item["values"] for item in platform.telemetry("scale")]
        assert {"alarm": 3} in values
        weights = [value["weight"] for value in values if "weight" in value]
        assert weights == sorted(weights)
        assert any(one.get("serial") == "4711" for one in platform.on("v1/gateway/attributes", "scale"))
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)


def test_no_acknowledged_result_is_lost_or_twice_over_deaths(tmp_path: Path) -> None:
    """An analyser waits for an acknowledgement of each result; its reader is killed again and again, anywhere."""
    line = Line(tmp_path / "tty")
    analyser = Analyser(line, 60)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**ANALYSER, "port": str(line.path)}])
    gateway = Gateway(tmp_path, config)
    draw = random.Random(11)
    with closing(line, mosquitto, platform, analyser, gateway):
        gateway.start_all(["analyser"])
        platform.wait_connected("analyser")
        analyser.start()
        for target in range(8, 56, 8):
            wait_until(lambda target=target: analyser.acknowledged >= target, f"result {target}", 30.0)
            threading.Event().wait(draw.random() * 0.02)
            gateway.kill("analyser")
            gateway.restart("analyser")
        wait_until(lambda: analyser.acknowledged == 60, "all results", 30.0)
        platform.wait_for(
            lambda _: any(item["values"]["n"] == 60 for item in platform.telemetry("analyser")), "the last"
        )
        # What was not settled is sent again by the next reader: with the same time, which the platform takes as one.
        kept = {(item["ts"], item["values"]["n"]) for item in platform.telemetry("analyser")}
        assert [number for _, number in sorted(kept)] == list(range(1, 61))
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
