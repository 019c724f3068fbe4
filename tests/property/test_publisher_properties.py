"""The whole core against a platform that accepts, refuses, closes and is silent at random."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import Platform
from common.wire import codec
from common.wire.messages import Entry, ReadingBatch, UserReading
from services.publisher.core.events import Publish
from tests.support.publisher_driving import Driver, batch, is_data, points, said

DEVICES = ("press1", "press2", "press3")


class Hostile:
    """Feeds streams and answers publishes as a seed says; checks what must hold at each step."""

    def __init__(self, seed: int, protocol: int) -> None:
        self.random = random.Random(seed)
        self.protocol = protocol
        self.driver = Driver(Platform(max_payload_size_bytes=300, min_pack_size_to_send=20))
        self.next = dict.fromkeys(DEVICES, 1)
        self.accepted: dict[str, list[int]] = {}
        self.attributes: dict[str, dict[str, int]] = {}
        self.announced: set[str] = set()
        self.doubtful: list[Publish] = []
        self.sent: list[ReadingBatch] = []

    def feed(self) -> None:
        device = self.random.choice(DEVICES)
        first = self.next[device]
        kind = self.random.choice(["frames"] * 6 + ["opened", "lost", "user", "attributes"])
        length = self.random.randint(1, 30) if kind in ("frames", "attributes") else 1
        values: list[Any] = [None if self.random.random() < 0.1 else point for point in points(first, length)]
        match kind:
            case "opened":
                item = batch(first, [None], device=device, kind=Entry.OPENED, device_type="press")
            case "lost":
                item = batch(first, [None], device=device, kind=Entry.LOST)
            case "user":
                reading = UserReading(f"probe-{device}", "p", [(None, b'{"n":%d}' % first)], b'{"last":%d}' % first)
                item = batch(first, [None], device=device, user={0: [reading]})
            case "attributes":
                item = batch(first, values, device=device, attributes={"last": first})
            case _:
                item = batch(first, values, device=device)
        self.next[device] = first + length
        self.sent.append(item)
        self.driver.take(item)

    def check(self) -> None:
        busy: list[str] = []
        for order in self.driver.data:
            names = list(said(order))
            busy += names
            assert self.announced.issuperset(names), "data before its connect was accepted"
            assert len(order.payload) <= 300
        assert len(busy) == len(set(busy)), "two unaccepted publishes of one device"

    def accept(self, order: Publish) -> None:
        self.driver.ack(order)
        payload = said(order)
        match order.topic:
            case "v1/gateway/connect":
                self.announced.add(payload["device"])
            case "v1/gateway/disconnect":
                self.announced.discard(payload["device"])
            case "v1/gateway/telemetry":
                for name, items in payload.items():
                    self.accepted.setdefault(name, []).extend(item["values"]["n"] for item in items)
            case "v1/gateway/attributes":
                for name, values in payload.items():
                    self.attributes.setdefault(name, {}).update(values)

    def answer(self, codes: tuple[int, ...]) -> None:
        if not self.driver.unacked:
            return
        order = self.driver.unacked[0] if self.random.random() < 0.5 else self.random.choice(self.driver.unacked)
        code = self.random.choice(codes) if self.protocol == 5 and self.random.random() < 0.3 else 0
        if order.topic.startswith("v1/devices"):
            self.driver.ack(order)
        elif code:
            self.driver.ack(order, code)
        elif order.topic == "v1/gateway/connect":
            # Before the PUBACK is told: what it lets go is published in the same turn.
            self.announced.add(said(order)["device"])
            self.accept(order)
        else:
            self.accept(order)

    def reconnect(self) -> None:
        self.driver.down()
        self.announced.clear()
        connection = self.driver.connection
        while self.driver.connection == connection:
            self.driver.wait(1.0)
        if self.protocol == 5:
            self.driver.up(5)
        else:
            self.driver.up(4)
        # `up` acknowledges the announcements.
        self.announced.update(
            said(order)["device"]
            for order in self.driver.published
            if order.connection == self.driver.connection and order.topic == "v1/gateway/connect"
        )

    def heal(self) -> None:
        for _ in range(4_000):
            if self.driver.unacked:
                self.accept(self.driver.unacked[0])
            else:
                self.driver.wait(1.0)
            if not self.driver.unacked and all(
                self.driver.report(device).settled == self.next[device]
                for device in DEVICES
                if f"journal-{device}" in self.driver.reports
            ):
                return
        raise AssertionError(f"stuck: {self.driver.reports}")


def expected(world: Hostile) -> dict[str, list[int]]:
    values: dict[str, list[int]] = {}
    for item in world.sent:
        if item.kind != Entry.FRAMES:
            continue
        body = codec.unpack_readings(item.body, item.length)
        for index, telemetry in enumerate(body.telemetry):
            if telemetry:
                values.setdefault(item.device, []).append(item.first + index)
            for reading in body.user.get(index, []):
                values.setdefault(reading.device, []).append(item.first + index)
    return values


@pytest.mark.parametrize("protocol", [5, 4])
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_everything_is_accepted_once_in_order(protocol: int, seed: int) -> None:
    """Whatever the platform does but call a record bad: all is accepted, first occurrences are in order, nothing
    is settled before it is accepted, no device has two unaccepted publishes, and no data precedes its `connect`."""
    world = Hostile(seed, protocol)
    world.driver.up(protocol)
    for _ in range(120):
        chance = world.random.random()
        if chance < 0.35:
            world.feed()
        elif chance < 0.85:
            world.answer((128, 151, 135))
        elif chance < 0.95:
            world.driver.wait(world.random.choice([0.01, 0.06, 1.1]))
        else:
            world.reconnect()
        check_settled(world)
    world.heal()
    for device, numbers in expected(world).items():
        assert list(dict.fromkeys(world.accepted.get(device, []))) == numbers
    assert all(not report.dead for report in world.driver.reports.values())


def check_settled(world: Hostile) -> None:
    world.check()
    wanted = expected(world)
    for device in DEVICES:
        report = world.driver.reports.get(f"journal-{device}")
        if report is None:
            continue
        for name in (device, f"probe-{device}"):
            got = set(world.accepted.get(name, []))
            assert all(number in got for number in wanted.get(name, []) if number < report.settled)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_only_bad_records_are_dead_letters(seed: int) -> None:
    """A platform that refuses what holds one of some numbers, with 153: exactly those become dead letters."""
    chosen = random.Random(seed)
    bad = set(chosen.sample(range(2, 120), 4))
    driver = Driver(Platform(max_payload_size_bytes=700, min_pack_size_to_send=50))
    driver.up(limits={})
    for device in DEVICES:
        driver.take(batch(1, points(1, 120), device=device))
    accepted: dict[str, list[int]] = {}
    for _ in range(3_000):
        if not driver.unacked:
            if all(driver.report(device).settled == 121 for device in DEVICES):
                break
            driver.wait(0.1)
            continue
        order = chosen.choice(driver.unacked)
        names = said(order) if is_data(order) else {}
        numbers = {name: [item["values"]["n"] for item in items] for name, items in names.items()}
        if any(bad & set(found) for name, found in numbers.items() if name == "press2"):
            driver.ack(order, 153)
            continue
        for name, found in numbers.items():
            accepted.setdefault(name, []).extend(found)
        driver.ack(order)
    assert {number for number, _ in driver.report("press2").dead} == bad
    assert accepted["press2"] == [number for number in range(1, 121) if number not in bad]
    assert accepted["press1"] == accepted["press3"] == list(range(1, 121))
