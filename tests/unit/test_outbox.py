"""What goes into publishes: order per device, many devices in one, limits, attributes, other devices' readings."""

from __future__ import annotations

import json

from common.config.models import Platform
from common.wire.messages import Entry, UserReading
from services.publisher.core.outbox.lanes import TELEMETRY_RUN
from tests.support.publisher_driving import Driver, batch, points, said


def started(config: Platform | None = None) -> Driver:
    driver = Driver(config)
    driver.up(limits={})
    return driver


def announced(*devices: str, config: Platform | None = None) -> Driver:
    """A driver whose devices are announced by OPENED entries (number 1 of each stream)."""
    driver = started(config)
    driver.take(*(batch(1, [None], device=device, kind=Entry.OPENED, device_type="press") for device in devices))
    driver.ack_all()
    driver.published.clear()
    return driver


def test_connect_telemetry_attributes_in_this_order():
    """OPENED is a `connect` with its type, accepted before data; then telemetry, then attributes, one at a time."""
    driver = started()
    driver.published.clear()
    driver.take(
        batch(1, [None], kind=Entry.OPENED, device_type="scale"), batch(2, points(2, 2), attributes={"sn": "7"})
    )
    assert driver.topics() == ["connect"]
    assert said(driver.published[0]) == {"device": "press1", "type": "scale"}
    driver.ack(driver.unacked[0])
    assert driver.topics() == ["connect", "telemetry"]
    driver.ack(driver.unacked[0])
    assert driver.topics() == ["connect", "telemetry", "attributes"]
    assert driver.report().settled == 2
    driver.ack(driver.unacked[0])
    assert driver.report().settled == 4


def test_lost_is_disconnect_in_its_place():
    """`disconnect` comes after all data before it was accepted, and before later data, which needs a new `connect`."""
    driver = announced("press1")
    driver.take(
        batch(2, points(2, 1)),
        batch(3, [None], kind=Entry.LOST),
        batch(4, [None], kind=Entry.OPENED, device_type="press"),
        batch(5, points(5, 1)),
    )
    driver.ack_all()
    assert driver.topics() == ["telemetry", "disconnect", "connect", "telemetry"]
    assert driver.report().settled == 6


def test_data_without_opened_is_announced_with_the_configured_type():
    """A restarted publisher that hears data only announces the device first, with its type from the configuration."""
    driver = started()
    driver.published.clear()
    driver.take(batch(40, points(40, 1), base=40))
    driver.ack_all()
    assert driver.topics() == ["connect", "telemetry"]
    assert said(driver.published[0]) == {"device": "press1", "type": "press"}


def test_one_unaccepted_publish_at_a_time_per_device():
    """While a publish of a device is unanswered its later data waits; other devices use the other slots."""
    driver = announced("press1", "press2")
    driver.take(batch(2, points(2, 1)))
    driver.take(batch(3, points(3, 1)))
    driver.take(batch(2, points(2, 1), device="press2"))
    driver.wait(0.06)
    assert [set(said(order)) for order in driver.published] == [{"press1"}, {"press2"}]
    driver.ack(driver.unacked[0])
    driver.wait(0.06)
    assert driver.items("press1") == points(2, 2)


def test_devices_that_come_together_leave_together():
    """Readings of many devices of one turn are one publish when nothing is in flight, at once."""
    driver = announced("press1", "press2", "press3")
    driver.take(*(batch(2, points(2, 3), device=device) for device in ("press1", "press2", "press3")))
    assert len(driver.published) == 1
    assert {name: len(items) for name, items in said(driver.published[0]).items()} == {
        "press1": 3,
        "press2": 3,
        "press3": 3,
    }


def test_delay_and_size_decide_while_something_is_in_flight():
    """With a publish in flight others wait for the delay limit, or until there is enough for a full message."""
    driver = announced("press1", "press2", "press3", config=Platform(min_pack_size_to_send=20))
    driver.take(batch(2, points(2, 1)))
    driver.take(batch(2, points(2, 5), device="press2"))
    assert len(driver.published) == 1
    driver.take(batch(2, points(2, 15), device="press3"))
    assert len(driver.published) == 2, "20 readings are a message"
    driver.take(batch(17, points(17, 1), device="press1"), batch(3, points(3, 1), device="press1"))
    driver.ack(driver.unacked[0])
    driver.wait(0.05)
    assert len(driver.published) == 3, "50 ms are enough"


