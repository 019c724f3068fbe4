"""Devices that are left out, fall silent, are renamed or deleted on the platform: what the platform hears of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.config.models import DeviceFiltering, Platform, ReportStrategy
from common.core.events import Arrived
from common.wire.messages import Entry, Heartbeat, Plane, UserReading
from services.publisher.core.filtering import MOST_TOLD
from services.publisher.core.names import Named, decode_renamed
from services.publisher.core.strategies import Strategies
from tests.support.publisher_driving import TYPES, Driver, batch, calls_sent, points, said

CONNECTORS = dict.fromkeys(TYPES, "Lines")


def driver(config: Platform | None = None, **options: Any) -> Driver:
    made = Driver(config, connectors=CONNECTORS, **options)
    made.up(limits={})
    return made


def published(made: Driver, topic: str, since: int = 0) -> list[Any]:
    """What was said on a topic of the gateway API, in order."""
    return [said(order) for order in made.published[since:] if order.topic == f"v1/gateway/{topic}"]


def beat(name: str) -> Arrived:
    state = {"connected": True, "device": name}
    return Arrived(Plane.EVENTS, Heartbeat("port_reader", name, "i", 1, "here", 5.0, state, {}))


def notes(made: Driver, event: str) -> list[dict[str, Any]]:
    return [dict(note.facts) for note in made.notes if note.event == event]


def named(device: str, value: int = 1) -> dict[int, list[UserReading]]:
    return {0: [UserReading(device, "room", [(None, b'{"t":%d}' % value)], b"")]}


# Whose a device is.


def test_a_device_is_introduced_once() -> None:
    """Type and name of its connector are attributes of it, after the first announcement that was accepted."""
    made = driver()
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    assert published(made, "attributes") == [{"press1": {"connectorType": "serial", "connectorName": "Lines"}}]
    assert made.report().settled == 2
    made.down()
    made.again()
    made.take(batch(2, points(2, 1)))
    made.ack_all()
    assert len(published(made, "attributes")) == 1
    assert len(published(made, "connect")) == 2


def test_an_introduction_that_was_not_accepted_comes_again() -> None:
    """It waits in the device's lane as all else does."""
    made = driver()
    made.take(batch(1, points(1, 1)))
    made.settle_control()
    while made.data and made.data[0].topic.endswith("telemetry"):
        made.ack(made.data[0])
    assert made.data[0].topic == "v1/gateway/attributes"
    made.down()
    made.again()
    made.ack_all()
    assert len(published(made, "attributes")) == 2


def test_an_introduction_that_is_refused_is_no_reading() -> None:
    """It is dropped, key by key; nothing of the device is a dead letter."""
    made = driver()
    made.take(batch(1, points(1, 1)))
    for _ in range(20):
        made.settle_control()
        for order in made.data:
            made.ack(order, 153 if order.topic.endswith("/attributes") else 0)
        made.wait(2.0)
    assert made.report().settled == 2
    assert made.report().dead == []
    made.take(batch(2, points(2, 1), attributes={"a": 1}))
    made.ack_all()
    assert made.report().settled == 3


# Left out.


def filtering(*patterns: str) -> Platform:
    return Platform(filtering=DeviceFiltering(deny={"Lines": patterns, "Others": (".*",)}, allow={"Lines": ("x",)}))


def left_out(made: Driver) -> dict[str, str]:
    """What the next heartbeat says of devices that are left out."""
    beats = [effect.message for effect in made.wait(1) if isinstance(getattr(effect, "message", None), Heartbeat)]
    return dict(beats[-1].state["left_out"])


def test_a_device_that_is_left_out_is_settled_counted_and_said_once() -> None:
    """It is never announced, its readings are let go, and the other devices go on."""
    made = driver(filtering("press1", "pre.*3"))
    made.take(
        batch(1, [None], kind=Entry.OPENED),
        batch(2, points(1, 5), attributes={"serial": "S1"}),
        batch(1, points(1, 1), device="press2"),
    )
    made.hear(beat("press3"))
    made.take(batch(7, [None], kind=Entry.LOST))
    made.ack_all()
    assert made.report().settled == 8
    assert {order["device"] for order in published(made, "connect")} == {"press2"}
    assert made.items("press1") == []
    assert made.items("press2") == points(1, 1)
    assert made.core._counters["readings_filtered"] == 5
    (note,) = [note for note in notes(made, "device.filtered") if note["device"] == "press1"]
    assert note["connector"] == "Lines"
    assert published(made, "disconnect") == []


