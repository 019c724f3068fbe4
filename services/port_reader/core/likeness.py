"""What a frame is that comes while a call waits for an answer of which no pattern says what it looks like.

To be imported when such a frame comes: most readers never get a call, and what they load counts.
"""

from __future__ import annotations

from typing import Final, Literal

from common.config.models import DataPoint, Device
from common.conversion.calls import convert_answer, rpc_of
from common.conversion.points import Point, compile_points, explain_point
from common.conversion.printed import BLANK_BYTES
from common.core.errors import ConversionError
from common.wire.calls import Exchange

Likeness = Literal["answer", "reading", "both", "doubtful", "no answer"]
"""`reading`: the device's own data points read it, and `responseType` does not. `both`: either reads it. `doubtful`: a
blank line, or what was written: the answer only if no other comes. `no answer`: one of these that `responseType` can't
read. `answer`: all else."""
_TELLING: Final = frozenset({"int", "float", "double", "json"})
"""Types that do not read just anything."""


def likeness_of(device: Device, asked: Exchange, frame: bytes) -> Likeness:
    """What a frame of this device may be for a call that waits."""
    fits = _fits(device, asked.method, frame)
    body = _bare(device, frame.removesuffix(asked.until))
    if not body or body in _written(device, asked.writes):
        return "doubtful" if fits else "no answer"
    if not _is_reading(device, frame):
        return "answer"
    return "both" if fits else "reading"


def is_blank(device: Device, frame: bytes) -> bool:
    """True for a frame in which nothing stands."""
    return not _bare(device, frame)


def _fits(device: Device, method: str, frame: bytes) -> bool:
    """True if the call's value can be read from the frame; for a user's converter that is not known."""
    rpc = rpc_of(device, method)
    if rpc is None or device.has_user_uplink:
        return True
    try:
        convert_answer(rpc, frame)
    except (ConversionError, RecursionError):
        return False
    return True


def _is_reading(device: Device, frame: bytes) -> bool:
    """True if all data points of the device find their values, and one of them would not in just any frame."""
    if device.has_user_uplink:
        return False
    sources = [*device.telemetry, *device.attributes]
    try:
        points = compile_points(sources)
    except ConversionError:
        return False
    return any(map(_is_telling, sources)) and all(_finds(point, frame) for point in points)


def _is_telling(point: DataPoint) -> bool:
    return point.type in _TELLING or bool(point.from_delimiter)


def _finds(point: Point, frame: bytes) -> bool:
    try:
        return explain_point(point, "telemetry", frame).status == "value"
    except RecursionError:
        return False


def _written(device: Device, writes: list[bytes]) -> set[bytes]:
    """What a device that repeats what it is sent would say: all of it, or its lines."""
    data = b"".join(writes)
    return {_bare(device, text) for text in [data, *data.split(device.framing.delimiter), *data.splitlines()]}


def _bare(device: Device, frame: bytes) -> bytes:
    """A frame without its delimiter and blanks around it."""
    return frame.removesuffix(device.framing.delimiter).strip(BLANK_BYTES)
