"""What a process takes, for the rule that nothing grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

MIB = 1 << 20


def resident_bytes(pid: int | None = None) -> int:
    """Of this process, or of another."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def rounds(seconds: float, growth_bytes: int, every: int) -> Iterator[int]:
    """0, 1, 2 … until the time is over. Every so many rounds it is looked what this process takes: so much more at most
    than when this was looked at first."""
    end_s, start_bytes = time.monotonic() + seconds, 0
    for number in count(1):
        if time.monotonic() >= end_s:
            return
        yield number - 1
        if number == every:
            start_bytes = resident_bytes()
        elif number % every == 0:
            assert resident_bytes() < start_bytes + growth_bytes, f"memory has grown by run {number}"
