"""The publisher with hosted connectors: marks in their streams, calls to their devices and to themselves."""

from __future__ import annotations

import json

import pytest

from common.config.models import DeviceFiltering, Platform
from common.wire import codec
from common.wire.calls import CallConnector, Encode, body_of, hosted_stream
from common.wire.messages import Entry, ReadingBatch, Reply, UserReading
from services.publisher.core.connector_calls import MOST_OPEN, ConnectorAnswer, ConnectorCalls
from services.publisher.core.names import Named
from tests.support.publisher_driving import TYPES, Driver, batch, calls_sent, said

STREAM = hosted_stream("Demo")
CALLS = {"climate": ["Cellar", "Attic"], "my_type": ["Mine"], "my": ["Other"]}


def answer_of(request: str, data: bytes = b"", error: str = "") -> Reply:
    return Reply(request, "publisher:0", error, b"" if error else codec.pack(data))


def test_the_type_is_the_longest_that_fits() -> None:
    """A type may have an underscore; the gateway's own methods are none of a connector's."""
    calls = ConnectorCalls({**CALLS, "gateway": ["G"]}, "p")
    assert calls.split("climate_scan_all") == ("climate", "scan_all")
    assert calls.split("my_type_scan") == ("my_type", "scan")
    assert calls.split("my_scan") == ("my", "scan")
    assert calls.split("gateway_ping") is None
    assert calls.split("climate_") is None
    assert calls.split("other_scan") is None


def test_every_connector_of_the_type_is_asked_and_the_first_answer_counts() -> None:
    """One that returns nothing has not answered."""
    calls = ConnectorCalls(CALLS, "p")
    first, second = calls.begin("7", "climate_scan", b"[1]", 110.0, 100.0)
    assert [one.target for one in (first, second)] == ["connector_host:Cellar", "connector_host:Attic"]
    assert body_of(first) == CallConnector("scan", b"[1]", "7")
    assert calls.reply(answer_of(first.id)) is None
    assert calls.reply(answer_of(second.id, b'{"n":1}')) == ConnectorAnswer("7", b'{"n":1}', began_s=100.0)
    assert calls.reply(answer_of(first.id, b'{"n":2}')) is None
    assert calls.next_deadline_s is None


def test_how_a_call_without_an_answer_ends() -> None:
    """Nobody has returned anything; nobody could be asked; nobody was in time."""
    calls = ConnectorCalls(CALLS, "p")
    (step,) = calls.begin("1", "my_scan", b"null", 110.0, 100.0)
    assert calls.reply(answer_of(step.id)) == ConnectorAnswer("1", b"", began_s=100.0)
    (step,) = calls.begin("2", "my_scan", b"null", 110.0, 100.0)
    assert calls.reply(answer_of(step.id, error="not running")) == ConnectorAnswer(
        "2", b"", "not running", began_s=100.0
    )
    (step,) = calls.begin("3", "my_scan", b"null", 110.0, 100.0)
    assert calls.next_deadline_s == 110.0
    assert calls.expire(109.0) == []
    assert calls.expire(110.0) == [ConnectorAnswer("3", b"", "Request timeout", is_late=True, began_s=100.0)]
    assert calls.reply(answer_of(step.id, b"1")) is None
    for number in range(MOST_OPEN):
        calls.begin(str(number), "my_scan", b"null", 110.0, 100.0)
    assert calls.begin("one more", "my_scan", b"null", 110.0, 100.0) == []
    assert len(calls.end_all("shutting down")) == MOST_OPEN


# Its stream


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A publisher that is connected and knows of one hosted connector."""
    monkeypatch.setitem(TYPES, STREAM, "")
    found = Driver(connectors={**dict.fromkeys(TYPES, "serial"), STREAM: "Demo"}, hosts={"demo": ["Demo"]})
    found.up(limits={})
    return found


def entries(first: int, *readings: UserReading, kind: Entry = Entry.FRAMES) -> ReadingBatch:
    """What a converter makes of a host's entries."""
    user = {index: [reading] for index, reading in enumerate(readings)}
    return batch(first, [None] * max(1, len(readings)), device=STREAM, kind=kind, user=user)


def marked(device: str, mark: str, device_type: str = "t") -> UserReading:
    return UserReading(device, device_type, [], b"", mark=mark)


def valued(device: str, value: int) -> UserReading:
    return UserReading(device, "t", [(None, b'{"v":%d}' % value)], b"")


def connects(driver: Driver, topic: str = "v1/gateway/connect") -> list[str]:
    return [json.loads(order.payload)["device"] for order in driver.published if order.topic == topic]


