"""What a PUBACK, its reason code, its absence and a close mean for readings."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from typing import Any

import pytest

from common.config.models import Platform
from common.core.events import Arrived, Drain, Send, Tick
from common.wire.messages import Entry, Heartbeat, Plane
from services.publisher.core.core import EVENTS_PER_TURN
from services.publisher.core.events import DisconnectPlatform, LinkUp, RoundOver
from tests.support.publisher_driving import Driver, batch, is_data, points, said

DEVICES = ("press1", "press2", "press3", "press4")


def announced(*devices: str, config: Platform | None = None, protocol: int = 5) -> Driver:
    driver = Driver(config)
    driver.up(protocol, limits={})
    driver.take(*(batch(1, [None], device=device, kind=Entry.OPENED, device_type="press") for device in devices))
    driver.ack_all()
    driver.wait(1.1)
    driver.published.clear()
    return driver


def run_platform(driver: Driver, is_bad, code: int = 153, seconds: float = 30.0) -> None:
    """A platform that refuses each publish of data for which `is_bad(payload)` holds, with an open connection."""
    end_s = driver.now_s + seconds
    while driver.now_s < end_s:
        while driver.unacked:
            order = driver.unacked[0]
            driver.ack(order, code if is_data(order) and is_bad(order.payload) else 0)
        driver.wait(0.25)


def test_bad_record_is_found_by_halves():
    """153: the devices are halved, then the readings; the one bad reading is a dead letter, all others are accepted."""
    driver = announced(*DEVICES)
    driver.take(*(batch(2, points(2, 40), device=device) for device in DEVICES))
    accepted: dict[str, list[int]] = {}

    def is_bad(payload: bytes) -> bool:
        bad = b'"press3":[' in payload and b'{"n": 17}' in payload.split(b'"press3":[')[1].split(b"]")[0]
        if not bad:
            for name, items in said(driver.unacked[0] if driver.unacked else driver.published[-1]).items():
                accepted.setdefault(name, []).extend(item["values"]["n"] for item in items)
        return bad

    while driver.unacked:
        order = driver.unacked[0]
        code = 153 if is_bad(order.payload) else 0
        driver.ack(order, code)
        driver.wait(0.06)
    expected = list(range(2, 42))
    assert accepted["press1"] == accepted["press2"] == accepted["press4"] == expected
    assert accepted["press3"] == [number for number in expected if number != 17]
    assert [number for number, _ in driver.report("press3").dead] == [17]
    assert {driver.report(device).settled for device in DEVICES} == {42}
    assert len(driver.published) < 40


def test_found_device_travels_alone_for_a_minute():
    """After a dead letter its device shares no publish for 60 s, then it does again."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 1)))
    driver.ack(driver.unacked[0], 153)
    assert [number for number, _ in driver.report().dead] == [2]
    driver.published.clear()
    driver.take(batch(3, points(3, 1)), batch(2, points(2, 1), device="press2"))
    driver.wait(0.06)
    driver.ack_all()
    assert [len(said(order)) for order in driver.published] == [1, 1]
    driver.wait(60.0)
    driver.published.clear()
    driver.take(batch(4, points(4, 1)), batch(3, points(3, 1), device="press2"))
    assert [len(said(order)) for order in driver.published] == [2]


def test_unspecified_error_waits_a_second_before_it_means_the_data():
    """128 is looked into only if the connection still stands a second later; alone, the device backs off."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 1)))
    driver.ack(driver.unacked[0], 128)
    driver.wait(0.9)
    assert driver.unacked == []
    driver.wait(2.0)
    assert len(driver.data) == 1
    driver.ack(driver.unacked[0])
    assert driver.report().settled == 3
    assert driver.report().dead == []


def test_quota_and_close_means_slower_and_again():
    """151 and then a close is the rate: nothing is blamed or lost, and the next publishes keep a distance."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 4)), batch(2, points(2, 4), device="press2"))
    driver.ack(driver.unacked[0], 151)
    driver.down()
    driver.published.clear()
    driver.again()
    times = []
    for number in range(6, 26):
        driver.take(batch(number, points(number, 1)))
        for order in driver.data:
            times.append(driver.now_s)
            driver.ack(order)
        driver.wait(0.1)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= 0.2
    assert pauses[-1] <= 0.11
    assert driver.report("press2").settled == 6
    assert driver.report().dead == []
    assert driver.items("press1")[:4] == points(2, 4)


