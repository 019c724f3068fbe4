"""The whole pipeline in memory: every core, a fake clock, bad links, deaths at any moment; each failure is a seed."""

from __future__ import annotations

import pytest

from common.messages import FrameBatch
from tests.simulation.faults import KINDS, Run
from tests.simulation.world import World

SEEDS = 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_seed_loses_nothing_and_keeps_order(seed: int) -> None:
    """Every frame accepted, in order per device, last attributes too, everything settled once faults stop."""
    outcome = Run(seed).execute()
    assert outcome.problems == [], f"seed {seed}, faults {dict(outcome.faults)}"


def test_every_kind_of_fault_is_drawn() -> None:
    """No kind of fault is missing among the seeds that CI runs."""
    drawn = sum((Run(seed).plan() for seed in range(SEEDS)), start=Run(0).plan())
    assert set(drawn) == set(KINDS)


def test_same_seed_same_run() -> None:
    """A failure can be replayed: two runs of one seed do exactly the same."""
    assert Run(7).execute() == Run(7).execute()


@pytest.mark.parametrize("params", ["5", "300"])
def test_rpc_with_answer_goes_round(params: str) -> None:
    """A call from the platform comes back as one reply, and its answer is no telemetry."""
    world = World(seed=1, devices=1)
    world.start()
    world.clock.run(3)
    [reader] = world.readers
    reader.line.answers[b"?\n"] = b"-17\n"
    request = {"id": 1, "method": "ask", "params": int(params)}
    world.platform.say("v1/gateway/rpc", {"device": "press0", "data": request})
    assert world.clock.run(5, lambda: bool(world.platform.replies))
    world.clock.run(5, lambda: world.is_settled)
    assert world.platform.replies == {1: [{"result": -17}]}
    assert world.platform.telemetry == {}


def test_window_is_never_exceeded_while_the_publisher_is_away() -> None:
    """With nobody to acknowledge, a reader has at most its window on the way; the rest stays in the journal."""
    world = World(seed=2, devices=1, converters=1)
    world.start()
    world.clock.run(3)
    [reader] = world.readers
    sent: list[FrameBatch] = []
    carry = world.send
    world.send = lambda sender, plane, message: (  # type: ignore[method-assign]
        sent.append(message) if isinstance(message, FrameBatch) else None,
        carry(sender, plane, message),
    )[1]
    world.publisher.kill()
    for number in range(1, 10_001):
        reader.line.say(b"%d\n" % number)
    world.clock.run(1)
    numbers = {number for batch in sent for number in range(batch.first, batch.first + batch.length)}
    assert len(numbers) <= 4096
    world.revive(world.publisher)
    assert world.clock.run(60, lambda: world.is_settled)
    assert world.accepted("press0") == list(range(1, 10_001))