def test_payload_and_count_limits_hold():
    """No publish is larger than the limit or has more readings than allowed; all arrive, in order."""
    config = Platform(max_payload_size_bytes=300, min_pack_size_to_send=5)
    driver = announced("press1", "press2", config=config)
    driver.take(batch(2, points(2, 40)), batch(2, points(2, 40), device="press2"))
    driver.ack_all()
    assert driver.items("press1") == points(2, 40)
    assert driver.items("press2") == points(2, 40)
    for order in driver.published:
        assert len(order.payload) <= 300
        assert sum(map(len, said(order).values())) <= 5
    assert driver.report("press1").settled == driver.report("press2").settled == 42


def test_telemetry_settles_as_it_is_accepted():
    """A long batch without attributes settles publish by publish."""
    driver = announced("press1", config=Platform(min_pack_size_to_send=4))
    driver.take(batch(2, points(2, 10)))
    settled = []
    while driver.unacked:
        driver.ack(driver.unacked[0])
        settled.append(driver.report().settled)
    assert settled == [6, 10, 12]


def test_the_platforms_word_replaces_the_references_guess():
    """8,196 bytes and 500 readings go together; 80 % of 65,536 bytes take six times as many. A limit of the user's own
    stays one."""
    for config, most in ((Platform(), 1_024), (Platform(max_payload_size_bytes=8_000), 300)):
        driver = Driver(config)
        driver.up(limits={"maxPayloadSize": 65_536, "maxInflightMessages": 100, "rateLimits": {}})
        driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
        driver.ack_all()
        driver.published.clear()
        driver.take(batch(2, points(2, 512)), batch(514, points(514, 512)))
        (first,) = said(driver.published[0]).values()
        assert most * 0.6 <= len(first) <= most


def test_platform_limits_are_applied():
    """The server's payload limit (80 % of it) and in-flight limit count where they are lower."""
    driver = Driver()
    driver.up(limits={"maxPayloadSize": 500, "maxInflightMessages": 2, "rateLimits": {}})
    devices = ["press1", "press2", "press3", "press4"]
    driver.take(*(batch(1, [None], device=device, kind=Entry.OPENED) for device in devices))
    assert len(driver.unacked) == 2
    driver.ack_all()
    driver.take(batch(2, points(2, 40)))
    driver.ack_all()
    assert max(len(order.payload) for order in driver.published) <= 400


def test_large_reading_is_split_by_key():
    """A reading above the limit goes out in pieces with its time, and settles with the last of them."""
    driver = announced("press1", config=Platform(max_payload_size_bytes=256))
    values = {f"key{index}": "x" * 50 for index in range(9)}
    driver.take(batch(2, [{"n": 2}, values, {"n": 4}]))
    settled = []
    while driver.unacked:
        driver.ack(driver.unacked[0])
        settled.append(driver.report().settled)
    merged: dict[str, str] = {}
    for item in driver.items()[1:-1]:
        merged |= item
    merged.pop("n", None)
    assert merged == values
    times = {item["ts"] for order in driver.published for item in said(order)["press1"] if "n" not in item["values"]}
    assert times == {1003}
    assert settled[0] == 3
    assert settled[-1] == 5
    assert all(len(order.payload) <= 256 for order in driver.published)


def test_single_value_above_the_limit_is_a_dead_letter():
    """The rest of its reading and what is around it goes out; the number is reported dead with the key."""
    driver = announced("press1", config=Platform(max_payload_size_bytes=256))
    driver.take(batch(2, [{"n": 2}, {"big": "x" * 500, "small": 1}, {"big": "y" * 500}, {"n": 5}]))
    driver.ack_all()
    assert driver.items() == [{"n": 2}, {"small": 1}, {"n": 5}]
    assert driver.report().settled == 6
    assert [number for number, _ in driver.report().dead] == [3, 4]
    assert "big" in driver.report().dead[0][1]


def test_nothing_to_publish_settles_after_everything_before():
    """Dead letters and empty readings settle at once when they are first, else in their place."""
    driver = announced("press1")
    driver.take(batch(2, [None, None], dead={1: "bad"}))
    assert driver.report().settled == 4
    driver.take(batch(4, points(4, 1)), batch(5, [None, None]))
    assert driver.report().settled == 4
    driver.ack_all()
    assert driver.report().settled == 7