def test_other_codes_keep_the_data_and_back_off():
    """A code such as 135 (not authorized) loses nothing: the device is tried again, later."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 3)))
    driver.ack(driver.unacked[0], 135)
    assert driver.unacked == []
    driver.wait(0.8)
    assert driver.unacked == []
    driver.wait(1.0)
    driver.ack_all()
    assert driver.items() == points(2, 3) * 2
    assert driver.report().settled == 5


def test_refused_connect_backs_off_alone():
    """A device that can't be created waits by itself, longer each time, with one warning; the others go on."""
    driver = Driver()
    driver.up(limits={})
    driver.take(
        batch(1, [None], kind=Entry.OPENED, device_type="press"),
        batch(2, points(2, 1)),
        batch(1, points(1, 1), device="press2"),
    )
    attempts = 0
    for _ in range(200):
        for order in list(driver.unacked):
            refused = order.topic == "v1/gateway/connect" and said(order)["device"] == "press1"
            attempts += refused
            driver.ack(order, 151 if refused else 0)
        driver.wait(0.1)
    assert 3 <= attempts <= 6
    assert driver.report("press2").settled == 2
    assert driver.report("press1").settled == 1
    assert len([note for note in driver.notes if note.event == "device.refused"]) == 1
    for _ in range(60):
        driver.wait(1.0)
        driver.ack_all()
    assert driver.report("press1").settled == 3


def test_disconnect_returns_everything_and_announces_first():
    """What was in flight goes out again in order on the next connection, after the announcements."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 3)), batch(2, points(2, 3), device="press2"))
    driver.take(batch(5, points(5, 1)))
    first = driver.published[0].payload
    driver.down()
    driver.published.clear()
    driver.again()
    assert driver.topics()[:3] == ["v1/devices/me/rpc/request/1", "connect", "connect"]
    assert set(driver.topics()[3:]) == {"telemetry"}
    driver.ack_all()
    times = [item["ts"] for order in driver.published if is_data(order) for item in said(order).get("press1", [])]
    assert times == [1002, 1003, 1004, 1005]
    assert b'{"ts":1002,"values":{"n": 2}}' in first
    assert driver.report().settled == 6


def test_lost_device_is_not_announced_again():
    """Only devices that are open are announced on a new connection."""
    driver = announced("press1", "press2")
    driver.take(batch(2, [None], kind=Entry.LOST))
    driver.ack_all()
    driver.down()
    driver.published.clear()
    driver.again()
    names = [said(order)["device"] for order in driver.published if order.topic == "v1/gateway/connect"]
    assert names == ["press2"]


def test_acks_of_an_older_connection_mean_nothing():
    """A token of the last connection settles nothing on this one."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 1)))
    old = driver.unacked[0]
    driver.down()
    driver.again()
    driver.unacked.append(old)
    driver.ack(old)
    assert driver.report().settled == 2
    driver.ack_all()
    assert driver.report().settled == 3


def test_in_flight_is_bounded():
    """Never more publishes in flight than the least of the platform's limit, Receive Maximum and 100; marks 20."""
    driver = Driver()
    driver.up(limits={}, receive_maximum=3)
    driver.take(*(batch(1, points(1, 1), device=f"d{index}") for index in range(10)))
    assert len(driver.unacked) == 3
    driver.ack_all()
    assert all(driver.report(f"d{index}").settled == 2 for index in range(10))
    driver = Driver()
    driver.up(limits={})
    driver.take(*(batch(1, points(1, 1), device=f"d{index}") for index in range(300)))
    assert len(driver.unacked) == 20
    for _ in range(290):
        driver.ack(next(order for order in driver.unacked if not is_data(order)))
    assert max(len(driver.unacked), len(driver.data)) <= 100


def test_puback_on_3_1_1_counts_a_second_later():
    """On 3.1.1 a PUBACK settles only if the connection still stands 1 s later; the lane goes on meanwhile."""
    driver = announced("press1", protocol=4)
    driver.take(batch(2, points(2, 1)))
    driver.ack(driver.unacked[0])
    assert driver.report().settled == 2
    driver.take(batch(3, points(3, 1)))
    assert len(driver.data) == 1
    driver.ack(driver.unacked[0])
    driver.wait(1.1)
    assert driver.report().settled == 4


