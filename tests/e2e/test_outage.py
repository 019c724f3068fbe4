"""The MQTT broker away while lines keep talking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, number_device, write_config

pytestmark = needs_mosquitto

PORTS = 4
RATE_HZ = 50
OUTAGE_S = 20
COUNT = RATE_HZ * (OUTAGE_S + 10)


@pytest.mark.timeout(180)
def test_twenty_seconds_without_the_mqtt_broker_lose_nothing(tmp_path: Path) -> None:
    """4 ports at 50 frames/s, mosquitto stopped for 20 s: nothing missing, nothing out of order on any port."""
    names = [f"press{number}" for number in range(PORTS)]
    lines = [Line(tmp_path / f"tty{name}") for name in names]
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    devices = [number_device(name, line) for name, line in zip(names, lines, strict=True)]
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, devices))
    with closing(mosquitto, platform, *lines, gateway):
        gateway.start_all(names)
        platform.wait_connected(*names)
        feeders = [Feeder(line, COUNT, RATE_HZ) for line in lines]
        with closing(*feeders):
            feeders[0].wait_written(RATE_HZ * 5)
            mosquitto.stop()
            feeders[0].wait_written(RATE_HZ * (5 + OUTAGE_S))
            mosquitto.start()
            for name in names:
                platform.wait_for(
                    lambda _, name=name: len({item["values"]["n"] for item in platform.telemetry(name)}) == COUNT,
                    f"all frames of {name}",
                    60,
                )
        for name in names:
            assert first_values(platform.telemetry(name)) == list(range(1, COUNT + 1))
