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


METER: dict[str, Any] = {
    "name": "meter",
    "framing": {"silenceMs": 60},
    "bus": {"rs485": {"delayBeforeMs": 1}},
    "units": True,
    "messages": [
        {
            "name": "energy",
            "ask": "hex:2A 05 00",
            "every": 0.1,
            "framing": {"length": 6},
            "checksum": {"type": "sum8"},
            "telemetry": [{"key": "energy", "at": 1, "type": "uint32", "unit": "Wh"}],
        },
        {
            "name": "power",
            "ask": "hex:2A 08 11",
            "every": 0.1,
            "framing": {"length": 4},
            "checksum": {"type": "sum8"},
            "telemetry": [{"key": "power", "at": 1, "type": "uint16", "unit": "W"}],
        },
    ],
}


class Meter(Talker):
    """Its answers begin with its address, and say neither how long they are nor what they hold."""

    def run(self) -> None:
        energy = 0
        while not self.is_over:
            asked = self.hear(0.05)
            if asked == b"\x2a\x05\x00":
                energy += 1
                self.say(b"\x2a" + energy.to_bytes(4, "big"))
            elif asked == b"\x2a\x08\x11":
                self.say(b"\x2a" + (1000).to_bytes(2, "big"))

    def say(self, head: bytes) -> None:
        """In two pieces, as adapters hand it over."""
        whole = head + bytes((sum(head) & 0xFF,))
        self.line.write(whole[:2])
        self.line.write(whole[2:])


def test_a_meter_whose_answers_only_their_questions_know(tmp_path: Path) -> None:
    """Each answer has the framing of its question; the platform is told the units; and `status` says that this port's
    driver can't switch the direction of the line, which works all the same."""
    line = Line(tmp_path / "tty")
    meter = Meter(line)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**METER, "port": str(line.path)}])
    gateway = Gateway(tmp_path, config)
    meter.start()
    with closing(line, mosquitto, platform, meter, gateway):
        gateway.start_all(["meter"])
        platform.wait_telemetry("meter", 40)
        values = [item["values"] for item in platform.telemetry("meter")]
        energies = [value["energy"] for value in values if "energy" in value]
        assert energies == sorted(energies)
        assert {value["power"] for value in values if "power" in value} == {1000}
        assert all(len(value) == 1 for value in values)
        platform.wait_for(
            lambda _: any("units" in one for one in platform.on("v1/gateway/attributes", "meter")), "the units"
        )
        units = [one["units"] for one in platform.on("v1/gateway/attributes", "meter") if "units" in one]
        assert units == [{"energy": "Wh", "power": "W"}]
        [state] = gateway.status()["devices"]
        assert (state["state"], "the port does not take rs485" in state["reason"]) == ("receiving", True)
        assert gateway.log("meter").count("port.setting_refused") == 1
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