def test_doubtful_acks_are_sent_again_on_3_1_1():
    """A PUBACK directly followed by a close is no acceptance: the same readings go out again, in order, same times."""
    driver = announced("press1", protocol=4)
    driver.take(batch(2, points(2, 2)))
    driver.ack(driver.unacked[0])
    driver.take(batch(4, points(4, 2)))
    driver.ack(driver.unacked[0])
    driver.take(batch(6, points(6, 1)), batch(7, [None], kind=Entry.LOST))
    driver.down()
    driver.published.clear()
    driver.again(protocol=4)
    driver.ack_all()
    driver.wait(1.1)
    driver.ack_all()
    assert driver.items() == points(2, 5)
    assert driver.topics()[-1] == "disconnect"
    driver.wait(1.1)
    assert driver.report().settled == 8


def test_publish_without_puback_ends_the_connection():
    """After 20 s without PUBACK the connection is given up and everything is published again on a new one."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 2)))
    effects = driver.wait(20.5)
    assert any(isinstance(effect, DisconnectPlatform) for effect in effects)
    driver.again()
    driver.ack_all()
    assert driver.report().settled == 4
    assert driver.items() == points(2, 2) * 2


def test_what_came_together_leaves_together_at_the_end_of_the_round():
    """At once, without another look at the sources."""
    driver = announced("press1", "press2")
    for device in ("press1", "press2"):
        assert driver.core.handle(Arrived(Plane.READINGS, batch(2, points(2, 2), device=device)), driver.now_s) == []
    (publish,) = driver.core.handle(RoundOver(), driver.now_s)
    assert set(json.loads(publish.payload)) == {"press1", "press2"}
    assert driver.core.handle(RoundOver(), driver.now_s) == []


def round_of(driver: Driver, count: int, now_s: float) -> list[Any]:
    """The effects of a round with so many batches."""
    numbers = range(2, 2 + count)
    effects = [driver.core.handle(Arrived(Plane.READINGS, batch(at, points(at, 1))), now_s) for at in numbers]
    return [*chain.from_iterable(effects), *driver.core.handle(RoundOver(), now_s)]


def decided(effects: list[Any]) -> list[str]:
    """What of these only time can have decided."""
    names = [type(getattr(effect, "message", effect)).__name__ for effect in effects]
    return [name for name in names if name in ("Heartbeat", "DisconnectPlatform", "Exit")]


@pytest.mark.parametrize("count", [1, EVENTS_PER_TURN * 2])
def test_a_round_decides_nothing_by_time_however_much_came(count: int):
    """A PUBACK may lie unread in another source, and what wakes nobody is heard before timers only."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 2), device="press2"))
    late_s = driver.now_s + 21
    assert decided(round_of(driver, count, late_s)) == []
    assert driver.core.next_deadline_s <= late_s
    assert decided(driver.core.handle(Tick(), late_s)) == ["DisconnectPlatform", "Heartbeat"]


@pytest.mark.parametrize("count", [1, EVENTS_PER_TURN * 2])
def test_what_is_in_doubt_is_accepted_at_a_timer_only(count: int):
    """The close that makes it a refusal may lie unread."""
    driver = announced("press1", "press2", protocol=4)
    driver.take(batch(2, points(2, 2), device="press2"))
    driver.ack_all()
    round_of(driver, count, driver.now_s + 1.5)
    assert driver.report("press2").settled == 2
    driver.hear(Tick())
    driver.wait(2)
    assert driver.report("press2").settled == 4


