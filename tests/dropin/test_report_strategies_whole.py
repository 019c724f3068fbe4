"""Report strategies in the whole gateway: real processes, one of them killed, and an orderly end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.hosting import start_hosts, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

HOUR_MS = 3_600_000


def reporting_device(line: Line) -> dict[str, Any]:
    """`state;hours;noise`: the state when it changes, the hours once an hour, the noise as it comes."""
    return {
        "name": "press1",
        "port": str(line.path),
        "firstFrame": "keep",
        "telemetry": [
            {"type": "string", "key": "state", "untilDelimiter": ";"},
            {
                "type": "int",
                "key": "hours",
                "fromDelimiter": ";",
                "untilDelimiter": ";",
                "reportStrategy": {"type": "ON_REPORT_PERIOD", "reportPeriod": HOUR_MS},
            },
        ],
        "attributes": [
            {"type": "string", "key": "mode", "untilDelimiter": ";", "reportStrategy": {"type": "ON_RECEIVED"}}
        ],
    }


@pytest.mark.timeout(120)
def test_strategies_over_a_killed_publisher_and_an_end(tmp_path: Path) -> None:
    """What has not changed is not sent; a new publisher says it once more, with the value that waited; the end says
    what waits. Nothing stays in the journal at the end."""
    line, mosquitto = Line(tmp_path / "ttyTest"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    config = write_config(
        tmp_path / "config", mosquitto.port, [reporting_device(line)], {"reportStrategy": {"type": "ON_CHANGE"}}
    )
    gateway = Gateway(tmp_path, config)

    def told() -> list[dict[str, Any]]:
        return [item["values"] for item in platform.telemetry("press1")]

    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["press1"])
        platform.wait_connected("press1")
        line.write(b"on;1\n")
        platform.wait_telemetry("press1", 1)
        line.write(b"on;2\non;3\noff;4\n")
        platform.wait_telemetry("press1", 2)
        line.write(b"off;5\n")
        wait_until(
            lambda: gateway.counters("publisher").get("values_kept_back", 0) >= 6, "all that is kept back", every_s=0.3
        )
        assert told() == [{"state": "on", "hours": 1}, {"state": "off"}]
        gateway.kill("publisher")
        gateway.restart("publisher")
        platform.wait_telemetry("press1", 3)
        assert told()[2:] == [{"state": "off", "hours": 5}], "the last frame was not settled"
        line.write(b"off;6\n")
        wait_until(lambda: gateway.counters("publisher").get("values_kept_back", 0) >= 2, "the next frame", every_s=0.3)
        assert set(gateway.stop().values()) == {0}
        platform.wait_telemetry("press1", 4)
        assert told()[3:] == [{"hours": 6}]
        platform.wait_for(lambda _: platform.on("v1/gateway/disconnect", "press1"), "the goodbye")
        # The device's introduction is an attribute message too, alone or together with others.
    attributes = platform.on("v1/gateway/attributes", "press1")
    assert [values["mode"] for values in attributes if "mode" in values][-1] == "off"
    assert {key for values in attributes for key in values} == {"mode", "connectorType", "connectorName"}


@pytest.mark.timeout(120)
def test_hosted_connectors_devices_have_strategies_too(tmp_path: Path) -> None:
    """The main file's, or the one in the connector's own file: a constant is said once, or each time."""
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    devices = {"devices": [{"name": "Pump", "type": "pump"}]}
    each = {"devices": [{"name": "Fan", "type": "fan"}], "reportStrategy": {"type": "ON_RECEIVED"}}
    connectors = {"Changes": ("demo", "DemoConnector", devices), "Each": ("demo", "DemoConnector", each)}
    config = write_connectors(tmp_path / "config", mosquitto.port, connectors)
    main = json.loads(config.read_text())
    main["thingsboard"]["reportStrategy"] = {"type": "ON_CHANGE"}
    config.write_text(json.dumps(main))
    gateway = Gateway(tmp_path, config)
    with closing(mosquitto, platform, gateway):
        start_hosts(gateway, *connectors)
        for device in ("Pump", "Fan"):
            platform.wait_telemetry(device, 5)
        said = {device: [item["values"] for item in platform.telemetry(device)] for device in ("Pump", "Fan")}
    assert said["Pump"][0].keys() == {"temperature", "count"}
    assert [set(values) for values in said["Pump"][1:5]] == [{"count"}] * 4
    assert [set(values) for values in said["Fan"][:5]] == [{"temperature", "count"}] * 5
    firmware = [values for values in platform.on("v1/gateway/attributes", "Pump") if "firmware" in values]
    assert len(firmware) == 1
