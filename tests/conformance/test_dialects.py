"""What holds for the publisher in every dialect: the real core under a hand-driven clock, and a platform that reads
what is published. Whoever adds a dialect adds it to `platforms.PLATFORMS`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, get_args

import pytest

from common.config.models import Platform as PlatformConfig
from common.wire.messages import Entry, Request
from services.publisher.core.dialects import GatewayRpc, Outgoing, Refusal, Unusable
from services.publisher.core.events import LinkUp, PlatformMessage, Publish
from tests.conformance.platforms import PLATFORMS, Platform, Told
from tests.support.publisher_driving import Driver, batch, calls_sent

Judge = Callable[[Publish], int | None]
"""What the platform makes of a publish: a PUBACK's reason code, or None: it closes the connection."""
AWKWARD = ["a/b", "+", "#", 'q"uo\\te', "ü 名前", "%2F", " "]
"""Names that mean something in a topic or in JSON."""


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.name)
def platform(request: pytest.FixtureRequest) -> Platform:
    """Each of the registry."""
    made: Platform = request.param()
    return made


class Gateway(Driver):
    """A publisher in this platform's dialect, and the platform's memory of what it has accepted."""

    def __init__(self, platform: Platform, config: PlatformConfig | None = None, *, limit_bytes: int = 0) -> None:
        self.platform = platform
        self.limit_bytes = limit_bytes
        self.ends: dict[str, int] = {}
        """Device → the number that its next reading gets."""
        self.readings: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.accepted: list[Publish] = []
        super().__init__(config, platform.dialect)
        self.connect()

    def connect(self) -> None:
        """The next connection stands, and the platform has answered what it was asked."""
        before = self.connection
        while (not before and not self.connection) or (before and self.connection == before):
            self.wait(1.0)
        self.hear(LinkUp(self.connection, 5, 65_535, self.limit_bytes))
        if self.platform.limits:
            self.tell(self.platform.limits)

    def tell(self, told: Told) -> list[Any]:
        """The platform says something."""
        return self.say(told.topic, told.payload)

    def put(self, device: str, values: list[Any], *, kind: Entry = Entry.FRAMES, **more: Any) -> None:
        """The next readings of a device's stream."""
        first = self.ends.get(device, 1)
        self.ends[device] = first + len(values)
        self.take(batch(first, values, device=device, kind=kind, **more))

    def ack(self, order: Publish, code: int = 0) -> list[Any]:
        if code < 128:
            self.accepted.append(order)
            for said in self.platform.data(order):
                self.readings.setdefault(said.device, []).extend(said.readings)
                self.attributes.setdefault(said.device, {}).update(said.attributes)
        return super().ack(order, code)

    @property
    def is_settled(self) -> bool:
        settled = {device: self.reports.get(f"journal-{device}") for device in self.ends}
        return all(report and report.settled == self.ends[device] for device, report in settled.items())

    def serve(self, judge: Judge = lambda _: 0) -> None:
        """The platform answers until everything is settled."""
        for _ in range(3_000):
            if self.unacked:
                code = judge(self.unacked[0])
                if code is None:
                    self.down()
                    self.connect()
                else:
                    self.ack(self.unacked[0], code)
            elif self.is_settled:
                return
            else:
                self.wait(0.5)
        raise AssertionError(f"not settled: {self.ends}, {len(self.unacked)} in flight")

    def values(self, device: str) -> list[Any]:
        """What the platform has accepted of a device, in order."""
        return [said for _, said in self.readings.get(device, [])]


def numbered(first: int, count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(first, first + count)]


def devices_of(platform: Platform, order: Publish) -> set[str]:
    """The devices that a publish says something of."""
    announced = platform.announcement(order)
    return {said.device for said in platform.data(order)} | ({announced[0]} if announced else set())


# Readings.


def test_every_reading_arrives_in_order_at_its_time(platform: Platform) -> None:
    """Each device's, under their own milliseconds; and of each attribute the last value."""
    gateway = Gateway(platform)
    for number in range(1, 40, 3):
        for device in ("press1", "press2"):
            gateway.put(device, numbered(number, 3), attributes={"last": number, "sn": "7"})
    gateway.serve()
    for device in ("press1", "press2"):
        assert gateway.values(device) == numbered(1, 39)
        assert [at_ms for at_ms, _ in gateway.readings[device]] == list(range(1_001, 1_040))
        assert gateway.attributes[device] == {"last": 37, "sn": "7"}


def test_names_are_whatever_users_call_their_devices(platform: Platform) -> None:
    """Also what means something in a topic or in a payload arrives under its own name."""
    gateway = Gateway(platform)
    for name in AWKWARD:
        gateway.put(name, numbered(1, 2), attributes={name: name})
    gateway.serve()
    for name in AWKWARD:
        assert gateway.values(name) == numbered(1, 2)
        assert gateway.attributes[name] == {name: name}


