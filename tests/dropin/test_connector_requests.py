"""What hosted connectors ask the platform, and which shared attributes they are told without asking.

First whole, with a client that answers as ThingsBoard does; then the publisher's and the host's part of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.core.events import Arrived, Drain
from common.wire import codec
from common.wire.calls import (
    SHUTTING_DOWN,
    AskAttributes,
    EncodeUpdate,
    SharedKeys,
    hosted_stream,
    pack_body,
    verb_of,
)
from common.wire.messages import Heartbeat, Plane, Reply, Request
from services.connector_host.core.events import AttributesAsked, Returned
from services.connector_host.core.questions import ANSWER_S, NO_ANSWER, NOT_ASKED, SPARE_S
from services.connector_host.core.questions import ASKED_AT_ONCE as MOST_AT_ONCE
from services.publisher.core.events import LinkUp
from services.publisher.core.hosted_keys import AGAIN_S, ASKED_AT_ONCE
from services.publisher.core.hosted_keys import ANSWER_S as KEYS_S
from services.publisher.core.questions import MOST_OF_ONE, MOST_OPEN
from tests.e2e.harness import Gateway, Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosted import HostRig
from tests.support.hosting import start_hosts, write_connectors
from tests.support.publisher_driving import TYPES, Driver, said
from tests.unit.test_publisher_connectors import STREAM, entries, marked

REQUEST = "v1/gateway/attributes/request"


class Server(Platform):
    """ThingsBoard, as far as attributes of devices go."""

    def __init__(self, port: int) -> None:
        self.shared: dict[str, Any] = {}
        self.client: dict[str, Any] = {}
        super().__init__(port)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        super()._on_message(client, userdata, message)
        if message.topic != REQUEST:
            return
        asked = json.loads(message.payload)
        found = self.client if asked["client"] else self.shared
        values = {key: found[key] for key in asked["keys"] if key in found}
        said = {"id": asked["id"], "device": asked["device"]}
        if len(asked["keys"]) == 1 and values:
            said["value"] = next(iter(values.values()))
        elif values:
            said["values"] = values
        self.say("v1/gateway/attributes/response", said)

    def heard(self, device: str, key: str) -> list[Any]:
        """What the connector has said that it has heard."""
        return [
            each[key] for each in self.on("v1/gateway/attributes", device) if isinstance(each, dict) and key in each
        ]

    def wait_heard(self, device: str, key: str, count: int = 1) -> list[Any]:
        return self.wait_for(
            lambda _: found if len(found := self.heard(device, key)) >= count else None, f"{count} {key} of {device}"
        )


@needs_mosquitto
def test_a_connector_asks_the_platform_and_hears_what_changed_while_nobody_was_there(tmp_path: Path) -> None:
    """Shared and client attributes, one and several, with both forms of callbacks; and what it wants of each device is
    told when the device is announced, and again what has changed during an outage, and only that."""
    broker = Mosquitto(tmp_path / "mqtt")
    server = Server(broker.port)
    server.shared, server.client = {"limit": 5, "mode": "auto", "other": 1}, {"firmware": "1.2"}
    asking = {"devices": ["Inlet", "Outlet"], "wants": {"Inlet": ["limit", "mode"]}}
    config = write_connectors(tmp_path / "config", broker.port, {"Asking": ("asking", "AskingConnector", asking)})
    gateway = Gateway(tmp_path, config)
    with closing(broker, server, gateway):
        start_hosts(gateway, "Asking")
        server.wait_connected("Inlet", "Outlet")
        assert server.wait_heard("Inlet", "heard") == [{"limit": 5, "mode": "auto"}]

        assert server.call("Outlet", "shared", None, 1) == {"asked": True, "rc": 0}
        (plain,) = server.wait_heard("Outlet", "plain")
        assert plain["error"] is None
        assert plain["answer"]["device"] == "Outlet"
        assert plain["answer"]["values"] == {"limit": 5, "mode": "auto"}
        assert server.call("Outlet", "raising", None, 2) == {"asked": True, "rc": 0}
        assert server.call("Outlet", "client", None, 3) == {"asked": True, "rc": 0}
        (more,) = server.wait_heard("Outlet", "more")
        assert (more["answer"]["value"], more["more"]) == ("1.2", "extra")
        assert server.call("Outlet", "nothing", None, 4) == {"asked": False, "rc": -1}
        assert server.call("Outlet", "uncalled", None, 5) == {"asked": False, "rc": -1}
        log = gateway.log("Asking")
        assert "keys: found [], expected 1 to 1000 names of attributes" in log
        assert "callback: found None, expected a function" in log
        assert "the callback of a question to the platform has raised" in log

        broker.stop()
        server.shared["limit"] = 7
        broker.start()
        assert server.wait_heard("Inlet", "heard", 2)[1:] == [{"limit": 7}]
        assert server.heard("Outlet", "heard") == []
        assert gateway.stop()["Asking"] == 0


# The publisher's part.


def made() -> Driver:
    driver = Driver(connectors={**dict.fromkeys(TYPES, "serial"), STREAM: "Demo"}, hosts={"demo": ["Demo"]})
    driver.up(limits={})
    return driver


def asking(device: str = "valve", keys: list[str] | None = None, number: int = 1, stream: str = STREAM) -> Request:
    body = pack_body(AskAttributes(device, keys or ["limit"]))
    return Request(f"ask-{number}", "connector_host:Demo", "publisher:0", "ask_attributes", stream, "", 30.0, body)


def questions(driver: Driver) -> list[dict[str, Any]]:
    """What the platform was asked."""
    return [said(order) for order in driver.published if order.topic == REQUEST]


def answers(effects: list[Any]) -> list[tuple[str, Any]]:
    """(error, value) of each reply to a connector."""
    found = [effect.message for effect in effects if isinstance(getattr(effect, "message", None), Reply)]
    return [(reply.error, json.loads(codec.unpack(reply.body)) if not reply.error else None) for reply in found]


def host_beat(instance: str = "i1", *, opened: bool = True, wants_shared: bool = True) -> Arrived:
    state = {"opened": opened, "wants_shared": wants_shared}
    return Arrived(Plane.EVENTS, Heartbeat("connector_host", "Demo", instance, 1, "here", 5.0, state, {}))


def asked_hosts(effects: list[Any]) -> list[Request]:
    """Which connectors are asked for what they want."""
    found = [effect.message for effect in effects if isinstance(getattr(effect, "message", None), Request)]
    return [request for request in found if request.verb == verb_of(SharedKeys)]


def test_a_question_waits_for_the_device_and_is_asked_again_on_a_new_connection() -> None:
    """The server would create a device that it does not know."""
    driver = made()
    assert answers(driver.request(asking())) == []
    assert questions(driver) == []
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    (question,) = questions(driver)
    assert (question["device"], question["client"], question["keys"]) == ("valve", False, ["limit"])
    driver.down()
    driver.again()
    driver.ack_all()
    assert len(questions(driver)) == 2
    # An answer to the first is as good as none: a question of that connection.
    stale = {"id": questions(driver)[0]["id"], "device": "valve", "value": 4}
    assert answers(driver.say("v1/gateway/attributes/response", stale)) == []
    number = questions(driver)[1]["id"]
    effects = driver.say("v1/gateway/attributes/response", {"id": number, "device": "valve", "value": 5})
    assert answers(effects) == [("", {"id": number, "device": "valve", "value": 5})]
    assert driver.say("v1/gateway/attributes/response", {"id": number, "device": "valve", "value": 5}) == []


def test_a_question_without_an_answer_says_why() -> None:
    """Each once: a device that is not announced, a platform that says nothing, too many, the end."""
    driver = made()
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    driver.request(asking("valve", number=1))
    driver.request(asking("ghost", number=2))
    effects = driver.wait(31)
    assert [error for error, _ in answers(effects)] == [
        "the platform has not answered within 30 s",
        "the platform has not taken device ghost for connected within 30 s",
    ]
    (refused,) = answers(driver.request(asking("press1", number=3, stream="press1")))
    assert "expected a hosted connector's stream" in refused[0]
    (refused,) = answers(driver.request(asking("valve", ["k"] * 1001, number=3)))
    assert "found 1001 attributes, expected 1 to 1000" in refused[0]
    for number in range(MOST_OF_ONE):
        assert answers(driver.request(asking("ghost", number=100 + number))) == []
    assert answers(driver.request(asking("ghost", number=5))) == [("queue full", None)]
    for number in range(MOST_OF_ONE, MOST_OPEN):
        stream = hosted_stream(f"C{number // MOST_OF_ONE}")
        assert answers(driver.request(asking("ghost", number=100 + number, stream=stream))) == []
    assert answers(driver.request(asking("ghost", number=6, stream=hosted_stream("Last")))) == [("queue full", None)]
    assert [error for error, _ in answers(driver.hear(Drain()))] == [SHUTTING_DOWN] * MOST_OPEN


def test_another_connectors_device_is_not_asked_for() -> None:
    """A connector is told of its own devices only."""
    driver = made()
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    other = hosted_stream("Other")
    driver.request(asking("valve", stream=other))
    assert questions(driver) == []


def test_a_connector_is_asked_what_it_wants_of_each_device_that_is_announced() -> None:
    """Once it is open, and says that it wants to be asked; of those that are there, and of those that come; its answer
    has the platform asked, and what that says is an update of the device's attributes."""
    driver = made()
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    assert asked_hosts(driver.hear(host_beat(opened=False))) == []
    assert asked_hosts(driver.hear(host_beat(wants_shared=False))) == []
    (request,) = asked_hosts(driver.hear(host_beat()))
    assert (request.target, codec.unpack(request.body)) == ("connector_host:Demo", {"device": "valve"})
    assert asked_hosts(driver.hear(host_beat())) == []
    driver.hear(Arrived(Plane.CALLS, Reply(request.id, "publisher:0", "", codec.pack(b'["limit","mode"]'))))
    (question,) = questions(driver)
    effects = driver.say(
        "v1/gateway/attributes/response", {"id": question["id"], "device": "valve", "values": {"limit": 5}}
    )
    (update,) = [effect.message for effect in effects if getattr(effect, "message", None).__class__ is Request]
    assert (update.verb, codec.unpack(update.body)["data"]) == (verb_of(EncodeUpdate), b'{"limit":5}')
    # Another process of it knows nothing of the first.
    assert len(asked_hosts(driver.hear(host_beat("i2")))) == 1
    driver.take(entries(2, marked("pump", "connect")))
    effects = [effect for order in list(driver.unacked) for effect in driver.ack(order)]
    assert [codec.unpack(request.body) for request in asked_hosts(effects)] == [{"device": "pump"}]


