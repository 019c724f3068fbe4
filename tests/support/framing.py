"""Framings as configurations write them, and what they make of a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.config.device.framing_reading import read_shaped
from common.config.findings import Findings
from common.config.framing import Framing
from common.config.json_object import JsonObject
from services.port_reader.core.framers import shaped
from services.port_reader.core.framers.base import DeadPiece

CASES = Path(__file__).parents[1] / "cases" / "any_device"
STREAMS: list[dict[str, Any]] = json.loads((CASES / "streams.json").read_text("utf-8"))
"""What devices of 34 families say, with the frames that are right."""
FRAMINGS: dict[str, dict[str, Any]] = json.loads((CASES / "framings.json").read_text("utf-8"))
"""Family → the keys of a device section that find its frames."""


def read(section: dict[str, Any]) -> tuple[Framing, Findings]:
    """A device section's framing, and what was found to say of it."""
    findings = Findings()
    return read_shaped(JsonObject(section, "serial.json", "devices[0]", findings)), findings


def framing_of(section: dict[str, Any]) -> Framing:
    """The framing of a section that is right."""
    framing, findings = read(section)
    assert not findings.problems, findings.problems
    return framing


def cut(line: bytes, size: int) -> list[bytes]:
    """The line in chunks of a size."""
    return [line[at : at + size] for at in range(0, len(line), size)]


def frames_of(framing: Framing, chunks: Sequence[bytes]) -> tuple[list[bytes], list[DeadPiece]]:
    """All frames and dead pieces of a line that falls silent at its end."""
    framer = shaped(framing)
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    frames += framer.rest()
    assert framer.waiting_bytes == 0
    return frames, framer.take_dead()
