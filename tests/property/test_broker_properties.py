"""The broker's core under any run of events."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.broker.core.credit import CREDIT, LITTLE_CREDIT, PINNED_CREDIT
from services.broker.core.events import FramesBlocked, FramesWritable, SendFrames
from services.broker.core.gathering import is_little
from tests.support.brokering import World, frames

NAMES = ("0", "1", "2")
DEVICES = ("a", "b", "p", "q")
PINNED = ("p", "q")


class Broker(RuleBasedStateMachine):
    """Readers feed, converters come, go, block, and give back, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.next_number = dict.fromkeys(DEVICES, 1)
        self.waiting: dict[str, list[int]] = {device: [] for device in DEVICES}
        """What was fed and has not gone out, as it should be queued."""
        self.held: dict[str, list[SendFrames]] = {name: [] for name in NAMES}
        self.sent: set[tuple[str, int]] = set()
        self.refused: set[tuple[str, int]] = set()
        self.started = 0
        self.alive: dict[str, int] = {}
        self.blocked: set[str] = set()

    def settle_effects(self) -> None:
        """Takes what was sent; what goes to a blocked converter is refused, as a shell would."""
        while sent := self.world.take(SendFrames):
            for position, effect in enumerate(sent):
                if effect.converter in self.blocked:
                    self.refused.add((effect.batch.device, effect.batch.first))
                    self.world.say(FramesBlocked(*effect))
                    continue
                waiting = self.waiting[effect.batch.device]
                if effect.batch.first in waiting:
                    # In order, but for what another converter was about to get and did not take.
                    place = waiting.index(effect.batch.first)
                    assert all((effect.batch.device, first) in self.refused for first in waiting[:place])
                    waiting.pop(place)
                    self.sent.add((effect.batch.device, effect.batch.first))
                else:
                    # Taken back from a converter that has not answered; what users' code converts never is.
                    assert (effect.batch.device, effect.batch.first) in self.sent, (position, effect)
                    assert not effect.batch.pinned
                self.held[effect.converter].append(effect)

    @rule(device=st.sampled_from(DEVICES), size=st.integers(0, 300_000))
    def feed(self, device: str, size: int) -> None:
        first = self.next_number[device]
        dropped = self.world.core.counters["batches_dropped"]
        self.next_number[device] += 10
        self.waiting[device].append(first)
        self.world.effects.clear()
        self.world.feed(frames(device, first=first, pinned=device in PINNED, body=bytes(size)))
        if self.world.core.counters["batches_dropped"] > dropped:
            self.waiting[device].pop()
        self.settle_effects()

    @rule(name=st.sampled_from(NAMES), is_connected=st.booleans())
    def start(self, name: str, is_connected: bool) -> None:
        self.started += 1
        self.held[name], self.alive[name] = [], self.started
        (self.blocked.discard if is_connected else self.blocked.add)(name)
        self.world.register("converter", name, instance=f"i{self.started}", lock=f"/{name}")
        self.settle_effects()

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        name = data.draw(st.sampled_from([name for name in NAMES if self.held[name]]))
        self.world.convert(self.held[name].pop(0))
        self.settle_effects()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def block(self, data: Any) -> None:
        self.blocked.add(data.draw(st.sampled_from(sorted(self.alive))))

    @precondition(lambda self: self.blocked)
    @rule(data=st.data())
    def unblock(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.blocked)))
        self.blocked.discard(name)
        self.world.say(FramesWritable(name))
        self.settle_effects()

    @rule(seconds=st.integers(1, 7), silent=st.sets(st.sampled_from(NAMES)))
    def pass_time(self, seconds: int, silent: set[str]) -> None:
        self.world.pass_time(seconds, *(f"converter:{name}" for name in self.alive if name not in silent))
        self.settle_effects()

    @invariant()
    def holds_at_most_its_credit(self) -> None:
        for held in self.held.values():
            assert sum(not sent.batch.pinned for sent in held) <= CREDIT
            assert all(sum(sent.batch.device == device for sent in held) <= PINNED_CREDIT for device in PINNED)

    @invariant()
    def counts_what_it_queues(self) -> None:
        dispatcher = self.world.core._dispatcher
        assert dispatcher.queued_bytes or not any(self.waiting.values())
        assert bool(dispatcher.queued_bytes) == bool(dispatcher.queued_devices)

    def teardown(self) -> None:
        """Everything that was taken comes out in order once a converter works again."""
        for name in sorted(self.blocked):
            self.unblock_all(name)
        self.start("0", True)
        for _ in range(10_000):
            held = [name for name in NAMES if self.held[name]]
            if not held and not any(self.waiting.values()) and not self.world.core._dispatcher.queued_bytes:
                return
            for name in held:
                self.world.convert(self.held[name].pop(0))
                self.settle_effects()
            if not held:
                self.pass_time(1, set())
        raise AssertionError(f"stuck with {self.waiting}")

    def unblock_all(self, name: str) -> None:
        self.blocked.discard(name)
        self.world.say(FramesWritable(name))
        self.settle_effects()


TestBroker = Broker.TestCase
TestBroker.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(st.tuples(st.sampled_from(("little", "large", "answered")), st.integers(0, 9)), max_size=60))
def test_a_little_batch_waits_behind_no_large_one_while_another_converter_is_free(steps: list[tuple[str, int]]) -> None:
    """It goes to one that has as few large ones as any that takes it, and none waits while a converter has nothing."""
    world = World()
    held: dict[str, list[SendFrames]] = {name: [] for name in NAMES}
    for name in NAMES:
        world.register("converter", name)
    world.effects.clear()

    def large_ones(name: str) -> int:
        return sum(not is_little(sent.batch) for sent in held[name])

    def takes_little(name: str) -> bool:
        return len(held[name]) - large_ones(name) < LITTLE_CREDIT

    for number, (step, choice) in enumerate(steps):
        if step != "answered":
            world.feed(frames(f"d{choice}", first=1 + 10 * number, length=1 if step == "little" else 10))
        elif at_work := [sent for name in NAMES for sent in held[name]]:
            done = at_work[choice % len(at_work)]
            held[done.converter].remove(done)
            world.convert(done)
        for sent in world.take(SendFrames):
            if is_little(sent.batch):
                assert large_ones(sent.converter) == min(large_ones(name) for name in NAMES if takes_little(name))
            held[sent.converter].append(sent)
        assert all(held.values()) or not world.core._dispatcher.queued_devices
