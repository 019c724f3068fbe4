"""Rate limits: those of the platform and of the main file, counted as the server counts, never exceeded, and used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import Platform, Rate, RateLimits
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from common.core.rate_text import read_rates
from common.stream.limits import Limits
from services.publisher.core.dialects import Counted, SessionRates
from services.publisher.core.session.rates import Rates
from tests.simulation.rates import ServerBucket, ServerRates
from tests.simulation.scenario import DevicePlan, Scenario
from tests.simulation.world import World
from tests.support.publisher_driving import Driver, batch, points, said

MINUTES_S = 180.0
LEAST_USED = 0.95


def data(points: int = 1, devices: int = 1) -> Counted:
    return Counted(is_own=False, data=devices, points=points)


def limits_of(**texts: str) -> RateLimits:
    return RateLimits(**{name: Rate(pairs=read_rates(text)) for name, text in texts.items()})


# How they are written.


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("10:1,100:60", ((10, 1), (100, 60))),
        ("15:1", ((15, 1),)),
        ("10:1;60:60;", ((10, 1), (60, 60))),
        ("10:1, 300:60,", ((10, 1), (300, 60))),
        ("0:0,", ()),
        ("0", ()),
        ("", ()),
    ],
)
def test_limits_are_read_as_there(text: str, pairs: Any) -> None:
    """Pairs parted by commas or semicolons; zeros are no limit."""
    assert read_rates(text) == pairs


def platform_of(tmp_path: Path, section: dict[str, Any], environ: dict[str, str] | None = None) -> Platform:
    (tmp_path / "tb_gateway.json").write_text(
        json.dumps({"thingsboard": section, "connectors": [{"type": "serial", "configuration": "s.json"}]})
    )
    (tmp_path / "s.json").write_text('{"name": "S", "devices": [{"name": "P", "port": "/dev/ttyUSB0"}]}')
    return read_gateway(tmp_path / "tb_gateway.json", environ or {}).gateway.platform


def test_words_of_the_shipped_file_mean_what_they_mean_there(tmp_path: Path) -> None:
    """On ThingsBoard's own cloud what it is known to allow, until it says so itself; elsewhere no limit."""
    words = {
        "rateLimits": "DEFAULT_TELEMETRY_RATE_LIMIT",
        "dpRateLimits": "DEFAULT_TELEMETRY_DP_RATE_LIMIT",
        "messagesRateLimits": "DEFAULT_MESSAGES_RATE_LIMIT",
    }
    assert platform_of(tmp_path, {"host": "localhost", **words}).rate_limits == RateLimits()
    cloud = platform_of(tmp_path, {"host": "eu.thingsboard.cloud", **words}).rate_limits
    assert cloud == platform_of(tmp_path, {"host": "eu.thingsboard.cloud"}).rate_limits
    assert cloud.device_data == Rate(pairs=((10, 1), (60, 60)), is_guess=True)
    assert cloud.device_points == Rate(pairs=((10, 1), (300, 60)), is_guess=True)


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """TB_GW_RATE_LIMITS and TB_GW_DP_RATE_LIMITS are of the gateway's own messages and the devices', as in the
    reference's container; what a variable of its own names is by that."""
    environ = {
        "TB_GW_RATE_LIMITS": "1:1",
        "TB_GW_DP_RATE_LIMITS": "2:1",
        "TB_GW_MESSAGES_RATE_LIMITS": "0",
    }
    found = platform_of(tmp_path, {"rateLimits": "9:1", "messagesRateLimits": "9:1"}, environ).rate_limits
    assert found == limits_of(data="1:1", points="2:1", device_data="1:1", device_messages="1:1", device_points="2:1")
    environ |= {
        "TB_GW_DEVICE_MESSAGES_RATE_LIMIT": "3:1",
        "TB_GW_DEVICE_RATE_LIMITS": "4:1",
        "TB_GW_DEVICE_DP_RATE_LIMITS": "5:1",
    }
    found = platform_of(tmp_path, {"deviceRateLimits": "9:1"}, environ).rate_limits
    assert found == limits_of(data="1:1", points="2:1", device_data="4:1", device_messages="3:1", device_points="5:1")


@pytest.mark.parametrize("wrong", ["15", "a:b", "10:1,x", "-1:5", 5, True, ["10:1"]])
def test_what_is_no_limit_is_a_problem(tmp_path: Path, wrong: Any) -> None:
    """The sentence names the key, what was found and what would be right."""
    with pytest.raises(ConfigError) as refusal:
        platform_of(tmp_path, {"deviceRateLimits": wrong})
    [problem] = refusal.value.problems
    assert problem.startswith("tb_gateway.json: thingsboard.deviceRateLimits: found ")
    assert problem.endswith('expected numbers and seconds such as "10:1,100:60", or "0" for no limit')


# The buckets.


