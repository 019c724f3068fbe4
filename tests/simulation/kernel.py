"""A world in one thread: a fake clock, things that happen at times, processes that are cores, links that are bad.

Everything is drawn from one seed, so that a failure is its seed.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from common.events import Arrived, Blocked, Core, Exit, Note, Start, Tick, Writable
from common.messages import Message, Plane

Action = Callable[[], None]


class Clock:
    """Fake time: actions run in the order of their times, and time is what the next action says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_s = 1000.0
        self.wall_offset_ms = 1_700_000_000_000
        self._due: list[tuple[float, int, Action]] = []
        self._count = 0

    def after(self, delay_s: float, action: Action) -> None:
        """Runs `action` when `delay_s` have passed; equal times keep their order."""
        self._count += 1
        heapq.heappush(self._due, (self.now_s + max(0.0, delay_s), self._count, action))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets time pass; True as soon as `until` is true, False when the seconds are over."""
        end_s = self.now_s + seconds
        while self._due and self._due[0][0] <= end_s:
            self.now_s, _, action = heapq.heappop(self._due)
            action()
            if until():
                return True
        self.now_s = end_s
        return until()

    @property
    def wall_ms(self) -> int:
        """The wall clock, which faults may set back or forth by `wall_offset_ms`."""
        return int(self.now_s * 1000) + self.wall_offset_ms


class Link:
    """How messages get from one place to another: with delay, and in bad times lost, doubled, out of order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.loss = 0.0
        self.doubling = 0.0
        self.slow_s = 0.001
        self.ordered = True
        self._last_s: dict[Any, float] = {}
        self.counts = {"lost": 0, "doubled": 0}

    def carry(self, lane: Any, deliver: Action) -> None:
        """Delivers after a drawn delay; on one lane in order, as ZeroMQ does, unless `ordered` is off."""
        draw = self._clock.random
        if draw.random() < self.loss:
            self.counts["lost"] += 1
            return
        copies = 1
        if draw.random() < self.doubling:
            self.counts["doubled"] += 1
            copies = 2
        for _ in range(copies):
            delay_s = draw.random() * self.slow_s
            if self.ordered:
                at_s = max(self._clock.now_s + delay_s, self._last_s.get(lane, 0.0))
                self._last_s[lane] = at_s
                delay_s = at_s - self._clock.now_s
            self._clock.after(delay_s, deliver)


class Process:
    """A core under the fake clock: dies, comes back, stands still, and hears what the loop would tell it."""

    name: str

    def __init__(self, clock: Clock, name: str) -> None:
        self.clock = clock
        self.name = name
        self.core: Core | None = None
        self.life = 0
        """Rises with each start; what was meant for an earlier life is not delivered."""
        self.stopped = False
        self._held: list[Any] = []
        self._armed = 0
        self.exit_code: int | None = None
        self.notes: list[Note] = []

    # What each kind of process fills in.

    def make_core(self) -> Core:
        """A new core, as a new process would build it."""
        raise NotImplementedError

    def perform(self, effect: Any) -> Iterable[Any]:
        """Carries out an effect; returns the events that follow at once."""
        raise NotImplementedError

    def cut(self) -> None:
        """What the kernel takes away when the process dies."""

    # What all have.

    @property
    def alive(self) -> bool:
        return self.core is not None

    def start(self) -> None:
        """Starts the process, if it does not run."""
        if self.core is None:
            self.life += 1
            self.stopped = False
            self.exit_code = None
            self._held = []
            self.core = self.make_core()
            self.hear(Start())

    def kill(self) -> None:
        """kill -9: the core and everything it held are gone."""
        if self.core is not None:
            self.core = None
            self._held = []
            self.cut()

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """SIGCONT: first everything that came meanwhile, then the timers."""
        if self.stopped:
            self.stopped = False
            held, self._held = self._held, []
            for event in held:
                self.hear(event)

    def later(self, delay_s: float, event: Any) -> None:
        """Tells this life of the process something after a delay."""
        life = self.life
        self.clock.after(delay_s, lambda: self.hear(event) if self.life == life else None)

    def hear(self, event: Any) -> None:
        """What `Loop.dispatch` does: the core handles, effects are performed in order, follow-ups after them."""
        if self.core is None:
            return
        if self.stopped:
            self._held.append(event)
            return
        pending = deque([event])
        while pending and self.core is not None:
            for effect in self.core.handle(pending.popleft(), self.clock.now_s):
                if isinstance(effect, Exit):
                    self.exit_code = effect.code
                    self.kill()
                    return
                if isinstance(effect, Note):
                    self.notes.append(effect)
                    continue
                pending.extend(self.perform(effect))
                if self.core is None:
                    return
        self._arm()

    def _arm(self) -> None:
        """One pending tick at a time, for the deadline that the core names now."""
        assert self.core is not None
        deadline_s = self.core.next_deadline_s
        if deadline_s is None:
            return
        self._armed += 1
        armed, life = self._armed, self.life

        def tick() -> None:
            if self.life == life and self._armed == armed and self.core is not None:
                if self.stopped:
                    self.clock.after(0.01, tick)
                elif (again_s := self.core.next_deadline_s) is not None and again_s <= self.clock.now_s:
                    self.hear(Tick())
                else:
                    self._arm()

        # Never at once: a deadline in the past would hold the clock still.
        self.clock.after(max(0.0001, deadline_s - self.clock.now_s), tick)


class Post:
    """The planes: who can be reached now, and what happens to a message on the way."""

    def __init__(self, clock: Clock) -> None:
        self.link = Link(clock)
        self._blocked: dict[str, set[tuple[Process, int, Plane]]] = {}

    def send(self, sender: Process, receiver: Process, event: Any, plane: Plane, message: Message) -> list[Any]:
        """Carries `event` to the receiver; [Blocked] if it is not there, and `Writable` for the sender when it is."""
        if not receiver.alive:
            self._blocked.setdefault(receiver.name, set()).add((sender, sender.life, plane))
            return [Blocked(plane, message)]
        life = receiver.life
        lane = (sender.name, sender.life, receiver.name, plane)
        self.link.carry(lane, lambda: receiver.hear(event) if receiver.life == life else None)
        return []

    def arrived(self, receiver: Process) -> None:
        """To be called after a start: whoever was blocked on it may send again."""
        for sender, life, plane in self._blocked.pop(receiver.name, set()):
            if sender.life == life:
                sender.later(0.001, Writable(plane))


def arrived(plane: Plane, message: Message) -> Arrived:
    """Short for the event of a message."""
    return Arrived(plane, message)
