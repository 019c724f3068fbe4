"""Devices that a user's converter names are called by their own name, after a restart too."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from common.config.models import AttributeUpdate, Device, Rpc
from common.core.errors import ConversionError
from common.core.events import Arrived, Note
from common.wire.calls import CallDevice, Encode, EncodeUpdate, UpdateAttributes, body_of, pack_body, verb_of
from common.wire.messages import Entry, Heartbeat, Plane, Request, UserReading
from services.converter.core.host_wire import pack_order
from services.converter.shell.extensions import UserConverter
from services.port_reader.core.calls import exchange_of
from services.publisher.core import names as names_room
from services.publisher.core.events import NamesKept
from services.publisher.core.names import Named, decode_names, encode_names
from services.publisher.core.outbox.departures import FAREWELL_S
from services.publisher.shell.names_file import read_names, write_names
from tests.support.converting import USER, World, call
from tests.support.publisher_driving import Driver, batch, calls_sent, said

HUB = Device(
    name="press1",
    type="press",
    rpcs=(Rpc(method="set", template="${deviceName} ${params}\n"), Rpc(method="kind", template="${deviceType}\n")),
    attribute_updates=(AttributeUpdate(attribute="level", string_to_device="${deviceName}: ${level}\n"),),
    downlink_converter="SerialDownlinkConverter",
)


def names(*devices: str, device_type: str = "room") -> dict[int, list[UserReading]]:
    """What a converter makes of one frame: a reading for each of these devices."""
    return {0: [UserReading(name, device_type, [(None, b'{"x":1}')], b"") for name in devices]}


def ready(kept: dict[str, Named] | None = None, *devices: str) -> Driver:
    """A publisher with a connection, and a device whose converter has named these."""
    driver = Driver(names=kept)
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    if devices:
        driver.take(batch(2, [None], user=names(*devices)))
    driver.ack_all()
    driver.published.clear()
    return driver


def called(driver: Driver, device: str, method: str = "set") -> Request:
    """A call from the platform; its first step."""
    message = {"device": device, "data": {"id": 7, "method": method, "params": 3}}
    (request,) = calls_sent(driver.say("v1/gateway/rpc", message))
    return request


def written(request: Request) -> list[bytes]:
    """What the port reader of the device that serves the call writes."""
    asked = body_of(request, Encode, EncodeUpdate)
    assert isinstance(asked, Encode | EncodeUpdate)
    return exchange_of(HUB, request, asked, []).writes


def beat(driver: Driver, device: str = "press1") -> None:
    """The port reader says that its device is connected."""
    state = {"device": device, "connected": True}
    driver.hear(Arrived(Plane.EVENTS, Heartbeat("port_reader", device, "i1", 1, "here", 1.0, state, {}, 1.0)))


def announced(driver: Driver) -> list[str]:
    """The devices that the platform was told of, in order."""
    return [said(order)["device"] for order in driver.published if order.topic == "v1/gateway/connect"]


# The name travels with the call.


def test_a_template_says_the_name_that_was_called():
    """The hub writes `attic 3`, and the platform hears from attic."""
    driver = ready(None, "attic")
    request = called(driver, "attic")
    assert (request.target, request.device) == ("converter@press1", "press1")
    assert written(request) == [b"attic 3\n"]
    driver.reply(request.id, data=b'{"success":true}')
    assert said(driver.published[-1]) == {"device": "attic", "id": 7, "data": {"success": True}}


def test_the_configured_device_is_called_by_its_own_name():
    """As it always was."""
    assert written(called(ready(None, "attic"), "press1")) == [b"press1 3\n"]


def test_a_template_says_the_type_that_the_converter_has_given():
    """`${deviceType}` belongs to the same device as `${deviceName}`."""
    driver = ready(None, "attic")
    assert written(called(driver, "attic", "kind")) == [b"room\n"]
    assert written(called(driver, "press1", "kind")) == [b"press\n"]


def test_an_attribute_update_says_the_name_that_was_called():
    """From the platform and from the command line."""
    driver = ready(None, "attic")
    (step,) = calls_sent(driver.say("v1/gateway/attributes", {"device": "attic", "data": {"level": 4}}))
    assert written(step) == [b"attic: 4\n"]
    asked = UpdateAttributes("attic", b'{"level":5}')
    (step,) = calls_sent(driver.request(client_request(asked)))
    assert written(step) == [b"attic: 5\n"]


def client_request(asked: CallDevice | UpdateAttributes) -> Request:
    """What `serialgw rpc` sends."""
    return Request("c-1", "client:1", "publisher:0", verb_of(type(asked)), "", "", 5.0, pack_body(asked))


def test_a_call_from_the_command_line_says_the_name():
    """`serialgw rpc attic set 3`."""
    (step,) = calls_sent(ready(None, "attic").request(client_request(CallDevice("attic", "set", b"3"))))
    assert written(step) == [b"attic 3\n"]


def test_an_attribute_nobody_has_configured_is_logged_under_the_called_name():
    """A warning that names the hub would send people to the wrong device."""
    notes: list[Note] = []
    with pytest.raises(ConversionError, match="no attribute update is configured for speed"):
        exchange_of(HUB, client_request(CallDevice("", "", b"")), EncodeUpdate(b'{"speed":1}', "attic"), notes)
    assert notes[0].facts["device"] == "attic"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("device press1 is not connected", "device press1, which serves attic, is not connected"),
        ("unknown device press1", "unknown device press1, which serves attic"),
        ("Method not found", "Method not found"),
    ],
)
def test_an_error_names_the_device_that_was_called(error: str, told: str):
    """And the one that is to be looked at."""
    driver = ready(None, "attic")
    driver.reply(called(driver, "attic").id, error=error)
    assert said(driver.published[-1])["data"]["error"] == told


def test_a_journaled_answer_ends_the_call_of_a_named_device():
    """The reply was lost, the answer was not: it goes out under the called name."""
    driver = ready(None, "attic")
    request = called(driver, "attic")
    answer = (request.id, b'{"result":9}')
    driver.take(batch(3, [None], kind=Entry.ANSWER, answer=answer, user=names("attic")))
    replies = [said(order) for order in driver.published if order.topic == "v1/gateway/rpc"]
    assert replies == [{"device": "attic", "id": 7, "data": {"result": 9}}]
    assert driver.items("attic") == []


def test_an_answer_that_comes_too_late_is_telemetry_of_the_named_device():
    """As what the converter makes of it says."""
    driver = ready(None, "attic")
    request = called(driver, "attic")
    driver.wait(11.0)
    driver.take(batch(3, [None], kind=Entry.ANSWER, answer=(request.id, b'{"result":9}'), user=names("attic")))
    assert driver.items("attic") == [{"x": 1}]


class Recording:
    """A user's downlink converter that shows what it was given."""

    given: list[tuple[Any, Any]] = []

    def __init__(self, config: Any, logger: Any) -> None:
        pass

    def convert(self, config: Any, data: Any) -> bytes:
        self.given.append((config, data))
        return b"x"


