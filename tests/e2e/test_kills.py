"""kill -9 of every stage behind the journal, in the middle of the data."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, number_device, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto

COUNT = 10_000
RATE_HZ = 500
UNSETTLED = 100
"""Frames that are written while a process stands still, before it is killed: the issue asks for 50."""


@pytest.mark.timeout(180)
def test_each_stage_killed_once_loses_nothing(tmp_path: Path) -> None:
    """10,000 frames at 500/s; converter, publisher and broker each killed with frames inside: all arrive, in order."""
    line, mosquitto = Line(tmp_path / "ttyTest"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [number_device("press1", line)]))
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all(["press1"])
        platform.wait_connected("press1")
        feeder = Feeder(line, COUNT, RATE_HZ)
        with closing(feeder):
            for number, victim in enumerate(["converter0", "publisher", "broker"], 1):
                feeder.wait_written(number * COUNT // 4)
                platform.wait_telemetry("press1", (number - 1) * COUNT // 4 + 100, 60)
                # Stopped, it holds up everything behind the journal: what is written from now on is unsettled.
                gateway.processes[victim].send_signal(signal.SIGSTOP)
                feeder.wait_written(feeder.written + UNSETTLED)
                gateway.kill(victim)
                gateway.restart(victim)
            wait_until(lambda: feeder.written == COUNT, "all frames written", 60)
            platform.wait_for(
                lambda _: len({item["values"]["n"] for item in platform.telemetry("press1")}) == COUNT,
                "all frames at the platform",
                60,
            )
        assert first_values(platform.telemetry("press1")) == list(range(1, COUNT + 1))
        readers = wait_until(
            lambda: counters if (counters := gateway.counters("port_reader")).get("frames_resent") else None,
            "a resend in the counters",
            every_s=0.3,
        )
        assert readers["dead_letters"] == 0
        assert set(gateway.stop().values()) == {0}