def test_no_message_holds_more_than_its_shape(platform: Platform) -> None:
    """A dialect with a topic per device never gets two devices to write into one message."""
    gateway = Gateway(platform)
    shape = platform.dialect.shape
    for device in ("press1", "press2", "press3"):
        gateway.put(device, numbered(1, 20), attributes={"a": 1, "b": 2})
    gateway.serve()
    for order in gateway.accepted:
        said = platform.data(order)
        assert len(said) <= (shape.most_devices or len(said))
        readings = sum(len(each.readings) for each in said)
        assert readings <= (shape.most_readings or readings)


def test_one_unaccepted_publish_per_device(platform: Platform) -> None:
    """However the answers come: with two the order at the platform would be chance."""
    gateway = Gateway(platform)
    draw = random.Random(5)
    for number in range(1, 60):
        gateway.put(draw.choice(["press1", "press2", "press3"]), numbered(number, 2), attributes={"a": number})
        if gateway.unacked and draw.random() < 0.5:
            gateway.ack(draw.choice(gateway.unacked))
        in_flight = [device for order in gateway.unacked for device in devices_of(platform, order)]
        assert len(in_flight) == len(set(in_flight))
    gateway.serve()


def test_announced_before_data_and_withdrawn_after_it(platform: Platform) -> None:
    """Where devices are announced, that was accepted before their data goes out, on each connection anew; where they
    are not, data waits for nothing. A device that is lost is withdrawn behind its last reading."""
    gateway = Gateway(platform)
    announces = platform.dialect.announce(b"x", "t") is not None
    known: set[str] = set()

    def judge(order: Publish) -> int:
        if said := platform.announcement(order):
            known.add(said[0]) if said[1] else known.discard(said[0])
        assert not announces or {said.device for said in platform.data(order)} <= known
        return 0

    gateway.put("press1", [None], kind=Entry.OPENED, device_type="press")
    gateway.put("press1", numbered(1, 2))
    gateway.put("press2", numbered(1, 2))
    gateway.serve(judge)
    known.clear()
    gateway.down()
    gateway.connect()
    gateway.put("press1", numbered(3, 2))
    gateway.put("press1", [None], kind=Entry.LOST)
    gateway.serve(judge)
    marks = [found for order in gateway.accepted if (found := platform.announcement(order))]
    assert bool(marks) == announces
    assert gateway.values("press1") == numbered(1, 4)
    if announces:
        assert marks[-1] == ("press1", False)
        assert platform.announcement(gateway.accepted[-1]) == ("press1", False)


def test_greeting_is_first_on_each_connection(platform: Platform) -> None:
    """Before announcements and data, once a connection, as the dialect says it."""
    gateway = Gateway(platform)
    for _ in range(3):
        gateway.put("press1", numbered(gateway.ends.get("press1", 1), 2))
        gateway.serve()
        gateway.down()
        gateway.connect()
    for connection in {order.connection for order in gateway.published}:
        orders = [order for order in gateway.published if order.connection == connection]
        first = [(order.topic, order.payload, order.retain) for order in orders[: len(platform.dialect.greeting)]]
        assert first == list(platform.dialect.greeting)
        later = [Outgoing(order.topic, order.payload, order.retain) for order in orders[len(first) :]]
        assert not set(later) & set(platform.dialect.greeting)


# Refusals.


def test_every_code_means_something(platform: Platform) -> None:
    """All that a PUBACK can refuse with, also those that nobody has given a meaning yet."""
    for code in range(128, 256):
        assert platform.dialect.refusal(code) in get_args(Refusal)
    for refusal, code in platform.codes.items():
        assert platform.dialect.refusal(code) == refusal


def test_a_refused_record_is_a_dead_letter_alone(platform: Platform) -> None:
    """What stood in the same messages arrives; the number, and no other, is reported dead."""
    gateway = Gateway(platform)
    gateway.put("press1", numbered(1, 20))
    gateway.put("press2", numbered(1, 20))

    def judge(order: Publish) -> int:
        said = [values for each in platform.data(order) if each.device == "press1" for _, values in each.readings]
        return platform.codes["bad"] if {"n": 13} in said else 0

    gateway.serve(judge)
    assert gateway.values("press1") == numbered(1, 12) + numbered(14, 7)
    assert gateway.values("press2") == numbered(1, 20)
    assert [number for number, _ in gateway.report("press1").dead] == [13]
    assert gateway.report("press2").dead == []