def test_a_named_device_is_left_out_by_its_own_name() -> None:
    """By the lists of the connector whose device has named it; and one that only names others is not left out."""
    made = driver(filtering("attic"))
    made.take(batch(1, [None], user=named("attic")), batch(2, [None], user=named("cellar")))
    made.ack_all()
    assert made.report().settled == 3
    assert {order["device"] for order in published(made, "connect")} == {"cellar"}
    made = driver(filtering("press1"))
    made.take(batch(1, points(1, 1), user=named("attic")))
    made.ack_all()
    assert made.report().settled == 2
    assert made.items("attic") == [{"t": 1}]
    assert made.items("press1") == []


def test_a_device_that_is_left_out_later_is_not_announced_from_what_was_kept() -> None:
    """It was named before the list was written, by a device that is there again, or that is left out itself."""
    kept = {name: Named("press1", "t") for name in ("attic", "cellar")}
    made = driver(filtering("attic"), names=kept)
    made.take(batch(1, [None], kind=Entry.OPENED))
    made.ack_all()
    assert {order["device"] for order in published(made, "connect")} == {"press1", "cellar"}
    made = driver(filtering("attic", "press1"), names=kept)
    made.hear(beat("press1"))
    made.take(batch(1, [None], kind=Entry.OPENED))
    made.ack_all()
    assert {order["device"] for order in published(made, "connect")} == {"cellar"}


def test_the_heartbeat_says_who_is_left_out() -> None:
    """By which connector's list, also before the device has said anything; a bounded number of them."""
    made = driver(filtering("press1", "attic.*"))
    assert left_out(made) == {"press1": "Lines"}
    made.take(batch(1, [None], user=named("attic")))
    assert left_out(made) == {"press1": "Lines", "attic": "Lines"}
    made.take(*(batch(2 + number, [None], user=named(f"attic{number}")) for number in range(300)))
    assert len(left_out(made)) == MOST_TOLD


def test_a_pattern_has_to_match_the_whole_name() -> None:
    """As there; lists of other connectors say nothing."""
    made = driver(filtering("press", "ress1"))
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    assert made.items("press1") == points(1, 1)


# Silent.

SILENCE = Platform(inactivity_timeout_s=30, inactivity_period_s=5)


def test_a_silent_device_is_disconnected_and_connected_with_its_next_reading() -> None:
    """Its port reader's heartbeats, which say that the port is open, do not connect it again."""
    made = driver(SILENCE)
    made.take(batch(1, [None], kind=Entry.OPENED), batch(2, points(1, 1)))
    made.ack_all()
    made.wait(20)
    made.take(batch(3, points(2, 1)))
    made.ack_all()
    made.wait(28)
    assert published(made, "disconnect") == []
    made.wait(10)
    made.ack_all()
    assert published(made, "disconnect") == [{"device": "press1"}]
    since = len(made.published)
    made.hear(beat("press1"))
    made.wait(60)
    made.ack_all()
    assert made.topics(since) == []
    made.take(batch(4, points(3, 1)))
    made.ack_all()
    assert made.topics(since) == ["connect", "telemetry"]
    assert made.report().settled == 5


def test_a_device_that_is_silent_from_the_start_is_disconnected_too() -> None:
    """Open ports alone are announced, and have the time from then on; a new connection announces no silent device."""
    made = driver(SILENCE)
    made.hear(beat("press1"))
    made.ack_all()
    made.wait(40)
    made.ack_all()
    assert published(made, "disconnect") == [{"device": "press1"}]
    made.down()
    made.again()
    made.hear(beat("press1"))
    made.ack_all()
    assert len(published(made, "connect")) == 1


