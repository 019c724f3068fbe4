"""What the demo counts: frames written, readings arrived, their order and their latency. Pure.

Each frame carries a count, so that each reading is known to be of one frame, and none can go missing unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Figures:
    """Joins each reading to the write of its frame by device and count."""

    def __init__(self) -> None:
        self._written_s: dict[tuple[str, int], float] = {}
        self._last: dict[str, int] = {}
        self._arrived: set[tuple[str, int]] = set()
        self.latencies_s: list[float] = []
        self.repeats = 0
        self.out_of_order = 0

    @property
    def written(self) -> int:
        """How many frames went onto the lines."""
        return len(self._written_s)

    @property
    def arrived(self) -> int:
        """How many of them have arrived as readings, each counted once."""
        return len(self._arrived)

    @property
    def missing(self) -> int:
        """How many are still on their way."""
        return self.written - self.arrived

    def wrote(self, device: str, count: int, now_s: float) -> None:
        """A frame went onto the line."""
        self._written_s[device, count] = now_s

    def came(self, device: str, count: int, now_s: float) -> float | None:
        """A reading arrived; returns its latency, None for a repeat or one that nobody wrote."""
        written_s = self._written_s.get((device, count))
        if written_s is None or (device, count) in self._arrived:
            self.repeats += 1
            return None
        self._arrived.add((device, count))
        if count < self._last.get(device, 0):
            self.out_of_order += 1
        self._last[device] = max(count, self._last.get(device, 0))
        self.latencies_s.append(now_s - written_s)
        return now_s - written_s

    def latency_ms(self, percent: int) -> float:
        """A percentile of all latencies; 0 while there is none."""
        if not self.latencies_s:
            return 0.0
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def readings_of(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """(device, values) of each reading in a `v1/gateway/telemetry` message; nothing for anything else."""
    if not isinstance(value, dict):
        return
    for device, entries in value.items():
        for entry in entries if isinstance(entries, list) else ():
            values = entry.get("values", entry) if isinstance(entry, dict) else None
            if isinstance(values, dict):
                yield device, values