def test_a_connector_that_was_started_anew_is_told_again() -> None:
    """What its last process has heard, this one does not know; on a new connection alone nothing is said twice."""
    driver = made()
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()

    def told(effects: list[Any]) -> list[bytes]:
        """The attributes that the connector is told once it has said what it wants."""
        (request,) = asked_hosts(effects)
        driver.hear(Arrived(Plane.CALLS, Reply(request.id, "publisher:0", "", codec.pack(b'["limit"]'))))
        said = {"id": questions(driver)[-1]["id"], "device": "valve", "value": 5}
        effects = driver.say("v1/gateway/attributes/response", said)
        updates = [effect.message for effect in effects if getattr(effect, "message", None).__class__ is Request]
        for update in updates:
            driver.hear(Arrived(Plane.CALLS, Reply(update.id, "publisher:0", "", codec.pack(b"{}"))))
        return [codec.unpack(update.body)["data"] for update in updates]

    assert told(driver.hear(host_beat("i1"))) == [b'{"limit":5}']
    before = driver.connection
    driver.down()
    while driver.connection == before:
        driver.wait(1.0)
    effects = driver.hear(LinkUp(driver.connection, 5))
    effects += driver.say("v1/devices/me/rpc/response/1", {})
    while driver.unacked:
        effects += driver.ack(driver.unacked[0])
    assert told(effects) == []
    assert told(driver.hear(host_beat("i2"))) == [b'{"limit":5}']


