"""Devices that talk at a rate, and the count of what came of it."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.e2e.harness import Line
from tests.support.waiting import wait_until


class Feeder:
    """Writes `1\\n`, `2\\n`, … up to `count` to a line at a steady rate, from a thread of its own."""

    def __init__(self, line: Line, count: int, rate_hz: float) -> None:
        self.line = line
        self.count = count
        self.written = 0
        self._rate_hz = rate_hz
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        start_s = time.monotonic()
        while self.written < self.count and not self._stop.is_set():
            due = min(self.count, int((time.monotonic() - start_s) * self._rate_hz) + 1)
            while self.written < due:
                self.line.write(b"%d\n" % (self.written + 1))
                self.written += 1
            self._stop.wait(1 / self._rate_hz)

    def wait_written(self, count: int, deadline_s: float = 60.0) -> None:
        """Waits until the first `count` frames have been written."""
        wait_until(lambda: self.written >= count, f"{count} frames written to {self.line.path.name}", deadline_s)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)


def first_values(items: list[dict[str, Any]], key: str = "n") -> list[int]:
    """The values of `key` in the order in which each came first; a repeat must be identical, time and value."""
    times: dict[int, int] = {}
    for item in items:
        value = item["values"][key]
        assert times.setdefault(value, item["ts"]) == item["ts"], f"{value} came with two timestamps"
    return list(times)
