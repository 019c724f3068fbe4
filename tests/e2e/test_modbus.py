"""A Modbus device, read and written from the platform: pymodbus answers on a pseudo-terminal."""

from __future__ import annotations

import json
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


def _slave(line: ModbusLine, unit: int, name: str) -> dict[str, Any]:
    """A serial slave as ThingsBoard's own Modbus connector has it: two properties, two values that are tenths and a
    coil, an update and two calls."""

    def register(tag: str, address: int) -> dict[str, Any]:
        place = {"type": "16int", "functionCode": 3, "objectsCount": 1, "address": address}
        return {"tag": tag, **place, "divider": 10}

    def coil(tag: str, function: int) -> dict[str, Any]:
        place = {"type": "bits", "functionCode": function, "objectsCount": 1, "address": 1}
        return {"tag": tag, **place, "bitTargetType": "bool"}

    return {
        "type": "serial",
        "method": "rtu",
        "port": str(line.path),
        "baudrate": 115_200,
        "stopbits": 1,
        "bytesize": 8,
        "parity": "N",
        "unitId": unit,
        "deviceName": name,
        "deviceType": "default",
        "timeout": 35,
        "byteOrder": "BIG",
        "wordOrder": "LITTLE",
        "retries": 3,
        "retryOnEmpty": True,
        "retryOnInvalid": True,
        "pollPeriod": 500,
        "connectAttemptTimeMs": 5000,
        "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 300_000,
        "attributes": [register("power", 2), register("frequency", 3)],
        "timeseries": [register("temperature", 0), register("humidity", 1), coil("relay", 1)],
        "attributeUpdates": [coil("relay", 5)],
        "rpc": [coil("setRelay", 5), coil("getRelay", 1)],
    }


def test_thingsboards_own_modbus_file_is_served_as_it_is(tmp_path: Path) -> None:
    """Two serial slaves of it on one line: tenths as numbers, a coil as true or false, under the names and types of the
    file; a call and an update of the platform switch the coil of the one that is meant."""
    line = ModbusLine(tmp_path / "tty", {1: [215, 0xFFF6, 23_000, 499], 2: [1, 2, 3, 4]}, holds_them=True)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(tmp_path / "config", mosquitto.port, [])
    main = json.loads(config.read_text())
    main["connectors"] = [{"name": "Modbus", "type": "modbus", "configuration": "modbus.json"}]
    config.write_text(json.dumps(main))
    slaves = [_slave(line, 1, "Demo Device"), _slave(line, 2, "Other Device")]
    config.with_name("modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}))
    gateway = Gateway(tmp_path, config)
    with closing(line, mosquitto, platform, gateway):
        gateway.start_all(["Demo Device"])
        platform.wait_connected("Demo Device", "Other Device")

        def found(device: str, topic: str = "v1/gateway/attributes") -> dict[str, Any]:
            items = [one["values"] for one in platform.telemetry(device)] if topic == "" else platform.on(topic, device)
            return {key: value for item in items for key, value in item.items()}

        wanted = {
            "Demo Device": (
                {"temperature": 21.5, "humidity": -1.0, "relay": False},
                {"power": 2300.0, "frequency": 49.9},
            ),
            "Other Device": ({"temperature": 0.1, "humidity": 0.2, "relay": False}, {"power": 0.3, "frequency": 0.4}),
        }
        for device, (telemetry, attributes) in wanted.items():
            platform.wait_for(lambda _, d=device, w=telemetry: found(d, "") == w, f"{telemetry} of {device}")
            platform.wait_for(
                lambda _, d=device, w=attributes: w.items() <= found(d).items(), f"{attributes} of {device}"
            )
            assert {"device": device, "type": "default"} in platform.on("v1/gateway/connect", device)
        assert platform.call("Demo Device", "getRelay", None, 1) == {"result": False}
        assert platform.call("Demo Device", "setRelay", True, 2) == {"result": True}
        assert platform.call("Demo Device", "getRelay", None, 3) == {"result": True}
        assert platform.call("Other Device", "getRelay", None, 4) == {"result": False}
        platform.wait_for(lambda _: found("Demo Device", "")["relay"] is True, "the relay switched on")
        platform.say("v1/gateway/attributes", {"device": "Demo Device", "data": {"relay": False}})
        platform.wait_for(lambda _: found("Demo Device", "")["relay"] is False, "the relay switched off")
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)


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
