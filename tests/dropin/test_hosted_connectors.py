"""Connectors in the styles of those that were published, hosted: devices, data, attributes, calls, stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.connector_host.shell.facade import ASKED, OFFERED, GatewayFacade
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import CONNECTORS, start_hosts, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
DEMO = {"devices": [{"name": "Pump", "type": "pump"}, {"name": "Fan", "type": "fan"}]}
GPIO = {"deviceName": "Board", "pins": [{"key": "led"}]}
CLIMATE = {"name": "Cellar", "deviceName": "Cellar climate"}
PSS_KIB = 20 * 1024
"""Its share of memory, with what it shares counted by halves: 16 MiB as of Python 3.11."""
INDUSTRIAL = {"name": "Plant", "deviceName": "PLC 1"}


class Scene(NamedTuple):
    """One gateway that hosts all of them."""

    platform: Platform
    gateway: Gateway
    line: Line
    results: Path

    def attributes(self, device: str) -> dict[str, Any]:
        """What a device was said to be."""
        said = self.platform.on("v1/gateway/attributes", device)
        return {key: value for one in said if "device" not in one for key, value in one.items()}

    def wait_attributes(self, device: str, **expected: Any) -> None:
        """Until it was said to be all of this: attributes come in messages of their own, when telemetry leaves room."""
        self.platform.wait_for(lambda _: expected.items() <= self.attributes(device).items(), f"{device}: {expected}")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Five connectors on one gateway."""
    folder = tmp_path_factory.mktemp("hosted")
    broker = Mosquitto(folder / "mqtt")
    line = Line(folder / "ttyText")
    results = folder / "results.json"
    text = {"port": str(line.path), "results": str(results)}
    connectors = {
        "Demo": ("demo", "DemoConnector", DEMO),
        "Pins": ("gpio", "GpioConnector", GPIO),
        "Cellar": ("climate", "ClimateConnector", CLIMATE),
        "Plant": ("Industrial", "IndustrialConnector", INDUSTRIAL),
        "Text": ("text", "TextConnector", text),
    }
    config = write_connectors(folder / "config", broker.port, connectors)
    platform = Platform(broker.port)
    gateway = Gateway(folder, config, {"TB_GW_ACCESS_TOKEN": "a secret"})
    with closing(broker, platform, gateway, line):
        start_hosts(gateway, *connectors)
        yield Scene(platform, gateway, line, results)


def test_a_connector_of_today(scene: Scene) -> None:
    """Both devices are announced before their data, which has the times that were given; calls and changed attributes
    reach the connector."""
    platform = scene.platform
    items = platform.wait_telemetry("Pump", 3)
    platform.wait_telemetry("Fan", 3)
    assert set(items[0]["values"]) == {"temperature", "count"}
    assert [item["values"]["count"] for item in items] == list(range(1, len(items) + 1))
    assert platform.on("v1/gateway/connect", "Fan") == [{"device": "Fan", "type": "fan"}]
    topics = [seen.topic for seen in platform.seen if "Pump" in str(seen.payload)]
    assert topics.index("v1/gateway/connect") < topics.index("v1/gateway/telemetry")
    scene.wait_attributes("Pump", connectorType="demo", connectorName="Demo", firmware="1.0", serial="Pump")
    assert len(scene.attributes("Pump")) == 4
    assert platform.call("Pump", "setValue", 5, 1) == {"success": True, "value": 5}
    assert platform.call("Pump", "getValue", None, 2) == {"value": 5, "timestamp": 1}
    assert platform.call("Fan", "open", None, 3) == {"error": "unknown method open"}
    platform.say("v1/gateway/attributes", {"device": "Fan", "data": {"speed": 3}})
    scene.wait_attributes("Fan", seen={"speed": 3})


def test_a_connector_of_the_first_years(scene: Scene) -> None:
    """Two arguments, `log`, no id and no type, an `is_connected` that says nothing."""
    items = scene.platform.wait_telemetry("Board", 3)
    assert [item["values"]["led"] for item in items[:3]] == [0, 1, 0]
    assert scene.platform.on("v1/gateway/connect", "Board")[0]["type"] in ("default", "gpio")
    assert scene.platform.call("Board", "set", 1, 11) == {"success": True}
    assert scene.platform.call("Board", "blink", 1, 12) == {"blink": "Error, no method blink"}


