"""Connectors in the styles of those that were published, hosted: devices, data, attributes, calls, stop."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import start_hosts, write_connectors

pytestmark = needs_mosquitto
DEMO = {"devices": [{"name": "Pump", "type": "pump"}, {"name": "Fan", "type": "fan"}]}


def test_a_connector_of_today(tmp_path: Path) -> None:
    """Both devices are announced before their data, which has the times that were given; calls and changed attributes
    reach the connector; what it stops with is a goodbye."""
    broker = Mosquitto(tmp_path / "mqtt")
    config = write_connectors(tmp_path / "config", broker.port, {"Demo": ("demo", "DemoConnector", DEMO)})
    platform = Platform(broker.port)
    gateway = Gateway(tmp_path, config)
    with closing(broker, platform, gateway):
        start_hosts(gateway, "Demo")
        items = platform.wait_telemetry("Pump", 3)
        platform.wait_telemetry("Fan", 3)
        assert set(items[0]["values"]) == {"temperature", "count"}
        assert [item["values"]["count"] for item in items] == list(range(1, len(items) + 1))
        assert platform.on("v1/gateway/connect", "Fan") == [{"device": "Fan", "type": "fan"}]
        topics = [seen.topic for seen in platform.seen]
        assert topics.index("v1/gateway/connect") < topics.index("v1/gateway/telemetry")
        attributes = [one for one in platform.on("v1/gateway/attributes", "Pump") if "data" not in one]
        merged = {key: value for one in attributes for key, value in one.items()}
        assert merged == {"connectorType": "demo", "connectorName": "Demo", "firmware": "1.0", "serial": "Pump"}
        assert platform.call("Pump", "setValue", 5, 1) == {"success": True, "value": 5}
        assert platform.call("Pump", "getValue", None, 2) == {"value": 5, "timestamp": 1}
        assert platform.call("Fan", "open", None, 3) == {"error": "unknown method open"}
        platform.say("v1/gateway/attributes", {"device": "Fan", "data": {"speed": 3}})
        platform.wait_for(
            lambda _: any(one.get("seen") == {"speed": 3} for one in platform.on("v1/gateway/attributes", "Fan")),
            "the update's echo",
        )
        assert gateway.stop() == dict.fromkeys(gateway.processes, 0)
        for device in ("Pump", "Fan"):
            platform.wait_for(lambda _, device=device: platform.on("v1/gateway/disconnect", device), "disconnect")
