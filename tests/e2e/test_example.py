"""The reference page's example and every kind of call, through all real processes, a pseudo-terminal and mosquitto."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Gateway, Line, Platform, any_mqtt_broker, closing, write_config
from tests.support.waiting import wait_until

NAME = "SerialDevice1"
RPCS: list[dict[str, Any]] = [
    {"method": "setNumber", "type": "int"},
    {"method": "setText", "type": "string"},
    {"method": "getValue", "template": "GET ${params.what}\n", "withResponse": True, "responseType": "int"},
    {"method": "slow", "template": "SLOW\n", "withResponse": True, "responseTimeoutSec": 0.5},
]


class World(NamedTuple):
    line: Line
    platform: Platform
    gateway: Gateway


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("example")
    line, mosquitto = Line(folder / "ttyTest"), any_mqtt_broker(folder / "mosquitto")
    platform = Platform(mosquitto.port)
    device = {
        "name": NAME,
        "type": "thermometer",
        "port": str(line.path),
        "downlink_converter": "SerialDownlinkConverter",
        "telemetry": [{"type": "float", "key": "humidity", "untilDelimiter": "\r"}],
        "attributes": [{"type": "string", "key": "SerialNumber", "fromByte": 3, "toByte": -1}],
        "attributeUpdates": [{"attributeOnPlatform": "attr1", "stringToDevice": "value = ${attr1}\n"}],
        "serverSideRpc": RPCS,
    }
    gateway = Gateway(folder, write_config(folder / "config", mosquitto.port, [device]))
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all([NAME])
        platform.wait_connected(NAME)
        yield World(line, platform, gateway)


def test_the_example_arrives_with_its_time_and_after_its_connect(world: World) -> None:
    """Telemetry 48, the serial number, a timestamp within 50 ms of the write, and `connect` with type before both."""
    written_ms = time.time() * 1000
    world.line.write(b"48\r2430947595\n")
    [item] = world.platform.wait_telemetry(NAME, 1)
    assert item["values"] == {"humidity": 48}
    assert abs(item["ts"] - written_ms) < 50
    known: dict[str, Any] = {"connectorType": "serial", "connectorName": "Serial", "SerialNumber": "2430947595"}

    def attributes(_: object) -> dict[str, Any]:
        return {key: value for one in world.platform.on("v1/gateway/attributes", NAME) for key, value in one.items()}

    world.platform.wait_for(lambda seen: attributes(seen) == known, "the attributes")
    topics = [seen.topic for seen in world.platform.seen]
    assert world.platform.on("v1/gateway/connect", NAME)[0] == {"device": NAME, "type": "thermometer"}
    assert topics.index("v1/gateway/connect") < topics.index("v1/gateway/telemetry")
    assert topics.index("v1/gateway/connect") < topics.index("v1/gateway/attributes")


def test_attribute_update_writes_its_string(world: World) -> None:
    """`{"attr1": 25}` writes `value = 25` and a line feed."""
    world.platform.say("v1/gateway/attributes", {"device": NAME, "data": {"attr1": 25}})
    assert world.line.read_until(b"\n") == b"value = 25\n"


def test_rpc_without_answer_writes_and_succeeds(world: World) -> None:
    """Params go to the device as configured; the reply is success, and only one."""
    world.platform.say("v1/gateway/rpc", {"device": NAME, "data": {"id": 1, "method": "setNumber", "params": 258}})
    assert world.line.read_until(b"\x02") == b"\x01\x02"
    assert world.platform.reply(NAME, 1) == {"success": True}


def test_rpc_with_answer_returns_what_the_device_said(world: World) -> None:
    """The device's next frame is the answer, and no telemetry."""
    before = len(world.platform.telemetry(NAME))
    question = {"id": 2, "method": "getValue", "params": {"what": "level"}}
    world.platform.say("v1/gateway/rpc", {"device": NAME, "data": question})
    assert world.line.read_until(b"\n") == b"GET level\n"
    world.line.write(b"17\n")
    assert world.platform.reply(NAME, 2) == {"result": 17}
    world.line.write(b"49\r1\n")
    items = world.platform.wait_telemetry(NAME, before + 1)
    assert [item["values"] for item in items[before:]] == [{"humidity": 49}]
    assert len(world.platform.replies(NAME, 2)) == 1


