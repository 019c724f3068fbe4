"""A Modbus device, read and written from the platform: pymodbus answers on a pseudo-terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.modbus_line import ModbusLine

pytestmark = needs_mosquitto

METER: dict[str, Any] = {
    "name": "meter",
    "type": "SDM",
    "baudrate": 115_200,
    "address": 7,
    "every": 0.1,
    "timeoutMs": 500,
    "telemetry": [
        {"key": "voltage", "register": "input:0", "type": "uint16", "scale": 0.1, "unit": "V"},
        {"key": "energy", "register": "input:2", "type": "uint32"},
        {"key": "limit", "register": "holding:4", "type": "float32", "decimals": 2},
        {"key": "pump", "register": "coil:2"},
    ],
    "attributes": [{"key": "serial", "register": "input:10", "type": "uint32", "every": 1}],
    "serverSideRpc": [
        {"method": "setLimit", "register": "holding:4", "type": "float32"},
        {"method": "getLimit", "register": "holding:4", "type": "float32", "function": 3},
        {"method": "beyond", "register": "holding:999"},
    ],
    "attributeUpdates": [
        {"attributeOnPlatform": "pump", "register": "coil:2"},
        {"attributeOnPlatform": "level", "register": "holding:9"},
    ],
}


@pytest.mark.parametrize("framing", ["modbus-rtu", "modbus-ascii"])
def test_a_modbus_device_is_read_and_written(tmp_path: Path, framing: str) -> None:
    """Values of registers and coils arrive; calls write and read them, refusals come in words; an update writes two
    places, one after the other."""
    values = [2302, 0, 1, 34_464, *[0] * 6, 3, 2]
    line = ModbusLine(tmp_path / "tty", {7: values}, is_ascii=framing == "modbus-ascii")
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [{**METER, "port": str(line.path), "framing": framing}])
    gateway = Gateway(tmp_path, config)
    with closing(line, mosquitto, platform, gateway):
        gateway.start_all(["meter"])
        platform.wait_connected("meter")

        def values_of(*keys: str) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for item in platform.telemetry("meter"):
                found |= item["values"]
            return {key: found[key] for key in keys} if all(key in found for key in keys) else {}

        first = platform.wait_for(lambda _: values_of("voltage", "energy", "limit", "pump"), "all values")
        assert first == {"voltage": 230.2, "energy": 100_000, "limit": 0.0, "pump": True}
        attributes = platform.on
        platform.wait_for(
            lambda _: any(one.get("serial") == 196_610 for one in attributes("v1/gateway/attributes", "meter")), "it"
        )
        assert platform.call("meter", "setLimit", 21.5, 1) == {"result": True}
        assert platform.call("meter", "getLimit", None, 2) == {"result": 21.5}
        platform.wait_for(lambda _: values_of("limit") == {"limit": 21.5}, "the limit that was set")
        refused = platform.call("meter", "beyond", None, 3)
        assert "exception 2: illegal data address" in str(refused)
        assert "can't hold" in str(platform.call("meter", "beyond", 70_000, 4))
        platform.say("v1/gateway/attributes", {"device": "meter", "data": {"pump": False, "level": 17}})
        platform.wait_for(lambda _: values_of("pump") == {"pump": False}, "the pump switched off")
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