def test_attributes_last_value_wins():
    """Attributes that wait are merged by key; all their numbers settle with the one publish."""
    driver = announced("press1")
    driver.take(batch(2, points(2, 1)))
    driver.take(batch(3, [None], attributes={"a": 1, "b": 1}))
    driver.take(batch(4, [None], attributes={"b": 2, "c": 2}))
    assert driver.report().settled == 2
    driver.ack(driver.unacked[0])
    assert said(driver.unacked[0]) == {"press1": {"a": 1, "b": 2, "c": 2}}
    assert driver.report().settled == 3
    driver.ack_all()
    assert driver.report().settled == 5


def test_attributes_are_not_starved_by_telemetry():
    """Under a steady stream attributes, of which only the last value counts, have every fifth turn."""
    driver = announced("press1", config=Platform(min_pack_size_to_send=2))
    driver.take(*(batch(number, points(number, 1), attributes={"n": number}) for number in range(2, 16)))
    driver.ack_all()
    assert driver.topics()[:6] == [*["telemetry"] * TELEMETRY_RUN, "attributes", "telemetry"]
    assert said(driver.published[TELEMETRY_RUN]) == {"press1": {"n": 15}}
    assert driver.report().settled == 16


def test_superseded_attributes_hold_nothing():
    """Later values of the same keys make the earlier ones' numbers wait for their telemetry only; the last one waits
    for its attributes too."""
    driver = announced("press1", config=Platform(min_pack_size_to_send=2))
    driver.take(*(batch(number, points(number, 1), attributes={"n": number}) for number in range(2, 12)))
    driver.ack(driver.unacked[0])
    driver.ack(driver.unacked[0])
    assert driver.report().settled == 6
    driver.take(batch(12, points(12, 1), attributes={"other": 1}))
    driver.take(batch(13, points(13, 1), attributes={"other": 2}))
    driver.ack(driver.unacked[0])
    driver.ack(driver.unacked[0])
    assert driver.report().settled == 10
    assert said(driver.unacked[0]) == {"press1": {"n": 11, "other": 2}}
    driver.ack_all()
    assert driver.report().settled == 14


def test_attributes_that_are_half_on_their_way_are_superseded_by_nobody():
    """Some keys of a number are in flight, the rest of them comes anew: the number waits for all of its own."""
    driver = announced("press1", config=Platform(max_payload_size_bytes=100))
    driver.take(batch(2, [None], attributes={"a": "x" * 60, "b": "y" * 60}))
    assert said(driver.unacked[0]) == {"press1": {"a": "x" * 60}}
    driver.take(batch(3, [None], attributes={"b": "z" * 60}))
    assert driver.report().settled == 2
    driver.ack_all()
    assert driver.report().settled == 4


def test_many_attributes_are_split_by_key():
    """Attributes above the limit go out in several publishes, and one alone above it is a dead letter."""
    driver = announced("press1", config=Platform(max_payload_size_bytes=256))
    values = {f"key{index}": "x" * 60 for index in range(6)} | {"huge": "y" * 400}
    driver.take(batch(2, [None], attributes=values))
    driver.ack_all()
    merged: dict[str, str] = {}
    for order in driver.published:
        assert len(order.payload) <= 256
        merged |= said(order)["press1"]
    assert merged == {key: value for key, value in values.items() if key != "huge"}
    assert [number for number, _ in driver.report().dead] == [2]
    assert driver.report().settled == 3


def test_only_attribute_above_the_limit_settles_as_a_dead_letter():
    """Nothing is left to publish, and the number still settles."""
    driver = announced("press1", config=Platform(max_payload_size_bytes=256))
    driver.take(batch(2, [None], attributes={"huge": "y" * 400}))
    assert driver.published == []
    assert driver.report().settled == 3


def test_broken_attributes_are_a_dead_letter():
    """Attributes that are no JSON object harm nobody."""
    driver = announced("press1")
    good = batch(2, points(2, 1))
    bad = batch(3, [None])
    bad = bad.replace(body=bad.body.replace(b"\xc4\x00\x80\x80", b"\xc4\x03nul\x80\x80"))
    driver.take(good, bad)
    driver.ack_all()
    assert driver.report().settled == 4
    assert [number for number, _ in driver.report().dead] == [3]