def test_a_record_that_closes_the_connection_is_a_dead_letter_alone(platform: Platform) -> None:
    """Without a word from the platform: it is found by who was in flight, and by halves."""
    gateway = Gateway(platform)
    gateway.put("press1", numbered(1, 8))
    gateway.put("press2", numbered(1, 8))

    def judge(order: Publish) -> int | None:
        said = [values for each in platform.data(order) if each.device == "press1" for _, values in each.readings]
        if not said and gateway.ends["press2"] < 60:
            # Somebody else's readings go on being accepted: the platform is well.
            gateway.put("press2", numbered(gateway.ends["press2"], 1))
        return None if {"n": 3} in said else 0

    gateway.serve(judge)
    assert gateway.values("press1") == numbered(1, 2) + numbered(4, 5)
    assert [number for number, _ in gateway.report("press1").dead] == [3]
    assert gateway.report("press2").dead == []


@pytest.mark.parametrize("refusal", ["rate", "unclear", "wait"])
def test_what_may_be_taken_later_is_tried_again(platform: Platform, refusal: Refusal) -> None:
    """It arrives in the end, and nothing of it is a dead letter."""
    gateway = Gateway(platform)
    gateway.put("press1", numbered(1, 10))
    refused = []

    def judge(order: Publish) -> int:
        if platform.data(order) and len(refused) < 3:
            refused.append(order)
            return platform.codes[refusal]
        return 0

    gateway.serve(judge)
    assert len(refused) == 3
    assert gateway.values("press1") == numbered(1, 10)
    assert gateway.report("press1").dead == []


def test_a_rate_limit_slows_down(platform: Platform) -> None:
    """Refused and closed: less goes out at once until the platform takes it, and everything arrives."""
    gateway = Gateway(platform)
    for device in ("press1", "press2", "press3"):
        gateway.put(device, numbered(1, 4))
    while not (data := [order for order in gateway.unacked if platform.data(order)]):
        gateway.ack(gateway.unacked[0])
    gateway.ack(data[0], platform.codes["rate"])
    gateway.down()
    gateway.connect()
    most = 0

    def judge(order: Publish) -> int:
        nonlocal most
        most = max(most, sum(bool(platform.data(each)) for each in gateway.unacked))
        return 0

    for _ in range(20):
        if gateway.unacked:
            gateway.ack(gateway.unacked[0], judge(gateway.unacked[0]))
        else:
            gateway.wait(0.05)
    assert most == 1
    gateway.serve()
    assert "platform.rate_limited" in [note.event for note in gateway.notes]
    for device in ("press1", "press2", "press3"):
        assert gateway.values(device) == numbered(1, 4)


def test_what_was_in_flight_at_a_close_is_repeated(platform: Platform) -> None:
    """In order, with nothing lost; nothing is settled that was not accepted."""
    gateway = Gateway(platform)
    gateway.put("press1", numbered(1, 6), attributes={"a": 1})
    gateway.put("press2", numbered(1, 6))
    while not any(platform.data(order) for order in gateway.unacked):
        gateway.ack(gateway.unacked[0])
    before = gateway.reports.get("journal-press1")
    gateway.down()
    assert before is None or before.settled == 1
    gateway.connect()
    gateway.serve()
    assert gateway.values("press1") == numbered(1, 6)
    assert gateway.values("press2") == numbered(1, 6)


# Sizes.


@pytest.mark.parametrize("limit", [120, 200, 1_000])
def test_no_message_is_above_the_limit(platform: Platform, limit: int) -> None:
    """What is too large is split by key, and every key arrives under its time; what is too large alone is dead."""
    gateway = Gateway(platform, PlatformConfig(max_payload_size_bytes=limit))
    wide = {f"k{index}": "x" * (index % 40) for index in range(60)}
    gateway.put("press1", [wide, {"n": 2}, {"n": 3, "huge": "y" * limit}, {"n": 4}], attributes=wide)
    for name in AWKWARD:
        gateway.put(name, numbered(1, 30), attributes={name: name, "a": 1})
    gateway.serve()
    assert max(len(order.payload) for order in gateway.accepted if platform.data(order)) <= limit
    merged: dict[int, dict[str, Any]] = {}
    for at_ms, values in gateway.readings["press1"]:
        merged.setdefault(at_ms, {}).update(values)
    assert list(merged.values()) == [wide, {"n": 2}, {"n": 3}, {"n": 4}]
    assert [number for number, _ in gateway.report("press1").dead] == [3]
    assert gateway.attributes["press1"] == wide


def test_bytes_that_are_no_json_are_no_error(platform: Platform) -> None:
    """Whatever a converter says: a split names what it can't cut, and attributes are none."""
    for junk in (b"", b"{", b"[" * 100_000, b'"\xce"'):
        assert platform.dialect.split(junk, 1_000).too_large
        assert platform.dialect.keys(junk) is None


