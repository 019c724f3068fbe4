"""The profiles that come with serialgw, their sample streams, and what becomes of these."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from common.config.asking import Ask
from common.config.models import Device
from common.config.profile_devices import device_of_profile, find_profile
from common.config.profiles import Profile, profile_names
from common.conversion.joint import FrameConverter, compile_section
from common.core.control_names import protocol_bytes
from services.port_reader.core.framers import shaped
from services.port_reader.core.framers.base import DeadPiece
from tests.devices.families import values_of

NAMES = tuple(profile_names())
KEYS = {
    *("what", "asked", "stream", "frames", "dead", "telemetry", "attributes", "device", "parameters"),
    *("composed", "source"),
}
"""All that a test of a profile may say."""


class Sample(NamedTuple):
    """One test of a profile."""

    profile: Profile
    says: dict[str, Any]
    device: Device
    stream: bytes
    asked: tuple[bytes, ...]

    @property
    def ask(self) -> Ask | None:
        """The question that this answers; None where nothing was asked, or a question that the device has not."""
        asks = self.device.asking.asks if self.device.asking is not None else ()
        return next((ask for ask in asks if sent_by(ask) == self.asked), None)


def bytes_said(said: str | list[str]) -> bytes:
    """The bytes of a text, or of several that follow each other."""
    return b"".join(map(protocol_bytes, [said] if isinstance(said, str) else said))


def sent_by(ask: Ask) -> tuple[bytes, ...]:
    """What is sent for a question, step by step."""
    return tuple(step.data for step in ask.steps if step.kind == "send")


@functools.cache
def profile_of(name: str) -> Profile:
    return find_profile(name)


@functools.cache
def samples_of(name: str) -> tuple[Sample, ...]:
    """All tests of a profile."""
    profile = profile_of(name)
    found = []
    for says in profile.tests:
        device = device_of_profile(profile, parameters=says.get("parameters"), section=says.get("device"))
        asked = says.get("asked", [])
        sent = tuple(protocol_bytes(text) for text in ([asked] if isinstance(asked, str) else asked))
        found.append(Sample(profile, says, device, bytes_said(says["stream"]), sent))
    return tuple(found)


def cut(device: Device, chunks: Sequence[bytes]) -> tuple[list[bytes], list[DeadPiece]]:
    """All frames and dead pieces of a line that falls silent at its end."""
    framer = shaped(device.framing)
    frames = [frame for chunk in chunks for frame in framer.feed(chunk)]
    frames += framer.rest()
    assert framer.waiting_bytes == 0
    return frames, framer.take_dead()


def in_chunks(line: bytes, size: int) -> list[bytes]:
    return [line[at : at + size] for at in range(0, len(line), size)]


def values_in(converter: FrameConverter, frames: Sequence[bytes], origin: str) -> list[dict[str, Any]]:
    """What each frame says."""
    result = converter.convert_batch(frames, [], origin)
    return [values_of(result, index) for index in range(len(frames))]


def origin_of(sample: Sample) -> str:
    """The name under which answers of the question are journaled."""
    return sample.ask.name if sample.ask is not None else ""


def compiled(sample: Sample) -> FrameConverter:
    return compile_section(sample.device)