@pytest.mark.parametrize("error", ["", "connector Demo is not running"])
def test_a_connector_that_does_not_answer_is_asked_again(error: str) -> None:
    """After a while, for as long as it says that it is there; a bounded number at a time."""
    driver = made()
    count = ASKED_AT_ONCE + 4
    driver.take(entries(1, *(marked(f"d{number}", "connect") for number in range(count))))
    driver.ack_all()
    asked = asked_hosts(driver.hear(host_beat()))
    assert len(asked) == ASKED_AT_ONCE
    if error:
        effects = driver.hear(*(Arrived(Plane.CALLS, Reply(each.id, "publisher:0", error, b"")) for each in asked))
        assert len(asked_hosts(effects)) == 4
        again = asked_hosts(driver.wait(AGAIN_S + 0.1))
        assert devices_in(again) <= devices_in(asked)
        assert len(again) == ASKED_AT_ONCE - 4
    else:
        again = asked_hosts(driver.wait(KEYS_S + AGAIN_S))
        assert devices_in(again) - devices_in(asked) == {f"d{number}" for number in range(ASKED_AT_ONCE, count)}
        assert devices_in(again) & devices_in(asked)


def devices_in(requests: list[Request]) -> set[str]:
    """The devices that connectors are asked for."""
    return {codec.unpack(request.body)["device"] for request in requests}