# Calls.


def test_calls_arrive_and_are_answered_once(platform: Platform) -> None:
    """With what the device said, or why it did not; a repeated message is the same call."""
    gateway = Gateway(platform)
    gateway.put("press1", [None], kind=Entry.OPENED)
    gateway.serve()
    call = platform.call("press1", 7, "get", {"a": [1]})
    (request,) = calls_sent(gateway.tell(call))
    assert isinstance(request, Request)
    assert (request.device, request.time_left_s) == ("press1", platform.dialect.call_time_s)
    assert calls_sent(gateway.tell(call)) == []
    gateway.reply(request.id, data=b'{"result":48.0}')
    gateway.reply(request.id, error="late")
    (other,) = calls_sent(gateway.tell(platform.call("press1", 8, "get", None)))
    gateway.reply(other.id, error="device press1 is not connected")
    answers = [found for order in gateway.published if (found := platform.answer(order))]
    assert answers[0] == (7, {"result": 48.0}, False)
    assert [(request, has_failed) for request, _, has_failed in answers] == [(7, False), (8, True)]


def test_a_call_without_an_answer_ends_in_the_platforms_time(platform: Platform) -> None:
    """The dialect knows how long the platform waits; it hears of the end before that."""
    gateway = Gateway(platform)
    calls_sent(gateway.tell(platform.call("press1", 7, "get", None)))
    gateway.wait(platform.dialect.call_time_s - 0.1)
    assert not [order for order in gateway.published if platform.answer(order)]
    gateway.wait(0.2)
    ((request, _, has_failed),) = [found for order in gateway.published if (found := platform.answer(order))]
    assert (request, has_failed) == (7, True)


def test_attribute_updates_arrive(platform: Platform) -> None:
    """Each is a call to the device's converter, for whose end nobody waits."""
    gateway = Gateway(platform)
    (request,) = calls_sent(gateway.tell(platform.update("press1", {"level": 3})))
    assert request.device == "press1"
    assert b'{"level":3}' in request.body
    gateway.reply(request.id, error="no such device")
    assert not [order for order in gateway.published if platform.answer(order)]


def test_the_gateway_answers_for_itself(platform: Platform) -> None:
    """In the platform's own words, and with an error to words that it does not know."""
    gateway = Gateway(platform)
    gateway.put("press1", [None], kind=Entry.OPENED)
    gateway.serve()
    gateway.tell(platform.ask_gateway("5"))
    request, said, has_failed = platform.answer(gateway.published[-1]) or (None, None, None)
    assert (str(request), has_failed) == ("5", False)
    assert "press1" in json.dumps(said)
    unknown = platform.dialect.gateway_reply(GatewayRpc("6", "no such word"), _Nothing())
    assert b"press1" not in unknown.payload


class _Nothing:
    """A gateway that knows nothing of itself."""

    version = ""
    received = accepted = 0

    def devices(self) -> dict[str, str]:
        return {}


# What else comes in.


def test_our_own_messages_sent_back_do_nothing(platform: Platform) -> None:
    """A plain MQTT broker does that with what we subscribe to: no call begins by it, and nothing goes out for it."""
    gateway = Gateway(platform)
    gateway.put("press1", [None], kind=Entry.OPENED)
    gateway.put("press1", numbered(1, 3), attributes={"a": 1})
    gateway.serve()
    (request,) = calls_sent(gateway.tell(platform.call("press1", 7, "get", None)))
    gateway.reply(request.id, data=b'{"result":1}')
    gateway.ack_all()
    published = list(gateway.published)
    for order in published:
        effects = gateway.hear(PlatformMessage(gateway.connection, order.topic, order.payload))
        assert calls_sent(effects) == []
    assert gateway.published == published


def test_junk_on_every_subscription_is_only_counted(platform: Platform) -> None:
    """Bytes that can't be understood raise nothing, and the next call is heard as ever."""
    gateway = Gateway(platform)
    junk = [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"device":5}', b'{"do":7}', b"{}"]
    for topic, _ in platform.dialect.subscriptions:
        for payload in junk:
            for there in (topic.replace("+", "x"), topic.replace("+", "1"), "no/such/topic"):
                gateway.hear(PlatformMessage(gateway.connection, there, payload))
                gateway.hear(PlatformMessage(gateway.connection, there, payload, size_bytes=1 << 30))
    assert gateway.core._counters["downlink_junk"] > 0
    assert isinstance(platform.dialect.parse(platform.dialect.subscriptions[0][0], b"\xff"), Unusable)
    assert calls_sent(gateway.tell(platform.call("press1", 7, "get", None)))