@settings(max_examples=200)
@given(
    pairs=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 60)), min_size=1, max_size=3),
    steps=st.lists(
        st.tuples(st.integers(1, 12), st.floats(0, 5), st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=60
    ),
)
def test_the_platform_never_finds_too_little(
    pairs: list[tuple[int, int]], steps: list[tuple[int, float, float, float]]
) -> None:
    """However long publishes and PUBACKs take, and however many are on their way at once."""
    text = ",".join(f"{count}:{seconds}" for count, seconds in pairs)
    rates, server = Rates(RateLimits()), [ServerBucket(count, seconds, 0.0) for count, seconds in pairs]
    rates.hear(SessionRates(device_points=read_rates(text)), 0.0)
    events: list[tuple[float, int, Callable[[float], None]]] = []
    now_s, least = 0.0, min(count for count, _ in pairs)

    def arrive(points: int) -> Callable[[float], None]:
        def take(at_s: float) -> None:
            for bucket in server:
                bucket.fill(at_s)
                assert bucket.tokens >= points, "the platform would refuse this"
                bucket.tokens -= points

        return take

    def until(end_s: float) -> None:
        events.sort(key=lambda event: event[:2])
        while events and events[0][0] <= end_s:
            at_s, _, happen = events.pop(0)
            happen(at_s)

    for token, (count, pause_s, there_s, back_s) in enumerate(steps):
        now_s += pause_s
        until(now_s)
        counted = data(min(count, least))
        if not rates.may_say(counted, now_s):
            continue
        rates.sent(token, counted, now_s)
        events.append((now_s + there_s, 2 * token, arrive(counted.points)))
        events.append(
            (now_s + there_s + back_s, 2 * token + 1, lambda at_s, token=token: rates.answered(token, at_s))  # type: ignore[misc]
        )
    until(now_s + 10)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 60)), min_size=1, max_size=3))
def test_what_is_allowed_is_used(pairs: list[tuple[int, int]]) -> None:
    """Who always has something to say, and says it when it may, uses 95 % and more of what is allowed."""
    rates = Rates(RateLimits())
    rates.hear(SessionRates(device_data=tuple(pairs)), 0.0)
    now_s, used, end_s = 0.0, 0, 600.0
    while (ready_s := rates.ready_s(data(), now_s)) < end_s:
        now_s = max(now_s, ready_s)
        rates.sent(used, data(), now_s)
        rates.answered(used, now_s)
        used += 1
    allowed = most_allowed(pairs, end_s)
    assert used <= allowed
    assert used >= LEAST_USED * allowed - 1


def most_allowed(pairs: Sequence[tuple[int, int]], for_s: float) -> int:
    """What full buckets can give in a time."""
    return min(count + int(for_s * count / seconds) for count, seconds in pairs)


def test_the_platforms_word_replaces_a_guess_and_not_what_is_configured() -> None:
    """What somebody has written holds as well as what the platform says; a guess only until it says anything."""
    rates = Rates(RateLimits(device_data=Rate(pairs=((2, 1),), is_guess=True), device_messages=Rate(pairs=((3, 1),))))
    assert rates.room(0.0).devices == 2
    rates.hear(None, 0.0)
    assert rates.room(0.0).devices == 2, "an answer without limits says nothing against the guess"
    rates.hear(SessionRates(device_data=((7, 1),), device_messages=((9, 1),)), 0.0)
    assert rates.room(0.0).devices == 7
    message = Counted(is_own=False, messages=1)
    assert [rates.may_say(message, 0.0) for token in range(4) if not rates.sent(token, message, 0.0)].count(False) == 2
    rates.hear(SessionRates(), 0.0)
    assert rates.room(0.0).devices is None


def test_what_was_said_before_the_platforms_first_word_counts() -> None:
    """The platform has counted it, too."""
    rates = Rates(RateLimits())
    rates.sent(1, data(), 0.0)
    rates.sent(2, data(), 0.0)
    rates.answered(1, 0.0)
    rates.hear(SessionRates(device_data=((10, 10),)), 0.0)
    assert rates.room(0.0).devices == 8
    assert rates.room(100.0).devices == 9, "one is on its way: its place is not free before its PUBACK"
    rates.answered(2, 100.0)
    assert rates.room(110.0).devices == 10


def test_a_refusal_empties_the_bucket() -> None:
    """An earlier publisher may have emptied the platform's: after one refusal ours is no fuller."""
    rates = Rates(limits_of(device_data="10:10"))
    assert rates.room(0.0).devices == 10
    rates.refused(data(), 0.0)
    assert rates.room(0.5).devices == 0
    assert rates.room(1.2).devices == 1


# In the publisher.


def ready_driver(rates: dict[str, str] | None = None, **configured: str) -> Driver:
    driver = Driver(Platform(rate_limits=limits_of(**configured)))
    driver.up(limits={"rateLimits": {}, "gatewayRateLimits": rates or {}})
    return driver


