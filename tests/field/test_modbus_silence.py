"""Two units on a Modbus line that give nothing, each for its own reason, beside one that is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Gateway, Mosquitto, closing, needs_mosquitto, write_config
from tests.support.modbus_line import ModbusLine
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto


def unit(name: str, address: int, register: str, port: Path) -> dict[str, Any]:
    return {
        "name": name,
        "port": str(port),
        "baudrate": 115_200,
        "framing": "modbus-rtu",
        "address": address,
        "every": 0.3,
        "timeoutMs": 200,
        "telemetry": [{"key": "v", "register": register, "type": "uint16"}],
    }


@pytest.mark.timeout(120)
def test_a_silent_unit_and_one_that_refuses_say_so(tmp_path: Path) -> None:
    """The silent one with its address, what was asked and its next try; the refusal in Modbus's words."""
    line = ModbusLine(tmp_path / "tty", {1: [5], 2: [6], 3: [7]})
    line.silent.add(3)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    units = [
        unit("well", 1, "input:0", line.path),
        unit("refuses", 2, "input:4000", line.path),
        unit("silent", 3, "input:0", line.path),
    ]
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, units))
    with closing(line, mosquitto, gateway):
        gateway.start_all(["well"])
        found: dict[str, dict[str, Any]] = {}

        def all_known() -> bool:
            found.update({device["name"]: device for device in gateway.status().get("devices", [])})
            states = {name: device["state"] for name, device in found.items()}
            return states == {"well": "receiving", "refuses": "no_values", "silent": "no_answer"}

        wait_until(all_known, "all states", 60, every_s=0.5)
        assert "exception 2: illegal data address" in found["refuses"]["reason"]
        assert "asked, no answer: 03 04 00 00 00 01" in found["silent"]["reason"]
        assert "is its address 3" in found["silent"]["reason"]
        assert found["silent"]["is_served"] is False
        wait_until(lambda: "asked again in" in _reason(gateway, "silent"), "its next try", 20, every_s=0.3)


def _reason(gateway: Gateway, name: str) -> str:
    return next(str(device["reason"]) for device in gateway.status()["devices"] if device["name"] == name)