def test_user_readings_go_to_the_devices_that_they_name():
    """Other devices are announced with their type before their data; the number settles with the last part of it."""
    driver = announced("press1")
    readings = [
        UserReading("probe-a", "probe", [(5, b'{"t":1}'), (None, b'{"t":2}')], b'{"sn":"9"}'),
        UserReading("press1", "press", [(None, b'{"own":true}')], b""),
    ]
    driver.take(batch(2, [None, {"n": 3}], user={0: readings}))
    assert driver.report().settled == 2
    driver.ack_all()
    assert said(driver.published[0]) == {"device": "probe-a", "type": "probe"}
    merged: dict[str, list[object]] = {}
    for order in driver.published[1:]:
        if order.topic.endswith("telemetry"):
            for name, items in said(order).items():
                merged.setdefault(name, []).extend(items)
    assert merged["probe-a"] == [{"ts": 5, "values": {"t": 1}}, {"ts": 1002, "values": {"t": 2}}]
    assert merged["press1"] == [{"ts": 1002, "values": {"own": True}}, {"ts": 1003, "values": {"n": 3}}]
    assert driver.report().settled == 4


def test_lost_ends_the_devices_that_the_converter_named():
    """When the port goes, so do the devices that a user's converter has named in its readings."""
    driver = announced("press1")
    driver.take(batch(2, [None], user={0: [UserReading("probe-a", "probe", [(None, b'{"t":1}')], b"")]}))
    driver.ack_all()
    driver.published.clear()
    driver.take(batch(3, [None], kind=Entry.LOST))
    driver.ack_all()
    assert sorted(said(order)["device"] for order in driver.published) == ["press1", "probe-a"]
    assert driver.report().settled == 4


def test_long_name_still_gets_its_values_through():
    """A device name longer than the limit does not stop its data."""
    driver = started(Platform(max_payload_size_bytes=128))
    name = "n" * 300
    driver.take(batch(1, points(1, 3), device=name))
    driver.ack_all()
    assert driver.items(name) == points(1, 3)


def test_bytes_stand_in_the_payload_as_converters_made_them():
    """No number is parsed and written anew on the way."""
    driver = announced("press1")
    item = batch(2, [{"x": 1}])
    driver.take(item.replace(body=item.body.replace(b'{"x": 1}', b'{"x":1.}')))
    assert b'"values":{"x":1.}' in driver.published[0].payload
    assert json.loads(driver.published[0].payload.replace(b"1.}", b"1}"))


def test_what_the_reader_has_shed_is_not_published():
    """A platform that is away past the journal's limits costs no memory here: only what is still wanted is kept."""
    driver = Driver()
    reading = UserReading("probe", "p", [(None, b'{"n":7}')], b'{"last":7}')
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"), batch(2, points(2, 5), attributes={"a": 1}))
    driver.take(batch(7, [None], user={0: [reading]}), batch(8, [None], kind=Entry.LOST))
    driver.take(batch(9, points(9, 5), base=9, attributes={"a": 2}))
    driver.up(limits={})
    driver.ack_all()
    assert driver.items() == points(9, 5)
    assert driver.items("probe") == []
    assert {said(order)["device"] for order in driver.published if order.topic.endswith("disconnect")} == {"probe"}
    assert driver.report().settled == 14


def test_shed_readings_of_a_stream_leave_those_of_others_alone():
    """Two devices whose converters name a third: each stream's readings go by that stream's base."""
    driver = Driver()
    for number in (1, 2):
        for device in ("press1", "press2"):
            reading = UserReading("pool", "p", [(None, json.dumps({device: number}).encode())], b"")
            driver.take(batch(number, [None], device=device, user={0: [reading]}))
    driver.take(batch(3, points(3, 1), device="press2", base=3))
    driver.up(limits={})
    driver.ack_all()
    assert driver.items("pool") == [{"press1": 1}, {"press1": 2}]
    assert driver.report("press1").settled == 3
    assert driver.report("press2").settled == 4


def test_readings_of_older_generations_do_not_pile_up():
    """A reader that restarts again and again without a platform: each generation says everything again; only the last
    and the one before, which may have been journaled nowhere, are kept."""
    driver = Driver()
    for generation in range(1, 50):
        driver.take(batch(1, points(1, 5), generation=generation))
    driver.up(limits={})
    driver.ack_all()
    assert driver.items() == points(1, 5) * 2
    assert driver.report().settled == 6