def test_each_device_of_a_message_counts() -> None:
    """Two devices in one message are two messages to the server: with one left, one device goes."""
    driver = ready_driver({"telemetryMessages": "3:60"})
    driver.take(*(batch(1, points(1, 1), device=f"press{number}") for number in (1, 2, 3, 4)))
    driver.ack_all()
    sent = [name for order in driver.published if order.topic == "v1/gateway/telemetry" for name in said(order)]
    assert sorted(sent) == ["press1", "press2", "press3"]
    driver.wait(21)
    assert driver.items("press4") == [{"n": 1}]


def test_values_are_counted_and_a_reading_with_too_many_is_cut() -> None:
    """Six values a minute: a reading with eight goes in two parts, under one time."""
    driver = ready_driver({"telemetryDataPoints": "6:60"})
    wide = {f"k{number}": number for number in range(8)}
    driver.take(batch(1, [wide]))
    driver.ack_all()
    assert [len(item) for item in driver.items()] == [6]
    driver.wait(25)
    driver.ack_all()
    assert {key: value for item in driver.items() for key, value in item.items()} == wide
    times = {
        item["ts"]
        for order in driver.data or driver.published
        if order.topic.endswith("telemetry")
        for item in said(order)["press1"]
    }
    assert len(times) == 1
    assert driver.report().settled == 2


def test_attributes_count_as_values() -> None:
    """The server counts them as it counts telemetry."""
    driver = ready_driver(device_points="2:10")
    driver.take(batch(1, [None], attributes={"a": 1, "b": 2, "c": 3}))
    driver.ack_all()
    assert [sorted(said(order)["press1"]) for order in driver.published if order.topic.endswith("attributes")] == [
        ["a", "b"]
    ]
    driver.wait(6)
    driver.ack_all()
    assert driver.report().settled == 2


def test_announcements_keep_to_the_limit_of_messages() -> None:
    """With two a minute, the third device is announced later, and its data comes behind."""
    driver = ready_driver({"messages": "2:60"})
    driver.take(*(batch(1, points(1, 1), device=f"press{number}") for number in (1, 2, 3)))
    driver.ack_all()
    assert driver.topics().count("connect") == 2
    driver.wait(31)
    driver.ack_all()
    assert driver.topics().count("connect") == 3
    assert driver.items("press3") == [{"n": 1}]


def test_replies_wait_for_the_limit_of_messages() -> None:
    """A reply that is too much waits; nothing turns round and round meanwhile. The question for limits has counted."""
    driver = Driver()
    driver.up(limits={"rateLimits": {"messages": "2:4"}, "gatewayRateLimits": {}})
    for call in (1, 2):
        driver.say(f"v1/devices/me/rpc/request/{call + 10}", {"method": "gateway_ping", "params": {}})
    driver.ack_all()
    assert [topic for topic in driver.topics() if "response" in topic] == ["v1/devices/me/rpc/response/11"]
    driver.wait(2.1)
    assert driver.topics()[-1] == "v1/devices/me/rpc/response/12"


def test_limits_outlive_the_connection() -> None:
    """The server keeps its buckets while we are away: so do we."""
    driver = ready_driver({"telemetryMessages": "1:60"})
    driver.take(batch(1, points(1, 1)))
    driver.ack_all()
    driver.down()
    connection = driver.connection
    while driver.connection == connection:
        driver.wait(1.0)
    driver.up(limits={"rateLimits": {}, "gatewayRateLimits": {"telemetryMessages": "1:60"}})
    driver.take(batch(2, points(2, 1)))
    assert not driver.data
    driver.wait(61)
    assert driver.data


# With a platform that counts.


def busy_world(rates: dict[str, str], payload: int = 65_536) -> World:
    """Two devices that say more than the platform takes."""
    plan = DevicePlan(is_users=False, rate_hz=20.0, pauses=False, until_s=0.0, answers_after_s=(0.01,), limits=Limits())
    world = World(
        Scenario(
            seed=11,
            devices=(plan, plan),
            converters=1,
            speaks_mqtt_5=True,
            session_limits={"maxPayloadSize": payload, "maxInflightMessages": 100},
            user_frame_s=0.001,
            calls=0,
            faults=(),
            rates=rates,
        )
    )
    world.start()
    return world


@pytest.mark.parametrize(
    ("what", "payload"), [("telemetryMessages", 600), ("telemetryDataPoints", 65_536)], ids=["messages", "values"]
)
def test_three_minutes_within_the_limits(what: str, payload: int) -> None:
    """Limits of 10:1,100:60 and a backlog: never exceeded, and 95 % of what they allow is used."""
    world = busy_world({what: "10:1,100:60"}, payload)
    server: ServerRates | None = world.platform.rates
    assert server is not None
    world.clock.run(3, lambda: world.platform.is_connected)
    start_s = world.clock.now_s
    while world.clock.now_s < start_s + MINUTES_S:
        for reader in world.readers:
            reader.line.say_number()
        world.clock.run(0.1)
    assert sum(reader.disk.backlog for reader in world.readers) > 100, "there was always something to say"
    assert server.refused == []
    allowed = most_allowed([(10, 1), (100, 60)], MINUTES_S)
    assert LEAST_USED * allowed <= server.taken[what] <= allowed + 1
    world.close()