def test_a_device_with_something_to_say_is_not_silent() -> None:
    """While the platform is away nothing is said for it, and its data comes first."""
    made = driver(SILENCE)
    made.take(batch(1, points(1, 1)))
    made.down()
    made.wait(0.0)
    connection = made.connection
    made.wait(100)
    assert made.connection != connection
    made.up(limits={})
    made.ack_all()
    assert made.items("press1")[-1] == {"n": 1}
    since = len(made.published)
    made.wait(40)
    made.ack_all()
    assert made.topics(since) == ["disconnect"]


def test_named_devices_fall_silent_by_themselves() -> None:
    """Though the device that names them goes on with others."""
    made = driver(SILENCE)
    made.take(batch(1, [None], user=named("attic")))
    for number in range(2, 12):
        made.ack_all()
        made.wait(5)
        made.take(batch(number, [None], user=named("cellar", number)))
    made.ack_all()
    assert published(made, "disconnect") == [{"device": "attic"}]


# Renamed, deleted.


def call(made: Driver, method: str, params: Any, request: str = "7") -> list[Any]:
    """The platform calls the gateway; the answers."""
    since = len(made.published)
    made.say(f"v1/devices/me/rpc/request/{request}", {"method": method, "params": params})
    made.settle_control()
    topic = f"v1/devices/me/rpc/response/{request}"
    return [said(order) for order in made.published[since:] if order.topic == topic]


def test_a_renamed_device_goes_on_under_its_new_name() -> None:
    """Data, announcement, calls, attributes and questions, both ways; what waited goes out under the new name too."""
    made = driver(shared={"press1": ["speed"]})
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    since = len(made.published)
    made.take(batch(2, points(2, 1)))
    assert call(made, "gateway_device_renamed", {"press1": "Press A"}) == [{"success": True}]
    made.ack_all()
    made.take(batch(3, points(3, 1)))
    made.ack_all()
    assert published(made, "connect", since) == [{"device": "Press A", "type": "press"}]
    # One was on its way under the old name.
    assert [list(order) for order in published(made, "telemetry", since)] == [["press1"], ["Press A"]]
    assert published(made, "attributes/request", since)[0]["device"] == "Press A"
    effects = made.say("v1/gateway/rpc", {"device": "Press A", "data": {"id": 1, "method": "m", "params": 1}})
    (request,) = calls_sent(effects)
    assert "press1" in request.target
    made.reply(request.id, data=b"5")
    assert published(made, "rpc", since) == [{"device": "Press A", "id": 1, "data": 5}]
    (update,) = calls_sent(made.say("v1/gateway/attributes", {"device": "Press A", "data": {"speed": 2}}))
    assert "press1" in update.target
    assert decode_renamed(made.renamed[-1]) == {"press1": "Press A"}


def test_a_new_name_is_written_down_before_it_is_answered() -> None:
    """A publisher that dies in between is told again; one that had answered knows it."""
    made = driver()
    effects = made.say("v1/devices/me/rpc/request/7", {"method": "gateway_device_renamed", "params": {"press1": "A"}})
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds.index("KeepNames") < kinds.index("Publish")


def test_names_are_kept_over_a_restart() -> None:
    """Also a name that is changed again, and one that is changed back."""
    made = driver(renamed={"press1": "Press A"})
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    assert [list(order) for order in published(made, "telemetry")] == [["Press A"]]
    call(made, "gateway_device_renamed", {"Press A": "Press B"})
    assert decode_renamed(made.renamed[-1]) == {"press1": "Press B"}
    call(made, "gateway_device_renamed", {"Press B": "press1"})
    assert decode_renamed(made.renamed[-1]) == {}
    made.take(batch(2, points(2, 1)))
    made.ack_all()
    assert [list(order) for order in published(made, "telemetry")] == [["Press A"], ["press1"]]


