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


def wall_ms() -> int:
    """Milliseconds since 1970 UTC; for timestamps. May jump."""
    return time.time_ns() // 1_000_000
