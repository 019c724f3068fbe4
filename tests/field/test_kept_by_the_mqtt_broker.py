"""What the MQTT broker kept is not carried out late, and what it delivers twice is not carried out twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.core.events import Arrived
from common.wire import codec
from common.wire.messages import Entry, Plane, Reply, Request
from services.publisher.core.events import PlatformMessage
from tests.support.puback_proxy import PubackProxy
from tests.support.publisher_driving import Driver, batch, calls_sent, said
from tests.support.publisher_process import MOSQUITTO, World

RPC = "v1/gateway/rpc"
OWN = "v1/devices/me/rpc/request/5"


def ready() -> Driver:
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    return driver


def call(request: Any, params: Any, method: str = "set", device: str = "press1") -> dict[str, Any]:
    return {"device": device, "data": {"id": request, "method": method, "params": params}}


def replies(driver: Driver) -> list[Any]:
    return [said(order) for order in driver.published if order.topic == RPC]


def answer(driver: Driver, request: Request, error: str = "") -> None:
    body = b"" if error else codec.pack(b'{"success":true}')
    driver.hear(Arrived(Plane.CALLS, Reply(request.id, "publisher:0", error, body)))


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (RPC, call(1, 5)),
        (RPC, call("a", None, "reset")),
        ("v1/gateway/attributes", {"device": "press1", "data": {"limit": 5}}),
        ("v1/gateway/attributes/response", {"id": 1, "device": "press1", "values": {"limit": 5}}),
        ("v1/gateway/disconnect", {"device": "press1", "reason": 150}),
        ("v1/devices/me/attributes", {"limit": 5}),
        (OWN, {"method": "gateway_ping", "params": {}}),
    ],
)
def test_retained_messages_do_nothing(topic: str, payload: dict[str, Any]) -> None:
    """On every topic: nothing is sent to a device, nothing is answered, and a warning says how to remove it."""
    driver = ready()
    published = len(driver.published)
    effects = driver.hear(PlatformMessage(driver.connection, topic, json.dumps(payload).encode(), is_retained=True))
    assert calls_sent(effects) == []
    assert len(driver.published) == published
    (note,) = [note for note in driver.notes if note.event == "downlink.retained"]
    assert "an empty retained message on this topic removes it" in str(note.facts)


def test_a_call_that_ended_is_not_carried_out_again() -> None:
    """The same call once more, within its time: it is answered as before, and said."""
    driver = ready()
    (request,) = calls_sent(driver.say(RPC, call(7, 5)))
    answer(driver, request)
    driver.ack_all()
    driver.wait(3.0)
    assert calls_sent(driver.say(RPC, call(7, 5))) == []
    driver.ack_all()
    assert replies(driver) == [{"device": "press1", "id": 7, "data": {"success": True}}] * 2
    assert [note.facts["request"] for note in driver.notes if note.event == "call.repeated"] == [7]


def test_a_call_that_may_have_been_written_is_not_written_again() -> None:
    """The device did not answer in the RPC's own time: the write may have done its work."""
    driver = ready()
    (request,) = calls_sent(driver.say(RPC, call(7, 5)))
    answer(driver, request, "no answer in 1 s")
    assert calls_sent(driver.say(RPC, call(7, 5))) == []
    driver.ack_all()
    assert replies(driver)[1]["data"] == {"error": "no answer in 1 s", "success": False}


def test_a_call_that_was_never_written_is_tried_when_it_comes_again() -> None:
    """Nothing has happened yet that must not happen twice."""
    for error in ("device press1 is not connected", "queue full", "expired while waiting"):
        driver = ready()
        (request,) = calls_sent(driver.say(RPC, call(7, 5)))
        answer(driver, request, error)
        assert len(calls_sent(driver.say(RPC, call(7, 5)))) == 1


@pytest.mark.parametrize(
    "other", [call(8, 5), call(7, 6), call(7, 5, "stop"), call("7", 5), call(7, 5, device="press2"), call(7, None)]
)
def test_another_call_is_another_call(other: dict[str, Any]) -> None:
    """Whoever writes a flow by hand uses one id for all: other params are another call."""
    driver = ready()
    (request,) = calls_sent(driver.say(RPC, call(7, 5)))
    answer(driver, request)
    assert len(calls_sent(driver.say(RPC, other))) == 1


def test_after_its_time_the_same_words_are_a_new_call() -> None:
    """The platform has given the first up by then, and counts from 0 after a restart."""
    driver = ready()
    (request,) = calls_sent(driver.say(RPC, call(7, 5)))
    answer(driver, request)
    driver.wait(10.1)
    assert len(calls_sent(driver.say(RPC, call(7, 5)))) == 1


def test_what_is_remembered_is_bounded() -> None:
    """Many calls in a short time: the newest are known, and memory does not grow."""
    driver = ready()
    for number in range(5_000):
        (request,) = calls_sent(driver.say(RPC, call(number, 5)))
        answer(driver, request)
        driver.ack_all()
    assert len(driver.core._downlink.calls._past) == 4_096
    assert calls_sent(driver.say(RPC, call(4_999, 5))) == []


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("protocol", [5, 4])
def test_calls_that_came_while_the_gateway_was_away(tmp_path: Path, protocol: int) -> None:
    """mosquitto has kept two for a session of our client id, and one as a retained message; a new one arrives alone."""
    client_id = "serialgw-same"

    def prepare(proxy: PubackProxy) -> None:
        (tmp_path / "data" / "publisher.id").write_text(f"{client_id}\n")
        if protocol == 4:
            proxy.mqtt_5 = "refused"
        _leave_calls(proxy._target_port, client_id, protocol)

    with World(tmp_path, prepare) as world:
        world.broker.wait_link()
        world.eyes.say(RPC, call(99, 5))
        world.broker.wait(lambda: world.broker.requests, "the new call")
        world.eyes.say(OWN, {"method": "gateway_ping"})
        pong = ("v1/devices/me/rpc/response/5", {"code": 200, "resp": "pong"})
        world.broker.wait(lambda: pong in world.eyes.seen, "everything before this has been handled")
        assert [codec.unpack_map(request.body)["params"] for request in world.broker.requests] == [b"5"]
        assert "protocol=5" in world.publisher.said or protocol == 4


def _leave_calls(port: int, client_id: str, protocol: int) -> None:
    """A session of the same name that outlives its connection, and calls for it."""
    is_5 = protocol == 5
    version = MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311
    old = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=None if is_5 else False, protocol=version)
    properties = None
    if is_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3_600
    subscribed: list[int] = []
    old.on_subscribe = lambda *_: subscribed.append(1)
    old.connect(
        "127.0.0.1", port, clean_start=False if is_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY, properties=properties
    )
    old.subscribe([("v1/gateway/#", 1), ("v1/devices/#", 1)])
    while not subscribed:
        old.loop(0.05)
    old.disconnect()
    sender = mqtt.Client(CallbackAPIVersion.VERSION2, "sender", protocol=version)
    sender.connect("127.0.0.1", port)
    sender.loop_start()
    sent = [
        sender.publish(RPC, json.dumps(call(1, 1)), qos=1),
        sender.publish("v1/gateway/attributes", json.dumps({"device": "press1", "data": {"x": 2}}), qos=1),
        sender.publish(RPC, json.dumps(call(3, 3)), qos=1, retain=True),
    ]
    for info in sent:
        info.wait_for_publish(10)
    sender.disconnect()
    sender.loop_stop()
