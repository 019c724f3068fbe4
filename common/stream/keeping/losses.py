"""Numbers that the journal has lost: each is logged once, and counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from common.core.events import Note
from common.core.sequence import Range, add_range, gaps, named
from common.stream.counters import SourceCounts

LINE_RANGES: Final = 20
"""So many runs of numbers stand in one line of the log."""


class Losses:
    """One stream's."""

    def __init__(self, device: str, counters: SourceCounts, known: Iterable[Range] = ()) -> None:
        """`known`: what was found to be lost when the journal was opened."""
        self._device = device
        self._known = list(known)
        self._counters = counters
        self._told: list[Range] = []

    def tell_first(self, floor: int) -> list[Note]:
        """Logs the numbers that were known to be lost when the journal was opened."""
        known, self._known = self._known, []
        return self.tell(known, floor)

    def tell(self, ranges: list[Range], floor: int) -> list[Note]:
        """Logs those of these numbers that were not logged yet; those below `floor` are settled."""
        if not ranges:
            return []
        self._told = [told for told in self._told if told[1] >= floor]
        new = [part for low, high in ranges for part in gaps(self._told, low, high)]
        for low, high in new:
            self._told = add_range(self._told, low, high)
        if not new:
            return []
        self._counters["frames_lost"] += sum(high - low + 1 for low, high in new)
        lines = [new[at : at + LINE_RANGES] for at in range(0, len(new), LINE_RANGES)]
        return [Note("error", "journal.lost", self._facts(line)) for line in lines]

    def _facts(self, ranges: list[Range]) -> dict[str, Any]:
        count = sum(high - low + 1 for low, high in ranges)
        return {"device": self._device, "count": count, "numbers": " ".join(map(named, ranges))}
