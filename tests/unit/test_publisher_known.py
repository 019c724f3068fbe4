"""Devices that come, go or are configured otherwise while the publisher is at work."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.config.models import DeviceFiltering, Platform, ReportStrategy, Statistics
from common.core.events import Arrived, Drain
from common.wire import codec
from common.wire.calls import SHUTTING_DOWN, TakeDevices, pack_body
from common.wire.messages import Entry, Heartbeat, Plane, Reply, Request, UserReading
from services.publisher.core.known import REFUSES_STRATEGIES, KnownDevice, KnownDevices, decode_known, encode_known
from services.publisher.core.names import Named
from services.publisher.core.outbox.departures import FAREWELL_S
from services.publisher.core.strategies import Strategies
from tests.support.publisher_driving import TYPES, Driver, batch, calls_sent, points, said

SERIAL = {name: KnownDevice(kind, "serial") for name, kind in TYPES.items()}
ON_CHANGE = Strategies(ReportStrategy(type="ON_CHANGE"), {}, {})
PERIOD = Strategies(ReportStrategy(type="ON_REPORT_PERIOD", report_period_ms=60_000), {}, {})


def driver(**options: Any) -> Driver:
    """A publisher that is connected, and knows TYPES."""
    made = Driver(**{"connectors": dict.fromkeys(TYPES, "serial"), "strategies": {}, **options})
    made.up(limits={})
    return made


def take(made: Driver, devices: dict[str, KnownDevice], *, has_strategies: bool = True) -> str:
    """Somebody has changed the configuration; what the publisher says to that."""
    body = pack_body(TakeDevices(encode_known(KnownDevices(devices, has_strategies))))
    return replied(made, body)


def replied(made: Driver, body: bytes) -> str:
    request = Request("t", "client:1", "publisher:0", "take_devices", "", "", 5.0, body)
    (reply,) = [one for one in calls_sent(made.request(request)) if isinstance(one, Reply) and one.id == "t"]
    return reply.error


def without(*names: str, **others: KnownDevice) -> dict[str, KnownDevice]:
    return {name: one for name, one in SERIAL.items() if name not in names} | others


def opened(made: Driver, device: str, first: int = 1, generation: int = 1) -> None:
    made.take(batch(first, [None], device=device, kind=Entry.OPENED, base=first, generation=generation))
    made.ack_all()


def beat(made: Driver, device: str) -> None:
    """Its port reader says that it is connected."""
    state = {"connected": True, "device": device}
    made.hear(Arrived(Plane.EVENTS, Heartbeat("port_reader", device, "i", 1, "here", 1.0, state, {}, 10.0)))


def topics(made: Driver, device: str) -> list[str]:
    """What the platform was told of a device, in order, but for data."""
    found = []
    for order in made.published:
        if order.topic in ("v1/gateway/connect", "v1/gateway/disconnect") and said(order).get("device") == device:
            found.append(order.topic.removeprefix("v1/gateway/"))
    return found


def test_one_that_comes_is_announced_with_its_type() -> None:
    """Once its port is open, as any other; nobody else hears of it, and the connection stands."""
    made = driver()
    opened(made, "press1")
    assert take(made, without(pump=KnownDevice("pump", "Other"))) == ""
    assert topics(made, "pump") == []
    opened(made, "pump")
    announced = next(
        said(one) for one in made.published if one.topic == "v1/gateway/connect" and b"pump" in one.payload
    )
    assert announced == {"device": "pump", "type": "pump"}
    introduced = [said(one) for one in made.published if one.topic == "v1/gateway/attributes"]
    assert introduced[-1] == {"pump": {"connectorType": "serial", "connectorName": "Other"}}
    made.take(batch(2, points(2, 3), device="pump"))
    made.ack_all()
    assert made.items("pump") == points(2, 3)
    assert made.report("pump").settled == 5
    assert topics(made, "press1") == ["connect"]


def test_one_that_goes_has_all_it_said_before_its_goodbye() -> None:
    """Its stream says that its port was closed, and what is left comes from its journal. Nothing is said twice."""
    made = driver()
    opened(made, "press1")
    made.take(batch(2, points(2, 2)))
    assert take(made, without("press1")) == ""
    made.take(batch(4, points(4, 2)), batch(6, [None], kind=Entry.LOST))
    made.ack_all()
    assert topics(made, "press1") == ["connect", "disconnect"]
    # Whoever sends what is left begins a new generation, in which the reader's unsettled numbers come again.
    made.take(batch(7, points(7, 1), base=7, generation=2), batch(8, [None], base=7, generation=2, kind=Entry.LOST))
    made.ack_all()
    assert made.items("press1") == points(2, 4) + points(7, 1)
    assert topics(made, "press1")[-1] == "disconnect"
    made.wait(2 * FAREWELL_S)
    assert topics(made, "press1").count("disconnect") == 2
    assert take(made, SERIAL) == ""
    opened(made, "press1", 9, generation=3)
    assert topics(made, "press1")[-1] == "connect"


def test_one_whose_reader_was_killed_is_said_goodbye_to() -> None:
    """Nobody has said that its port was closed. Its memory is given back; others are left alone."""
    made = driver()
    opened(made, "press1")
    opened(made, "press2")
    assert take(made, without("press1")) == ""
    made.take(batch(2, points(2, 1)))
    made.ack_all()
    made.wait(FAREWELL_S - 2)
    assert topics(made, "press1") == ["connect"]
    made.wait(4)
    assert topics(made, "press1") == ["connect", "disconnect"]
    made.ack_all()
    made.wait(3)
    assert list(made.core._outbox.table.lanes) == ["press2"]
    made.wait(100)
    assert topics(made, "press2") == ["connect"]
    assert topics(made, "press1") == ["connect", "disconnect"]


def test_one_that_goes_on_talking_is_not_said_goodbye_to() -> None:
    """Somebody else looks after the processes, and has not stopped it: its reader beats."""
    made = driver()
    opened(made, "press1")
    assert take(made, without("press1")) == ""
    for _ in range(10):
        beat(made, "press1")
        made.wait(10)
    assert topics(made, "press1") == ["connect"]


def test_names_of_one_that_goes_are_forgotten() -> None:
    """Those that users' converters have made in its readings, on the disk too, once it is gone; and at once one that is
    configured now: it has its own name."""
    names = {"sensor": Named("press1", "t"), "pump": Named("press2", "t"), "other": Named("press2", "t")}
    made = driver(names=names)
    assert take(made, without("press1", pump=KnownDevice("pump", "serial"))) == ""
    assert made.kept[-1] == {"sensor": Named("press1", "t"), "other": Named("press2", "t")}
    assert made.core._downlink._gateway.named("pump") is None
    made.wait(FAREWELL_S + 2)
    assert made.kept[-1] == {"other": Named("press2", "t")}
    assert made.core._taking.departures._heard == {}


@pytest.mark.parametrize("device", ["attic", "cellar"])
def test_names_of_one_that_is_back_are_kept(device: str) -> None:
    """Its stream has not heard that it was gone: a name that was there, or was made meanwhile, is announced when its
    port is open again, and called."""
    made = driver(names={"attic": Named("press1", "t")})
    opened(made, "press1")
    assert take(made, without("press1")) == ""
    made.take(batch(2, [None], user={0: [UserReading("cellar", "t", [], b"")]}))
    made.ack_all()
    assert take(made, SERIAL) == ""
    made.ack_all()
    made.wait(2 * FAREWELL_S)
    made.take(batch(3, [None], kind=Entry.LOST))
    made.ack_all()
    before = len(topics(made, device))
    made.take(batch(4, [None], kind=Entry.OPENED))
    made.ack_all()
    assert topics(made, device)[before:] == ["connect"]
    named = made.core._downlink._gateway.named(device)
    assert named == Named("press1", "t")
    assert set(made.kept[-1]) == {"attic", "cellar"}


def test_names_of_one_that_is_not_there_when_a_publisher_starts_are_kept_for_a_while() -> None:
    """It dies in the middle of a change that is taken back."""
    names = {"sensor": Named("pump", "t"), "gone": Named("fan", "t")}
    made = driver(names=names)
    assert take(made, without(pump=KnownDevice("pump", "serial"))) == ""
    beat(made, "pump")
    made.ack_all()
    assert topics(made, "sensor") == ["connect"]
    made.wait(FAREWELL_S + 2)
    assert made.kept == [{"sensor": Named("pump", "t")}]


def test_one_that_was_there_before_it_was_configured_is_announced_by_its_type() -> None:
    """Its port reader knows it, and says no type in its heartbeat."""
    made = driver()
    beat(made, "pump")
    made.ack_all()
    assert take(made, without(pump=KnownDevice("water pump", "serial"))) == ""
    made.down()
    made.again()
    assert topics(made, "pump") == ["connect", "connect"]
    announced = [said(one) for one in made.published if one.topic == "v1/gateway/connect"]
    assert announced[-1] == {"device": "pump", "type": "water pump"}


def test_what_is_told_of_a_device_is_told_again_where_it_is_another() -> None:
    """Its connector, its units; and the platform is asked for attributes that it can be told from now on."""
    made = driver()
    opened(made, "press1")
    opened(made, "press2")
    count = len(made.published)
    known = KnownDevice("press", "Other", ["level"], {}, {"n": "°C"})
    assert take(made, without(press1=known)) == ""
    made.ack_all()
    told = [(one.topic.removeprefix("v1/gateway/"), said(one)) for one in made.published[count:]]
    introduction = {"connectorType": "serial", "connectorName": "Other", "units": {"n": "°C"}}
    assert ("attributes", {"press1": introduction}) in told
    [asked] = [payload for topic, payload in told if topic == "attributes/request"]
    assert (asked["device"], asked.get("keys", asked.get("key"))) in (("press1", ["level"]), ("press1", "level"))
    assert len(told) == 2


def test_what_a_strategy_has_kept_back_is_reported_before_it_is_another() -> None:
    """Nobody would do it later; and its journal gets rid of what waited."""
    made = driver(strategies={"press1": PERIOD})
    opened(made, "press1")
    made.take(batch(2, [{"n": 1}]))
    made.ack_all()
    made.take(batch(3, [{"n": 2}]))
    made.ack_all()
    assert made.items("press1") == [{"n": 1}]
    assert take(made, without(press1=KnownDevice("press", "serial", strategies=ON_CHANGE))) == ""
    made.ack_all()
    assert made.items("press1") == [{"n": 1}, {"n": 2}]
    assert made.report("press1").settled == 4
    made.take(batch(4, [{"n": 5}, {"n": 5}, {"n": 6}]))
    made.ack_all()
    assert made.items("press1")[2:] == [{"n": 5}, {"n": 6}]


def test_what_is_left_of_one_that_goes_is_reported_by_its_strategy() -> None:
    """Until it is gone; then nothing is remembered."""
    made = driver(strategies={"press1": ON_CHANGE})
    opened(made, "press1")
    made.take(batch(2, [{"n": 1}]))
    assert take(made, without("press1")) == ""
    made.take(batch(3, [{"n": 1}, {"n": 1}, {"n": 2}]), batch(6, [None], kind=Entry.LOST))
    made.ack_all()
    assert made.items("press1") == [{"n": 1}, {"n": 2}]
    made.wait(FAREWELL_S + 2)
    assert made.core._known.strategies == {}


def test_a_list_of_devices_that_are_left_out_counts_for_new_ones() -> None:
    """It is said in the log once for each, and the figures have those that are configured."""
    config = Platform(filtering=DeviceFiltering(deny={"serial": ["pump.*"]}), statistics=Statistics())
    made = driver(config=config)
    assert take(made, without(pump1=KnownDevice("pump", "serial"))) == ""
    opened(made, "pump1")
    made.take(batch(2, points(2, 1), device="pump1"))
    made.ack_all()
    assert made.items("pump1") == []
    assert made.core._intake.left_out == {"pump1": "serial"}
    assert take(made, SERIAL) == ""
    assert made.core._intake.left_out == {}
    assert take(made, without(pump1=KnownDevice("pump", "Other"))) == ""
    made.take(batch(3, points(3, 1), device="pump1"))
    made.ack_all()
    assert made.items("pump1") == points(3, 1)
    assert sum(note.event == "device.filtered" for note in made.notes) == 1


def test_who_is_asked_for_a_beat_by_a_new_broker_changes_with_it() -> None:
    """One that is connected and silent beats rarely."""
    made = driver()
    assert take(made, {"pump": KnownDevice("pump", "serial")}) == ""
    assert made.core._membership.asks == ("port_reader:pump",)


def test_what_can_not_be_taken_is_refused_and_changes_nothing() -> None:
    """It has to be started anew then: strategies switched off for all, what can't be read; and one that ends."""
    made = driver()
    assert take(made, {}, has_strategies=False) == REFUSES_STRATEGIES
    assert "can't be read" in replied(made, pack_body(TakeDevices(b"[1]")))
    assert "malformed" in replied(made, codec.pack({"devices": 1}))
    assert made.core._known.types == TYPES
    made.hear(Drain())
    if not made.exited:
        assert take(made, {}) == SHUTTING_DOWN


