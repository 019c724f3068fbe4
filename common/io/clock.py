"""The two clocks: one for deadlines, one for timestamps."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path


def monotonic_s() -> float:
    """Seconds that only go forward; for deadlines. Goes on while the process is stopped."""
    return time.monotonic()


def suspended_s() -> float:
    """For how long the machine has been suspended since it was booted; while it is, `monotonic_s` stands still."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


@cache
def machine_id() -> bytes:
    """Names the machine, and its run since it was booted: processes with the same one share the monotonic clock. b""
    where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b""


def iso_time(ts_ms: int) -> str:
    """A timestamp as all our output shows it: local time in ISO 8601 with milliseconds and its offset from UTC, such as
    `2026-11-29T21:40:04.123+01:00`; people read it by their own clock, and it means the same elsewhere.

    Raises OverflowError, OSError or ValueError for what no calendar has.
    """
    at = time.localtime(ts_ms // 1000)
    if not 1 <= at.tm_year <= 9999:
        raise ValueError(f"the year {at.tm_year} has no four digits")
    hours, minutes = divmod(abs(at.tm_gmtoff) // 60, 60)
    day = f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}"
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}.{ts_ms % 1000:03d}"
    return f"{day}T{clock}{'-' if at.tm_gmtoff < 0 else '+'}{hours:02d}:{minutes:02d}"


def wall_ms() -> int:
    """Milliseconds since 1970 UTC; for timestamps. May jump."""
    return time.time_ns() // 1_000_000