def test_marks_have_their_place_and_are_settled_like_data(driver: Driver) -> None:
    """Nothing is settled before the platform has taken what stands before it."""
    driver.take(entries(1, marked("valve", "connect"), valued("valve", 1), marked("valve", "disconnect")))
    assert driver.topics(1) == ["connect"]
    driver.wait(2)
    assert driver.report(STREAM).settled == 1
    driver.ack_all()
    assert driver.topics(1) == ["connect", "telemetry", "attributes", "disconnect"]
    (said,) = (order.payload for order in driver.published if order.topic == "v1/gateway/attributes")
    assert json.loads(said) == {"valve": {"connectorType": "demo", "connectorName": "Demo"}}
    assert driver.report(STREAM).settled == 4
    driver.take(entries(4, valued("valve", 2)))
    driver.ack_all()
    assert driver.topics(5) == ["connect", "telemetry"]
    assert driver.report(STREAM).settled == 5


def test_devices_of_a_connector_are_left_out_by_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the connector itself, whatever the pattern: it is no device."""
    monkeypatch.setitem(TYPES, STREAM, "")
    config = Platform(filtering=DeviceFiltering(deny={"Demo": ("valve", "connector:.*")}))
    driver = Driver(config, connectors={**dict.fromkeys(TYPES, "serial"), STREAM: "Demo"}, hosts={"demo": ["Demo"]})
    driver.up(limits={})
    driver.take(entries(1, kind=Entry.OPENED))
    driver.take(entries(2, marked("valve", "connect"), valued("valve", 1), valued("pump", 1)))
    driver.take(entries(5, marked("valve", "disconnect")))
    driver.ack_all()
    assert connects(driver) == ["pump"]
    assert connects(driver, "v1/gateway/disconnect") == []
    assert driver.report(STREAM).settled == 6
    assert {note.facts["device"] for note in driver.notes if note.event == "device.filtered"} == {"valve"}


def test_a_device_that_is_there_is_not_announced_twice(driver: Driver) -> None:
    """A host tells each publisher of all its devices, whatever that knows already; another type is news."""
    driver.take(entries(1, valued("valve", 1)))
    driver.ack_all()
    driver.take(entries(2, marked("valve", "connect")))
    driver.ack_all()
    assert connects(driver) == ["valve"]
    driver.take(entries(3, marked("valve", "connect", "other")))
    driver.ack_all()
    assert connects(driver) == ["valve", "valve"]
    assert driver.report(STREAM).settled == 4


def test_a_goodbye_to_nobody_and_to_another_s_device_says_nothing(driver: Driver) -> None:
    """A device belongs to whoever named it last."""
    driver.take(entries(1, marked("nobody", "disconnect")))
    driver.take(batch(1, [{"n": 1}], device="press1"))
    driver.ack_all()
    driver.take(entries(2, marked("press1", "disconnect")))
    driver.ack_all()
    assert connects(driver, "v1/gateway/disconnect") == []
    assert driver.report(STREAM).settled == 3


def test_a_connector_that_has_stopped_takes_its_devices_along(driver: Driver) -> None:
    """It is no device itself, so the platform never hears its name."""
    driver.take(entries(1, marked("valve", "connect"), marked("pump", "connect")))
    driver.ack_all()
    driver.take(entries(3, kind=Entry.LOST))
    driver.ack_all()
    assert connects(driver, "v1/gateway/disconnect") == ["valve", "pump"]
    assert driver.report(STREAM).settled == 4
    assert not any(STREAM in order.payload.decode() for order in driver.published)


PERIODIC = b'{"v":{"type":"ON_REPORT_PERIOD","reportPeriod":1000}}'


def reporting(device: str, value: int) -> UserReading:
    """A value of which one in a second is reported."""
    return UserReading(device, "t", [(None, b'{"v":%d}' % value)], b"", strategies=PERIODIC)


def test_a_period_ends_once_whatever_the_clocks_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of a second is no round number in binary: seen so, a period is over and not over at one moment."""
    monkeypatch.setitem(TYPES, STREAM, "")
    driver = Driver(strategies={}, hosts={"demo": ["Demo"]})
    driver.up(limits={})
    driver.take(entries(1, reporting("valve", 1), reporting("valve", 2)))
    driver.ack_all()
    for _ in range(5):
        driver.wait(1)
        driver.ack_all()
    assert driver.items("valve") == [{"v": 1}, *[{"v": 2}] * 5]


