"""What a world is given to do: lines that talk, calls and attribute updates from the platform."""

from __future__ import annotations

import random
from collections import deque
from typing import NamedTuple

from tests.simulation.frames import answer_of, frame_of, value_of
from tests.simulation.reader import ReaderProcess
from tests.simulation.scenario import LOAD_S, DevicePlan, Scenario
from tests.simulation.users import BESIDE, Harm
from tests.simulation.world import World

START_S = 2.0
NAMED_EVERY = 2
"""In one of so many seeds devices that users' converters have named are called."""


class Asked(NamedTuple):
    """One call from the platform."""

    id: int
    reader: ReaderProcess
    method: str
    at_s: float
    publisher_life: int
    device: str
    """The name by which it was called: the reader's own, or one that a user's converter has given."""

    @property
    def answer(self) -> int:
        """What the device answers to `ask`, if it does."""
        return value_of(answer_of(self.reader.line.device, self.id))


class Load:
    """The talk of one run; `asked` are the calls that reached the gateway."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.draw = world.clock.random
        self.asked: list[Asked] = []
        self.ports_lost = 0
        self._harms: dict[ReaderProcess, deque[Harm | None]] = {reader: deque() for reader in world.readers}
        """What the next frames of a device are to do: hurt users' code, or None: be refused by the platform."""
        self.bad: dict[ReaderProcess, set[int]] = {reader: set() for reader in world.readers}
        """Values that must become dead letters."""
        self._is_over = False
        self._start_s = world.clock.now_s
        for reader, plan in zip(world.readers, scenario.devices, strict=True):
            reader.line.answers_after_s = list(plan.answers_after_s)
            world.clock.after(START_S, self._speak, reader, plan)
        for _ in range(scenario.calls // 5):
            world.clock.after(START_S + self.draw.random() * (LOAD_S - 10), self._call_burst)
        # Drawn apart, and only in every second seed, so that the others stay what they were.
        self._draw_named = random.Random(f"named {scenario.seed}")
        named = [reader for reader in world.readers if reader.device.has_user_converter]
        for _ in range(scenario.calls if named and scenario.seed % NAMED_EVERY == 0 else 0):
            at_s = START_S + self._draw_named.random() * (LOAD_S - START_S)
            world.clock.after(at_s, self._call_named, self._draw_named.choice(named))

    def stop(self) -> None:
        """Nobody says anything any more."""
        self._is_over = True

    def spoil_next(self, reader: ReaderProcess, harm: Harm | None) -> None:
        """The device's next frame is a bad one."""
        self._harms[reader].append(harm)

    def _speak(self, reader: ReaderProcess, plan: DevicePlan) -> None:
        """Numbers at the device's rate, in bursts, now and then cut in two."""
        draw = self.draw
        if self._is_over:
            return
        burst = draw.choice([1, 1, 1, 3, 10])
        for _ in range(burst):
            self._say(reader)
        delay_s = burst / plan.rate_hz * (0.5 + draw.random())
        if plan.pauses and draw.random() < 0.1:
            delay_s += 3 + draw.random() * 9
        if self.world.clock.now_s + delay_s < self._start_s + plan.until_s:
            self.world.clock.after(delay_s, self._speak, reader, plan)

    def _say(self, reader: ReaderProcess) -> None:
        line, draw = reader.line, self.draw
        waiting = self._harms[reader]
        frame = frame_of(line.device, line.count + 1)
        value = value_of(frame)
        if waiting:
            harm = waiting[0]
            if harm is None:
                self.world.platform.bad_values.add(value)
            else:
                self.world.harms[frame] = harm
        cut = draw.random() < 0.1
        if line.say_number(draw.random() if cut else 0.0, draw.random() * 0.3):
            if waiting:
                harm = waiting.popleft()
                if harm is None or harm.makes_dead_letter:
                    self.bad[reader].add(value)
        elif waiting:
            self.world.platform.bad_values.discard(value)
            self.world.harms.pop(frame, None)

    def _call_burst(self) -> None:
        draw = self.draw
        reader = draw.choice(self.world.readers)
        for _ in range(1 + draw.randrange(9)):
            self._call(reader if draw.random() < 0.8 else draw.choice(self.world.readers))

    def _call(self, reader: ReaderProcess) -> None:
        draw, platform = self.draw, self.world.platform
        if draw.random() < 0.1:
            platform.shared[reader.device.name] = values = {"level": draw.randrange(9)}
            platform.say("v1/gateway/attributes", {"device": reader.device.name, "data": values})
            return
        method = "ask" if draw.random() < 0.75 else "set"
        self._ask(reader, reader.device.name, method, draw)

    def _call_named(self, reader: ReaderProcess) -> None:
        """A call of the device that users' code speaks for beside the one on the line, once the platform knows it."""
        name = reader.device.name + BESIDE
        if name in self.world.platform.lifecycle:
            self._ask(reader, name, self._draw_named.choice(["ask", "tell"]), self._draw_named)

    def _ask(self, reader: ReaderProcess, device: str, method: str, draw: random.Random) -> None:
        platform, world = self.world.platform, self.world
        asked = Asked(len(self.asked) + 1, reader, method, world.clock.now_s, world.publisher.life, device)
        message = {"device": device, "data": {"id": asked.id, "method": method, "params": asked.id}}
        if platform.say("v1/gateway/rpc", message):
            self.asked.append(asked)
            if draw.random() < 0.05:
                # At least once is what MQTT promises.
                platform.say("v1/gateway/rpc", message)
