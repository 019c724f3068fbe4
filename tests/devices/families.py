"""The families of devices that the cases have: their streams, and configurations as users write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.config.models import Device
from common.conversion.outcomes import BatchResult

CASES = Path(__file__).parents[1] / "cases" / "any_device"
VECTORS: dict[str, dict[str, Any]] = {
    vector["family"]: vector for vector in json.loads((CASES / "streams.json").read_text())
}
SECTIONS: dict[str, dict[str, Any]] = {
    case["family"]: case["device"]
    for case in (json.loads(path.read_text()) for path in sorted((CASES / "devices").glob("*.json")))
}


def frames_of(family: str) -> list[bytes]:
    return [bytes.fromhex(frame) for frame in VECTORS[family]["frames_hex"]]


def origin_of(device: Device) -> str:
    """What was asked for the frames, where only that says what an answer holds (Modbus); "" elsewhere."""
    return device.asking.asks[0].name if device.asking is not None and device.asking.protocol else ""


def values_of(result: BatchResult, index: int = 0) -> dict[str, Any]:
    """What a frame says, telemetry and attributes, whichever way it goes out."""
    values: dict[str, Any] = {}
    for written in (result.telemetry[index], result.attributes[index]):
        values |= json.loads(written) if written else {}
    for reading in result.user.get(index, []):
        values |= {key: value for _, text in reading.telemetry for key, value in json.loads(text).items()}
    return values
