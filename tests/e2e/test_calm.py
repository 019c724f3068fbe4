"""Devices that have said nothing for a while: their readers beat every ten seconds and listen to nobody meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import Gateway, Line, Platform, any_mqtt_broker, closing, write_config
from tests.support.waiting import wait_until

NAME = "Sleeper"
CALM_S = 6.0
"""After this an idle reader has said that it beats less often."""
SOON_S = 5.0
"""A call or a frame takes no longer than this, much less than a calm reader's ten seconds."""


class World(NamedTuple):
    line: Line
    platform: Platform
    gateway: Gateway


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("calm")
    line, mosquitto = Line(folder / "tty"), any_mqtt_broker(folder / "mosquitto")
    platform = Platform(mosquitto.port)
    device = {
        "name": NAME,
        "port": str(line.path),
        "downlink_converter": "SerialDownlinkConverter",
        "telemetry": [{"type": "int", "key": "n"}],
        # Nothing tells an answer from a reading: it is both.
        "serverSideRpc": [{"method": "get", "template": "GET\n", "withResponse": True, "responseType": "int"}],
    }
    gateway = Gateway(folder, write_config(folder / "config", mosquitto.port, [device]))
    with closing(mosquitto, platform, line, gateway):
        gateway.start_all([NAME])
        platform.wait_connected(NAME)
        yield World(line, platform, gateway)


@pytest.mark.parametrize(("victim", "number"), [("broker", 1), ("publisher", 2)])
def test_a_calm_device_is_called_after_a_restart(world: World, victim: str, number: int) -> None:
    """The new process finds the reader long before its next beat: a call is answered, a frame arrives."""
    line, platform, gateway = world
    end_s = time.monotonic() + CALM_S
    wait_until(lambda: time.monotonic() > end_s, "the reader is calm")
    announced = len(platform.on("v1/gateway/connect", NAME))
    gateway.kill(victim)
    gateway.restart(victim)
    if victim == "publisher":
        platform.wait_for(lambda _: len(platform.on("v1/gateway/connect", NAME)) > announced, "connect again", SOON_S)
    platform.say("v1/gateway/rpc", {"device": NAME, "data": {"id": number, "method": "get", "params": None}})
    assert line.read_until(b"GET\n", SOON_S) == b"GET\n"
    before = len(platform.telemetry(NAME))
    line.write(b"%d\n" % number)
    assert platform.reply(NAME, number, SOON_S) == {"result": number}
    line.write(b"%d\n" % (100 + number))
    items = platform.wait_telemetry(NAME, before + 2, SOON_S)
    assert [item["values"] for item in items[before:]] == [{"n": number}, {"n": 100 + number}]
