"""ThingsBoard's own Modbus connector file: its serial slaves are read as they are, and what can't be is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device
from common.config.reading import Loaded, read_gateway
from common.core.errors import ConfigError

POINT = {"tag": "temperature", "type": "16int", "address": 0, "objectsCount": 1, "functionCode": 3, "divider": 10}
SLAVE: dict[str, Any] = {
    "type": "serial",
    "method": "rtu",
    "port": "/dev/ttyUSB0",
    "baudrate": 19_200,
    "unitId": 4,
    "deviceName": "Demo Device",
    "deviceType": "boiler",
    "timeout": 35,
    "byteOrder": "BIG",
    "wordOrder": "LITTLE",
    "retries": 3,
    "retryOnEmpty": True,
    "pollPeriod": 1000,
    "connectAttemptTimeMs": 5000,
    "attributes": [{"tag": "power", "type": "32float", "functionCode": 4, "objectsCount": 2, "address": 2}],
    "timeseries": [
        POINT,
        {"tag": "relay", "type": "bits", "address": 1, "objectsCount": 1, "functionCode": 1, "bitTargetType": "bool"},
    ],
    "attributeUpdates": [{"tag": "relay", "type": "bits", "address": 1, "objectsCount": 1, "functionCode": 5}],
    "rpc": [
        {"tag": "setRelay", "type": "bits", "address": 1, "objectsCount": 1, "functionCode": 5},
        {"tag": "getLevel", "type": "32int", "address": 8, "objectsCount": 2, "functionCode": 3},
    ],
}


def read(folder: Path, *slaves: dict[str, Any], **more: Any) -> Loaded:
    """A gateway with a Modbus connector's file."""
    main = {
        "thingsboard": {"host": "h"},
        "connectors": [{"type": "modbus", "name": "M", "configuration": "modbus.json"}],
    }
    (folder / "tb_gateway.json").write_text(json.dumps(main))
    (folder / "modbus.json").write_text(json.dumps({"master": {"slaves": list(slaves)}, **more}))
    return read_gateway(folder / "tb_gateway.json", {})


def test_a_serial_slave_is_a_device_of_ours(tmp_path: Path) -> None:
    """Line, address, turns, points, calls and updates; words low first, as it says."""
    loaded = read(tmp_path, SLAVE)
    [device] = loaded.gateway.devices
    assert (device.name, device.type, device.line.baudrate) == ("Demo Device", "boiler", 19_200)
    asking = device.asking
    assert asking is not None
    assert (asking.address, asking.protocol, asking.timeout_s) == (4, "modbus-rtu", 3.0)
    assert [(ask.name, ask.every_s, ask.retries) for ask in asking.asks] == [
        ("coil:1+1", 1.0, 3),
        ("input:2+2", 1.0, 3),
        ("holding:0+1", 1.0, 3),
    ]
    [temperature, _] = device.all_telemetry
    assert (temperature.type, temperature.meaning.scale) == ("int16", 0.1)
    [power] = device.all_attributes
    assert (power.type, power.meaning.byteorder) == ("float32", "CDAB")
    registers = {rpc.method: rpc.register for rpc in device.rpcs}
    assert registers["setRelay"] is not None
    assert (registers["setRelay"].table, registers["setRelay"].function) == ("coil", 5)
    assert registers["getLevel"] is not None
    assert (registers["getLevel"].type, registers["getLevel"].function) == ("int32", 3)
    [update] = device.attribute_updates
    assert update.register is not None
    assert (update.attribute, update.register.first) == ("relay", 1)
    assert [warning for warning in loaded.warnings if "timeout" in warning]


def test_slaves_on_one_port_are_a_bus(tmp_path: Path) -> None:
    """Each has its unit; one process serves all."""
    gateway = read(tmp_path, SLAVE, {**SLAVE, "unitId": 5, "deviceName": "other"}).gateway
    assert gateway.readers == ("Demo Device",)
    assert [[device.name for device in line] for line in gateway.lines] == [["Demo Device", "other"]]


def test_slaves_over_tcp_are_left_out_with_a_word(tmp_path: Path) -> None:
    """The serial ones are served."""
    loaded = read(tmp_path, {**SLAVE, "type": "tcp"}, SLAVE, slave={"type": "tcp"})
    assert [device.name for device in loaded.gateway.devices] == ["Demo Device"]
    assert any("slaves[0]" in warning and 'type "tcp"' in warning for warning in loaded.warnings)
    assert any("no Modbus slave" in warning for warning in loaded.warnings)


def test_a_file_with_no_serial_slave_is_another_connector(tmp_path: Path) -> None:
    """As every type that is not ours: a gateway with nothing else has nothing to do."""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, {**SLAVE, "type": "tcp"})
    assert any("no serial connector" in problem for problem in raised.value.problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unitId": 0}, "master.slaves[0].unitId: found 0"),
        ({"timeseries": [{**POINT, "functionCode": 7}]}, "master.slaves[0].timeseries[0].functionCode: found 7"),
        ({"timeseries": [{**POINT, "type": "16float"}]}, 'master.slaves[0].timeseries[0].type: found "16float"'),
        ({"timeseries": [{**POINT, "divider": 0}]}, "master.slaves[0].timeseries[0].divider: found 0"),
    ],
)
def test_what_can_t_be_served_is_refused_at_its_place(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """In the words of that file."""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, {**SLAVE, **change})
    assert any(said in problem for problem in raised.value.problems), raised.value.problems


def test_the_older_form_of_calls_is_read(tmp_path: Path) -> None:
    """An object of names instead of a list."""
    calls = {"getLevel": {"type": "32int", "address": 8, "objectsCount": 2, "functionCode": 3}}
    [device] = read(tmp_path, {**SLAVE, "rpc": calls}).gateway.devices
    assert isinstance(device, Device)
    assert [rpc.method for rpc in device.rpcs] == ["getLevel"]
