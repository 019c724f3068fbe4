"""The whole pipeline in memory: every core, a fake clock, bad links, deaths at any moment; each failure is a seed."""

from __future__ import annotations

import pytest

from common.stream.limits import Limits
from common.wire.messages import FrameBatch
from tests.simulation.frames import frame_of, value_of
from tests.simulation.oracle import printable
from tests.simulation.run import run_scenario, run_seed
from tests.simulation.runner import Report, run_seeds
from tests.simulation.scenario import KINDS, LOAD_S, DevicePlan, Fault, Scenario, draw_scenario
from tests.simulation.world import World

SEEDS = range(150, 300)
"""Of the 300 that `make simulate` runs these have each kind of fault often enough."""
LEAST_SHARE = 0.05
LEAST_EXCHANGES = 10_000
"""Over all seeds so much is asked of devices, or said to them, and arrives."""


def quiet_world(seed: int, converters: int = 2) -> World:
    """A world with one device that says only what the test says."""
    plan = DevicePlan(is_users=False, rate_hz=1.0, pauses=False, until_s=0.0, answers_after_s=(0.01,), limits=Limits())
    world = World(
        Scenario(
            seed=seed,
            devices=(plan,),
            converters=converters,
            speaks_mqtt_5=True,
            session_limits={},
            user_frame_s=0.001,
            calls=0,
            faults=(),
        )
    )
    world.start()
    world.clock.run(3)
    return world


@pytest.mark.timeout(900)
def test_seeds_lose_nothing_and_keep_order() -> None:
    """Whatever a seed draws, all that `oracle` knows of the promise holds; a failure says how to replay it."""
    report = Report(run_seeds(SEEDS))
    assert not report.failed, "\n".join(map(str, report.failed))
    assert report.runs == len(SEEDS)
    assert report.simulated_s >= len(SEEDS) * LOAD_S
    assert report.exchanges >= LEAST_EXCHANGES


def test_plan_of_the_seeds() -> None:
    """Three faults and more a seed, none in one of ten, and every kind in at least 5 % of the seeds that CI runs."""
    scenarios = [draw_scenario(seed) for seed in SEEDS]
    assert sum(not scenario.faults for scenario in scenarios) == len(SEEDS) / 10
    assert min(len(scenario.faults) for scenario in scenarios if scenario.faults) >= 3
    for kind in KINDS:
        assert sum(scenario.kinds[kind] > 0 for scenario in scenarios) >= LEAST_SHARE * len(SEEDS), kind


def test_same_seed_same_run() -> None:
    """A failure can be replayed: two runs of one seed do exactly the same, step by step."""
    steps: list[list[str]] = [[], []]
    outcomes = [run_seed(7, lambda text, run=run: run.append(printable([text]))) for run in steps]  # type: ignore[misc]
    assert outcomes[0] == outcomes[1]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("seed", [3, 7, 10, 41, 60, 84])
@pytest.mark.parametrize("kind", ["platform cuts publishes", "accepted, not acknowledged"])
def test_many_suspects_are_tried_within_the_patience_of_one(seed: int, kind: str) -> None:
    """On MQTT 3.1.1 a connection that closes at many publishes makes suspects of all devices, five here: each is tried,
    and has what it said accepted, within what is allowed where there are none."""
    plan = DevicePlan(True, rate_hz=5.0, pauses=False, until_s=LOAD_S, answers_after_s=(0.01,), limits=Limits())
    scenario = Scenario(
        seed=seed,
        devices=(plan, plan, plan._replace(is_users=False)),
        converters=2,
        speaks_mqtt_5=False,
        session_limits={"maxPayloadSize": 700, "maxInflightMessages": 2},
        user_frame_s=0.001,
        calls=5,
        faults=(Fault(kind, 5, 9), Fault(kind, 25, 9)),
    )
    assert not (outcome := run_scenario(scenario)).problems, outcome


def test_rpc_with_answer_goes_round() -> None:
    """A call from the platform comes back as one reply, and its answer is no telemetry."""
    world = quiet_world(1)
    world.platform.say("v1/gateway/rpc", {"device": "press0", "data": {"id": 1, "method": "ask", "params": 17}})
    assert world.clock.run(5, lambda: bool(world.platform.replies))
    world.clock.run(5, lambda: world.is_settled)
    [reply] = world.platform.replies[1]
    assert reply == {"result": world.readers[0].line.frames[0].value}
    assert world.platform.telemetry == {}
    world.close()


def test_what_the_broker_leaves_over_comes_behind_what_it_has_taken() -> None:
    """A broker that takes one batch in one go, where four lines speak at the same moment: all of it comes, in order."""
    plan = DevicePlan(False, rate_hz=1.0, pauses=False, until_s=0.0, answers_after_s=(0.01,), limits=Limits())
    world = World(Scenario(1, (plan,) * 4, 2, True, {}, user_frame_s=0.001, calls=0, faults=()))
    world.broker.most_frames = 1
    world.start()
    world.clock.run(3)
    for _ in range(40):
        for reader in world.readers:
            assert reader.line.say_number()
        world.clock.run(0.05)
    assert world.clock.run(1, lambda: all(not reader.core._source.backlog for reader in world.readers))  # type: ignore[union-attr]
    assert world.broker.left_over > 40
    for place, reader in enumerate(world.readers):
        assert world.accepted(reader.stream) == [value_of(frame_of(place, number)) for number in range(1, 41)]
    world.close()


def test_window_is_never_exceeded_while_the_publisher_is_away() -> None:
    """With nobody to acknowledge, a reader has at most its window on the way; the rest stays in the journal."""
    world = quiet_world(2, converters=1)
    sent: list[FrameBatch] = []
    carry = world.send
    world.send = lambda sender, plane, message: (  # type: ignore[method-assign]
        sent.append(message) if isinstance(message, FrameBatch) else None,
        carry(sender, plane, message),
    )[1]
    world.publisher.kill()
    for _ in range(10_000):
        while not world.readers[0].line.say_number():
            # The line is full until it is read again.
            world.clock.run(0.01)
    world.clock.run(1)
    numbers = {number for batch in sent for number in range(batch.first, batch.first + batch.length)}
    assert len(numbers) <= 4096
    world.revive(world.publisher)
    assert world.clock.run(60, lambda: world.is_settled)
    assert world.accepted("press0") == [value_of(frame_of(0, number)) for number in range(1, 10_001)]
    world.close()
