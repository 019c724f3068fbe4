"""An attribute that the platform changed while the device, or the gateway, was away is written when it is back; where
the platform can't be asked, it is said that it was not written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.core.events import Arrived, Start
from common.wire import codec
from common.wire.calls import EncodeUpdate, body_of
from common.wire.messages import Entry, Identity, Plane, Reply, Request, UserReading
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.thingsboard import ThingsBoard
from tests.support.publisher_driving import EPOCH, TYPES, Driver, batch, calls_sent, said
from tests.support.topic_dialect import TopicDialect

ASK = "v1/gateway/attributes/request"
ANSWER = "v1/gateway/attributes/response"
UPDATE = "v1/gateway/attributes"
SHARED = {"press1": ["limit", "name"], "press2": ["limit"]}


def gateway(dialect: Any = None, shared: dict[str, list[str]] | None = None) -> Driver:
    """A publisher whose devices can be told attributes, connected to the platform."""
    driver = Driver()
    identity = Identity("publisher", "0", "i", 1, "here")
    driver.core = PublisherCore(
        identity,
        EPOCH,
        driver.core._config,
        dialect or ThingsBoard(),
        TYPES,
        draw=lambda: 0.5,
        shared=SHARED if shared is None else shared,
    )
    driver.hear(Start())
    driver.up(limits={})
    return driver


def connect(driver: Driver, device: str = "press1", first: int = 1) -> None:
    """The device's port is opened, and the platform takes its announcement."""
    driver.take(batch(first, [None], device=device, kind=Entry.OPENED, device_type="press"))
    driver.ack_all()


def questions(driver: Driver) -> list[dict[str, Any]]:
    return [said(order) for order in driver.published if order.topic == ASK]


def answer(driver: Driver, values: Any, device: str = "press1", request: int | None = None) -> list[Any]:
    """The platform's answer to the last question; what is begun because of it."""
    number = questions(driver)[-1]["id"] if request is None else request
    return written(driver.say(ANSWER, {"id": number, "device": device, **values}))


def written(effects: list[Any]) -> list[Any]:
    """What is to be written, each update as (device, attributes)."""
    found = []
    for request in calls_sent(effects):
        body = body_of(request)
        if isinstance(body, EncodeUpdate):
            found.append((request.device, json.loads(body.data)))
    return found


def end(driver: Driver, effects: list[Any], error: str = "") -> None:
    """The steps that were begun have ended."""
    for request in calls_sent(effects):
        assert isinstance(request, Request)
        body = b"" if error else codec.pack(b'{"success":true}')
        driver.hear(Arrived(Plane.CALLS, Reply(request.id, "publisher:0", error, body)))


def test_one_question_for_each_announcement() -> None:
    """For the attributes of `attributeUpdates`, of devices that have some."""
    driver = gateway()
    connect(driver)
    connect(driver, "press3")
    assert questions(driver) == [{"id": 1, "device": "press1", "client": False, "keys": ["limit", "name"]}]
    connect(driver, "press2")
    assert questions(driver)[1:] == [{"id": 2, "device": "press2", "client": False, "keys": ["limit"]}]


def test_a_device_that_a_converter_names_is_asked_for_too() -> None:
    """By its own name, with the keys of the device that serves it."""
    driver = gateway()
    connect(driver)
    reading = UserReading("attic", "room", [(None, b'{"t":1}')], b"")
    driver.take(batch(2, [None], user={0: [reading]}))
    driver.ack_all()
    assert [(said["device"], said["keys"]) for said in questions(driver)][-1] == ("attic", ["limit", "name"])
    assert answer(driver, {"values": {"limit": 5}}, device="attic") == [("press1", {"limit": 5})]


def test_what_was_changed_meanwhile_is_written() -> None:
    """The values in the answer go the way of an attribute update."""
    driver = gateway()
    connect(driver)
    assert answer(driver, {"values": {"limit": 7, "name": "x y"}}) == [("press1", {"limit": 7, "name": "x y"})]


