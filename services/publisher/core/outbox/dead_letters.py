"""Readings that will never be published: counted, reported to their reader, and logged once in a while. Pure."""

from __future__ import annotations

from typing import Final

from services.publisher.core.counters import PublisherCounts
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import Run

NOTED_S: Final = 60.0
"""So long after one dead letter of a device is in the log, its next ones are not: counter and reader have them all."""


class DeadLetters:
    """The only way to give a number up. The reader keeps its bytes, so nothing is lost by it.

    What the converter could not make a reading of comes as a dead letter already, and does not pass here.
    """

    def __init__(self, counters: PublisherCounts, out: Outlet) -> None:
        self._counters = counters
        self._out = out
        self._noted_s: dict[str, float] = {}
        """Device → when its next dead letter is worth a line."""

    def bury(self, run: Run, number: int, reason: str, now_s: float) -> None:
        """Makes this number of the run a dead letter. The run must be told separately that the number is done."""
        self._counters["dead_letters"] += 1
        run.stream.bury(number, reason)
        device = run.stream.device
        if now_s < self._noted_s.get(device, 0.0):
            return
        self._noted_s[device] = now_s + NOTED_S
        self._out.note("warning", "reading.dead_letter", device=device, number=number, reason=reason)
