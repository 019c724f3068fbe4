"""One seed's run, from its start to its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.asked_load import AskedLoad
from tests.simulation.faults import Faults
from tests.simulation.host_load import HostLoad
from tests.simulation.load import Load
from tests.simulation.oracle import Oracle
from tests.simulation.scenario import QUIET_S, SEARCH_S, Scenario, draw_scenario
from tests.simulation.swaps import Swaps
from tests.simulation.world import World

AFTER_S = 2.0
"""After everything is delivered: what is still on its way must do no harm."""


class Outcome(NamedTuple):
    """What a run showed. `problems` is empty when everything held."""

    seed: int
    problems: list[str]
    faults: Counter[str]
    frames: int
    exchanges: int
    """What was asked of devices, or said to them, by itself or for a call, that arrived."""
    calls: int
    simulated_s: float

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} x{count}" if count > 1 else kind for kind, count in self.faults.items()) or "none"
        count = f"{self.frames} frames, {self.exchanges} exchanges, {self.calls} calls, {self.simulated_s:.0f} s"
        lines = [f"seed {self.seed}: {count}; faults: {kinds}"]
        lines += [f"  {problem}" for problem in self.problems]
        if self.problems:
            lines.append(f"  replay with: make simulate SEED={self.seed} STEPS=1")
        return "\n".join(lines)


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs the scenario of a seed and judges it; `trace` hears every step."""
    return run_scenario(draw_scenario(seed), trace)


def run_scenario(scenario: Scenario, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs everything and judges it. `trace` hears every step. A core that crashes is a problem like any other."""
    world = World(scenario)
    if trace is not None:
        world.clock.trace = lambda text: trace(f"{world.clock.now_s - 1000:10.4f} {text}")
    try:
        world.start()
        load = Load(world, scenario)
        host_load = HostLoad(world, scenario)
        asked_load = AskedLoad(world, scenario)
        faults = Faults(world, scenario, load)
        Swaps(world.readers, world.publisher, scenario, faults)
        oracle = Oracle(world, scenario, load, host_load, asked_load, faults)
        try:
            world.clock.run(scenario.end_s)
            world.clock.run(SEARCH_S, lambda: oracle.has_found_bad_records)
            load.stop()
            host_load.stop()
            asked_load.stop()
            is_settled = world.clock.run(QUIET_S, lambda: world.is_settled)
            world.clock.run(AFTER_S)
            problems = oracle.judge(is_settled)
        except Exception as error:
            problems = [*oracle.problems, f"crashed: {type(error).__name__}: {error}"]
            if trace is not None:
                raise
        frames = sum(len(reader.line.frames) for reader in world.readers)
        frames += sum(device.count for host in world.hosts for device in host.devices)
        exchanges = sum(len(asked.line.heard) for asked in world.asked)
        calls = len(load.asked) + len(host_load.asked) + len(asked_load.asked)
        return Outcome(scenario.seed, problems, scenario.kinds, frames, exchanges, calls, world.clock.now_s - 1000)
    finally:
        world.close()