@pytest.mark.parametrize("body", [b"", b"\xc1", codec.pack(5), codec.pack(b""), codec.pack(b"{"), codec.pack(b"[5]")])
def test_an_answer_of_a_connector_that_is_no_list_of_names_wants_nothing(body: bytes) -> None:
    """What users' code returns may be anything."""
    driver = made()
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    (request,) = asked_hosts(driver.hear(host_beat()))
    driver.hear(Arrived(Plane.CALLS, Reply(request.id, "publisher:0", "", body)))
    assert questions(driver) == []


# The host's part.


def rig_of() -> HostRig:
    rig = HostRig(devices={})
    rig.open(wants_shared=True)
    rig.beat()
    return rig


def test_a_question_goes_to_the_publisher_and_its_answer_is_called_back_once() -> None:
    """As the platform has said it; or why it says nothing."""
    rig = rig_of()
    rig.give(AttributesAsked(1, "valve", ["limit"], False))
    (request,) = [call for call in rig.calls if isinstance(call, Request) and call.verb == verb_of(AskAttributes)]
    assert (request.target, request.device, request.time_left_s) == ("publisher:0", STREAM, ANSWER_S)
    reply = Reply(request.id, request.reply_to, "", codec.pack(b'{"id":3,"device":"valve","value":5}'))
    rig.give(Arrived(Plane.CALLS, reply))
    rig.give(Arrived(Plane.CALLS, reply))
    assert [(each.number, json.loads(each.content)) for each in rig.called_back] == [
        (1, {"id": 3, "device": "valve", "value": 5})
    ]
    rig.give(AttributesAsked(2, "valve", ["limit"], True))
    request = rig.calls[-1]
    rig.give(Arrived(Plane.CALLS, Reply(request.id, request.reply_to, "the publisher is not running", b"")))
    assert rig.called_back[-1].error == "the publisher is not running"
    rig.give(AttributesAsked(3, "valve", ["limit"], True))
    rig.wait(ANSWER_S + SPARE_S + 0.1)
    assert (rig.called_back[-1].number, rig.called_back[-1].error) == (3, NO_ANSWER)


def test_questions_wait_while_too_many_are_with_the_publisher() -> None:
    """In their order, within their time; each is called back once."""
    rig = rig_of()
    for number in range(1, MOST_AT_ONCE + 3):
        rig.give(AttributesAsked(number, "valve", ["limit"], False))

    def sent() -> list[Request]:
        return [call for call in rig.calls if isinstance(call, Request) and call.verb == verb_of(AskAttributes)]

    assert len(sent()) == MOST_AT_ONCE
    rig.wait(5)
    rig.give(Arrived(Plane.CALLS, Reply(sent()[0].id, "", "", codec.pack(b"{}"))))
    assert len(sent()) == MOST_AT_ONCE + 1
    assert sent()[-1].time_left_s <= ANSWER_S - 5
    rig.wait(ANSWER_S + SPARE_S)
    assert sorted(each.number for each in rig.called_back) == list(range(1, MOST_AT_ONCE + 3))
    assert next(each.error for each in rig.called_back if each.number == MOST_AT_ONCE + 2) == NOT_ASKED


def test_what_the_connector_wants_is_answered_and_what_it_raises_is_noted() -> None:
    """In the thread of attribute updates."""
    rig = rig_of()
    assert rig.beats[-1].state["wants_shared"] is True
    rig.ask(SharedKeys("valve"), "k1")
    (call,) = rig.handlers
    assert (call.kind, json.loads(call.content)) == ("keys", {"device": "valve"})
    rig.give(Returned(call.number, "keys", b'["limit"]'))
    assert codec.unpack(rig.calls[-1].body) == b'["limit"]'
    rig.ask(SharedKeys("valve"), "k2")
    rig.give(Returned(rig.handlers[-1].number, "keys", error="ValueError: no"))
    assert codec.unpack(rig.calls[-1].body) == b""
    assert [note.event for note in rig.notes if note.event == "handler.raised"] == ["handler.raised"]