def test_a_connector_of_the_middle_years(scene: Scene) -> None:
    """Siblings by the package's name beside an `__init__` that raises; calls to the connector itself."""
    platform = scene.platform
    items = platform.wait_telemetry("Cellar climate", 2)
    assert items[0]["values"] == {"temperature": 21, "humidity": 40}
    scene.wait_attributes("Cellar climate", unit="C")
    for number, method, expected in (
        (1, "climate_scan", {"method": "scan", "params": {"deep": True}}),
        (2, "climate_nothing", {"success": False}),
        (3, "gateway_ping", {"code": 200, "resp": "pong"}),
        (4, "unknown_scan", {"error": "unknown - connector not found in available connectors.", "code": 404}),
    ):
        platform.say(f"v1/devices/me/rpc/request/{number}", {"method": method, "params": {"deep": True}})
        topic = f"v1/devices/me/rpc/response/{number}"
        answer = platform.wait_for(lambda seen, topic=topic: [one for one in seen if one.topic == topic], topic)
        assert answer[0].payload == expected


def test_a_connector_with_converters_of_its_own(scene: Scene) -> None:
    """Found by the loader, with `ConvertedData` and its counters; the type in another case than its folder."""
    items = scene.platform.wait_telemetry("PLC 1", 2)
    assert [item["values"]["pins"] for item in items] == list(range(1, len(items) + 1))
    scene.wait_attributes("PLC 1", vendor="ACME", connectorType="Industrial")
    assert scene.platform.call("PLC 1", "write", 7, 21) == {"result": {"output": 1, "level": 7}}
    assert scene.platform.call("PLC 1", "read", 7, 22) == {"error": "no such output", "success": False}


def test_every_member_of_the_gateway_in_all_forms(scene: Scene) -> None:
    """What the text connector has found when it was opened."""
    wait_until(scene.results.exists, "the connector has used all members")
    wait_until(lambda: scene.results.read_text().endswith("}"), "and has written what it found")
    found = json.loads(scene.results.read_text())
    unknown, request = found.pop("unknown"), found.pop("request")
    assert unknown.startswith("serialgw's gateway has no subscribe_to_required_topics; it offers add_device, ")
    assert request.startswith("serialgw's gateway has no tb_client.client.gw_send_attributes; it offers gw_request_")
    kinds = {"Old": "default", "Older": "older", "New": "new", "Newer": "newer"}
    assert found == {
        "add 2.0": True,
        "add 2.4": True,
        "add 3": True,
        "add 3 keywords": True,
        "add async": "SUCCESS",
        "del async": "SUCCESS",
        "del nobody async": "FAILURE",
        "devices": kinds,
        "devices are mine": True,
        "devices by id": sorted(kinds),
        "store 2": True,
        "store 3": "SUCCESS",
        "store keywords": "SUCCESS",
        "store nothing": "FAILURE",
        "store unnamed": "FAILURE",
        "store own": "FAILURE",
        "reused": [{"ts": 1700000000000, "values": {"form": 5}}],
        "path": str(scene.gateway.config.parent) + "/",
        "strategies": None,
        "version": True,
        "stopped": False,
        "by name": ["Text"],
        "by id": True,
        "available": ["Text"],
        "connector devices": ["New", "Newer"],
        "status": {"connected": True},
        "config": True,
        "gateway status": ["connected", "connector"],
        "latency": False,
        "payload": True,
        "connected": True,
        "type": "text",
        "secrets": [],
        "ask shared": 0,
        "ask client": 0,
        "ask for nothing": False,
    }
    values = [item["values"] for item in scene.platform.wait_telemetry("New", 4)]
    assert [value["form"] for value in values[:4]] == [2, 3, 4, 5]
    scene.platform.wait_for(lambda _: scene.platform.on("v1/gateway/disconnect", "Older"), "Older is withdrawn")