def test_a_period_that_ends_sooner_than_it_seemed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device's clock is the time of its frames: where many that were late come at once, most of a period passes."""
    monkeypatch.setitem(TYPES, STREAM, "")
    driver = Driver(strategies={}, hosts={"demo": ["Demo"]})
    driver.up(limits={})
    driver.take(entries(1, reporting("valve", 1)))
    driver.take(entries(2, *(reporting("valve", number) for number in range(2, 900))))
    driver.ack_all()
    driver.wait(0.3)
    driver.ack_all()
    assert driver.items("valve") == [{"v": 1}, {"v": 899}]
    assert driver.report(STREAM).settled == 900


@pytest.mark.parametrize("goodbye", [marked("valve", "disconnect"), None], ids=["its device", "itself"])
def test_what_a_gone_device_has_kept_back_comes_before_its_goodbye_and_nothing_after(
    monkeypatch: pytest.MonkeyPatch, goodbye: UserReading | None
) -> None:
    """Else the end of a period would announce it again, and for ever. A connector withdraws its device, or ends."""
    monkeypatch.setitem(TYPES, STREAM, "")
    driver = Driver(strategies={}, hosts={"demo": ["Demo"]})
    driver.up(limits={})
    driver.take(entries(1, reporting("valve", 1), reporting("valve", 2)))
    driver.ack_all()
    driver.take(entries(3, goodbye) if goodbye else entries(3, kind=Entry.LOST))
    driver.ack_all()
    driver.wait(5)
    driver.ack_all()
    assert driver.topics(1) == ["connect", "telemetry", "telemetry", "disconnect"]
    assert driver.report(STREAM).settled == 4
    driver.take(entries(4, reporting("valve", 2)))
    driver.ack_all()
    assert driver.topics(5) == ["connect", "telemetry"]


@pytest.mark.parametrize("goodbye", [marked("valve", "disconnect"), None], ids=["its device", "itself"])
def test_a_device_whose_announcement_is_on_its_way_is_disconnected_behind_it(
    driver: Driver, goodbye: UserReading | None
) -> None:
    """The platform may have it already: a goodbye is said, and once."""
    driver.take(entries(1, marked("valve", "connect")))
    assert driver.topics(1) == ["connect"]
    driver.take(entries(2, goodbye) if goodbye else entries(2, kind=Entry.LOST))
    driver.ack_all()
    driver.wait(5)
    assert connects(driver, "v1/gateway/disconnect") == ["valve"]
    assert driver.topics(1)[-1] == "disconnect"
    assert driver.report(STREAM).settled == 3


def test_what_said_goodbye_is_not_known_after_a_restart(driver: Driver) -> None:
    """What is there is, with the connector that serves it."""
    driver.take(entries(1, marked("valve", "connect"), marked("pump", "connect"), marked("valve", "disconnect")))
    driver.wait(2)
    assert driver.kept[-1] == {"pump": Named(STREAM, "t")}


def test_calls_go_to_the_connector_that_serves_the_device(driver: Driver) -> None:
    """Under the device's name; and those to the connector itself by its type."""
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    (call,) = calls_sent(driver.say("v1/gateway/rpc", {"device": "valve", "data": {"id": 3, "method": "get"}}))
    assert (call.target, call.device) == (f"converter@{STREAM}", STREAM)
    assert body_of(call) == Encode("get", b"null", "valve", "t")
    driver.reply(call.id, data=b'{"on":true}')
    (own,) = calls_sent(driver.say("v1/devices/me/rpc/request/9", {"method": "demo_scan", "params": [1]}))
    assert own.target == "connector_host:Demo"
    driver.reply(own.id, data=b'{"found":2}')
    assert said(driver.published[-2]) == {"device": "valve", "id": 3, "data": {"on": True}}
    assert (driver.published[-1].topic, said(driver.published[-1])) == ("v1/devices/me/rpc/response/9", {"found": 2})
    (own,) = calls_sent(driver.say("v1/devices/me/rpc/request/10", {"method": "demo_scan"}))
    driver.wait(11)
    assert said(driver.published[-1]) == {"error": "Request timeout", "code": 408}


def test_a_connector_that_does_not_run_is_named(driver: Driver) -> None:
    """To whoever calls one of its devices."""
    driver.take(entries(1, marked("valve", "connect")))
    driver.ack_all()
    (call,) = calls_sent(driver.say("v1/gateway/rpc", {"device": "valve", "data": {"id": 3, "method": "get"}}))
    driver.reply(call.id, error="connector Demo is not running")
    assert said(driver.published[-1])["data"]["error"] == "connector Demo is not running, and it serves valve"
