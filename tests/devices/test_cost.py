"""What a frame with binary points costs."""

from __future__ import annotations

from pathlib import Path
from time import thread_time

from common.conversion.joint import compile_section
from tests.field.reading import read_device

FRAMES = [bytes([0xAA, 0xC0, *((7 * number + at) % 256 for at in range(20)), 0xAB]) for number in range(512)]
POINTS = [{"key": f"v{at}", "at": 2 + 2 * at, "type": "uint16", "scale": 0.1} for at in range(10)]
MOST_US = 60
"""A frame of ten points takes 5 µs where nothing else runs, and may take 12; a loaded machine gets five times that."""


def test_ten_binary_points_cost_little(tmp_path: Path) -> None:
    """The best of ten batches, in time of the processor."""
    converter = compile_section(read_device(tmp_path, byteorder="little", telemetry=POINTS)[0])

    def cost_us() -> float:
        start = thread_time()
        result = converter.convert_batch(FRAMES)
        taken = thread_time() - start
        assert all(result.telemetry)
        return taken / len(FRAMES) * 1e6

    assert min(cost_us() for _ in range(10)) < MOST_US
