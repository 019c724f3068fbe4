"""Devices with messages through all real processes: a pseudo-terminal at one end, an MQTT broker at the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.devices.families import SECTIONS, VECTORS, frames_of
from tests.e2e.harness import Gateway, Line, Platform, any_mqtt_broker, closing, write_config
from tests.support.waiting import wait_until

JUNK = b"no frame of theirs\r\n"


def test_values_times_and_names_arrive(tmp_path: Path) -> None:
    """A dust sensor among garbage, sensors that are devices of their own, and a frame that no message fits."""
    dust, radio = Line(tmp_path / "ttyDust"), Line(tmp_path / "ttyRadio")
    mosquitto = any_mqtt_broker(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    sections: list[dict[str, Any]] = [
        SECTIONS["sds011"] | {"name": "dust", "port": str(dust.path)},
        SECTIONS["rflink"] | {"name": "radio", "port": str(radio.path), "when": "^20;"},
    ]
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, sections))
    with closing(mosquitto, platform, dust, radio, gateway):
        gateway.start_all(["dust", "radio"])
        platform.wait_connected("dust", "radio")
        dust.write(bytes.fromhex(VECTORS["sds011"]["stream_hex"]))
        radio.write(b"".join(frames_of("rflink")) + JUNK)
        found = [item["values"] for item in platform.wait_telemetry("dust", 2)]
        assert found == VECTORS["sds011"]["values_per_frame"]
        [item] = platform.wait_telemetry("sensor 0086", 1)
        assert item["values"] == {"id": "0086", "protocol": "Alecto V1", "temperature": -20.9, "battery": "LOW"}
        assert platform.on("v1/gateway/connect", "sensor 5a6d")[0]["type"] == "Oregon BTHR"
        wait_until(
            lambda: "no message fits" in gateway.cli("dead-letters", "radio").stdout, "the dead letter", 20.0, 0.2
        )
