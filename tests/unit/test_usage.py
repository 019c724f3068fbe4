"""What a process says of itself that no core knows."""

from __future__ import annotations

import mmap
import time

import pytest

from common.io import usage
from common.io.usage import usage_counters

_FILLED_BYTES = 32 * 1024 * 1024


def test_processor_time_and_memory_are_those_of_this_process() -> None:
    """Work shows, and so does memory that was filled."""
    before = usage_counters()
    end_s = time.process_time() + 0.05
    while time.process_time() < end_s:
        pass
    # Pages of its own: what the allocator hands out may have been filled, and counted, before.
    with mmap.mmap(-1, _FILLED_BYTES) as held:
        held.write(b"x" * _FILLED_BYTES)
        after = usage_counters()
    assert after["cpu_ms"] >= before["cpu_ms"] + 50
    assert after["resident_bytes"] >= before["resident_bytes"] + _FILLED_BYTES // 2


def test_where_the_system_does_not_say_there_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat is worth more than its memory."""
    monkeypatch.setattr(usage, "_STATM", "/nowhere/statm")
    assert usage_counters()["resident_bytes"] == 0
