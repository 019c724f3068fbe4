"""One seed's run: a load, faults drawn from the seed, and what must be true at the end."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from tests.simulation.kernel import Process
from tests.simulation.reader import ReaderProcess
from tests.simulation.world import World

LOAD_S = 40.0
"""Lines talk and faults happen for so long; then faults stop."""
QUIET_S = 60.0
"""Within so long after the last fault everything must have been delivered."""
KINDS = (
    "kill converter",
    "kill publisher",
    "kill broker",
    "kill reader",
    "stop and continue",
    "platform away",
    "platform cut",
    "lost acks",
    "lossy links",
    "unordered links",
    "slow links",
    "unplug",
)


class Outcome(NamedTuple):
    """What a run showed. `problems` is empty when everything held."""

    seed: int
    problems: list[str]
    faults: Counter[str]
    frames: int
    simulated_s: float
    resent: int


class Run:
    """The world of one seed, from its start to its verdict."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = World(seed, devices=1 + seed % 3, converters=1 + seed % 2)
        self.draw = self.world.clock.random
        self.faults: Counter[str] = Counter()
        self.said: dict[str, int] = {}
        self.tolerated: Counter[str] = Counter()
        """Frames of a device that may be missing: in progress at a reader's death, or said to a line without reader."""

    def execute(self) -> Outcome:
        """Runs everything and judges it."""
        world = self.world
        world.start()
        for reader in world.readers:
            self._load(reader)
        for kind in self.plan().elements():
            self.faults[kind] += 1
            world.clock.after(3 + self.draw.random() * (LOAD_S - 5), lambda kind=kind: self._inflict(kind))  # type: ignore[misc]
        world.clock.run(LOAD_S + 5)
        done = world.clock.run(QUIET_S, lambda: world.is_settled)
        problems = self._judge(done)
        resent = sum(reader.core.counters.values["frames_resent"] for reader in world.readers if reader.core)  # type: ignore[attr-defined]
        frames = sum(self.said.values())
        return Outcome(self.seed, problems, self.faults, frames, world.clock.now_s - 1000, resent)

    def plan(self) -> Counter[str]:
        """What will go wrong: three to six faults, none in every tenth seed."""
        draw = random.Random(f"faults of {self.seed}")
        return Counter(draw.choices(KINDS, k=0 if self.seed % 10 == 0 else 3 + draw.randrange(4)))

    def _load(self, reader: ReaderProcess) -> None:
        """Numbers at a drawn rate, in bursts, now and then cut in two."""
        rate_hz = self.draw.choice([1, 5, 20, 50, 200])
        name = reader.device.name
        self.said[name] = 0
        end_s = self.world.clock.now_s + LOAD_S

        def speak() -> None:
            burst = self.draw.choice([1, 1, 1, 3, 10])
            for _ in range(burst):
                self.said[name] += 1
                self._say(reader, b"%d\n" % self.said[name])
            delay_s = burst / rate_hz * (0.5 + self.draw.random())
            if self.world.clock.now_s + delay_s < end_s:
                self.world.clock.after(delay_s, speak)

        self.world.clock.after(2.0, speak)

    def _say(self, reader: ReaderProcess, frame: bytes) -> None:
        line = reader.line
        if not line.is_plugged or line.room < len(frame):
            # Bytes that a full line loses would join two frames into one that nobody said.
            self.tolerated[reader.device.name] += 1
            return
        cut = self.draw.randrange(len(frame)) if self.draw.random() < 0.1 else 0
        if cut:
            line.say(frame[:cut])
        line.say(frame[cut:])

    # Faults.

    def _inflict(self, kind: str) -> None:
        world, draw = self.world, self.draw
        match kind:
            case "kill converter":
                world.kill(draw.choice(world.converters), draw.random() * 3)
            case "kill publisher":
                world.kill(world.publisher, draw.random() * 5)
            case "kill broker":
                world.kill(world.broker, draw.random() * 5)
            case "kill reader":
                reader = draw.choice(world.readers)
                # The frame in progress, and the rest of it where the next life joins.
                self.tolerated[reader.device.name] += 2
                world.kill(reader, draw.random() * 2)
            case "stop and continue":
                self._stop(draw.choice(list(world.processes.values())), draw.random() * 8)
            case "platform away":
                world.platform.go_away(draw.random() * 15)
            case "platform cut":
                world.platform.cut("cut by the test")
            case "unplug":
                self._unplug(draw.choice(world.readers), draw.random() * 3)
            case _:
                self._spoil(kind, 1 + draw.random() * 5)

    def _stop(self, process: Process, seconds: float) -> None:
        process.stop()
        self.world.clock.after(seconds, process.go_on)

    def _unplug(self, reader: ReaderProcess, seconds: float) -> None:
        waiting = reader.line.waiting.count(b"\n") + 2
        self.tolerated[reader.device.name] += waiting
        reader.line.unplug()

        def plug_in() -> None:
            reader.line.is_plugged = True

        self.world.clock.after(seconds, plug_in)

    def _spoil(self, kind: str, seconds: float) -> None:
        """Bad links or a forgetful platform, for a while."""
        link, platform = self.world.link, self.world.platform
        match kind:
            case "lost acks":
                platform.lose_acks = 0.2
            case "lossy links":
                link.loss = 0.1
                link.doubling = 0.1
            case "unordered links":
                link.ordered = False
                link.slow_s = 0.05
            case "slow links":
                link.slow_s = 0.3

        def mend() -> None:
            link.loss = link.doubling = platform.lose_acks = 0.0
            link.ordered = True
            link.slow_s = 0.001

        self.world.clock.after(seconds, mend)

    # The verdict.

    def _judge(self, done: bool) -> list[str]:
        world = self.world
        problems = [] if done else [f"not settled {QUIET_S:g} s after the last fault"]
        for reader in world.readers:
            problems += self._judge_device(reader)
        problems += sorted(set(world.platform.faults))
        for process in world.processes.values():
            if not process.alive:
                problems.append(f"{process.name} does not run at the end; exit code {process.exit_code}")
        if not self.faults and not problems:
            converted = sum(converter.frames_converted for converter in world.converters)
            numbered = sum(reader.disk.next_number - 1 for reader in world.readers)
            if converted > 1.1 * numbered:
                problems.append(f"{converted} conversions of {numbered} frames without any fault")
        return problems

    def _judge_device(self, reader: ReaderProcess) -> list[str]:
        name = reader.device.name
        accepted = self.world.accepted(name)
        problems = []
        if accepted != sorted(accepted):
            place = next(i for i in range(1, len(accepted)) if accepted[i] < accepted[i - 1])
            problems.append(f"{name}: out of order: {accepted[place - 1]} before {accepted[place]}")
        missing = set(range(1, self.said[name] + 1)) - set(accepted)
        whole = self._whole(missing, reader)
        if len(whole) > self.tolerated[name]:
            problems.append(f"{name}: {len(whole)} missing, {self.tolerated[name]} may be: {sorted(whole)[:10]}")
        if strange := set(accepted) - set(range(1, self.said[name] + 1)):
            problems.append(f"{name}: parts of frames as readings: {sorted(strange)[:10]}")
        last = self.world.platform.attributes.get(name, {}).get("last")
        if accepted and last != accepted[-1]:
            problems.append(f"{name}: the last attribute is {last}, expected {accepted[-1]}")
        if reader.disk.dead and not self.tolerated[name]:
            problems.append(f"{name}: dead letters: {reader.disk.dead[:3]}")
        return problems

    def _whole(self, missing: set[int], reader: ReaderProcess) -> set[int]:
        """Without those that stand among the dead letters, which hold what was joined in the middle."""
        kept = b"\n".join(letter.data for letter in reader.disk.dead).split()
        return missing - {int(word) for word in kept if word.isdigit()}
