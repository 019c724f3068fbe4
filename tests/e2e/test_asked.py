"""A device that is asked, on a real line through the whole gateway."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from typing import Any

from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config

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
