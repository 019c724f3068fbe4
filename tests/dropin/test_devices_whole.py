"""The same with a real publisher and a real MQTT broker: devices that are renamed, deleted, silent or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.wire.calls import Encode, body_of
from common.wire.messages import Entry, Reply
from services.publisher.core.names import decode_renamed
from tests.support.publisher_driving import batch, points
from tests.support.publisher_process import World, needs_mosquitto

pytestmark = needs_mosquitto


def said(world: World, topic: str) -> list[Any]:
    return [payload for seen, payload in list(world.eyes.seen) if seen == topic]


def ask(world: World, method: str, params: Any, request: int) -> None:
    """The platform calls the gateway, which answers."""
    world.eyes.say(f"v1/devices/me/rpc/request/{request}", {"method": method, "params": params})
    answer = f"v1/devices/me/rpc/response/{request}"
    world.broker.wait(lambda: said(world, answer) == [{"success": True}], "the answer")


def send(world: World, first: int, *, generation: int = 1) -> None:
    """One reading of press1, until it is settled."""
    world.broker.send(batch(first, points(first, 1), base=first, generation=generation))
    world.broker.wait_settled(first + 1)


def under(world: World, device: str) -> list[int]:
    """The readings that the platform has for a device."""
    return world.eyes.values(device)


def test_a_new_name_holds_over_a_kill_and_calls_come_back(tmp_path: Path) -> None:
    """Data under the new name before and after; a call to it reaches the device under the old one."""
    with World(tmp_path) as world:
        world.broker.wait_link()
        send(world, 1)
        ask(world, "gateway_device_renamed", {"press1": "Press A"}, 5)
        send(world, 2)
        assert decode_renamed((tmp_path / "data" / "publisher.names").read_bytes()) == {"press1": "Press A"}
        world.restart()
        send(world, 3, generation=2)
        world.broker.wait(lambda: under(world, "Press A") == [2, 3], "the readings under the new name")
        assert under(world, "press1") == [1]
        world.eyes.say("v1/gateway/rpc", {"device": "Press A", "data": {"id": 9, "method": "stop", "params": 1}})
        world.broker.wait(lambda: world.broker.requests, "the call")
        call = world.broker.requests[-1]
        assert "press1" in call.target
        assert body_of(call, Encode) is not None
        world.broker.say(Reply(call.id, call.reply_to, "unknown method", b""))
        world.broker.wait(lambda: said(world, "v1/gateway/rpc")[1:], "the reply")
        reply = said(world, "v1/gateway/rpc")[-1]
        assert (reply["device"], reply["id"]) == ("Press A", 9)
        # Renamed back: the file says so too.
        ask(world, "gateway_device_renamed", {"Press A": "press1"}, 6)
        assert decode_renamed((tmp_path / "data" / "publisher.names").read_bytes()) == {}


def test_a_deleted_device_is_created_by_its_next_reading(tmp_path: Path) -> None:
    """And not before; under the name that it has here."""
    with World(tmp_path) as world:
        world.broker.wait_link()
        world.broker.send(batch(1, [None], kind=Entry.OPENED), batch(2, points(2, 1)))
        world.broker.wait_settled(3)
        ask(world, "gateway_device_renamed", {"press1": "Press A"}, 4)
        ask(world, "gateway_device_deleted", "Press A", 5)
        connects = len(said(world, "v1/gateway/connect"))
        world.broker.wait(lambda beats=world.broker.beats: world.broker.beats > beats + 2, "some heartbeats")
        assert len(said(world, "v1/gateway/connect")) == connects
        send(world, 3)
        world.broker.wait(lambda: under(world, "press1") == [2, 3], "the reading")
        assert said(world, "v1/gateway/connect")[-1] == {"device": "press1", "type": "press"}


def test_silent_devices_and_those_that_are_left_out(tmp_path: Path) -> None:
    """As the main file says it."""
    (tmp_path / "list.json").write_text(json.dumps({"deny": {"lines": ["press2"]}}))
    activity = {"checkDeviceInactivity": True, "inactivityTimeoutSeconds": 2, "inactivityCheckPeriodSeconds": 1}
    filtering = {"enable": True, "filterFile": "list.json"}
    with World(tmp_path, checkingDeviceActivity=activity, deviceFiltering=filtering) as world:
        world.broker.wait_link()
        world.broker.send(batch(1, points(1, 4), device="press2"))
        send(world, 1)
        world.broker.wait_settled(5, "press2")
        world.broker.wait(lambda: said(world, "v1/gateway/disconnect") == [{"device": "press1"}], "the goodbye")
        send(world, 2)
        world.broker.wait(lambda: under(world, "press1") == [1, 2], "the reading")
        assert [one["device"] for one in said(world, "v1/gateway/connect")] == ["press1", "press1"]
        world.broker.wait(
            lambda: world.broker.beat and world.broker.beat.counters["readings_filtered"] == 4, "the counter"
        )
        assert world.publisher.said.count("device.filtered") == 1
