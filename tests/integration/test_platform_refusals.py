"""A platform that says no in each way that ThingsBoard has: the real publisher, a real mosquitto, a proxy between.

Numbered readings flow while the platform misbehaves. What counts is what the proxy accepted: nothing missing, in order,
repeats identical; nothing settled that was refused; and in every run no fault that `PubackProxy.faults` knows.

These runs mostly wait (for backoffs, doubts, rates), so they run beside each other, the longest first: `runs` starts
the selected ones in a few threads, and each test is the outcome of one of them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.feeding import first_values
from tests.support.puback_proxy import (
    ACCEPT,
    ANNOUNCE,
    TELEMETRY,
    Answer,
    Passed,
    PubackProxy,
    Rule,
    Throttle,
    bad_payload,
    failed,
    not_created,
    rate_limited,
)
from tests.support.publisher_driving import batch, points
from tests.support.publisher_process import World, needs_mosquitto, start_mosquitto
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
DEVICES = ("d1", "d2", "d3", "d4")


class Feed:
    """Numbered readings of some devices, and the account of what became of them."""

    def __init__(self, world: World, *devices: str) -> None:
        self.world = world
        self.ends = dict.fromkeys(devices or DEVICES, 1)
        world.broker.wait_link()

    def send(self, count: int, *devices: str) -> None:
        for device in devices or tuple(self.ends):
            first = self.ends[device]
            self.world.broker.send(batch(first, points(first, count), device=device))
            self.ends[device] = first + count

    def send_until(self, condition: Callable[[], Any], what: str, *devices: str, deadline_s: float = 30.0) -> None:
        """Two readings of each device every 50 ms until something holds."""
        next_s = 0.0

        def look() -> Any:
            nonlocal next_s
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + 0.05
                self.send(2, *devices)
            return condition()

        self.world.broker.wait(look, what, deadline_s)

    def wait_settled(self, *devices: str, deadline_s: float = 40.0) -> None:
        for device in devices or tuple(self.ends):
            self.world.broker.wait_settled(self.ends[device], device, deadline_s)

    def dead(self, device: str) -> list[int]:
        return [number for number, _ in self.world.broker.reports[f"journal-{device}"].dead]

    def check(self, dead: dict[str, list[int]] | None = None, *, is_exact: bool = True) -> None:
        """Everything fed was accepted, in order, once in effect, but these dead letters. `is_exact`: no acknowledgement
        was lost or doubtful, so that exactly what was accepted is counted."""
        self.wait_settled()
        proxy, broker = self.world.proxy, self.world.broker
        for device, end in self.ends.items():
            wanted_dead = (dead or {}).get(device, [])
            assert self.dead(device) == wanted_dead, device
            wanted = [number for number in range(1, end) if number not in wanted_dead]
            assert first_values(proxy.accepted_items(device)) == wanted, device
        if is_exact:
            count = sum(len(proxy.accepted_items(device)) for device in self.ends)
            broker.wait(lambda: broker.beat and broker.beat.counters["readings_accepted"] == count, f"{count} counted")
            assert count == sum(end - 1 for end in self.ends.values()) - sum(map(len, (dead or {}).values()))
        assert proxy.faults == []


def for_first(count: int, row: Callable[[Passed], Answer], topic: str = TELEMETRY) -> Rule:
    """A rule: this row for so many publishes on a topic, then acceptance."""
    left = iter(range(count))
    return lambda passed: row(passed) if passed.topic == topic and next(left, None) is not None else ACCEPT


def data_since(proxy: PubackProxy, since_s: float) -> int:
    return sum(passed.is_data and passed.at_s >= since_s for passed in list(proxy.passed))


SCENARIOS: dict[str, Callable[[Path], None]] = {}
AT_ONCE = 4
"""Runs beside each other; on two cores, with a process or two each."""


def scenario(run: Callable[[Path], None]) -> Callable[[Path], None]:
    SCENARIOS[run.__name__] = run
    return run


def old_platform(proxy: PubackProxy) -> None:
    proxy.mqtt_5 = "refused"


@scenario
def bad_reading_on_3_1_1(tmp_path: Path) -> None:
    """A close without PUBACK at one reading: found, and dead after three closes alone; the others flow on."""
    with World(tmp_path, old_platform) as world:
        feed, proxy = Feed(world, "d1", "d2"), world.proxy

        def rule(passed: Passed) -> Answer:
            is_bad = any(item["values"]["n"] == 2 for item in passed.items("d1"))
            return bad_payload(passed) if is_bad else ACCEPT

        proxy.rule = rule
        feed.send(2, "d1")
        dead = lambda: (report := world.broker.reports.get("journal-d1")) and report.dead  # noqa: E731
        feed.send_until(dead, "the dead letter", "d2", deadline_s=60.0)
        feed.send(3)
        # What was accepted within a second before a close came twice.
        feed.check({"d1": [2]}, is_exact=False)


@scenario
def rate_limit_slows_down_and_recovers(tmp_path: Path) -> None:
    """151 and a close above 4 publishes a second: the publisher's own rate falls to what is accepted; without the limit
    it comes back to many times that."""
    with World(tmp_path) as world:
        feed, proxy = Feed(world), world.proxy
        feed.send(20)
        feed.wait_settled()
        throttle = proxy.rule = Throttle(rate=4, burst=2)
        began_s = time.monotonic()
        feed.send_until(lambda: throttle.refused >= 2 and time.monotonic() > began_s + 4, "4 s of throttling")
        slow = data_since(proxy, time.monotonic() - 3)
        assert 1 <= slow <= 3 * 4 + 2 + throttle.refused
        assert throttle.refused <= 10
        proxy.rule = lambda passed: ACCEPT
        feed.send_until(lambda: data_since(proxy, time.monotonic() - 1) >= 12, "more than 12 publishes a second again")
        # The close at a publish above the limit overtakes the acknowledgement of one before it, which comes twice then.
        feed.check(is_exact=False)
        assert world.publisher.said.count("platform.rate_limited") <= throttle.refused


@scenario
def processing_error_and_close_for_a_while(tmp_path: Path) -> None:
    """128 and a close, three times: all of it comes again, in order; nothing refused was counted."""
    with World(tmp_path) as world:
        feed = Feed(world)
        feed.send(5)
        feed.wait_settled()
        world.proxy.rule = for_first(3, failed)
        feed.send(10)
        feed.send(5)
        feed.check()
        assert world.proxy.connections == 4


@scenario
def bad_reading_is_singled_out_and_its_device_travels_alone(tmp_path: Path) -> None:
    """153 for one reading of many devices': it alone is a dead letter with number and reason, its device then shares no
    publish, the others do."""
    with World(tmp_path) as world:
        feed, proxy = Feed(world), world.proxy
        proxy.rule = lambda passed: bad_payload(passed) if b'{"n": 23}' in passed.payload else ACCEPT
        feed.send(22)
        feed.wait_settled()
        feed.send(3, "d2")
        feed.wait_settled()
        assert feed.dead("d2") == [23]
        assert "153" in world.broker.reports["journal-d2"].dead[0][1]
        seen = len(proxy.passed)
        proxy.rule = lambda passed: Answer(delay_s=0.05)
        for _ in range(5):
            feed.send(4)
        feed.check({"d2": [23]})
        groups = [passed.devices for passed in proxy.passed[seen:] if passed.is_data]
        assert all(group == {"d2"} for group in groups if "d2" in group)
        assert max(map(len, groups)) > 1


@scenario
def one_device_refused_for_a_while(tmp_path: Path) -> None:
    """153 for whatever is of one device: its readings are dead letters one by one while that lasts, and accepted after;
    no other device loses anything."""
    with World(tmp_path) as world:
        feed, proxy = Feed(world), world.proxy
        proxy.rule = lambda passed: bad_payload(passed) if "d3" in passed.devices else ACCEPT
        feed.send(8)
        feed.wait_settled()
        proxy.rule = lambda passed: ACCEPT
        feed.send(8)
        feed.check({"d3": list(range(1, 9))})


@scenario
def devices_that_cannot_be_created_wait_alone(tmp_path: Path) -> None:
    """151 and 128 to `connect` on an open connection: these devices wait in their journals, the others go on; when they
    are taken, nothing of them is missing. A device whose session the platform ends is announced again."""
    with World(tmp_path) as world:
        feed, proxy = Feed(world), world.proxy
        refusals = {"d3": 151, "d4": 128}

        def rule(passed: Passed) -> Answer:
            if passed.topic == ANNOUNCE and (code := refusals.get(passed.content["device"])):
                return not_created(passed, code)
            return ACCEPT

        proxy.rule = rule
        feed.send(10)
        feed.wait_settled("d1", "d2")
        wait_until(lambda: proxy.count(ANNOUNCE) >= 5, "one tried again", 20)
        assert not proxy.accepted_items("d3") + proxy.accepted_items("d4")
        assert proxy.connections == 1
        refusals.clear()
        feed.wait_settled()
        announced = proxy.count(ANNOUNCE)
        proxy.say("v1/gateway/disconnect", {"device": "d1", "reason": 150})
        world.broker.wait(lambda: "device.dropped" in world.publisher.said, "the notice is heard")
        feed.send(3)
        feed.check()
        assert proxy.count(ANNOUNCE) == announced + 1
        assert world.publisher.said.count("device.refused") == 1


@scenario
def announcements_within_a_rate(tmp_path: Path) -> None:
    """40 devices against a bucket of 10 announcements and 10 a second: all come through, with few refusals."""
    with World(tmp_path) as world:
        feed = Feed(world, *(f"d{number}" for number in range(40)))
        bucket, refused = Throttle(rate=10, burst=10), []

        def rule(passed: Passed) -> Answer:
            if passed.topic == ANNOUNCE and not bucket(passed._replace(topic=TELEMETRY)).forward:
                refused.append(passed)
                return not_created(passed)
            return ACCEPT

        world.proxy.rule = rule
        feed.send(3)
        feed.check()
        assert len(refused) < 40


@scenario
def doubtful_acknowledgements_on_3_1_1(tmp_path: Path) -> None:
    """A PUBACK like any other and then a close, three times: what it stood for comes again with the same times."""
    with World(tmp_path, old_platform) as world:
        feed = Feed(world)
        world.proxy.rule = for_first(3, rate_limited)
        feed.send(10)
        feed.send(5)
        feed.check()
        assert {passed.protocol for passed in world.proxy.passed} == {4}
        assert len({passed.connection for passed in world.proxy.passed if passed.is_data}) >= 4


@scenario
def receive_maximum(tmp_path: Path) -> None:
    """Receive Maximum 2 in CONNACK: two unacknowledged publishes are made use of, never three."""

    def prepare(proxy: PubackProxy) -> None:
        proxy.receive_maximum = 2
        proxy.rule = lambda passed: Answer(delay_s=0.01)

    with World(tmp_path, prepare) as world:
        feed = Feed(world, *(f"d{number}" for number in range(10)))
        for _ in range(5):
            feed.send(4)
            world.broker.step()
        feed.check()
        assert world.proxy.most_unacked == 2


LIMITS = {"maxPayloadSize": 600, "maxInflightMessages": 3, "rateLimits": {}, "gatewayRateLimits": {}}


@scenario
def limits_at_once(tmp_path: Path) -> None:
    """A small maxPayloadSize: no publish above it, and no more in flight than maxInflightMessages."""
    session_limits(tmp_path, LIMITS, 0.0)


@scenario
def limits_late(tmp_path: Path) -> None:
    """A late answer holds from then on, and data has not waited for it."""
    session_limits(tmp_path, LIMITS, 2.5)


@scenario
def limits_as_an_error(tmp_path: Path) -> None:
    """An error is an answer: data flows, without limits."""
    session_limits(tmp_path, {"error": "timeout"}, 0.0)


def session_limits(tmp_path: Path, answer: Any, delay_s: float) -> None:
    def prepare(proxy: PubackProxy) -> None:
        proxy.limits, proxy.limits_delay_s = answer, delay_s

    with World(tmp_path, prepare) as world:
        feed, proxy = Feed(world), world.proxy
        began_s = time.monotonic()
        feed.send(60)
        feed.wait_settled()
        waited_s = time.monotonic() - began_s
        assert waited_s < 2.0 if not delay_s else waited_s < 5.0
        if delay_s:
            wait_until(lambda: time.monotonic() > began_s + delay_s + 0.5, "the late answer")
        seen = len(proxy.passed)
        feed.send(60)
        feed.check()
        largest = max(len(passed.payload) for passed in proxy.passed[seen:])
        assert largest > 600 if "error" in answer else largest <= 600
        if answer is LIMITS and not delay_s:
            assert proxy.most_unacked <= 3


@scenario
def cuts_in_the_middle_of_a_publish(tmp_path: Path) -> None:
    """Connections that end with half a PUBLISH on the wire, and acknowledgements that are lost or late."""
    with World(tmp_path, maxPayloadSizeBytes=300_000) as world:
        feed, proxy = Feed(world, "d1", "d2"), world.proxy
        feed.send(5)
        feed.wait_settled()
        proxy.cuts = 2
        big = [{"n": number, "s": "x" * 100_000} for number in (6, 7)]
        world.broker.send(batch(6, big, device="d1"))
        feed.ends["d1"] = 8
        feed.wait_settled()
        assert proxy.cuts == 0
        proxy.rule = for_first(2, lambda passed: Answer(drop=True, close=True))
        feed.send(5)
        feed.wait_settled()
        proxy.rule = lambda passed: Answer(delay_s=0.3)
        feed.send(5)
        feed.check(is_exact=False)


@scenario
def server_that_reads_nothing(tmp_path: Path) -> None:
    """TCP is accepted and CONNECT stays unread: after 5 s the next attempt is made, in 3.1.1, and everything flows."""
    with World(tmp_path) as world:
        feed, proxy = Feed(world), world.proxy
        feed.send(5)
        feed.wait_settled()
        proxy.stalled = True
        proxy.close_all()
        feed.send(5)
        stalled = proxy.connections + 1
        world.broker.wait(lambda: proxy.connections > stalled, "a second attempt")
        proxy.stalled = False
        feed.check(is_exact=False)
        assert "link.up protocol=3.1.1" in world.publisher.said


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """The outcomes of the selected scenarios, by name."""
    chosen = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(run, tmp_path_factory.mktemp(name)) for name, run in SCENARIOS.items() if name in chosen
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", SCENARIOS)
def test_refusals(name: str, runs: dict[str, Future[None]]) -> None:
    """What the scenario of this name says."""
    runs[name].result()


@pytest.mark.parametrize("protocol", [mqtt.MQTTv5, mqtt.MQTTv311])
def test_proxy_does_the_table(tmp_path: Path, protocol: int) -> None:
    """The proxy itself, asked by a plain client: codes, closes and skipped devices as ThingsBoard's."""
    mosquitto, port = start_mosquitto(tmp_path)
    try:
        with PubackProxy(port) as proxy:
            is_5 = protocol == mqtt.MQTTv5
            good, odd = {"d1": [{"ts": 1, "values": {"n": 1}}]}, {"d2": {"n": 1}}
            code, stands = ask(proxy, protocol, good | odd)
            assert code in (0, 16)  # 16: nobody subscribes
            assert stands
            assert proxy.accepted[-1].content == good
            assert ask(proxy, protocol, ["junk"]) == ((153, True) if is_5 else (None, False))
            for row, code, stays in ((rate_limited, 151, False), (failed, 128, False), (not_created, 151, True)):
                proxy.rule = row
                assert ask(proxy, protocol, good) == (code if is_5 else 0, stays)
            proxy.rule = bad_payload
            assert ask(proxy, protocol, good) == ((153, True) if is_5 else (None, False))
            assert len(proxy.accepted) == 1
    finally:
        mosquitto.terminate()
        mosquitto.wait(10)


def ask(proxy: PubackProxy, protocol: int, payload: Any) -> tuple[int | None, bool]:
    """(reason code of the PUBACK, or None; True if the connection then stands) of one publish."""
    codes: list[int] = []
    ready, ended = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
    client.on_connect = lambda *_: ready.set()
    client.on_publish = lambda _c, _u, _m, code, _p: codes.append(code.value)
    client.on_disconnect = lambda *_: ended.set()
    client.connect("127.0.0.1", proxy.port)
    client.loop_start()
    assert ready.wait(10)
    client.publish(TELEMETRY, json.dumps(payload), qos=1)
    wait_until(lambda: codes or ended.is_set(), "an answer")
    stands = not ended.wait(0.2)
    client.disconnect()
    client.loop_stop()
    return (codes[0] if codes else None), stands
