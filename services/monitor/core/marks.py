"""Which data point takes which bytes of a frame: what `serialgw try` finds, for a page that shows the frame. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from common.config.models import Device
from common.conversion.joint import compile_section
from common.conversion.outcomes import PointResult
from common.core.errors import ConversionError

USERS: Final = "a class of your own converts its frames: which bytes it takes, it alone knows"
DECODED: Final = "its points count in what the frame is decoded to, so none has bytes of its own in it"
NO_FIT: Final = "no message of the configuration fits this frame"


class Marks(NamedTuple):
    """What takes what of one frame."""

    points: list[PointResult]
    why: str
    """Why no bytes are marked, where none can be; "" else."""

    def show(self) -> dict[str, Any]:
        """As JSON; `to` is the first byte behind."""
        return {"why": self.why, "points": [_shown(point) for point in self.points if point.status != "blank"]}


def marks_of(device: Device, frame: bytes, keys: Iterable[str]) -> Marks:
    """What takes what of a whole frame. `keys`: of the values that it became, by which it is found out which question a
    frame answers that does not say it itself. Raises ConversionError for a section that can't be compiled."""
    if device.has_user_uplink:
        return Marks([], USERS)
    wanted, best, fit = set(keys), Marks([], NO_FIT), -1
    for found in _explained(device, frame):
        alike = len(wanted & {point.key for point in found.points if point.status == "value"})
        if alike > fit:
            best, fit = found, alike
    return best


def _explained(device: Device, frame: bytes) -> Iterator[Marks]:
    """For each question that the frame may answer; the likeliest first."""
    from common.conversion.grammar.messages import MessageConverter
    from common.conversion.slices.rows import DeviceConverter

    converter = compile_section(device)
    if isinstance(converter, DeviceConverter):
        yield Marks(converter.explain(frame), "")
        return
    if isinstance(converter, MessageConverter):
        for origin in ("", *(message.name for message in device.messages if message.framing is not None)):
            found = converter.explain(frame, origin=origin)
            if found.points:
                points = [point._replace(span=None) for point in found.points] if found.decoded else found.points
                yield Marks(points, DECODED if found.decoded else "")
        return
    from common.conversion.grammar.registers import RegisterConverter

    if isinstance(converter, RegisterConverter) and device.asking is not None:
        for ask in device.asking.asks:
            try:
                points = converter.explain(frame, ask.name)
            except (ValueError, ConversionError):
                continue
            if device.asking.protocol == "modbus-rtu":
                yield Marks(points, "")
            else:
                yield Marks([point._replace(span=None) for point in points], DECODED)


def _shown(point: PointResult) -> dict[str, Any]:
    shape: dict[str, Any] = {"key": point.key, "kind": point.kind, "type": point.type, "why": point.why}
    return shape if point.span is None else {**shape, "from": point.span[0], "to": point.span[1]}