@pytest.fixture
def recorded() -> list[tuple[Any, Any]]:
    Recording.given.clear()
    return Recording.given


def test_users_downlink_converters_are_told_who_was_called(recorded: list[tuple[Any, Any]]):
    """In `config`, beside the RPC's section; what the section says itself stays."""
    rpc = Rpc(method="set", raw={"method": "set", "unit": "C"})
    converter = UserConverter(Recording, HUB, logging.getLogger("test"))
    converter.encode_rpc(rpc, 3, "attic", "room")
    converter.encode_rpc(rpc, 3)
    converter.encode_rpc(Rpc(method="set", raw={"deviceName": "mine"}), 3, "attic")
    assert recorded[0] == ({"deviceName": "attic", "deviceType": "room", "method": "set", "unit": "C"}, 3)
    assert recorded[1][0]["deviceName"] == "press1"
    assert recorded[2][0]["deviceName"] == "mine"


def test_the_name_reaches_the_process_that_runs_users_code():
    """The converter orders it of its host."""
    world = World().start()
    world.know(USER)
    world.users.is_slow = True
    world.say(call(USER, "encode", {"method": "set", "params": b"3", "called": "attic", "called_type": "room"}))
    (order,) = world.users.waiting
    assert order.called == ("attic", "room")
    assert b"attic" in pack_order(order)


# Over a restart.