def test_more_calls_than_the_platform_leaves_unacknowledged(world: World) -> None:
    """An MQTT broker sends no more than twenty messages whose acknowledgement is outstanding."""
    for number in range(100, 145):
        world.platform.say(
            "v1/gateway/rpc", {"device": NAME, "data": {"id": number, "method": "setNumber", "params": 1}}
        )
        assert world.platform.reply(NAME, number) == {"success": True}


@pytest.mark.parametrize(
    ("number", "device", "method", "params", "error"),
    [
        (10, NAME, "noSuchMethod", 1, "Method not found"),
        (11, "Nobody", "setNumber", 1, "unknown device Nobody"),
        (12, NAME, "setNumber", "many", "params can't be converted"),
        (13, NAME, "slow", None, "no answer in 0.5 s (responseTimeoutSec)"),
        (14, NAME, "setText", "", "No data to send"),
    ],
)
def test_each_fault_of_a_call_has_its_own_reply(
    world: World, number: int, device: str, method: str, params: Any, error: str
) -> None:
    """One reply each, the right one."""
    reply = world.platform.call(device, method, params, number)
    assert reply["success"] is False
    assert reply["error"].startswith(error)
    world.line.write(b"50\r1\n")  # Ends the wait for a late answer after a time-out.
    assert len(world.platform.replies(device, number)) == 1


def test_the_command_line_calls_too(world: World) -> None:
    """`serialgw rpc` gets the same replies, and exit codes that a script can use."""
    answer = world.gateway.cli("rpc", NAME, "setNumber", "65")
    assert (answer.returncode, json.loads(answer.stdout)) == (0, {"success": True})
    assert world.line.read_until(b"A").endswith(b"A")
    answer = world.gateway.cli("rpc", NAME, "noSuchMethod")
    assert answer.returncode == 1
    assert "Method not found" in answer.stdout + answer.stderr


def test_status_knows_every_process(world: World) -> None:
    """Five kinds, all alive, each with a pid, and the platform's link up."""

    def all_alive() -> dict[str, Any] | None:
        status = world.gateway.status()
        processes = status.get("processes", [])
        alive = {process["kind"] for process in processes if process["state"] == "alive" and process["pid"]}
        return status if alive >= {"broker", "converter", "monitor", "port_reader", "publisher"} else None

    status = wait_until(all_alive, "all kinds alive in status", every_s=0.3)
    assert status["link"]["state"] == "up"


@pytest.mark.alone
def test_a_call_to_an_unplugged_device_says_so(world: World) -> None:
    """Unplugged: `disconnect`, calls answered at once; plugged in again: `connect` within a second, and frames flow."""
    connects = len(world.platform.on("v1/gateway/connect", NAME))
    world.line.unplug()
    world.platform.wait_for(lambda _: world.platform.on("v1/gateway/disconnect", NAME), "disconnect")
    reply = world.platform.call(NAME, "setNumber", 1, 20)
    assert reply == {"error": f"device {NAME} is not connected", "success": False}
    world.line.plug_in()
    back_s = time.monotonic()
    world.platform.wait_for(lambda _: len(world.platform.on("v1/gateway/connect", NAME)) > connects, "connect again")
    assert time.monotonic() - back_s < 1.0
    before = len(world.platform.telemetry(NAME))
    world.line.write(b"joined in the middle\n51\r1\n")
    items = world.platform.wait_telemetry(NAME, before + 1)
    assert items[-1]["values"] == {"humidity": 51}


def test_sigterm_drains_everything_with_exit_code_0(world: World) -> None:
    """The last: every process ends by itself, and nothing in the logs is a traceback."""
    assert set(world.gateway.stop().values()) == {0}
    for name in world.gateway.processes:
        assert "Traceback" not in world.gateway.log(name)
