"""The whole gateway before a platform that says no: lines, port readers, converter, broker, publisher, proxy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import Gateway, Line, Mosquitto, closing, needs_mosquitto, number_device, write_config
from tests.support.puback_proxy import (
    ACCEPT,
    Answer,
    Passed,
    PubackProxy,
    Throttle,
    bad_payload,
    rate_limited,
)
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
NAMES = ("press1", "press2", "press3")
RATE_HZ = 40
COUNT = RATE_HZ * 5


class Plant:
    """Three lines that count, and everything between them and mosquitto."""

    def __init__(self, folder: Path) -> None:
        self.lines = [Line(folder / f"tty{name}") for name in NAMES]
        self.mosquitto = Mosquitto(folder / "mosquitto")
        self.proxy = PubackProxy(self.mosquitto.port)
        devices = [number_device(name, line) for name, line in zip(NAMES, self.lines, strict=True)]
        self.gateway = Gateway(folder, write_config(folder / "config", self.proxy.port, devices))

    def start(self) -> None:
        self.gateway.start_all(list(NAMES))
        wait_until(lambda: self.proxy.count("v1/gateway/connect") >= len(NAMES), "the devices are announced")

    def accepted(self, name: str) -> list[int]:
        return first_values(self.proxy.accepted_items(name))

    def wait_accepted(self, name: str, wanted: list[int], deadline_s: float = 60.0) -> None:
        wait_until(lambda: len(set(self.accepted(name))) >= len(wanted), f"all of {name}", deadline_s, every_s=0.1)
        assert self.accepted(name) == wanted

    def close(self) -> None:
        self.gateway.close()
        self.proxy.__exit__()
        self.mosquitto.stop()
        for line in self.lines:
            line.close()


@pytest.mark.timeout(120)
def test_throttled_refused_and_cut(tmp_path: Path) -> None:
    """MQTT 5: a rate limit for two seconds, a reading that can't be converted, a cut in a publish; of everything that
    the lines said only that reading is missing, and it is a dead letter with its number's reason."""
    plant = Plant(tmp_path)
    with closing(plant):
        plant.start()
        feeders = [Feeder(line, COUNT, RATE_HZ) for line in plant.lines]
        with closing(*feeders):
            feeders[0].wait_written(RATE_HZ)
            throttle = plant.proxy.rule = Throttle(rate=3, burst=1)
            began_s = time.monotonic()
            wait_until(lambda: throttle.refused and time.monotonic() > began_s + 2, "throttling")
            bad = COUNT - RATE_HZ
            plant.proxy.rule = lambda passed: refuse_reading(passed, "press2", bad)
            plant.proxy.cuts = 1
            everything = list(range(1, COUNT + 1))
            for name in ("press1", "press3"):
                plant.wait_accepted(name, everything)
            plant.wait_accepted("press2", [number for number in everything if number != bad])
        assert plant.proxy.faults == []
        assert "153" in plant.gateway.log("publisher")
        assert plant.gateway.log("publisher").count("reading.dead_letter") == 1


def refuse_reading(passed: Passed, device: str, number: int) -> Answer:
    is_bad = any(item["values"]["n"] == number for item in passed.items(device))
    return bad_payload(passed) if is_bad else ACCEPT


@pytest.mark.timeout(120)
def test_doubtful_acknowledgements(tmp_path: Path) -> None:
    """3.1.1: publishes that are acknowledged, thrown away, and followed by a close: all comes again, same times."""
    plant = Plant(tmp_path)
    plant.proxy.mqtt_5 = "refused"
    with closing(plant):
        plant.start()
        feeders = [Feeder(line, COUNT, RATE_HZ) for line in plant.lines]
        with closing(*feeders):
            for seconds in (1, 2):
                feeders[0].wait_written(RATE_HZ * seconds)
                left = iter(range(1))
                plant.proxy.rule = lambda passed, left=left: (
                    rate_limited(passed) if passed.is_data and next(left, None) is not None else ACCEPT
                )
            for name in NAMES:
                plant.wait_accepted(name, list(range(1, COUNT + 1)))
        assert plant.proxy.faults == []
        assert plant.proxy.connections >= 3