def test_names_may_be_exchanged() -> None:
    """The platform has each name once, so it goes by way of a third."""
    made = driver()
    for old, new in (("press1", "x"), ("press2", "press1"), ("x", "press2")):
        call(made, "gateway_device_renamed", {old: new})
    assert decode_renamed(made.renamed[-1]) == {"press1": "press2", "press2": "press1"}
    (request,) = calls_sent(made.say("v1/gateway/rpc", {"device": "press1", "data": {"id": 1, "method": "m"}}))
    assert "press2" in request.target


def test_renaming_may_be_switched_off() -> None:
    """Then the platform is answered all the same, and the device goes on under its name."""
    made = driver(Platform(follows_renaming=False))
    assert call(made, "gateway_device_renamed", {"press1": "A"}) == [{"success": True}]
    made.take(batch(1, points(1, 1)))
    made.ack_all()
    assert [list(order) for order in published(made, "telemetry")] == [["press1"]]


@pytest.mark.parametrize("params", [None, {}, [], {"a": 5}, {"a": "b", "c": "d"}, {"": "b"}, "press1"])
def test_a_notice_that_says_nothing_changes_nothing(params: Any) -> None:
    """It is counted, and said."""
    made = driver()
    assert call(made, "gateway_device_renamed", params) == []
    assert made.core._counters["downlink_junk"] == 1


def test_a_deleted_device_is_created_again_by_its_next_reading_only() -> None:
    """Not by a heartbeat, and not by a new connection; under its own name, for the new one went with it."""
    made = driver(renamed={"press1": "Press A"})
    made.take(batch(1, [None], kind=Entry.OPENED), batch(2, points(1, 1)))
    made.ack_all()
    assert call(made, "gateway_device_deleted", "Press A") == [{"success": True}]
    since = len(made.published)
    made.hear(beat("press1"))
    made.down()
    made.again()
    made.hear(beat("press1"))
    made.ack_all()
    assert [topic for topic in made.topics(since) if not topic.startswith("v1/devices/me")] == []
    made.take(batch(3, points(2, 1)))
    made.ack_all()
    assert published(made, "connect", since) == [{"device": "press1", "type": "press"}]
    assert [list(order) for order in published(made, "telemetry", since)] == [["press1"]]
    assert [list(order) for order in published(made, "attributes", since)] == [["press1"]]


def test_a_deleted_device_is_created_again_by_a_value_that_has_not_changed() -> None:
    """A report strategy has kept back what the platform knew; with the device that is gone."""
    only = Strategies(ReportStrategy(type="ON_CHANGE", report_period_ms=10_000, ttl_s=86_400), {}, {})
    made = driver(strategies={"press1": only})
    made.take(batch(1, [None], kind=Entry.OPENED), batch(2, points(1, 1)))
    made.ack_all()
    made.take(batch(3, points(1, 1)))
    made.ack_all()
    assert len(published(made, "telemetry")) == 1
    call(made, "gateway_device_deleted", "press1")
    since = len(made.published)
    made.take(batch(4, points(1, 1)))
    made.ack_all()
    assert published(made, "connect", since) == [{"device": "press1", "type": "press"}]
    assert len(published(made, "telemetry", since)) == 1


def test_a_deleted_device_that_a_converter_had_named_is_forgotten() -> None:
    """Its name is not kept any more, so a restart does not announce it."""
    made = driver(names={"attic": Named("press1", "room")})
    made.take(batch(1, [None], kind=Entry.OPENED))
    made.ack_all()
    assert {order["device"] for order in published(made, "connect")} == {"press1", "attic"}
    call(made, "gateway_device_deleted", "attic")
    assert made.kept[-1] == {}


def test_a_call_that_is_under_way_is_answered_under_the_new_name() -> None:
    """The platform knows its device by that by now."""
    made = driver()
    call_id = calls_sent(made.say("v1/gateway/rpc", {"device": "press1", "data": {"id": 1, "method": "m"}}))[0].id
    call(made, "gateway_device_renamed", {"press1": "A"})
    made.reply(call_id, data=b"1")
    assert published(made, "rpc")[-1]["device"] == "A"
    assert json.dumps(published(made, "rpc")).count("press1") == 0
