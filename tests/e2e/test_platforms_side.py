"""What the platform does with a gateway as a whole, from its message to the device's line and back.

One gateway with a serial device and a hosted connector; mosquitto, and a client that answers as ThingsBoard does. A
restart and another configuration need `serialgw run`: see `tests/dropin/test_remote_configuration.py`; how credentials
are got, `tests/dropin/test_provisioning.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.core.version import RELEASE
from tests.dropin.test_connector_requests import Server
from tests.e2e.harness import Gateway, Line, Mosquitto, Seen, closing, needs_mosquitto
from tests.support.hosting import start_hosts, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
OWN = "v1/devices/me/rpc"


class Scene(NamedTuple):
    """One gateway, its platform, and the line of its device."""

    broker: Mosquitto
    server: Server
    gateway: Gateway
    line: Line

    def ask(self, number: int, method: str, params: Any = None) -> Any:
        """A call to the gateway itself, and its answer."""
        topic = f"{OWN}/response/{number}"

        def found(seen: list[Seen]) -> Any:
            return [each.payload for each in seen if each.topic == topic]

        self.server.say(f"{OWN}/request/{number}", {"method": method, "params": params})
        return self.server.wait_for(found, f"an answer to {method}")[0]

    def values(self, device: str) -> list[int]:
        return [item["values"]["n"] for item in self.server.telemetry(device)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    broker = Mosquitto(tmp_path / "mqtt")
    server = Server(broker.port)
    line = Line(tmp_path / "ttyPress")
    asking = {"devices": ["Inlet"], "wants": {"Inlet": ["limit"]}}
    config = write_connectors(tmp_path / "config", broker.port, {"Asking": ("asking", "AskingConnector", asking)})
    main = json.loads(config.read_text())
    main["connectors"].append({"name": "Serial", "type": "serial", "configuration": "serial.json"})
    config.write_text(json.dumps(main))
    press = {
        "name": "press",
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [{"type": "int", "key": "n"}],
        "serverSideRpc": [{"method": "run", "template": "RUN ${params}\n"}],
        "attributeUpdates": [{"attributeOnPlatform": "limit", "stringToDevice": "LIMIT ${limit}\n"}],
    }
    (config.parent / "serial.json").write_text(json.dumps({"name": "Serial", "devices": [press]}))
    gateway = Gateway(tmp_path, config)
    with closing(broker, server, gateway, line):
        start_hosts(gateway, "Asking")
        gateway.start("press", "port_reader", "--device", "press")
        server.wait_connected("press", "Inlet")
        yield Scene(broker, server, gateway, line)


def test_calls_to_the_gateway_itself(scene: Scene) -> None:
    """Each has its answer; what is refused on purpose has a sentence, and nobody does it."""
    scene.line.write(b"1\n")
    scene.server.wait_telemetry("press", 1)
    assert scene.ask(1, "gateway_ping") == {"code": 200, "resp": "pong"}
    assert scene.ask(2, "gateway_version") == {"code": 200, "resp": RELEASE}
    assert scene.ask(3, "gateway_devices") == {"code": 200, "resp": {"press": "Serial", "Inlet": "Asking"}}
    stats = scene.ask(4, "gateway_stats")
    assert stats["SerialEventsProduced"] >= 1
    assert stats["AskingEventsProduced"] >= 1
    assert "no `serialgw run` looks after these processes" in scene.ask(5, "gateway_restart", 1)["error"]
    assert scene.ask(6, "gateway_remove_provisioned_credentials")["code"] == 404
    for number, method, words in (
        (10, "sendCommand", "there is no remote shell"),
        (11, "getTermInfo", "there is no remote shell"),
        (12, "gateway_update", "serialgw is not updated from the platform, which would have to choose its packages"),
        (13, "gateway_reboot", "the machine is not rebooted from the platform"),
    ):
        answer = scene.ask(number, method, {"command": "touch here", "package": "anything"})
        assert words in answer["error"]
        assert answer["code"] == 403
    assert all(process.poll() is None for process in scene.gateway.processes.values())


def test_devices_are_renamed_and_deleted(scene: Scene) -> None:
    """Data, calls and attributes go by the new name, of both kinds of devices; here all keeps the old one. A deleted
    device comes back with its next reading and not before."""
    server, line = scene.server, scene.line
    line.write(b"1\n")
    server.wait_telemetry("press", 1)
    assert scene.ask(1, "gateway_device_renamed", {"press": "Press A"}) == {"success": True}
    assert scene.ask(2, "gateway_device_renamed", {"Inlet": "Inlet A"}) == {"success": True}
    line.write(b"2\n")
    server.wait_telemetry("Press A", 1)
    assert (scene.values("press"), scene.values("Press A")) == ([1], [2])
    assert server.call("Press A", "run", 5, 21) == {"success": True}
    assert line.read_until(b"RUN 5\n") == b"RUN 5\n"
    assert server.call("Inlet A", "shared", None, 22) == {"asked": True, "rc": 0}
    (plain,) = server.wait_heard("Inlet A", "plain")
    assert plain["answer"]["device"] == "Inlet", "the connector knows its device by its own name"
    server.say("v1/gateway/attributes", {"device": "Inlet A", "data": {"mode": "auto"}})
    assert server.wait_heard("Inlet A", "heard")[-1] == {"mode": "auto"}

    connects = len(server.on("v1/gateway/connect", "press"))
    assert scene.ask(3, "gateway_device_deleted", "Press A") == {"success": True}
    assert scene.ask(4, "gateway_ping")["code"] == 200
    assert len(server.on("v1/gateway/connect", "press")) == connects
    line.write(b"3\n")
    wait_until(lambda: scene.values("press") == [1, 3], "the reading under its first name")
    assert len(server.on("v1/gateway/connect", "press")) == connects + 1


def test_what_was_changed_during_an_absence_arrives_and_nothing_that_was_kept(scene: Scene) -> None:
    """The attribute that was changed while the platform could not reach us is written to the device, and told to the
    connector; a call that the MQTT broker has kept is carried out when it comes, and at no later connection."""
    server, line = scene.server, scene.line
    kept = {"device": "press", "data": {"id": 31, "method": "run", "params": "KEPT"}}
    server._client.publish("v1/gateway/rpc", json.dumps(kept), qos=1, retain=True)
    assert line.read_until(b"\n") == b"RUN KEPT\n"
    for number in range(2):
        connects = len(server.on("v1/gateway/connect", "press"))
        scene.broker.stop()
        server.shared["limit"] = 7 + number
        scene.broker.start()
        server.wait_for(
            lambda _, before=connects: len(server.on("v1/gateway/connect", "press")) > before, "press again", 40
        )
        # Nothing else is written.
        assert line.read_until(b"\n") == b"LIMIT %d\n" % (7 + number)
        server.wait_for(
            lambda _, limit=7 + number: {"limit": limit} in server.heard("Inlet", "heard"), "the connector's", 40
        )
    assert server.call("press", "run", "NEW", 32) == {"success": True}
    assert line.read_until(b"NEW\n") == b"RUN NEW\n"
    assert all(code == 0 for code in scene.gateway.stop().values())
