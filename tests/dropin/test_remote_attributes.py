"""The gateway's own attributes as the platform sets them: what is asked for, handed on, told, and left alone."""

from __future__ import annotations

import json
from typing import Any

from common.wire.calls import Configured, pack_body, verb_of
from common.wire.messages import Reply, Request
from services.publisher.core.events import ConfiguredRead, KeepRequest, PlatformMessage, ReadConfigured, SupervisorAsked
from services.publisher.core.remote import SECTION_KEYS, RemoteSetup, fingerprint
from tests.support.publisher_driving import Driver, calls_sent, said

OWN = "v1/devices/me/attributes"
SERIAL = {"name": "Serial", "type": "serial", "configurationJson": {"devices": []}, "ts": 5}


def ready(configured: dict[str, Any] | None = None, handled: dict[str, str] | None = None) -> Driver:
    """A publisher whose platform may configure it, and that has read what is configured."""
    driver = Driver(remote=RemoteSetup(keys=("RemoteLoggingLevel", *SECTION_KEYS, "Serial"), is_configurable=True))
    driver.up(limits={})
    read(driver, configured or {}, handled)
    driver.ack_all()
    return driver


def read(driver: Driver, configured: dict[str, Any], handled: dict[str, str] | None = None) -> None:
    driver.hear(ConfiguredRead(json.dumps({"attributes": configured, "handled": handled or {}}).encode()))


def asked(effects: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(effect.content)["parts"] for effect in effects if isinstance(effect, KeepRequest)]


def told(driver: Driver) -> list[Any]:
    return [said(order) for order in driver.published if order.topic == OWN]


def test_the_platform_is_asked_on_each_connection() -> None:
    """For what the reference asks for; by names that the answer brings back."""
    driver = ready()
    driver.down()
    driver.again()
    questions = [said(order)["sharedKeys"] for order in driver.published if f"{OWN}/request/" in order.topic]
    assert questions == [",".join(("RemoteLoggingLevel", *SECTION_KEYS, "Serial"))] * 2


def test_what_is_new_is_handed_on_once_and_without_secrets() -> None:
    """What comes again, in whatever order of its keys, is not; nor what was handled in an earlier life."""
    driver = ready(handled={"Serial": fingerprint(json.dumps(SERIAL).encode())})
    general = {"host": "h", "security": {"accessToken": "s3cr3t"}, "provisioning": {"provisionDeviceKey": "k"}}
    effects = driver.say(f"{OWN}/response/1", {"shared": {"general_configuration": general, "Serial": SERIAL}})
    assert asked(effects) == [{"general_configuration": {"host": "h"}}]
    assert "s3cr3t" not in str(effects)
    again = driver.say(OWN, {"general_configuration": dict(reversed(general.items()))})
    assert asked(again) == []
    assert asked(driver.say(OWN, {"Serial": {**SERIAL, "ts": 6}})) == [{"Serial": {**SERIAL, "ts": 6}}]


def test_attributes_that_are_no_configuration_are_left_alone() -> None:
    """A platform may keep anything there; what it takes away, and what the MQTT broker has kept, changes nothing."""
    driver = ready()
    for values in ({"note": "x"}, {"deleted": ["Serial"]}, {"site": {"name": "hall"}}, {"x.deleted": SERIAL}):
        assert asked(driver.say(OWN, values)) == []
    kept = PlatformMessage(driver.connection, OWN, json.dumps({"Serial": SERIAL}).encode(), is_retained=True)
    assert asked(driver.hear(kept)) == []
    assert asked(driver.say(OWN, {"Yard": {**SERIAL, "name": "Yard"}})) != []


def test_connectors_that_nobody_knows_here_are_asked_for() -> None:
    """The platform lists them first, and says what they are when it is asked."""
    driver = ready()
    driver.say(OWN, {"active_connectors": ["Serial", "Yard"]})
    driver.ack_all()
    assert said(driver.published[-1]) == {"sharedKeys": "Yard"}


def test_what_is_configured_is_told_once_and_when_it_changes() -> None:
    """One message an attribute; a client that has applied something lets the publisher look again."""
    driver = ready({"active_connectors": ["Serial"], "Serial": SERIAL})
    assert told(driver) == [{"active_connectors": ["Serial"]}, {"Serial": SERIAL}]
    request = Request("c1", "client:1", "publisher:0", verb_of(Configured), "", "", 5.0, pack_body(Configured()))
    effects = driver.request(request)
    assert any(isinstance(effect, ReadConfigured) for effect in effects)
    assert [type(message) for message in calls_sent(effects)] == [Reply]
    read(
        driver, {"active_connectors": ["Serial"], "Serial": {**SERIAL, "ts": 6}, "configuration_refused": {"x": "why"}}
    )
    driver.ack_all()
    assert told(driver)[2:] == [{"Serial": {**SERIAL, "ts": 6}}, {"configuration_refused": {"x": "why"}}]


def test_our_own_words_sent_back_ask_for_nothing() -> None:
    """As a plain MQTT broker does under MQTT 3.1.1."""
    driver = ready({"Serial": SERIAL})
    assert asked(driver.say(OWN, {"Serial": SERIAL})) == []


def test_what_was_told_as_the_connection_ended_is_told_again() -> None:
    """It may not have arrived; long before, it has."""
    driver = ready({"Serial": SERIAL})
    driver.down()
    driver.again()
    driver.ack_all()
    assert told(driver) == [{"Serial": SERIAL}] * 2
    driver.wait(100.0)
    driver.down()
    driver.again()
    driver.ack_all()
    assert len(told(driver)) == 2


def test_what_the_platform_can_not_take_is_not_told() -> None:
    """A message above its limit would end the connection, again and again: a line in the log instead."""
    driver = ready({"Serial": {**SERIAL, "configurationJson": {"x": "y" * 100_000}}})
    assert told(driver) == []
    (note,) = [note for note in driver.notes if note.event == "configuration.not_told"]
    assert note.facts["attribute"] == "Serial"


def test_where_nobody_applies_it_the_platform_is_told_why() -> None:
    """In containers, each process belongs to somebody else."""
    driver = ready()
    driver.say(OWN, {"Serial": SERIAL})
    driver.hear(SupervisorAsked("configure-2", "no `serialgw run` looks after these processes"))
    driver.ack_all()
    assert told(driver)[-1] == {"configuration_refused": {"*": "no `serialgw run` looks after these processes"}}


def test_attributes_wait_until_it_is_known_what_was_handled() -> None:
    """The platform may answer before the file was read."""
    driver = Driver(remote=RemoteSetup(keys=("Serial",), is_configurable=True))
    driver.up(limits={})
    assert asked(driver.say(f"{OWN}/response/1", {"shared": {"Serial": SERIAL}})) == []
    effects = driver.hear(ConfiguredRead(json.dumps({"handled": {}}).encode()))
    assert asked(effects) == [{"Serial": SERIAL}]
