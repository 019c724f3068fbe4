"""What a source hears of what others say by themselves, and when: it rests, and when calm it hears no beats."""

from __future__ import annotations

from typing import Any

from common.core.events import Arrived
from common.wire.messages import Heartbeat, Plane
from tests.simulation.kernel import Process


class Ears:
    """The events plane of one source, as its shell and loop have it: beats that nobody subscribes to are never there,
    and everything else waits in the socket until the rest is over, or something else wakes the process."""

    def __init__(self, source: Process) -> None:
        self._source = source
        self.hears_beats = True
        self._rests_until_s = 0.0
        self._waiting: list[Any] = []

    def die(self) -> None:
        """The process is gone, and its sockets with it."""
        self.hears_beats, self._rests_until_s = True, 0.0
        self._waiting.clear()

    def rest(self, until_s: float) -> None:
        """Nothing is heard before then."""
        clock = self._source.clock
        self._rests_until_s = until_s
        clock.after(max(0.0, until_s - clock.now_s), self._wake, self._source.life)

    def keeps(self, event: Any) -> bool:
        """True if this event is not heard now; it may be later."""
        if not isinstance(event, Arrived) or event.plane is not Plane.EVENTS:
            return False
        if isinstance(event.message, Heartbeat) and not self.hears_beats:
            return True
        if self._source.clock.now_s >= self._rests_until_s:
            return False
        self._waiting.append(event)
        return True

    def take(self) -> list[Any]:
        """What has waited: something else has woken the process."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _wake(self, life: int) -> None:
        if self._source.life == life and self._source.clock.now_s >= self._rests_until_s:
            for event in self.take():
                self._source.hear(event)