@pytest.mark.parametrize("count", [1, EVENTS_PER_TURN * 2])
def test_a_drain_ends_at_a_timer_if_not_for_being_done(count: int):
    """That its time is over is concluded when everything was heard."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 2)))
    driver.hear(Drain())
    late_s = driver.now_s + 10
    assert "Exit" not in decided(round_of(driver, count, late_s))
    assert "Exit" in decided(driver.core.handle(Tick(), late_s))


def close_at(driver: Driver, is_bad, rounds: int, protocol: int = 5) -> dict[str, list[int]]:
    """A platform that closes without a word at each publish for which `is_bad` holds; what it accepted."""
    accepted: dict[str, list[int]] = {}
    for _ in range(rounds):
        if not driver.unacked:
            driver.wait(0.1)
            continue
        order = driver.unacked[0]
        if is_data(order) and is_bad(order.payload):
            driver.down()
            driver.again(protocol=protocol)
            continue
        driver.ack(order)
        if order.topic == "v1/gateway/telemetry":
            for name, items in said(order).items():
                accepted.setdefault(name, []).extend(item["values"]["n"] for item in items)
    return accepted


def test_record_that_closes_the_connection_is_found():
    """Suspects go one at a time, then in halves; the record that closes the connection alone three times is a dead
    letter, if others were accepted between. Nothing else is lost, and order holds."""
    driver = announced("press1", "press2")
    fed = {"press1": 2, "press2": 2}

    def feed() -> None:
        for device, first in list(fed.items()):
            driver.take(batch(first, points(first, 6), device=device))
            fed[device] = first + 6

    feed()
    accepted: dict[str, list[int]] = {"press1": [], "press2": []}
    for _ in range(120):
        for name, numbers in close_at(driver, lambda p: b'"press1":[' in p and b'{"n": 5}' in p, 10).items():
            accepted[name] += numbers
        if fed["press2"] < 200:
            driver.take(batch(fed["press2"], points(fed["press2"], 6), device="press2"))
            fed["press2"] += 6
    assert [number for number, _ in driver.report("press1").dead] == [5]
    assert accepted["press1"] == [2, 3, 4, 6, 7]
    assert accepted["press2"] == list(range(2, fed["press2"]))
    assert driver.report("press1").settled == 8


def test_record_that_closes_the_connection_is_found_beside_fresh_pubacks():
    """On 3.1.1 another device's PUBACK just before the close, and attributes of the same one that are accepted, don't
    hide the record that it closed at."""
    driver = announced("press1", "press2", protocol=4)
    driver.take(batch(2, points(2, 6), attributes={"last": 7}))
    first = 2
    for _ in range(400):
        close_at(driver, lambda payload: b'"press1":[' in payload and b'{"n": 5}' in payload, 5, protocol=4)
        if first < 200 and not driver.data:
            last = {"last": first}
            driver.take(batch(first, points(first, 2), device="press2", attributes=last))
            first += 2
    assert [number for number, _ in driver.report("press1").dead] == [5]
    assert driver.report("press1").settled == 8


def test_trial_waits_for_what_is_in_doubt():
    """On 3.1.1 a suspect goes out when the others' PUBACKs are a second old: they are accepted though it closes."""
    driver = announced("press1", "press2", protocol=4)
    driver.take(batch(2, points(2, 1)))
    for _ in range(3):
        driver.down()
        driver.again(protocol=4)
        driver.take(batch(2, points(2, 1), device="press2"))
        driver.settle_control()
    order = next(order for order in driver.data if b"press2" in order.payload)
    driver.ack(order)
    driver.wait(0.8)
    assert [order.payload for order in driver.data if b"press1" in order.payload] == []
    driver.wait(0.3)
    assert b"press1" in driver.data[0].payload
    assert driver.report("press2").settled == 3


@pytest.mark.parametrize("protocol", [5, 4])
def test_suspects_take_turns(protocol):
    """Innocent devices that were in flight at the closes are tried too, not only the one that closes it each time."""
    driver = announced("press1", "press2", "press3", protocol=protocol)
    driver.take(*(batch(2, points(2, 1), device=device) for device in ("press1", "press2", "press3")))
    for _ in range(30):
        close_at(driver, lambda payload: b'"press1":[' in payload, 10, protocol=protocol)
    driver.wait(1.1)
    assert driver.report("press2").settled == driver.report("press3").settled == 3


