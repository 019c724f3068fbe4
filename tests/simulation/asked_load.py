"""Calls from the platform to devices that are asked: they write between questions, and read what nobody else asks."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.asked import AskedProcess
from tests.simulation.instruments import Units
from tests.simulation.scenario import LOAD_S, Scenario
from tests.simulation.world import World

START_S = 2.0
FIRST_CALL = 20_000
"""Calls of such devices are numbered from here on: each number fits into a register."""


class AskedCall(NamedTuple):
    """One call from the platform."""

    id: int
    asked: AskedProcess
    device: str
    method: str
    """`set` writes the call's own number, `get` reads a register that is not polled."""
    at_s: float
    publisher_life: int


class AskedLoad:
    """The calls of all such lines, drawn apart; `asked` are those that reached the gateway."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._draw = draw = random.Random(f"asked calls {scenario.seed}")
        self._count = FIRST_CALL
        self.asked: list[AskedCall] = []
        for asked in world.asked:
            for _ in range(asked.plan.calls):
                world.clock.after(START_S + draw.random() * (LOAD_S - START_S), self._call, asked)

    def stop(self) -> None:
        """What was said by now is to be delivered."""
        for asked in self._world.asked:
            asked.stop_load()

    def _call(self, asked: AskedProcess) -> None:
        """A call of a device that the platform knows as connected, now and then twice: MQTT promises once at least."""
        draw, world = self._draw, self._world
        device = draw.choice(asked.streams)
        if not world.platform.is_announced(device):
            return
        self._count += 1
        method = draw.choice(["get", "set"]) if isinstance(asked.instrument, Units) else "set"
        call = AskedCall(self._count, asked, device, method, world.clock.now_s, world.publisher.life)
        params = None if method == "get" else call.id
        said = {"device": device, "data": {"id": call.id, "method": method, "params": params}}
        if world.platform.say("v1/gateway/rpc", said):
            self.asked.append(call)
            if draw.random() < 0.1:
                world.platform.say("v1/gateway/rpc", said)
