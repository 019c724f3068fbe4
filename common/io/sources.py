"""What a process waits for: sockets and descriptors, who is called when they have something, and who rests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

import zmq

from common.io.rests import Rests

_IN: Final = int(zmq.POLLIN)
_OUT: Final = int(zmq.POLLOUT)
# As plain numbers: an enum's operators take longer than the poll itself.

Event = TypeVar("Event")

Pollable = zmq.Socket[bytes] | int
"""A ZeroMQ socket or a file descriptor."""
Source = Callable[[], Iterable[Event]]
"""Called when readable; returns events. It should take a bounded amount, and is called again while more is there."""


class Sources(Generic[Event]):
    """All that one loop polls. A shell adds its sockets here as it makes them; the loop waits for them."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()
        self._readers: dict[Pollable, Source[Event]] = {}
        self._writers: dict[Pollable, Source[Event]] = {}
        self._rests: Rests[Pollable] = Rests()
        self.lazy: list[Source[Event]] = []
        self.round_end: Source[Event] = lambda: ()
        """Gives events after each round of sources, for a core that does its work for all that came together."""
        self.continued_s = float("-inf")
        """When this process, which had been stopped, went on last."""
        self.wakeups = 0
        """How often the loop left its wait; a counter for the heartbeat and the idle test."""

    def add_reader(self, source: Pollable, on_readable: Source[Event]) -> None:
        """Polls a ZeroMQ socket or a file descriptor for reading."""
        self._readers[source] = on_readable
        self._register(source)

    def add_lazy_reader(self, on_due: Source[Event]) -> None:
        """A source that wakes nobody: it is drained before each timer. For what may wait a second, such as the
        heartbeats of everyone, which else wake their listeners many times a second on an idle gateway."""
        self.lazy.append(on_due)

    def rest(self, source: Pollable, until_s: float, deep: bool = False) -> None:
        """Does not read a source before `until_s`, however much is there; in the past: reads it again. What comes
        meanwhile is taken with one wake-up. Before a timer fires the source is read all the same, unless it rests
        `deep`ly: then the core must not take its silence for news."""
        if source in self._readers:
            self._rests.begin(source, until_s, deep)
            self._register(source)

    def remove_reader(self, source: Pollable) -> None:
        """Stops polling for reading; to be called before a descriptor is closed."""
        self._readers.pop(source, None)
        self._rests.forget(source)
        self._register(source)

    def add_writer(self, source: Pollable, on_writable: Source[Event]) -> None:
        """Polls for writing until `remove_writer`; meant for the time a send is blocked."""
        self._writers[source] = on_writable
        self._register(source)

    def remove_writer(self, source: Pollable) -> None:
        """Stops polling for writing."""
        self._writers.pop(source, None)
        self._register(source)

    def _register(self, source: Pollable) -> None:
        reads = source in self._readers and source not in self._rests
        flags = (_IN if reads else 0) | (_OUT if source in self._writers else 0)
        if flags:
            self._poller.register(source, flags)
        elif source in self._poller:
            self._poller.unregister(source)

    def poll(self, timeout_ms: int | None) -> list[tuple[Pollable, int]]:
        """Waits, and returns those that have something, or take something, as `take` wants them; [] after so many
        milliseconds. None waits as long as it takes."""
        ready = self._poller.poll(timeout_ms)
        self.wakeups += bool(ready)
        return ready

    def take(self, source: Pollable, flags: int) -> Iterable[Event]:
        """What one of these has to say. One that was removed meanwhile, by what another has said, says nothing."""
        if flags & _OUT and (writer := self._writers.get(source)):
            yield from writer()
        if flags & ~_OUT and source not in self._rests and (reader := self._readers.get(source)):
            yield from reader()

    def is_written(self, source: Pollable) -> bool:
        """True while it is polled for writing."""
        return source in self._writers

    @property
    def next_end_s(self) -> float | None:
        """When the first rest ends; None if nobody rests."""
        return self._rests.next_end_s

    def end_rests(self, now_s: float, is_due: bool = False) -> None:
        """Reads those again whose rest is over; with `is_due`, as a timer is about to fire, also those that rest on
        afterwards."""
        for source in self._rests.end(now_s, is_due):
            self._register(source)

    def rest_on(self) -> None:
        """Lets those rest on that were read for a timer only."""
        if self._rests.has_heard:
            for source in self._rests.go_on():
                self._register(source)
