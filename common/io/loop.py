"""The one loop: one thread, one poller, a core that decides and a shell that performs.

Each round waits, hears what the sources have, and fires the core's timer where its time has come:

    begin    the pulse beats; where a timer is due, sources that rest are heard as well
    wait     until a source has something, a rest ends, or the timer is due
    hear     what the sources have becomes events for the core, one after the other
    fire     `Tick`, if it is due and nothing more was there, or a flood has lasted for DRAIN_ROUNDS

Sources are drained before timers fire, so that a process that was stopped and continued first hears what happened
meanwhile. The broad `except` of a process stands here: a bug is logged once and ends the process; the journal keeps
the data and the supervisor restarts it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar

from common.core.events import Core, Drain, Exit, Start, Tick
from common.io.clock import monotonic_s
from common.io.exits import EXIT_CRASH
from common.io.levels import SIGNAL as LEVELS_SIGNAL
from common.io.levels import LogLevels
from common.io.logs import LogHandler, handler_of
from common.io.pulse import Pulse
from common.io.sources import Pollable, Sources

DRAIN_ROUNDS: Final = 16
"""Rounds of the sources before an overdue timer fires all the same: a flood must not stop the clock."""

Event = TypeVar("Event")
Effect = TypeVar("Effect")
Event_co = TypeVar("Event_co", covariant=True)
Effect_contra = TypeVar("Effect_contra", contravariant=True)


class Shell(Protocol[Effect_contra, Event_co]):
    """The part of a process that touches the world. Its sockets are among the loop's sources."""

    def perform(self, effect: Effect_contra) -> Iterable[Event_co]:
        """Carries out one effect; returns the events that follow from it at once, such as `Blocked`."""
        ...


