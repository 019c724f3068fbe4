"""What this process uses of the machine, for its heartbeat.

It is read in the process itself: in containers nobody else can see it.
"""

from __future__ import annotations

import os
import time
from typing import Final

_STATM: Final = "/proc/self/statm"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def usage_counters() -> dict[str, int]:
    """`cpu_ms`, the processor time used since the start; `resident_bytes`, the memory in use, 0 where the system does
    not say. Without processes that this one has started. Takes some 20 us; raises nothing."""
    return {"cpu_ms": time.process_time_ns() // 1_000_000, "resident_bytes": _resident_pages() * _PAGE_BYTES}


def _resident_pages() -> int:
    try:
        descriptor = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(os.read(descriptor, 256).split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    finally:
        os.close(descriptor)
