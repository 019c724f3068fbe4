"""The one joint between a section and its frames: `compile_section` picks the converter that it needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from common.config.models import Device
from common.conversion.outcomes import BatchResult
from common.conversion.slices.rows import compile_device


class FrameConverter(Protocol):
    """Turns the frames of one section into readings. Without state: the same frame gives the same bytes."""

    def convert_batch(self, frames: Sequence[bytes], ts_ms: Sequence[int] = (), origin: str = "") -> BatchResult:
        """Converts each frame; `ts_ms` are the times at which they were read, `origin` is the name of the message that
        they were asked for, or "". Raises nothing."""

    def refusal_of(self, frame: bytes) -> str:
        """What the frame means, where it is a refusal; "" for all others."""


def compile_section(device: Device) -> FrameConverter:
    """The converter of a device, compiled once for all its batches. Raises ConversionError for a section that can't be
    compiled."""
    if not device.messages:
        return compile_device(device)
    if device.asking is not None and device.asking.protocol:
        from common.conversion.grammar.registers import RegisterConverter

        return RegisterConverter(device, device.asking)
    # Here: a gateway whose devices have none of its keys does not load it.
    from common.conversion.grammar.messages import MessageConverter

    return MessageConverter(device)


def refusals_of(device: Device) -> Callable[[bytes], str]:
    """What tells refusals, compiled once: what an answer to a call means, where a message of the device says that it is
    one; "" for all others. Raises ConversionError as `compile_section`."""
    if not any(message.error for message in device.messages):
        return lambda _: ""
    return compile_section(device).refusal_of


def refusal_in(device: Device, frame: bytes) -> str:
    """The same of one answer."""
    return refusals_of(device)(frame)