def test_an_update_that_failed_is_written_at_the_next_connect() -> None:
    """The device was unplugged when the platform changed the attribute: it is said, and made up for."""
    driver = gateway()
    connect(driver)
    answer(driver, {})
    driver.take(batch(2, [None], kind=Entry.LOST))
    driver.ack_all()
    end(driver, driver.say(UPDATE, {"device": "press1", "data": {"limit": 5}}), "device press1 is not connected")
    (note,) = [note for note in driver.notes if note.event == "call.ended" and note.level == "warning"]
    assert (note.facts["device"], note.facts["attributes"]) == ("press1", "limit")
    assert "once the device is connected" in str(note.facts["then"])
    connect(driver, first=3)
    assert answer(driver, {"values": {"limit": 5, "name": "x"}}) == [("press1", {"limit": 5, "name": "x"})]


def test_the_same_value_is_not_written_again() -> None:
    """Each reconnection asks; only what is new to the device is written. null says that there is none."""
    driver = gateway()
    connect(driver)
    message = {"id": 1, "device": "press1", "values": {"limit": 5, "name": None}}
    effects = driver.say(ANSWER, message)
    assert written(effects) == [("press1", {"limit": 5})]
    end(driver, effects)
    end(driver, driver.say(UPDATE, {"device": "press1", "data": {"name": "n"}}))
    driver.down()
    driver.again()
    driver.ack_all()
    assert len(questions(driver)) == 2
    assert answer(driver, {"values": {"limit": 5, "name": "n"}}) == []
    driver.down()
    driver.again()
    driver.ack_all()
    assert answer(driver, {"values": {"limit": 6, "name": "n"}}) == [("press1", {"limit": 6})]


def test_a_value_without_its_name() -> None:
    """The server says so where one attribute was asked for; where several were, it can't be told which it is."""
    driver = gateway()
    connect(driver, "press2")
    assert answer(driver, {"value": 9}, "press2") == [("press2", {"limit": 9})]
    connect(driver)
    assert answer(driver, {"value": 9}) == []


def test_an_answer_is_no_newer_than_an_update() -> None:
    """What the platform changes between the question and its answer is not set back by the answer."""
    driver = gateway()
    connect(driver)
    assert written(driver.say(UPDATE, {"device": "press1", "data": {"limit": 2}})) == [("press1", {"limit": 2})]
    assert answer(driver, {"values": {"limit": 1, "name": "n"}}) == [("press1", {"name": "n"})]


@pytest.mark.parametrize(
    "message",
    [
        {"id": 7, "device": "press1", "values": {"limit": 1}},
        {"id": 1, "device": "press2", "values": {"limit": 1}},
        {"id": 1, "device": "press1"},
        {"id": 1, "device": "press1", "values": {"other": 1}},
        {"id": "1", "device": "press1", "values": {"limit": 1}},
        {"id": 1, "device": "press1", "client": False, "keys": ["limit", "name"]},
        ["junk"],
    ],
)
def test_answers_to_nothing(message: Any) -> None:
    """Of another question or device, without values, with others than asked for, our own question, junk."""
    driver = gateway()
    connect(driver)
    assert written(driver.say(ANSWER, message)) == []


def test_an_answer_that_comes_twice_is_taken_once() -> None:
    """Also where the first has not been written yet."""
    driver = gateway()
    connect(driver)
    assert answer(driver, {"values": {"limit": 1}}) == [("press1", {"limit": 1})]
    assert answer(driver, {"values": {"limit": 1}}) == []


def test_a_platform_that_does_not_answer() -> None:
    """A plain MQTT broker: nothing happens, nothing is said, and nothing waits."""
    driver = gateway()
    connect(driver)
    driver.wait(60.0)
    assert [note.event for note in driver.notes if note.level in ("warning", "error")] == []
    assert driver.core._session.is_drained


def test_a_question_without_an_answer_is_not_repeated_before_the_announcement() -> None:
    """It was on its way when the connection ended; the next connection asks anew, once the device is announced."""
    driver = gateway()
    driver.take(batch(1, [None], device="press2", kind=Entry.OPENED, device_type="press"))
    driver.ack(driver.unacked[0])
    assert driver.topics()[-2:] == ["connect", "attributes/request"]
    driver.down()
    begun = len(driver.published)
    driver.again()
    driver.ack_all()
    topics = [topic for topic in driver.topics(begun) if "rpc" not in topic]
    assert topics == ["connect", "attributes/request"]


def test_a_dialect_without_such_a_question() -> None:
    """Devices of a platform that can't be asked are served as before."""
    driver = gateway(TopicDialect())
    connect(driver)
    assert questions(driver) == []
