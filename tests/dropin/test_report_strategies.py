"""Report strategies: each against a table of inputs, on every level, with restarts of everybody in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.config.models import ReportStrategy
from common.config.reading import read_gateway
from common.wire.messages import Entry, ReadingBatch, UserReading
from services.publisher.core.outbox.reports import HELD_NUMBERS, MOST_KEYS
from services.publisher.core.strategies import Strategies, strategies_of
from tests.support.publisher_driving import EPOCH, Driver, body, said

T0_MS = 1_700_000_000_000


def strategy(kind: str, period_s: float = 10.0, ttl_s: int = 86_400, threshold: float | None = None) -> ReportStrategy:
    return ReportStrategy(
        type=kind,  # type: ignore[arg-type]
        report_period_ms=int(period_s * 1000),
        ttl_s=ttl_s,
        change_threshold=threshold,
    )


def everything(one: ReportStrategy | None, **keys: ReportStrategy | None) -> dict[str, Strategies]:
    return {"press1": Strategies(one, keys, keys)}


class Device:
    """A device that says things at times of its own clock, and a publisher that hears them at once."""

    def __init__(self, strategies: dict[str, Strategies] | None) -> None:
        self.driver = self.publisher(strategies)
        self.start_s = self.driver.now_s
        self.next = 1

    @staticmethod
    def publisher(strategies: dict[str, Strategies] | None) -> Driver:
        driver = Driver(strategies=strategies)
        driver.up(limits={})
        return driver

    def until(self, at_s: float) -> None:
        """Time passes up to this moment; what goes out meanwhile is accepted."""
        while self.driver.now_s < self.start_s + at_s - 1e-9:
            self.driver.wait(min(0.25, self.start_s + at_s - self.driver.now_s))
            self.driver.ack_all()

    def say(self, at_s: float, values: Any, attributes: Any = None, *, ack: bool = True, **more: Any) -> None:
        """One frame."""
        self.until(at_s)
        packed = body([values], ts_ms=T0_MS + int(at_s * 1000), attributes=attributes, **more)
        self.put(packed)
        if ack:
            self.driver.ack_all()

    def put(self, packed: bytes, count: int = 1, kind: Entry = Entry.FRAMES, base: int = 1) -> None:
        batch = ReadingBatch("press1", "journal-press1", 1, self.next, count, base, EPOCH, kind, "0", "c", packed)
        self.next += count
        self.driver.take(batch)

    def reported(self, device: str = "press1") -> list[tuple[float, dict[str, Any]]]:
        """(seconds of the device's clock, values) of all telemetry that went out."""
        return [
            ((item["ts"] - T0_MS) / 1000, item["values"])
            for order in self.driver.published
            if order.topic == "v1/gateway/telemetry"
            for item in said(order).get(device, [])
        ]

    def values(self, key: str = "a") -> list[tuple[float, Any]]:
        return [(at_s, values[key]) for at_s, values in self.reported() if key in values]

    def attributes(self) -> list[dict[str, Any]]:
        return [said(order)["press1"] for order in self.driver.published if order.topic == "v1/gateway/attributes"]


class Case(NamedTuple):
    """What a key says, and what is reported of it, as (second, value)."""

    name: str
    strategy: ReportStrategy
    said: list[tuple[float, Any]]
    reported: list[tuple[float, Any]]
    until_s: float = 0.0


CASES = [
    Case("received", strategy("ON_RECEIVED"), [(0, 1), (1, 1), (2, 2)], [(0, 1), (1, 1), (2, 2)]),
    Case("disabled below the gateway", strategy("DISABLED"), [(0, 1), (1, 1)], [(0, 1), (1, 1)]),
    Case("change", strategy("ON_CHANGE"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 1)], [(0, 1), (2, 2), (4, 1)]),
    Case("change of nothing but the spelling", strategy("ON_CHANGE"), [(0, 1), (1, 1.0), (2, 2)], [(0, 1), (2, 2)]),
    Case("change by any difference", strategy("ON_CHANGE"), [(0, 1.0), (1, 1.0001)], [(0, 1.0), (1, 1.0001)]),
    Case(
        "change of what is no number",
        strategy("ON_CHANGE"),
        [(0, "x"), (1, "x"), (2, True), (3, 1), (4, {"k": 1}), (5, {"k": 1}), (6, {"k": 2})],
        [(0, "x"), (2, True), (3, 1), (4, {"k": 1}), (6, {"k": 2})],
    ),
    Case(
        "change by a threshold, counted from the last report",
        strategy("ON_CHANGE", threshold=0.5),
        [(0, 10.0), (1, 10.3), (2, 10.5), (3, 10.1), (4, 9.9), (5, "off"), (6, 9.9)],
        [(0, 10.0), (2, 10.5), (4, 9.9), (5, "off"), (6, 9.9)],
    ),
    Case("a threshold in tenths", strategy("ON_CHANGE", threshold=0.1), [(0, 0.2), (1, 0.3)], [(0, 0.2), (1, 0.3)]),
    Case(
        "change, remembered for ten seconds",
        strategy("ON_CHANGE", ttl_s=10),
        [(0, 1), (9, 1), (11, 1), (12, 1)],
        [(0, 1), (11, 1)],
    ),
    Case("change, remembered for ever", strategy("ON_CHANGE", ttl_s=0), [(0, 1), (200_000, 1)], [(0, 1)]),
    Case(
        "period",
        strategy("ON_REPORT_PERIOD"),
        [(0, 1), (1, 2), (9, 3), (11, 4), (12, 5)],
        [(0, 1), (10, 3), (20, 5)],
        21,
    ),
    Case("period without news", strategy("ON_REPORT_PERIOD"), [(0, 1)], [(0, 1), (10, 1), (20, 1)], 25),
    Case(
        "period until it is not remembered",
        strategy("ON_REPORT_PERIOD", ttl_s=15),
        [(0, 1), (21, 1)],
        [(0, 1), (10, 1), (21, 1), (31, 1)],
        35,
    ),
    Case(
        "change or period",
        strategy("ON_CHANGE_OR_REPORT_PERIOD"),
        [(0, 1), (1, 1), (2, 2), (12, 2), (13, 3)],
        [(0, 1), (2, 2), (10, 2), (13, 3), (20, 3)],
        25,
    ),
    Case(
        "change by a threshold, or period with what came last",
        strategy("ON_CHANGE_OR_REPORT_PERIOD", threshold=5),
        [(0, 1), (1, 3), (2, 8)],
        [(0, 1), (2, 8), (10, 8)],
        11,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_strategy_by_its_table(case: Case) -> None:
    """What a key says, second by second, and what the platform is told of it and when."""
    applied = None if case.strategy.type in ("ON_RECEIVED", "DISABLED") else case.strategy
    device = Device(everything(applied))
    for at_s, value in case.said:
        if at_s > 1000:
            device.driver.now_s += at_s
            device.start_s = device.driver.now_s - at_s
        device.say(at_s, {"a": value})
    device.until(case.until_s)
    assert device.values() == case.reported


@pytest.mark.parametrize("case", [case for case in CASES if case.until_s == 0], ids=lambda case: case.name)
def test_attributes_by_the_same_table(case: Case) -> None:
    """Attributes have strategies as telemetry has; they have no time."""
    applied = None if case.strategy.type in ("ON_RECEIVED", "DISABLED") else case.strategy
    device = Device(everything(applied))
    for at_s, value in case.said:
        if at_s > 1000:
            device.driver.now_s += at_s
            device.start_s = device.driver.now_s - at_s
        device.say(at_s, None, {"a": value})
    assert [values["a"] for values in device.attributes()] == [value for _, value in case.reported]


def test_attributes_once_a_period() -> None:
    """What came last, when the period ends."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    for second, value in enumerate((1, 2, 3)):
        device.say(second, None, {"a": value})
    device.until(11)
    assert device.attributes() == [{"a": 1}, {"a": 3}]


def test_a_data_point_wins_over_its_device() -> None:
    """Each key by its own; a number is settled with the last of its values."""
    device = Device(everything(strategy("ON_CHANGE"), b=None, c=strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": 1, "b": 1, "c": 1})
    device.say(1, {"a": 1, "b": 1, "c": 2})
    device.say(2, {"a": 2, "b": 1, "c": 3})
    device.until(11)
    assert device.reported() == [
        (0.0, {"a": 1, "b": 1, "c": 1}),
        (1.0, {"b": 1}),
        (2.0, {"a": 2, "b": 1}),
        (10.0, {"c": 3}),
    ]


def test_a_device_without_strategies_keeps_its_bytes() -> None:
    """Its JSON is not even read: spaces and the order of keys are as they came."""
    device = Device({"press2": Strategies(strategy("ON_CHANGE"), {}, {})})
    device.say(0, {"b": 1, "a": 2})
    device.say(1, {"b": 1, "a": 2})
    payloads = [order.payload for order in device.driver.published if order.topic.endswith("telemetry")]
    assert payloads == [
        b'{"press1":[{"ts":%d,"values":{"b": 1, "a": 2}}]}' % (T0_MS + second * 1000) for second in (0, 1)
    ]


# What is settled, and what outlives whom.


def test_what_is_kept_back_is_settled() -> None:
    """A value that has not changed needs no acceptance: its journal lets it go."""
    device = Device(everything(strategy("ON_CHANGE")))
    for second in range(5):
        device.say(second, {"a": 1})
    assert device.driver.report().settled == 6
    assert device.driver.core._counters["values_kept_back"] == 4


def test_what_is_kept_back_is_not_settled_before_what_it_repeats() -> None:
    """Until the first value is accepted, the same ones behind it are not let go either."""
    device = Device(everything(strategy("ON_CHANGE")))
    device.say(0, {"a": 1})
    device.say(1, {"a": 2}, ack=False)
    device.put(body([{"a": 2}], ts_ms=T0_MS + 2000))
    assert device.driver.report().settled == 2
    device.driver.ack_all()
    assert device.driver.report().settled == 4


def test_the_last_word_of_a_device_is_not_settled_before_it_is_reported() -> None:
    """A publisher that is killed gets it again from the journal, and reports it at once."""
    strategies = everything(strategy("ON_REPORT_PERIOD", period_s=3600))
    device = Device(strategies)
    device.say(0, {"a": 1})
    device.say(1, {"a": 2})
    device.say(2, {"a": 3})
    assert device.driver.report().settled == 3, "number 3 waits for the end of the period"
    later = Device(strategies)
    later.next = 3
    later.put(body([{"a": 3}], ts_ms=T0_MS + 2000), base=3)
    later.driver.ack_all()
    assert later.values() == [(2.0, 3)]
    device.until(3601)
    assert device.values() == [(0.0, 1), (3600.0, 3)]
    assert device.driver.report().settled == 4


def test_a_value_that_waits_keeps_its_number_while_others_are_reported() -> None:
    """Each key has its own period."""
    device = Device(everything(strategy("ON_REPORT_PERIOD", period_s=1), slow=strategy("ON_REPORT_PERIOD", 3600)))
    device.say(0, {"a": 1, "slow": 1})
    device.say(0.1, {"slow": 2})
    device.until(5)
    assert device.values()[-1][0] >= 4
    assert device.driver.report().settled == 2, "number 2 waits for the end of the other period"


@pytest.mark.parametrize("is_attribute", [False, True])
def test_what_is_only_said_again_keeps_no_number(is_attribute: bool) -> None:
    """The platform has it: where many devices share a stream, one such report follows the other for ever."""
    device = Device(everything(strategy("ON_CHANGE_OR_REPORT_PERIOD", period_s=1)))
    device.say(0, *((None, {"a": 1}) if is_attribute else ({"a": 1},)), ack=False)
    driver = device.driver
    driver.settle_control()
    driver.wait(1.5)
    [first] = driver.unacked
    driver.ack(first)
    [again] = driver.unacked
    assert json.dumps({"a": 1}).replace(" ", "").encode() in again.payload
    assert driver.report().settled == 2


def test_an_attribute_that_is_said_again_frees_no_number_that_waits_for_it() -> None:
    """It waits behind telemetry, and is not there twice."""
    device = Device(everything(strategy("ON_REPORT_PERIOD", period_s=1)))
    device.say(0, {"t": 1}, {"a": 1})
    device.say(0.5, {"t": 2}, {"a": 2})
    driver = device.driver
    driver.wait(2.0)
    [reported] = driver.unacked
    driver.ack(reported)
    assert device.attributes() == [{"a": 1}]
    assert driver.report().settled == 2
    driver.ack_all()
    assert device.attributes() == [{"a": 1}, {"a": 2}]
    assert driver.report().settled == 3


def test_a_value_that_waits_does_not_hold_the_stream_up() -> None:
    """Another key goes on and on: only a few numbers stay unsettled, and then none."""
    device = Device(everything(None, slow=strategy("ON_REPORT_PERIOD", period_s=3600)))
    device.say(0, {"slow": 1})
    device.say(0.1, {"slow": 2})
    for number in range(HELD_NUMBERS + 3):
        device.say(1 + number, {"a": number})
    assert device.driver.report().settled == device.next


def test_an_unchanged_value_is_reported_once_more_by_a_new_publisher() -> None:
    """Nobody knows what an earlier one has reported."""
    strategies = everything(strategy("ON_CHANGE"))
    for _ in range(2):
        device = Device(strategies)
        device.say(0, {"a": 1})
        device.say(1, {"a": 1})
        assert device.values() == [(0.0, 1)]


def test_an_unchanged_value_is_reported_once_more_in_a_new_session() -> None:
    """The platform may have lost what it had; what goes by periods goes on by them."""
    device = Device(everything(strategy("ON_CHANGE"), p=strategy("ON_REPORT_PERIOD", period_s=100)))
    device.say(0, {"a": 1, "p": 1})
    device.say(1, {"a": 1, "p": 1})
    device.driver.down()
    device.driver.again()
    at_s = device.driver.now_s - device.start_s
    device.say(at_s + 1, {"a": 1, "p": 1})
    device.say(at_s + 2, {"a": 1, "p": 1})
    assert device.values() == [(0.0, 1), (pytest.approx(at_s + 1, abs=0.002), 1)]
    assert device.values("p") == [(0.0, 1)]


def test_a_backlog_is_reported_one_a_period() -> None:
    """A minute that comes at once, as after an outage: each period is reported with what was said last in it."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    for second in range(61):
        packed = body([{"a": second}], ts_ms=T0_MS + second * 1000)
        device.put(packed)
    device.driver.ack_all()
    assert device.values() == [(0.0, 0), (10.0, 9), (20.0, 19), (30.0, 29), (40.0, 39), (50.0, 49), (60.0, 59)]


def test_reports_do_not_pile_up_while_the_platform_is_away() -> None:
    """A silent device's value waits once, however long nobody takes it."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": 1})
    device.driver.down(reached=False)
    for _ in range(100):
        device.driver.wait(10)
        if device.driver.core._session.link.state == "connecting":
            device.driver.down(reached=False)
    lane = device.driver.core._outbox.table.lanes["press1"]
    assert sum(len(segment.items) for segment in lane.segments) == 1


def test_what_waits_is_reported_before_the_goodbye() -> None:
    """The port is lost: the last value goes out first, and the next port's first value is a first one."""
    device = Device(everything(strategy("ON_REPORT_PERIOD", period_s=1000)))
    device.put(body([None]), kind=Entry.OPENED)
    device.driver.ack_all()
    device.say(0, {"a": 1})
    device.say(1, {"a": 2})
    device.put(body([None]), kind=Entry.LOST)
    device.driver.ack_all()
    assert device.driver.topics()[-2:] == ["telemetry", "disconnect"]
    assert [value for _, value in device.values()] == [1, 2]
    assert device.driver.report().settled == device.next
    device.put(body([None]), kind=Entry.OPENED)
    device.driver.ack_all()
    device.say(2, {"a": 2})
    assert [value for _, value in device.values()] == [1, 2, 2]


def test_what_waits_is_reported_when_the_publisher_ends() -> None:
    """SIGTERM: the value that nobody has reported goes out, and then the process ends."""
    from common.core.events import Drain

    device = Device(everything(strategy("ON_REPORT_PERIOD", period_s=1000)))
    device.say(0, {"a": 1})
    device.say(1, {"a": 2})
    device.driver.hear(Drain())
    assert not device.driver.exited
    device.driver.ack_all()
    device.driver.wait(0.1)
    assert [value for _, value in device.values()] == [1, 2]
    assert device.driver.exited


def test_a_clock_that_is_set_back_makes_no_period_longer() -> None:
    """The device's time goes back by a day: the period ends in time all the same."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": 1})
    device.until(1)
    device.put(body([{"a": 2}], ts_ms=T0_MS - 86_400_000))
    device.driver.ack_all()
    device.driver.wait(10.1)
    device.driver.ack_all()
    assert [value for _, value in device.values()] == [1, 2]


def test_frames_that_come_long_after_they_were_said_make_no_period_longer() -> None:
    """A converter hung; the clock went on, and its periods with it. What a late frame says waits for one."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": 1})
    device.until(95)
    for second in (1, 2):
        device.put(body([{"a": 1 + second}], ts_ms=T0_MS + second * 1000))
    assert device.driver.report().settled == 3
    device.until(106)
    assert device.values()[-1] == (11.0, 3)
    assert device.driver.report().settled == 4