def test_all_members_are_used_and_offered() -> None:
    """By the connector above; the sentence for one that is not there names them all."""
    source = (CONNECTORS / "extensions" / "text" / "text_connector.py").read_text()
    public = {name for name in (*vars(GatewayFacade), "tb_client") if not name.startswith("_")}
    assert set(OFFERED) == public
    assert [name for name in OFFERED if f"gateway.{name}" not in source] == []
    assert [name for name in ASKED if f"client.{name}" not in source] == []


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("positional", {"value": 1}),
        ("keywords", {"value": 2}),
        ("text", {"value": 3}),
        ("plain", "done"),
        ("number", 4),
        ("sent", {"success": True}),
        ("not sent", {"success": False}),
        ("sent with", {"success": True, "value": 5}),
        ("sent error", {"error": "no", "success": False}),
        ("result", {"value": 6}),
        ("waiting", {"value": 7}),
        ("twice", {"value": 8}),
        ("returned error", {"error": "returned"}),
    ],
)
def test_every_form_of_an_answer(scene: Scene, method: str, expected: Any) -> None:
    """The platform gets one, as an object."""
    number = 100 + abs(hash(method)) % 10_000
    scene.platform.wait_telemetry("New", 1)
    assert scene.platform.call("New", method, None, number) == expected
    assert len(scene.platform.replies("New", number)) == 1


def test_a_handler_that_raises_says_where(scene: Scene) -> None:
    """To whoever called."""
    scene.platform.wait_telemetry("New", 1)
    answer = scene.platform.call("New", "raised", None, 50)
    assert "text_connector.py, line" in answer["error"]
    assert answer["error"].endswith("ValueError: raised")


def test_the_line_in_both_directions(scene: Scene) -> None:
    """What the device says is data, and what the platform says is written."""
    scene.platform.wait_telemetry("New", 4)
    scene.line.write(b"level=4.5\n")
    scene.platform.wait_for(
        lambda _: any(item["values"] == {"level": 4.5} for item in scene.platform.telemetry("New")), "the level"
    )
    assert scene.platform.call("New", "line", "GO", 60) == {"success": True}
    assert scene.line.read_until(b"GO\n").endswith(b"GO\n")
    scene.platform.say("v1/gateway/attributes", {"device": "New", "data": {"limit": 7}})
    assert scene.line.read_until(b"limit=7\n")


def test_status_shows_each_connector_and_its_devices(scene: Scene) -> None:
    """With a state, as devices have one."""

    def states() -> dict[str, str]:
        return {device["name"]: device["state"] for device in scene.gateway.status().get("devices", [])}

    names = ("connector:Demo", "Pump", "connector:Pins", "Board", "PLC 1", "connector:Text", "New")
    wait_until(lambda: all(states().get(name) == "receiving" for name in names), "all are receiving", 20)
    assert "connector_host" in scene.gateway.cli("status").stdout
    asked = scene.gateway.cli("dead-letters", "connector:Demo")
    assert asked.returncode == 0, asked.stderr


def test_a_new_publisher_announces_the_devices_again(scene: Scene) -> None:
    """Also those that say nothing."""
    scene.platform.wait_telemetry("New", 1)
    before = len(scene.platform.on("v1/gateway/connect", "Newer"))
    scene.gateway.kill("publisher")
    scene.gateway.restart("publisher")
    scene.platform.wait_for(lambda _: len(scene.platform.on("v1/gateway/connect", "Newer")) > before, "connect again")
    assert scene.platform.call("New", "number", None, 70) == 4


def test_a_host_is_small(scene: Scene) -> None:
    """There is one for each connector."""
    scene.platform.wait_telemetry("Board", 1)
    place = Path(f"/proc/{scene.gateway.processes['Pins'].pid}/smaps_rollup")
    pss_kib = next(int(line.split()[1]) for line in place.read_text().splitlines() if line.startswith("Pss:"))
    assert pss_kib <= PSS_KIB


def test_they_all_stop(scene: Scene) -> None:
    """The one with a loop that nothing ends too; their devices are disconnected."""
    scene.platform.wait_telemetry("New", 1)
    hosts = ("Demo", "Pins", "Cellar", "Plant", "Text")
    codes = scene.gateway.stop()
    assert {name: codes[name] for name in hosts} == dict.fromkeys(hosts, 0)
    for device in ("Pump", "Fan", "Board", "Cellar climate", "PLC 1", "New", "Newer"):
        scene.platform.wait_for(lambda _, device=device: scene.platform.on("v1/gateway/disconnect", device), device)
