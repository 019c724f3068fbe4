"""What the bench's feeder says is what the bench's devices are configured for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.feeder import CHUNK_FRAMES, FRAME_BYTES, SHAPED_BYTES, Clock, Mouth, ShapedMouth
from bench.harness import example_device, shaped_device
from common.conversion.joint import compile_section
from services.port_reader.core.framers import framer_of, shaped
from tests.field.reading import read_device


class NoLine:
    """A line of which only the name is asked."""

    path = Path("/dev/ttyUSB0")


@pytest.mark.parametrize("kind", [Mouth, ShapedMouth])
def test_each_frame_has_its_number_and_all_its_points(tmp_path: Path, kind: type[Mouth]) -> None:
    """A chunk of the feeder's, cut and converted: no byte is dead, and ten points come of a frame in binary."""
    device_of: Any = shaped_device if kind is ShapedMouth else example_device
    entry = {key: value for key, value in device_of(0, NoLine()).items() if key not in ("name", "port")}
    device, warnings = read_device(tmp_path, **entry)
    assert warnings == []
    reading_end, writing_end = os.pipe()
    mouth = kind(0, writing_end)
    count = CHUNK_FRAMES
    mouth.prepare(count, Clock(tmp_path / "clock", 1), 1.0)
    assert len(mouth.rest) == count * (SHAPED_BYTES if kind is ShapedMouth else FRAME_BYTES)
    for end in (reading_end, writing_end):
        os.close(end)
    framer: Any = shaped(device.framing) if device.framing.shapes else framer_of(device.framing)
    frames = framer.feed(mouth.rest)
    assert len(frames) == count
    values = [json.loads(text) for text in compile_section(device).convert_batch(frames).telemetry]
    assert [value["humidity"] for value in values] == list(range(1, count + 1))
    if kind is ShapedMouth:
        assert all(len(value) == 10 for value in values)
        assert values[0]["p8"] == pytest.approx(100.8)
