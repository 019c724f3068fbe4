"""Samples of what passes, for a page: each frame beside what was made of it. Pure.

`serialgw watch` is shown everything (`taps`); a page on a line with thousands of frames a second would only suffer from
that. So a page has a few frames a second, whole batches of which are left out and counted, from the one process that
has both the frames and the readings: the converter. It keeps the last frame batches of devices that somebody looks at,
and of no other.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from common.core.errors import WireError
from common.wire import codec
from common.wire.messages import PEEK, Entry, FrameBatch, FrameBody, ReadingBatch, ReadingBody, Tap, UserReading

MOST_HZ: Final = 20
"""Samples of one device a second: more than anybody reads, and enough to look alive."""
MOST_FRAMES: Final = 8
"""Frames of one sample, the newest of its batch."""
FRAME_BYTES: Final = 512
"""Of a frame that is shown; how many it has is said besides."""
VALUES_BYTES: Final = 2_048
"""A reading whose JSON is longer is not shown: half of it would be no JSON."""
MOST_VALUES: Final = 32
"""Readings of one frame that are shown; a user's converter may make any number of them."""
MOST_BATCHES: Final = 64
"""Frame batches that are kept until their readings are made; a converter has as many at a time as the broker's credit
lets it, which is fewer."""
_FRAMES: Final = frozenset({Entry.FRAMES, Entry.ANSWER})


class Seen(NamedTuple):
    """One frame, and what became of it."""

    number: int
    ts_ms: int
    frame: bytes
    """The first FRAME_BYTES of it."""
    size: int
    """Bytes of the whole frame."""
    values: list[tuple[str, bytes]]
    """(the device that a user's converter names, or "", JSON object of values)."""
    dead: str
    """Why it is a dead letter; "" for what is none."""


class Peeks:
    """The samples of one converter."""

    def __init__(self) -> None:
        self._batches: deque[FrameBatch] = deque(maxlen=MOST_BATCHES)
        self._next_s: dict[str, float] = {}
        """Device → before this there is no further sample."""
        self._skipped: dict[str, int] = {}
        """Device → frames since the last sample that were not shown."""

    def take(self, batch: FrameBatch) -> None:
        """A batch of a device that somebody looks at has come."""
        self._batches.append(batch)

    def made(self, readings: ReadingBatch, now_s: float) -> Tap | None:
        """The sample of these readings; None where their frames were not kept, or where there was one just now."""
        batch = next((one for one in self._batches if _is_of(one, readings)), None)
        if batch is None:
            return None
        self._batches.remove(batch)
        device = batch.device
        if now_s < self._next_s.get(device, now_s):
            self._skipped[device] = self._skipped.get(device, 0) + batch.length
            return None
        try:
            seen = _seen(batch, codec.unpack_frames(batch.body, batch.length), _opened(readings))
        except WireError:
            return None  # Whoever it is meant for has said so.
        self._next_s[device] = now_s + 1 / MOST_HZ
        skipped = self._skipped.pop(device, 0) + batch.length - len(seen)
        return Tap(PEEK, device, codec.pack([skipped, [list(one) for one in seen]]))

    def forget(self) -> None:
        """Nobody looks at anything any more."""
        self._batches.clear()
        self._next_s.clear()
        self._skipped.clear()


def read_peek(tap: Tap) -> tuple[int, list[Seen]]:
    """(how many frames since the last sample are not shown, those that are). Raises WireError."""
    value: Any = codec.unpack(tap.body)
    try:
        skipped, rows = value
        found = [
            Seen(number, ts_ms, frame, size, [(n, v) for n, v in values], dead)
            for number, ts_ms, frame, size, values, dead in rows
        ]
    except (TypeError, ValueError):
        raise WireError("no sample of frames") from None
    if not isinstance(skipped, int) or not all(isinstance(seen.frame, bytes) for seen in found):
        raise WireError("no sample of frames")
    return skipped, found


def _is_of(batch: FrameBatch, readings: ReadingBatch) -> bool:
    return (batch.journal, batch.generation, batch.first, batch.length) == (
        readings.journal,
        readings.generation,
        readings.first,
        readings.length,
    )


def _opened(readings: ReadingBatch) -> ReadingBody:
    return codec.unpack_readings(readings.body, readings.length)


def _seen(batch: FrameBatch, frames: FrameBody, made: ReadingBody) -> list[Seen]:
    """The newest frames of a batch."""
    if batch.kind not in _FRAMES:
        return []
    found = []
    for place in range(max(0, batch.length - MOST_FRAMES), batch.length):
        frame = frames.frames[place]
        values = [("", made.telemetry[place])] if made.telemetry[place] else []
        values += [one for reading in made.user.get(place, ()) for one in _of_user(reading)]
        if place == batch.length - 1 and made.attributes:
            values.append(("", made.attributes))
        shown = [(name, value) for name, value in values if len(value) <= VALUES_BYTES][:MOST_VALUES]
        dead = made.dead.get(place, "")
        found.append(Seen(batch.first + place, frames.ts_ms[place], frame[:FRAME_BYTES], len(frame), shown, dead))
    return found


def _of_user(reading: UserReading) -> list[tuple[str, bytes]]:
    values = [(reading.device, values) for _, values in reading.telemetry]
    return [*values, *([(reading.device, reading.attributes)] if reading.attributes else [])]