def test_the_same_once_more_does_nothing() -> None:
    """A reload that was killed is completed by the next, which says it all again."""
    made = driver()
    opened(made, "press1")
    known = without(press1=KnownDevice("press", "serial", ["level"], {"get": 3.0}, {}, ON_CHANGE))
    assert decode_known(encode_known(KnownDevices(known))).devices == known
    assert take(made, known) == ""
    made.ack_all()
    count, notes = len(made.published), len(made.notes)
    assert take(made, known) == ""
    assert (len(made.published), len(made.notes)) == (count, notes)
    assert made.core._known.answer_times == {("press1", "get"): 3.0}


@pytest.mark.parametrize("content", [b"", b"null", b"{", b'{"devices":{"a":{"type":1}}}', b"\xff"])
def test_junk_is_a_sentence(content: bytes) -> None:
    """Whatever comes over the calls plane."""
    with pytest.raises(ValueError, match="can't be read"):
        decode_known(content)


def test_what_is_said_of_devices_is_json() -> None:
    """A later release may add fields, which this one leaves out."""
    data = json.loads(encode_known(KnownDevices({"a": KnownDevice("t", "c", strategies=PERIOD)})))
    data["devices"]["a"]["more"] = 1
    assert decode_known(json.dumps(data).encode()).devices["a"].strategies == PERIOD
