"""The two clocks: one for deadlines, one for timestamps."""

from __future__ import annotations

import time


def monotonic_s() -> float:
    """Seconds that only go forward; for deadlines. Goes on while the process is stopped."""
    return time.monotonic()


def wall_ms() -> int:
    """Milliseconds since 1970 UTC; for timestamps. May jump."""
    return time.time_ns() // 1_000_000
