"""A meter behind a server of RFC 2217, whose dialogue changes the speed of the line, through the whole gateway."""

from __future__ import annotations

import os
import select
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.ser2net import PROGRAM, Ser2net

pytestmark = needs_mosquitto

METER: dict[str, Any] = {
    "name": "meter",
    "baudrate": 300,
    "framing": [{"start": "/", "end": "\r\n", "restart": True}, {"start": "<STX>", "end": "<ETX>"}],
    "messages": [
        {"name": "identification", "when": "^/", "telemetry": []},
        {
            "name": "readout",
            "when": "^\\x02",
            "every": 1,
            "timeoutMs": 5000,
            "ask": [
                {"baudrate": 300},
                {"send": "/?!\r\n"},
                {"expect": "identification"},
                {"send": "<ACK>050\r\n"},
                {"baudrate": 9600},
            ],
            "telemetry": [{"key": "energy", "regex": "(\\d+)", "type": "int"}],
        },
    ],
}


class Meter(threading.Thread):
    """Answers as IEC 62056-21 has it, and only at the speed that is right; `heard` has the speed of each write."""

    def __init__(self, server: Ser2net) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.is_over = False
        self.heard: list[tuple[bytes, int]] = []

    def run(self) -> None:
        count = 0
        said = b""
        while not self.is_over:
            if select.select([self.server.master], [], [], 0.02)[0]:
                said += os.read(self.server.master, 100)
            while b"\r\n" in said:
                line, said = said.split(b"\r\n", 1)
                self.heard.append((line, self._speed))
                if line == b"/?!":
                    os.write(self.server.master, b"/ABC5\r\n")
                elif line == b"\x06050":
                    # A meter waits for 0.2 s before it goes on at the new speed.
                    for _ in range(250):
                        if self._speed == termios.B9600 or self.is_over:
                            break
                        threading.Event().wait(0.02)
                    count += 1
                    os.write(self.server.master, b"\x02%06d\x03" % count)

    @property
    def _speed(self) -> int:
        return int(termios.tcgetattr(self.server.slave)[4])

    def close(self) -> None:
        self.is_over = True
        self.join(10)


@pytest.mark.skipif(PROGRAM is None, reason="ser2net is not installed")
def test_a_dialogue_changes_the_speed_behind_a_server(tmp_path: Path) -> None:
    """Each write reaches the meter at the speed of its time, again and again."""
    server = Ser2net(tmp_path / "ser2net")
    meter = Meter(server)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    port = f"rfc2217://127.0.0.1:{server.rfc2217_port}"
    config = write_config(tmp_path / "config", mosquitto.port, [{**METER, "port": port}])
    gateway = Gateway(tmp_path, config)
    meter.start()
    with closing(server, mosquitto, platform, meter, gateway):
        gateway.start_all(["meter"])
        platform.wait_telemetry("meter", 3)
        values = [item["values"]["energy"] for item in platform.telemetry("meter")]
        assert values[:3] == [1, 2, 3]
        assert {speed for _, speed in meter.heard} == {termios.B300}
        assert {line for line, _ in meter.heard} == {b"/?!", b"\x06050"}
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