def test_a_name_is_written_before_the_platform_is_told_of_it():
    """A publisher that dies at any moment has lost no name that the platform can call."""
    driver = Driver()
    driver.up(limits={})
    effects = driver.take(
        batch(1, [None], kind=Entry.OPENED, device_type="press"), batch(2, [None], user=names("attic"))
    )
    kinds = [type(effect).__name__ for effect in effects]
    assert driver.kept == [{"attic": Named("press1", "room")}]
    assert kinds.index("KeepNames") < kinds.index("Publish")


def test_a_name_is_written_once():
    """Readings that say nothing new of names cost no disk."""
    driver = ready(None, "attic")
    for number in range(3, 30):
        driver.take(batch(number, [None], user=names("attic")))
    driver.wait(120.0)
    assert len(driver.kept) == 1


def test_a_call_after_a_restart_reaches_the_device_that_serves_it():
    """Though no converter has named it to this publisher."""
    driver = ready({"attic": Named("press1", "room")})
    request = called(driver, "attic")
    assert request.target == "converter@press1"
    assert written(request) == [b"attic 3\n"]


def test_kept_names_are_announced_when_their_source_is_connected():
    """The platform passes on only calls of devices that were announced to it."""
    kept = {"attic": Named("press1", "room"), "cellar": Named("press2", "room")}
    driver = Driver(names=kept)
    driver.up(limits={})
    beat(driver)
    driver.ack_all()
    assert announced(driver) == ["press1", "attic"]
    assert said(driver.published[-1])["type"] == "room"
    beat(driver, "press2")
    driver.ack_all()
    assert announced(driver) == ["press1", "attic", "press2", "cellar"]


def test_kept_names_are_announced_again_by_each_connection():
    """A new session of the platform knows of nobody."""
    driver = ready({"attic": Named("press1", "room")})
    driver.down()
    driver.again()
    assert sorted(announced(driver)) == ["attic", "press1"]