def test_a_frame_that_comes_a_little_late_makes_no_period_shorter() -> None:
    """Its values have gone out a moment ago."""
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": 1})
    device.until(10.5)
    device.put(body([{"a": 2}], ts_ms=T0_MS + 9_000))
    device.until(30)
    assert device.values()[:3] == [(0.0, 1), (10.0, 1), (20.0, 2)]


def test_more_keys_than_are_remembered_are_sent_on() -> None:
    """Nothing is lost for want of room: such a value is sent as it comes, and counted."""
    device = Device(everything(strategy("ON_CHANGE")))
    for second in range(2):
        device.say(second, {f"k{number}": 1 for number in range(MOST_KEYS + 5)})
    assert sum(len(values) for _, values in device.reported()) == MOST_KEYS + 5 + 5
    assert device.driver.core._counters["values_not_remembered"] == 10


def test_values_that_grow_beyond_all_bounds_are_sent_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of all values together has a limit in bytes as well."""
    monkeypatch.setattr("services.publisher.core.outbox.reports.MOST_BYTES", 100)
    device = Device(everything(strategy("ON_REPORT_PERIOD")))
    device.say(0, {"a": "x"})
    device.say(1, {"a": "y" * 200})
    device.say(2, {"a": "y" * 200})
    assert [len(value) for _, value in device.values()] == [1, 200, 200]
    device.say(3, {"a": "z"})
    device.say(4, {"a": "z"})
    assert [value for _, value in device.values()][3:] == ["z"]
    assert device.driver.core._counters["values_not_remembered"] == 2


def test_shed_values_are_reported_again() -> None:
    """What waited for the platform was dropped by its journal: the next value is a first one."""
    device = Device(everything(strategy("ON_CHANGE")))
    device.say(0, {"a": 1})
    device.driver.down()
    device.put(body([{"a": 2}], ts_ms=T0_MS + 1000))
    device.put(body([{"a": 2}], ts_ms=T0_MS + 2000))
    device.put(body([{"a": 2}], ts_ms=T0_MS + 3000), base=4)
    device.put(body([{"a": 2}], ts_ms=T0_MS + 4000), base=4)
    device.driver.again()
    device.driver.ack_all()
    assert device.values()[-1] == (3.0, 2)


def test_devices_that_a_users_converter_names_have_the_strategies_of_theirs() -> None:
    """Each with a memory of its own, and with times that the converter has given."""
    device = Device(everything(strategy("ON_CHANGE")))
    for second in range(2):
        readings = [
            UserReading("one", "t", [(None, b'{"a":1}'), (5, b'{"a":2}')], b'{"s":7}'),
            UserReading("two", "t", [(None, b'{"a":1}')], b""),
        ]
        device.say(second, None, user={0: readings})
    assert device.reported("one") == [
        (0.0, {"a": 1}),
        ((5 - T0_MS) / 1000, {"a": 2}),
        (1.0, {"a": 1}),
        ((5 - T0_MS) / 1000, {"a": 2}),
    ]
    assert device.reported("two") == [(0.0, {"a": 1})]
    attributes = [said(order) for order in device.driver.published if order.topic.endswith("attributes")]
    assert attributes == [{"one": {"s": 7}}]
    assert device.driver.report().settled == 3


def test_a_key_brings_its_own_strategy() -> None:
    """A converter's `DatapointKey` wins over what is configured, also for a device that has no strategy at all; what is
    none leaves the key to its device."""
    brought = json.dumps(
        {
            "a": {"type": "ON_CHANGE"},
            "p": {"type": "ON_REPORT_PERIOD", "reportPeriod": 5000},
            "w": {"type": "NEVER"},
            "n": None,
        }
    ).encode()
    device = Device({})
    for second in range(3):
        values = b'{"a":1,"p":%d,"w":1,"n":1}' % second
        reading = UserReading("one", "t", [(None, values)], b'{"a":1}', brought)
        device.say(second, None, user={0: [reading]})
    device.until(6)
    assert device.reported("one") == [
        (0.0, {"a": 1, "p": 0, "w": 1, "n": 1}),
        (1.0, {"w": 1, "n": 1}),
        (2.0, {"w": 1, "n": 1}),
        (5.0, {"p": 2}),
    ]
    attributes = [said(order) for order in device.driver.published if order.topic.endswith("attributes")]
    assert attributes == [{"one": {"a": 1}}]
    disabled = Device(None)
    for second in range(2):
        reading = UserReading("one", "t", [(None, b'{"a":1}')], b"", brought)
        disabled.say(second, None, user={0: [reading]})
    assert disabled.reported("one") == [(0.0, {"a": 1}), (1.0, {"a": 1})]


# Where they stand.


def refuse_next(device: Device) -> None:
    """The platform refuses what goes out next as bad, and all that is made of it; it stays connected."""
    driver = device.driver
    while driver.unacked:
        driver.ack(driver.unacked[0], 153)


@pytest.mark.parametrize("kind", ["ON_CHANGE", "ON_CHANGE_OR_REPORT_PERIOD"])
def test_a_value_that_the_platform_has_refused_is_not_yet_said(kind: str) -> None:
    """The next reading says it again, though it has not changed; after that, nothing is said again. Keys of other
    readings, which were accepted, are left alone."""
    device = Device(everything(strategy(kind, period_s=100)))
    device.say(0, {"a": 1, "b": 1})
    device.say(1, {"a": 2, "b": 1}, ack=False)
    refuse_next(device)
    assert device.driver.report().dead == [(2, "refused by the platform with reason code 153")]
    device.driver.published.clear()
    for at_s in (5, 6, 7):
        device.say(at_s, {"a": 2, "b": 1})
    assert device.reported() == [(5, {"a": 2})]


def test_a_value_that_was_said_again_since_is_not_said_for_an_older_refusal() -> None:
    """What the platform refuses is the reading before the last: it knows the last."""
    device = Device(everything(strategy("ON_CHANGE")))
    device.say(0, {"a": 1})
    device.say(1, {"a": 2}, ack=False)
    # It waits behind the other: a device has one publish on its way.
    device.put(body([{"a": 3}], ts_ms=T0_MS + 1100))
    device.driver.ack(device.driver.unacked[0], 153)
    for at_s in (21, 22):
        device.say(at_s, {"a": 3})
    assert [number for number, _ in device.driver.report().dead] == [2]
    assert device.values() == [(0, 1), (1, 2), (1.1, 3)]


def test_an_attribute_that_the_platform_has_refused_is_not_yet_said() -> None:
    """It alone: others of the same reading were accepted."""
    device = Device(everything(strategy("ON_CHANGE")))
    device.say(0, {}, attributes={"serial": "x"})
    device.say(1, {}, attributes={"serial": "y"}, ack=False)
    refuse_next(device)
    device.driver.published.clear()
    for at_s in (5, 6):
        device.say(at_s, {}, attributes={"serial": "y"})
    assert device.attributes() == [{"serial": "y"}]


def test_a_refused_value_that_waits_for_its_period_is_said_at_the_goodbye() -> None:
    """The device is gone before it says it again."""
    device = Device(everything(strategy("ON_CHANGE_OR_REPORT_PERIOD", period_s=100)))
    device.say(0, {"a": 1})
    device.say(1, {"a": 2}, ack=False)
    refuse_next(device)
    device.driver.published.clear()
    device.until(5)
    device.put(body([{}]), kind=Entry.LOST)
    device.driver.ack_all()
    assert [values for _, values in device.reported()] == [{"a": 2}]


def gateway_of(tmp_path: Path, main: Any, entry: Any, connector: Any, device: Any, point: Any) -> dict[str, Strategies]:
    def put(section: dict[str, Any], said: Any) -> dict[str, Any]:
        return section if said is None else {**section, "reportStrategy": said}

    entry_ = put({"name": "S", "type": "serial", "configuration": "s.json"}, entry)
    (tmp_path / "tb_gateway.json").write_text(
        json.dumps({"thingsboard": put({"host": "localhost"}, main), "connectors": [entry_]})
    )
    points = [put({"key": "a", "type": "int"}, point), {"key": "b", "type": "int"}]
    section = put({"name": "press1", "port": "/dev/ttyUSB0", "telemetry": points}, device)
    (tmp_path / "s.json").write_text(json.dumps(put({"name": "S", "devices": [section]}, connector)))
    loaded = read_gateway(tmp_path / "tb_gateway.json", {})
    assert loaded.warnings == []
    return strategies_of(loaded.gateway) or {}


CHANGE, PERIOD = {"type": "ON_CHANGE"}, {"type": "on_report_period", "reportPeriod": 5000}


@pytest.mark.parametrize(
    ("levels", "a", "b"),
    [
        ((None, None, None, None, None), None, None),
        ((CHANGE, None, None, None, None), "ON_CHANGE", "ON_CHANGE"),
        ((CHANGE, PERIOD, None, None, None), "ON_REPORT_PERIOD", "ON_REPORT_PERIOD"),
        ((CHANGE, PERIOD, CHANGE, None, None), "ON_CHANGE", "ON_CHANGE"),
        ((None, None, CHANGE, PERIOD, None), "ON_REPORT_PERIOD", "ON_REPORT_PERIOD"),
        ((None, None, None, CHANGE, PERIOD), "ON_REPORT_PERIOD", "ON_CHANGE"),
        ((CHANGE, None, None, {"type": "ON_RECEIVED"}, None), None, None),
        ((CHANGE, None, None, None, {"type": "DISABLED"}), None, "ON_CHANGE"),
        (({"type": "DISABLED"}, None, CHANGE, CHANGE, PERIOD), None, None),
    ],
)
def test_the_innermost_wins(tmp_path: Path, levels: tuple[Any, ...], a: str | None, b: str | None) -> None:
    """Main file, its entry of the connector, the connector's file, device, data point. DISABLED in the main file ends
    all of it, as there."""
    found = gateway_of(tmp_path, *levels).get("press1", Strategies(None, {}, {}))
    kinds = [found.telemetry.get(key, found.otherwise) for key in ("a", "b")]
    assert [kind and kind.type for kind in kinds] == [a, b]