def test_closes_alone_make_no_dead_letter_while_nothing_else_is_accepted():
    """A platform that closes at everything is to blame itself: all is kept."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 1)), batch(2, points(2, 1), device="press2"))
    close_at(driver, lambda payload: True, 60)
    assert driver.report("press1").dead == driver.report("press2").dead == []
    assert driver.report("press1").settled == driver.report("press2").settled == 2
    close_at(driver, lambda payload: False, 60)
    assert driver.report("press1").settled == driver.report("press2").settled == 3


def suspected(*devices: str) -> Driver:
    """On 3.1.1, devices at whose data, all of it in flight, the connection has closed three times; it stands again."""
    driver = announced(*devices, protocol=4)
    driver.take(*(batch(2, points(2, 1), device=device) for device in devices))
    while [note.event for note in driver.notes].count("device.suspected") < len(devices):
        driver.wait(0.05)
        if driver.data:
            driver.down()
            driver.again(protocol=4)
    return driver


def test_several_suspects_are_tried_in_a_second():
    """On 3.1.1 a platform closes at once at what it can't read: so the next suspect need not wait until the one before
    is accepted for good, and the last of eight is settled within three seconds."""
    names = tuple(f"press{number}" for number in range(1, 9))
    driver = suspected(*names)
    since_s = driver.now_s
    while any(driver.report(name).settled < 3 for name in names) and driver.now_s < since_s + 30:
        driver.ack_all()
        driver.wait(0.05)
    assert driver.now_s - since_s < 3.2
    assert all(len(said(order)) == 1 for order in driver.published if is_data(order) and order.connection > 3)


def test_a_suspect_whose_trial_has_closed_the_connection_takes_nobody_back_again():
    """On 3.1.1 it closes at one of three suspects: that one is tried twice at most while the others are in doubt, and
    from then on only when they are accepted."""
    driver = suspected("press1", "press2", "press3")
    closes, taken_back = 0, 0
    since_s = driver.now_s
    while closes < 3 and driver.now_s < since_s + 120:
        driver.wait(0.05)
        for order in driver.data:
            if b'"press1":[' not in order.payload:
                driver.ack(order)
                continue
            closes += 1
            taken_back += any(driver.report(name).settled < 3 for name in ("press2", "press3"))
            driver.down()
            driver.again(protocol=4)
        driver.settle_control()
    assert closes == 3
    assert taken_back <= 2
    assert driver.report("press2").settled == driver.report("press3").settled == 3


def test_a_suspect_is_tried_by_what_it_is_blamed_for():
    """Telemetry that is accepted says nothing of attributes at which the connection has closed: so these go first."""
    driver = announced("press1", protocol=4)
    driver.take(batch(2, [None], attributes={"last": 1}))
    for close in range(3):
        while not driver.data:
            driver.wait(0.05)
        assert driver.data[0].topic == "v1/gateway/attributes"
        if close == 2:
            driver.take(batch(3, points(3, 4)))
        driver.down()
        driver.again(protocol=4)
    while not driver.data:
        driver.wait(0.05)
    assert driver.data[0].topic == "v1/gateway/attributes"


def test_a_suspect_with_much_to_say_keeps_no_other_from_its_trial():
    """On 3.1.1 a device of which a bad record is being looked for stays a suspect for many trials; the others have
    theirs between."""
    driver = suspected("press1", "press2")
    driver.take(batch(3, points(3, 64)))
    outcome: list[str] = []
    while len(outcome) < 8:
        driver.wait(0.05)
        for order in driver.data:
            [name] = said(order)
            outcome.append(name)
            if name == "press1" and len(said(order)[name]) > 1:
                driver.down()
                driver.again(protocol=4)
            else:
                driver.ack(order)
        driver.settle_control()
    assert "press2" in outcome[:2]


def test_refused_rate_although_slow_means_smaller():
    """A bucket smaller than one publish never takes it, however slow: 151 and a close although paced halves it."""
    driver = announced(*DEVICES)
    driver.take(*(batch(2, points(2, 100), device=device) for device in DEVICES))
    refused = 0
    for _ in range(2_000):
        if not driver.unacked:
            driver.wait(0.1)
            continue
        order = driver.unacked[0]
        count = sum(len(items) for items in said(order).values()) if is_data(order) else 0
        if count > 20:
            refused += 1
            driver.ack(order, 151)
            driver.down()
            driver.again()
        else:
            driver.ack(order)
    assert {driver.report(device).settled for device in DEVICES} == {102}
    assert all(driver.report(device).dead == [] for device in DEVICES)
    assert 4 <= refused <= 12
    for number in range(102, 140):
        driver.take(batch(number, points(number, 1)))
        driver.wait(0.5)
        driver.ack_all()
    events = [note.event for note in driver.notes if note.event.startswith("platform.rate")]
    assert events == ["platform.rate_limited", "platform.rate_recovered"]


def test_rate_limited_announcements_go_slower():
    """151 to `connect` on an open connection: announcements go one at a time at a rate, and all of 60 devices come
    through a bucket of 10 per second within half a minute; no device is said to be refused."""
    driver = Driver()
    driver.up(limits={})
    driver.take(*(batch(1, points(1, 1), device=f"d{index}") for index in range(60)))
    tokens, refused, filled_s = 10.0, 0, driver.now_s
    for _ in range(600):
        while driver.unacked:
            tokens, filled_s = min(10.0, tokens + 10 * (driver.now_s - filled_s)), driver.now_s
            order = driver.unacked[0]
            is_refused = order.topic == "v1/gateway/connect" and tokens < 1
            tokens -= order.topic == "v1/gateway/connect" and not is_refused
            refused += is_refused
            driver.ack(order, 151 if is_refused else 0)
        driver.wait(0.05)
    assert all(driver.report(f"d{index}").settled == 2 for index in range(60))
    assert refused < 60
    assert not [note for note in driver.notes if note.event == "device.refused"]


def test_doubtful_close_on_3_1_1_is_a_rate_before_it_is_a_record():
    """On 3.1.1 a PUBACK directly followed by a close means slower; nothing is blamed, nothing is dead."""
    driver = announced("press1", "press2", protocol=4)
    driver.take(batch(2, points(2, 1)), batch(2, points(2, 1), device="press2"))
    times = []
    for _ in range(5):
        while not driver.data:
            driver.wait(0.1)
        times.append(driver.now_s)
        driver.ack(driver.data[0])
        driver.down()
        driver.again(protocol=4)
        driver.settle_control()
    assert len(driver.notes) == len([note for note in driver.notes if note.event != "device.suspected"])
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[-1] >= 2.0
    for _ in range(40):
        driver.wait(0.5)
        driver.ack_all()
    assert driver.report("press1").settled == driver.report("press2").settled == 3
    assert driver.report("press1").dead == []


def test_record_that_closes_alone_with_nothing_else_accepted_is_kept_and_said():
    """One device, whose first record closes the connection each time: kept, tried ever more slowly; one warning, a
    counter."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 1)))
    times = []
    for _ in range(16):
        while not driver.data:
            driver.wait(0.25)
        times.append(driver.now_s)
        driver.down()
        driver.again()
    assert driver.report().dead == []
    assert max(later - earlier for earlier, later in pairwise(times)) > 40
    events = [note.event for note in driver.notes]
    assert events.count("device.suspected") == events.count("device.stuck") == 1
    beats = [effect.message for effect in driver.wait(1.1) if isinstance(effect, Send)]
    assert max(beat.counters["record_closes"] for beat in beats if isinstance(beat, Heartbeat)) >= 10
    driver.settle_control()
    driver.wait(1.1)
    driver.ack_all()
    assert driver.report().settled == 3