def test_named_devices_come_and_go_with_their_source():
    """Also those that say nothing after the port is open again."""
    driver = ready({"attic": Named("press1", "room")}, "cellar")
    driver.take(batch(3, [None], kind=Entry.LOST))
    driver.ack_all()
    gone = [said(order)["device"] for order in driver.published if order.topic == "v1/gateway/disconnect"]
    assert sorted(gone) == ["attic", "cellar", "press1"]
    driver.published.clear()
    driver.take(batch(4, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    assert sorted(announced(driver)) == ["attic", "cellar", "press1"]


def test_a_port_that_is_lost_and_open_again_at_once_ends_connected():
    """The goodbye is still on its way when the port is back."""
    driver = ready(None, "attic")
    driver.take(batch(3, [None], kind=Entry.LOST))
    driver.take(batch(4, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    of_attic = [order.topic for order in driver.published if said(order).get("device") == "attic"]
    assert of_attic == ["v1/gateway/disconnect", "v1/gateway/connect"]


def test_names_of_a_device_that_is_not_configured_any_more_are_forgotten():
    """Once it is sure that it does not come back. And a device that is configured now has its own name."""
    driver = ready({"attic": Named("gone", "room"), "press2": Named("press1", "room")}, "cellar")
    driver.wait(FAREWELL_S + 2)
    assert called(driver, "attic").target == "converter@attic"
    assert called(driver, "press2").target == "converter@press2"
    assert driver.kept[-1] == {"cellar": Named("press1", "room")}


def test_a_name_that_moves_to_another_device_is_called_there():
    """The last one that named it serves it; two that take turns do not keep the disk busy."""
    driver = ready(None, "attic")
    for number in range(2, 12):
        driver.take(batch(number, [None], user=names("attic"), device="press2", base=2))
        driver.take(batch(number + 1, [None], user=names("attic")))
    driver.take(batch(12, [None], user=names("attic"), device="press2", base=2))
    assert called(driver, "attic").target == "converter@press2"
    assert len(driver.kept) == 1
    driver.wait(names_room.CHANGED_APART_S + 1)
    assert driver.kept[1:] == [{"attic": Named("press2", "room")}]


def test_many_names_are_written_now_and_then():
    """A converter that names a device for each frame does not write the file for each frame."""
    driver = ready()
    for number in range(2, 202):
        driver.take(batch(number, [None], user=names(f"n{number}")))
    assert len(driver.kept) == names_room.AT_ONCE
    driver.wait(names_room.APART_S)
    assert len(driver.kept[-1]) == 200
    assert len(driver.kept) == names_room.AT_ONCE + 1


def test_names_beyond_the_bounds_are_counted_and_told_once(monkeypatch: pytest.MonkeyPatch):
    """By count, and by bytes; calls reach them all the same while this publisher lives."""
    monkeypatch.setattr(names_room, "MOST_NAMES", 2)
    driver = ready(None, "a", "b", "c", "d")
    assert [note.event for note in driver.notes].count("names.full") == 1
    assert driver.core._counters["names_not_kept"] == 2
    assert driver.kept[-1].keys() == {"a", "b"}
    assert called(driver, "d").target == "converter@press1"
    monkeypatch.setattr(names_room, "MOST_NAMES_BYTES", 40)
    driver = ready(None, "a" * 20, "b" * 20)
    assert driver.kept[-1].keys() == {"a" * 20}


def test_names_that_only_the_file_knows_make_room(monkeypatch: pytest.MonkeyPatch):
    """Devices that are gone do not keep new ones out for ever; one that has spoken stays."""
    monkeypatch.setattr(names_room, "MOST_NAMES", 3)
    kept = {name: Named("press1", "room") for name in ("gone 1", "here", "gone 2")}
    driver = ready(kept, "here", "new 1", "new 2", "new 3")
    assert driver.kept[-1].keys() == {"here", "new 1", "new 2"}
    assert driver.core._counters["names_forgotten"] == 2


def test_a_disk_that_takes_no_names_is_tried_again():
    """One warning with the reason; when it can be written, nothing more is said."""
    driver = ready(None, "attic")
    driver.hear(NamesKept("publisher.names: No space left on device"))
    driver.wait(names_room.RETRY_S + 1)
    driver.hear(NamesKept("publisher.names: No space left on device"))
    driver.wait(names_room.RETRY_S + 1)
    driver.hear(NamesKept())
    driver.wait(200.0)
    (note,) = [note for note in driver.notes if note.event == "names.not_kept"]
    assert "No space left" in str(note.facts["reason"])
    assert len(driver.kept) == 3


# The file.


def test_the_file_says_what_was_written(tmp_path: Path):
    """Whole, and for its user alone."""
    path = tmp_path / "publisher.names"
    kept = {"attic": Named("hub", "room"), "Dach/+#\n": Named("hub", "")}
    assert write_names(path, encode_names(kept)) == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_names(path) == (kept, {}, "")
    assert [found.name for found in tmp_path.iterdir()] == ["publisher.names"]


def test_no_file_is_no_fault(tmp_path: Path):
    """A new gateway has none."""
    assert read_names(tmp_path / "publisher.names") == ({}, {}, "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "can't be read"),
        (b'{"version":1,"names":{"a":["b"', "can't be read"),
        (b'{"version":1,"names":{"a":"b"}}', "can't be read"),
        (b'{"version":1,"names":[]}', "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"[" * 100_000, "can't be read"),
        (b'{"version":2,"people":{}}', "its version is 2, and this release reads version 1"),
    ],
)
def test_a_file_that_can_not_be_used_is_set_aside(tmp_path: Path, content: bytes, why: str):
    """With a sentence; the publisher goes on without it, and nothing is lost of it."""
    path = tmp_path / "publisher.names"
    path.write_bytes(content)
    found, _, fault = read_names(path)
    assert found == {}
    assert why in fault
    assert "set aside as publisher.names.unreadable" in fault
    assert (tmp_path / "publisher.names.unreadable").read_bytes() == content
    assert write_names(path, encode_names({"attic": Named("hub", "room")})) == ""


def test_a_file_of_a_later_release_may_have_more_fields():
    """They are left out."""
    content = b'{"version":1,"since":5,"names":{"attic":["hub","room"]}}'
    assert decode_names(content) == {"attic": Named("hub", "room")}


def test_a_file_that_can_not_be_written_says_why(tmp_path: Path):
    """The core tells a person."""
    assert "No such file" in write_names(tmp_path / "gone" / "publisher.names", b"{}")
