"""What a connector's calls of its gateway come to, before the gateway's thread decides."""

from __future__ import annotations

import json
import logging
import select
import threading
from typing import Any

import pytest

from common.compat.constant_enums import Status
from common.wire.entries import unpack_entry
from services.connector_host.core.devices import MOST_DEVICES
from services.connector_host.core.events import Replied, Said, Submitted
from services.connector_host.shell.facade import GatewayFacade, Hosted
from services.connector_host.shell.intake import Intake


class Side:
    """Both sides of a facade: the connector's calls, and what the gateway's thread gets."""

    def __init__(self, devices: dict[str, str] | None = None) -> None:
        self.intake = Intake()
        self.hosted = Hosted(
            "Own",
            "1",
            config={},
            config_dir="/x",
            intake=self.intake,
            logger=logging.getLogger("o"),
            devices=devices or {},
        )
        self.gateway = GatewayFacade(self.hosted)

    def store(self, **result: Any) -> tuple[Status, list[Said]]:
        """The status of one result, and what came of it."""
        statuses: list[Status] = []
        thread = threading.Thread(target=lambda: statuses.append(self.gateway.send_to_storage("Own", result)))
        thread.start()
        said: list[Said] = []
        while thread.is_alive():
            said += self.taken()
            thread.join(0.01)
        return statuses[0], said + self.taken()

    def taken(self) -> list[Said]:
        found = []
        for event in self.intake.take() if select.select([self.intake.descriptor], [], [], 0)[0] else ():
            assert isinstance(event, Submitted)
            self.intake.settle([one.ticket for one in event.submissions], "")
            found += [said for one in event.submissions for said in one.said]
        return found

    def replied(self) -> Replied:
        (event,) = self.intake.take()
        assert isinstance(event, Replied)
        return event


def test_data_without_a_type_leaves_a_device_the_type_that_it_has() -> None:
    """Which `add_device` has said, or data before; "default" is what stands where nobody says one."""
    side = Side({"kept": "pump"})
    side.gateway.add_device("new", {}, "fan")
    side.gateway.add_device("plain", {})
    assert [(said.device, said.device_type) for said in side.taken()] == [("new", "fan"), ("plain", "default")]
    for device, said_type, expected in (
        ("new", None, "fan"),
        ("new", "default", "fan"),
        ("kept", "", "pump"),
        ("plain", None, "default"),
        ("unknown", None, "default"),
        ("new", "mill", "mill"),
        ("new", None, "mill"),
    ):
        status, (said,) = side.store(deviceName=device, deviceType=said_type, telemetry=[{"a": 1}])
        assert status == Status.SUCCESS
        assert (said.device_type, unpack_entry(said.data).device_type) == (expected, expected)
        assert side.gateway.get_devices()[device]["deviceType"] == expected
    side.gateway.add_device("new", {"connector": None})
    assert [said.device_type for said in side.taken()] == ["mill"]


def test_a_value_that_cannot_be_sent_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    """A sensor that says NaN is left out, and said; with nothing left the result is refused."""
    side = Side()
    bad, worse = float("nan"), object()
    status, (said,) = side.store(
        deviceName="d", telemetry=[{"a": bad, "b": 2, 3: 1}, {"ts": 1700000000000, "values": {"c": worse, "d": 4}}]
    )
    reading = unpack_entry(said.data)
    assert (status, reading.telemetry) == (Status.SUCCESS, [(None, b'{"b":2}'), (1700000000000, b'{"d":4}')])
    (text,) = caplog.messages
    assert text.endswith("telemetry[0]: a: found nan, which JSON can't carry: this value is left out, and 2 more")
    assert side.hosted.results_refused == 1
    status, (said,) = side.store(deviceName="d", attributes={"a": bad, "b": 0})
    assert (status, unpack_entry(said.data).attributes) == (Status.SUCCESS, b'{"b":0}')
    assert side.store(deviceName="d", telemetry=[{"a": bad}]) == (Status.FAILURE, [])


def test_devices_have_a_bound_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever makes names up without an end hears no, and takes no more memory; those that are there go on."""
    side = Side({f"d{number}": "t" for number in range(MOST_DEVICES)})
    assert not side.gateway.add_device("one more", {})
    assert side.store(deviceName="one more", telemetry=[{"a": 1}]) == (Status.FAILURE, [])
    assert len(side.gateway.get_devices()) == MOST_DEVICES
    assert [f"has {MOST_DEVICES} devices" in text for text in caplog.messages] == [True, True]
    assert side.store(deviceName="d1", telemetry=[{"a": 1}])[0] == Status.SUCCESS
    side.gateway.del_device("d1")
    assert side.gateway.add_device("one more", {})


@pytest.mark.parametrize("content", [float("nan"), {1: 2}, object()])
def test_a_reply_that_cannot_be_sent_is_an_error_for_whoever_calls(content: object) -> None:
    """At once, instead of no answer."""
    side = Side()
    side.gateway.send_rpc_reply("d", 5, content)
    replied = side.replied()
    assert (replied.device, replied.request) == ("d", "5")
    assert json.loads(replied.data)["error"].startswith("the connector's answer can't be sent: found ")


def test_a_reply_finds_its_call_in_all_forms() -> None:
    """By the whole device instead of its name, and by the number as JSON may have made it."""
    side = Side()
    side.gateway.send_rpc_reply({"deviceName": "d"}, 5.0, {"a": 1})
    assert side.replied() == Replied("d", "5", b'{"a":1}')
