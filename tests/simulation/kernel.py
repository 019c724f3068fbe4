"""A world in one thread: a fake clock, things that happen at times, processes that are cores, links that are bad.

Everything is drawn from one seed, so that a failure is its seed.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from common.core.events import Arrived, Core, Exit, Note, Start, Tick
from common.wire.messages import Message, Plane, Request

Action = Callable[..., None]
MOST_TICKS: Final = 2_000
"""Ticks in a row, each due at once: a core that wants more of them takes a whole processor and gets nowhere."""


class Clock:
    """Fake time: actions run in the order of their times, and time is what the next action says."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_s = 1000.0
        self.wall_offset_ms = 1_700_000_000_000
        self.trace: Callable[[str], None] | None = None
        """Hears every step of the run, for a replay."""
        self._due: list[tuple[float, int, Action, tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay_s: float, action: Action, *arguments: Any) -> None:
        """Runs `action` when `delay_s` have passed; equal times keep their order."""
        self._count += 1
        at_s = self.now_s + delay_s if delay_s > 0 else self.now_s
        heapq.heappush(self._due, (at_s, self._count, action, arguments))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Lets time pass; True as soon as `until` is true, False when the seconds are over."""
        end_s = self.now_s + seconds
        due = self._due
        while due and due[0][0] <= end_s:
            self.now_s, _, action, arguments = heapq.heappop(due)
            action(*arguments)
            if until is not None and until():
                return True
        self.now_s = end_s
        return until is not None and until()

    @property
    def wall_ms(self) -> int:
        """The wall clock, which faults may set back or forth by `wall_offset_ms`."""
        return int(self.now_s * 1000) + self.wall_offset_ms


class Aged(NamedTuple):
    """A request on its way: the sockets take the time that it lies in them from what is left of it."""

    event: Any
    sent_s: float

    def read(self, now_s: float) -> Any:
        """The event as it comes out of the socket."""
        message = self.event.message
        left_s = message.time_left_s - (now_s - self.sent_s)
        event, message = self.event, message.replace(time_left_s=left_s)
        # The broker hears of a call as a tuple, with the way back.
        return Arrived(event.plane, message) if isinstance(event, Arrived) else event._replace(message=message)


class Link:
    """How messages get from one place to another: with delay, and in bad times lost, doubled, out of order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.loss = 0.0
        self.report_loss = 0.0
        """The same of the publisher's reports alone."""
        self.doubling = 0.0
        self.slow_s = 0.001
        self.ordered = True
        self._last_s: dict[Any, float] = {}

    def carry(self, lane: Any, receiver: Process, event: Any) -> None:
        """Delivers to this life of a process after a drawn delay; in order on one lane, as ZeroMQ does, unless
        `ordered` is off."""
        clock = self._clock
        if type(getattr(event, "message", None)) is Request:
            event = Aged(event, clock.now_s)
        draw = clock.random.random
        if self.loss and draw() < self.loss:
            if clock.trace:
                clock.trace(f"{'':18} lost on the way to {receiver.name}: {event}")
            return
        for _ in range(2 if self.doubling and draw() < self.doubling else 1):
            delay_s = draw() * self.slow_s
            if self.ordered:
                last_s = self._last_s.get(lane, 0.0)
                at_s = max(clock.now_s + delay_s, last_s)
                self._last_s[lane] = at_s
                delay_s = at_s - clock.now_s
            clock.after(delay_s, receiver.hear_in_life, receiver.life, event)


class Stall(NamedTuple):
    """What `Process.perform` returns for an effect that takes the process so long; `events` are found out then."""

    seconds: float
    events: Callable[[], Iterable[Any]]


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
        self.fuse: int | None = None
        """After so many more effects the process dies, before it performs the next."""
        self.on_fuse: Action = lambda: None
        self.exit_code: int | None = None
        self.steps = 0
        self.notes: list[Note] = []
        self._held: deque[Any] = deque()
        self._stalled: tuple[Iterator[Any], deque[Any], Stall] | None = None
        self._is_over = False
        """True for a stall whose time is over while the process is stopped."""
        self._tick_s: float | None = None
        self._ticks = 0
        """Ticks in a row after each of which the next was due at once."""

    # What each kind of process fills in.

    def make_core(self) -> Core:
        """A new core, as a new process would build it."""
        raise NotImplementedError

    def perform(self, effect: Any) -> Iterable[Any] | Stall:
        """Carries out an effect; returns the events that follow at once."""
        raise NotImplementedError

    def cut(self, core: Any) -> None:
        """What the kernel takes away when the process with this core dies."""

    def idle(self) -> None:
        """The process waits again."""

    # What all have.

    @property
    def alive(self) -> bool:
        return self.core is not None

    @property
    def is_busy(self) -> bool:
        """True if it does not take events now."""
        return self.stopped or self._stalled is not None

    def start(self) -> None:
        """Starts the process, if it does not run."""
        if self.core is None:
            self.life += 1
            self.stopped = False
            self.exit_code = None
            self.core = self.make_core()
            self.hear(Start())

    def kill(self) -> None:
        """kill -9: the core and everything it held are gone."""
        if self.core is not None:
            core, self.core = self.core, None
            self.cut(core)
            self._held.clear()
            self._stalled, self._tick_s, self.fuse = None, None, None
            if self.clock.trace:
                self.clock.trace(f"{self.name:18} DIED")

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """SIGCONT: first everything that came meanwhile, then the timers."""
        if self.stopped:
            self.stopped = False
            if self._stalled is not None and self._is_over:
                self._end_stall(self.life, self._stalled[2])
            elif self._stalled is None:
                self._catch_up()

    def later(self, delay_s: float, event: Any) -> None:
        """Tells this life of the process something after a delay."""
        self.clock.after(delay_s, self.hear_in_life, self.life, event)

    def hear_in_life(self, life: int, event: Any) -> None:
        """Hears an event if the process still lives in this life."""
        if self.life == life:
            self.hear(event)

    def hear(self, event: Any) -> None:
        """What `Loop.dispatch` does: the core handles, effects are performed in order, follow-ups after them."""
        if self.core is None:
            return
        if self.stopped or self._stalled is not None:
            self._held.append(event)
            return
        self._go(iter(()), deque((event,)))

    def _go(self, effects: Iterator[Any], pending: deque[Any]) -> None:
        clock = self.clock
        while True:
            for effect in effects:
                if clock.trace:
                    clock.trace(f"{self.name:18}   -> {effect}")
                kind = type(effect)
                if kind is Note:
                    self.notes.append(effect)
                    continue
                if self.fuse is not None and self._burn():
                    return
                if kind is Exit:
                    self.exit_code = effect.code
                    self.kill()
                    return
                following = self.perform(effect)
                if self.core is None:
                    return
                if type(following) is Stall:
                    self._stalled, self._is_over = (effects, pending, following), False
                    clock.after(following.seconds, self._end_stall, self.life, following)
                    return
                pending.extend(following)  # type: ignore[arg-type]
            if not pending:
                break
            event = pending.popleft()
            if type(event) is Aged:
                event = event.read(clock.now_s)
            if clock.trace:
                clock.trace(f"{self.name:18} {event}")
            self.steps += 1
            assert self.core is not None
            effects = iter(self.core.handle(event, clock.now_s))
        self._arm()
        self.idle()

    def _burn(self) -> bool:
        assert self.fuse is not None
        self.fuse -= 1
        if self.fuse >= 0:
            return False
        on_fuse, self.on_fuse = self.on_fuse, lambda: None
        self.kill()
        on_fuse()
        return True

    def _end_stall(self, life: int, stall: Stall) -> None:
        if self.life != life or self._stalled is None or self._stalled[2] is not stall:
            return
        if self.stopped:
            self._is_over = True
            return
        effects, pending, _ = self._stalled
        events = stall.events()
        if self.core is None:
            return
        self._stalled = None
        pending.extend(events)
        self._go(effects, pending)
        self._catch_up()

    def _catch_up(self) -> None:
        """What came while the process did not listen, then the timers."""
        while self._held and self.core is not None and not self.is_busy:
            self._go(iter(()), deque((self._held.popleft(),)))
        if self.core is not None and not self.is_busy:
            self._arm()
            self.idle()

    def _arm(self) -> None:
        """One wake-up for the deadline that the core names now; an earlier one will look again."""
        assert self.core is not None
        deadline_s = self.core.next_deadline_s
        if deadline_s is None:
            return
        self._ticks = self._ticks + 1 if deadline_s <= self.clock.now_s else 0
        if self._ticks > MOST_TICKS:
            raise AssertionError(f"{self.name} spins: a tick was due at once {MOST_TICKS} times in a row")
        # Never at once: a deadline in the past would hold the clock still.
        at_s = max(deadline_s, self.clock.now_s + 0.0001)
        if self._tick_s is None or at_s < self._tick_s:
            self._tick_s = at_s
            self.clock.after(at_s - self.clock.now_s, self._tick, self.life, at_s)

    def _tick(self, life: int, at_s: float) -> None:
        if self.life != life or self._tick_s != at_s or self.core is None:
            return
        self._tick_s = None
        if self.is_busy:
            return
        deadline_s = self.core.next_deadline_s
        if deadline_s is not None and deadline_s <= self.clock.now_s:
            self.hear(Tick())
        else:
            self._arm()


def arrived(plane: Plane, message: Message) -> Arrived:
    """Short for the event of a message."""
    return Arrived(plane, message)