def test_dropped_device_is_announced_again():
    """`v1/gateway/disconnect` from the platform: the device is announced before its next data."""
    driver = announced("press1")
    driver.say("v1/gateway/disconnect", {"device": "press1", "reason": 128})
    driver.take(batch(2, points(2, 1)))
    driver.ack_all()
    assert driver.topics() == ["connect", "telemetry"]


def test_device_dropped_while_it_is_announced_is_announced_again():
    """The platform has ended its session after it took the `connect`, whose acknowledgement comes later."""
    driver = Driver()
    driver.up()
    driver.take(batch(1, points(1, 1)))
    assert driver.topics()[-1] == "connect"
    driver.say("v1/gateway/disconnect", {"device": "press1", "reason": 128})
    driver.ack_all()
    driver.wait(3)
    assert driver.topics()[-3:] == ["connect", "connect", "telemetry"]


def test_refused_attribute_is_found_by_halves():
    """153 on attributes: the bad key is dropped and its number a dead letter, the other keys are accepted."""
    driver = announced("press1")
    driver.take(batch(2, [None], attributes={f"k{index}": index for index in range(8)}))
    accepted: dict[str, int] = {}
    while driver.unacked:
        order = driver.unacked[0]
        bad = b'"k5"' in order.payload
        if not bad:
            accepted |= said(order)["press1"]
        driver.ack(order, 153 if bad else 0)
    assert accepted == {f"k{index}": index for index in range(8) if index != 5}
    assert [number for number, _ in driver.report().dead] == [2]
    assert driver.report().settled == 3


def test_a_suspect_is_tried_after_the_others_are_announced_and_heard():
    """Its trial may close the connection: the others' data goes first, and makes the next connection come at once."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, points(1, 1)))
    for _ in range(3):
        driver.settle_control()
        assert [sorted(said(order)) for order in driver.data] == [["press1"]]
        driver.down()
        connection = driver.connection
        while driver.connection == connection:
            driver.wait(1.0)
        driver.hear(LinkUp(driver.connection, 5))
        driver.say("v1/devices/me/rpc/response/1", {})
        driver.ack(driver.unacked[0])
    driver.take(batch(1, points(1, 1), device="press2"))
    (first, second) = [order for order in driver.unacked if order.topic.endswith("/connect")]
    assert [said(first)["device"], said(second)["device"]] == ["press1", "press2"]
    driver.ack(first)
    assert driver.data == []
    driver.ack(second)
    assert [sorted(said(order)) for order in driver.data] == [["press2"]]
    driver.ack(driver.data[0])
    assert [sorted(said(order)) for order in driver.data] == [["press1"]]
