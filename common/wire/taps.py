"""What passes, for who watches: of bounded size, since who watches may not take it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from common.core.errors import WireError
from common.wire import codec
from common.wire.messages import LINE_STAGE, FrameBody, ReadingBody, Tap, UserReading

TAP_BYTES: Final = 16 * 1024
"""The most bytes of one tap; a person reads no more at once, and a socket keeps many for one who reads none."""
LEFT_OUT: Final = "left_out"
"""The stage of a tap that says how many of the entries before it were not shown."""


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """Bytes that passed on a line: a read of the port, or a write."""

    number: int
    """Counts from 1 what this process has shown of the line since somebody watches it. A gap: who watches was too slow,
    or the network was, and so many are missing."""
    ts_ms: int
    """When they were read, or their write began."""
    is_written: bool
    """True for what was written to the device, False for what it said."""
    data: bytes


def tap_of_line(device: str, passed: Passed) -> Tap:
    """The tap of a device whose line this is."""
    return Tap(LINE_STAGE, device, codec.pack(msgspec.structs.astuple(passed)))


def passed_in(tap: Tap) -> Passed:
    """What such a tap says. Raises WireError."""
    if tap.stage != LINE_STAGE:
        raise WireError(f"found a tap of {tap.stage}, expected one of a line")
    return codec.unpack_as(tap.body, Passed)


def taps_of_frames(device: str, body: bytes, count: int) -> Iterable[Tap]:
    """The taps of a frame batch's body with `count` entries: as many as fit, and how many do not."""
    if len(body) <= TAP_BYTES:
        return (Tap("frames", device, body),)
    frames = codec.unpack_frames(body, count)
    fitting = _fitting(map(len, frames.frames))
    cut = FrameBody(frames.ts_ms[:fitting], frames.frames[:fitting], frames.extra)
    return (Tap("frames", device, codec.pack_frames(cut)), _left_out(device, count - fitting))


def taps_of_readings(device: str, body: bytes, count: int) -> Iterable[Tap]:
    """The taps of a reading batch's body with `count` entries: as many readings as fit, and how many do not."""
    if len(body) <= TAP_BYTES:
        return (Tap("readings", device, body),)
    readings = codec.unpack_readings(body, count)
    sizes = [len(item) + sum(map(_size, readings.user.get(place, ()))) for place, item in enumerate(readings.telemetry)]
    fitting = _fitting(sizes)
    cut = ReadingBody(readings.ts_ms[:fitting], readings.telemetry[:fitting])
    cut = cut.replace(user={place: found for place, found in readings.user.items() if place < fitting})
    return (Tap("readings", device, codec.pack_readings(cut)), _left_out(device, count - fitting))


def _size(reading: UserReading) -> int:
    """About how many bytes a user's reading takes, UTF-8 at its longest."""
    names = 4 * (len(reading.device) + len(reading.device_type))
    names += len(reading.strategies)
    return names + len(reading.attributes) + sum(len(values) + 16 for _, values in reading.telemetry)


def _fitting(sizes: Iterable[int]) -> int:
    """How many entries fit; an entry takes some bytes beside its values."""
    room, fitting = TAP_BYTES // 2, 0
    for size in sizes:
        room -= size + 16
        if room < 0:
            break
        fitting += 1
    return fitting


def _left_out(device: str, count: int) -> Tap:
    """The tap that says how many entries were not shown."""
    return Tap(LEFT_OUT, device, codec.pack(count))