class Loop(Generic[Event, Effect]):
    """Waits, turns what happened into events, hands them to the core and its effects to the shell."""

    def __init__(
        self,
        core: Core[Event | Start | Tick | Drain, Effect | Exit],
        shell: Shell[Effect, Event],
        sources: Sources[Event],
        logger: logging.Logger,
        pulse: Pulse | None = None,
        *,
        levels: LogLevels | None = None,
    ) -> None:
        """`levels` says how much is logged, where that may change."""
        self._core = core
        self._shell = shell
        self._sources = sources
        self._logger = logger
        self._log = handler_of(logger)
        self._pulse = pulse
        self._levels = levels
        self._exit_code: int | None = None
        """None as long as the core has not said `Exit`."""

    def run(self) -> int:
        """Runs until the core says `Exit`; returns its code, or EXIT_CRASH after an exception, which is logged."""
        # Python writes the number of each signal into this pipe, so that a signal ends the wait like any source.
        wakeup_in, wakeup_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        old_fd = signal.set_wakeup_fd(wakeup_out, warn_on_full_buffer=False)
        self._take_signals()
        try:
            return self.run_beside(wakeup_in)
        finally:
            signal.set_wakeup_fd(old_fd)
            os.close(wakeup_in)
            os.close(wakeup_out)

    def run_beside(self, wakeup_in: int) -> int:
        """As `run`, in a thread beside the main one, which alone can take signals: whoever has that one takes them, and
        has Python write their numbers into the pipe whose reading end this is."""
        self._sources.add_reader(wakeup_in, lambda: self._signalled(wakeup_in))
        if self._levels is not None:
            self._levels.look()
        # What starting has made is here to stay: no collection has to look at it again.
        gc.collect()
        gc.freeze()
        try:
            return self._run()
        except Exception:
            self._logger.exception("process.crashed")
            return EXIT_CRASH
        finally:
            if self._pulse is not None:
                self._pulse.close()
            self._sources.remove_reader(wakeup_in)

    def _take_signals(self) -> None:
        """Takes the signals that a process of ours knows. They are never given back: a second one while the shell
        closes must not turn a clean exit into a death."""
        for number in (signal.SIGTERM, signal.SIGINT, LEVELS_SIGNAL):
            # `_signalled` does the work, from the pipe and in the loop's order.
            signal.signal(number, lambda *_: None)
        # A terminal that closes ends nothing that was started in it by hand.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCONT, self._continued)

    def _run(self) -> int:
        self.dispatch(Start())
        overdue_rounds = 0
        while self._exit_code is None:
            deadline_s, now_s = self._core.next_deadline_s, monotonic_s()
            is_due = deadline_s is not None and now_s >= deadline_s
            self._begin_round(is_due, now_s)
            ready = self._sources.poll(0 if is_due else self._timeout_ms(deadline_s, now_s))
            self._hear(ready)
            self._sources.end_rests(monotonic_s())
            self._tell()
            overdue_rounds = overdue_rounds + 1 if is_due else 0
            # What is there comes first, but a flood does not stop the clock.
            if is_due and (not ready or overdue_rounds >= DRAIN_ROUNDS):
                overdue_rounds = 0
                self._fire()
        return self._exit_code

    def _begin_round(self, is_due: bool, now_s: float) -> None:
        """Shows that we go round. Before a timer fires those that rest are heard, else who was only heard rests on."""
        if self._pulse is not None:
            self._pulse.beat(now_s)
        if is_due:
            self._sources.end_rests(now_s, is_due=True)
        else:
            self._sources.rest_on()

    def _timeout_ms(self, deadline_s: float | None, now_s: float) -> int | None:
        """How long to wait for the sources; None: until one has something."""
        rest_s = self._sources.next_end_s
        if rest_s is not None:
            deadline_s = rest_s if deadline_s is None else min(deadline_s, rest_s)
        # Rounded up: waking a fraction early would spin until the deadline.
        return None if deadline_s is None else max(0, int((deadline_s - now_s) * 1000) + 1)

    def _hear(self, ready: list[tuple[Pollable, int]]) -> None:
        """Hands on what these sources have, until there is an end."""
        for source, flags in ready:
            for event in self._sources.take(source, flags):
                self.dispatch(event)
            if self._exit_code is not None:
                return
        if ready:
            for event in self._sources.round_end():
                self.dispatch(event)

    def _fire(self) -> None:
        """The time that the core has named has come."""
        self._drain_lazy()
        self._sources.rest_on()
        # Whatever the lazy sources made the core do: its time has come, and may have come for more than that.
        self.dispatch(Tick())

    def _drain_lazy(self) -> None:
        """Takes all that waits in the lazy sources, or a bounded amount of a flood."""
        for source in self._sources.lazy:
            for _ in range(DRAIN_ROUNDS):
                events = list(source())
                for event in events:
                    self.dispatch(event)
                if not events:
                    break

    def _tell(self) -> None:
        """Log lines that nobody took before go on, as far as somebody takes them now."""
        if self._log is not None and self._log.is_behind:
            self._tell_more(self._log)

    def _tell_more(self, log: LogHandler) -> tuple[()]:
        # Polled for room only while lines wait: a pipe that takes everything would wake us all the time.
        log.catch_up()
        descriptor = log.outlet.descriptor
        if descriptor is not None and log.outlet.wants_room != self._sources.is_written(descriptor):
            if log.outlet.wants_room:
                self._sources.add_writer(descriptor, lambda: self._tell_more(log))
            else:
                self._sources.remove_writer(descriptor)
        return ()

    def dispatch(self, event: Event | Start | Tick | Drain) -> None:
        """Hands an event to the core and performs what it orders, and what follows from that, in order."""
        pending: deque[Event | Start | Tick | Drain] = deque([event])
        while pending and self._exit_code is None:
            for effect in self._core.handle(pending.popleft(), monotonic_s()):
                if type(effect) is Exit:  # isinstance takes three times as long where it is not
                    self._exit_code = effect.code
                    return
                pending.extend(self._shell.perform(effect))

    def _continued(self, *_: object) -> None:
        # In a signal handler, which may run between any two lines: a time is all that is kept.
        self._sources.continued_s = monotonic_s()

    def _signalled(self, wakeup_in: int) -> tuple[()]:
        # Others that have a handler come by this pipe too (SIGCONT), and end a wait for nothing.
        numbers = os.read(wakeup_in, 64)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.dispatch(Drain())
        if LEVELS_SIGNAL in numbers and self._levels is not None:
            self._levels.look()
        return ()
