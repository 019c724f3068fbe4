"""A configuration of one device, read as the gateway reads it, and what becomes of bytes under it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.config.models import Device
from common.config.reading import read_gateway
from common.conversion.outcomes import BatchResult
from common.conversion.slices.rows import compile_device
from services.port_reader.core.framers import framer_of


def write_config(folder: Path, *devices: dict[str, Any]) -> Path:
    """The file of a connector with these devices; each has a port of its own."""
    entries = [{"port": f"/dev/ttyUSB{number}", **device} for number, device in enumerate(devices)]
    path = folder / "serial.json"
    path.write_text(json.dumps({"name": "Serial", "devices": entries}))
    return path


def read_device(folder: Path, **device: Any) -> tuple[Device, list[str]]:
    """(the device, what is worth a word), each warning from its key on. Raises ConfigError."""
    result = read_gateway(write_config(folder, {"name": "d", **device}), {})
    start = "serial.json: devices[0]."
    return result.gateway.devices[0], [text.split(start)[-1] for text in result.warnings if start in text]


def convert(device: Device, line: bytes) -> BatchResult:
    """What becomes of the frames of a line, and of each of them alone: both ways must agree."""
    frames = framer_of(device.framing).feed(line)
    converter = compile_device(device)
    result = converter.convert_batch(frames)
    each = [converter.convert_batch([frame]).telemetry[0] for frame in frames]
    assert each == result.telemetry
    return result


def telemetry(result: BatchResult) -> list[dict[str, Any]]:
    """The telemetry that goes out: frames without any give none."""
    return list(_objects(result.telemetry))


def _objects(written: list[bytes]) -> Iterator[dict[str, Any]]:
    for text in written:
        if text:
            yield json.loads(text)
