"""A serial line and the device at its end: what was said, how far it was read, and what may be missing for it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from services.port_reader.core.events import Chunk, PortLost
from tests.simulation.frames import answer_of, frame_of, value_of
from tests.simulation.kernel import Clock

if TYPE_CHECKING:
    from tests.simulation.reader import ReaderProcess

TTY_BYTES = 4096
"""What the kernel keeps of a line that nobody reads."""
LATE_S = 0.1
"""What comes so long after the end of a rest did not come during it."""
_QUESTION = re.compile(rb"\?(\d+)\n")


class Said(NamedTuple):
    """One frame on the line, and where it stands in all that was ever said."""

    value: int
    start: int
    end: int


class Written(NamedTuple):
    """One write of the gateway: when, what, and in which life of the reader."""

    at_s: float
    data: bytes
    life: int


class SerialLine:
    """A device at the end of a line: what it says waits in the kernel while nobody reads."""

    def __init__(self, clock: Clock, device: int) -> None:
        self.clock = clock
        self.device = device
        self.reader: ReaderProcess
        self.waiting = b""
        self.is_plugged = True
        self.is_open = False
        self.ends_frames = True
        """False for a device whose frames have no delimiter: only silence ends them."""
        self.write_slow_s = 0.0
        """How long a write takes to drain."""
        self.answers_after_s: list[float | None] = [0.01]
        """One is drawn for each question; None: it does not answer."""
        self.frames: list[Said] = []
        self.said_s: dict[int, float] = {}
        """Value → when the device began to say it."""
        self.tolerated: set[int] = set()
        """Values that may be missing: in progress at a reader's death, or lost with the adapter."""
        self.heard: list[Written] = []
        self.count = 0
        self._end = 0
        """How many bytes were ever said; `_read` of them were read, all before `_safe` are in the journal."""
        self._read = 0
        self._safe = 0
        self._joins = False
        """True until the first frame has come after opening: nobody may have seen it begin."""
        self._mouth: deque[bytes] = deque()
        """Pieces that the device still has to say; a frame that has begun is not interrupted."""
        self._plug = 0
        self._write_done_s = 0.0
        self._cancelled = 0
        self._rests_until_s = 0.0

    # The device.

    def say_number(self, cut: float = 0.0, pause_s: float = 0.0) -> int:
        """Says the next number, in two pieces with a pause where `cut` is a part of 1; 0 if the line takes no more."""
        frame = frame_of(self.device, self.count + 1)
        frame = frame if self.ends_frames else frame.rstrip(b"\n")
        if not self._begin(frame, cut, pause_s):
            return 0
        self.count += 1
        return value_of(frame)

    def say_noise(self, data: bytes) -> None:
        """Bytes without a delimiter, then one."""
        if self.is_plugged and self._room >= len(data) + 1:
            self._utter(data + b"\n")

    def _begin(self, frame: bytes, cut: float = 0.0, pause_s: float = 0.0) -> bool:
        if not self.is_plugged or self._room < len(frame):
            # Bytes that a full line loses would join two frames into one that nobody said.
            return False
        start = self._end + sum(map(len, self._mouth))
        self.frames.append(Said(value_of(frame), start, start + len(frame)))
        self.said_s[value_of(frame)] = self.clock.now_s
        place = int(cut * len(frame))
        if place and pause_s:
            self._utter(frame[:place])
            self._mouth.append(frame[place:])
            self.clock.after(pause_s, self._go_on, self._plug)
        else:
            self._utter(frame)
        return True

    def _utter(self, data: bytes) -> None:
        if self._mouth:
            self._mouth.append(data)
        else:
            self._put(data)

    def _go_on(self, plug: int) -> None:
        if self._plug == plug:
            data = b"".join(self._mouth)
            self._mouth.clear()
            self._put(data)

    def _put(self, data: bytes) -> None:
        self._end += len(data)
        self.waiting += data
        self.pump()

    @property
    def _room(self) -> int:
        return TTY_BYTES - len(self.waiting) - sum(map(len, self._mouth))

    # The gateway's end.

    def open(self) -> bool:
        """Opens it, if it is there."""
        if not self.is_plugged:
            return False
        self.is_open, self._joins = True, True
        self._rests_until_s = 0.0
        self.clock.after(0.001, self.pump)
        return True

    def close(self) -> None:
        self.is_open = False

    def pump(self) -> None:
        """Hands what waits to a reader that reads."""
        reader = self.reader
        if self.clock.now_s < self._rests_until_s:
            return
        if self.waiting and self.is_open and reader.alive and not reader.is_busy:
            for event in self.take_chunk():
                reader.hear(event)

    def take_chunk(self) -> list[Any]:
        """What waits, as one chunk."""
        if not self.waiting or not self.is_open:
            return []
        data, self.waiting = self.waiting, b""
        if self._joins and b"\n" in data:
            self._joins = False
            self._tolerate(self._read, self._read + data.index(b"\n"))
        self._read += len(data)
        return [Chunk(data, self.clock.wall_ms)]

    def rest(self, seconds: float) -> None:
        """Nobody reads for so long."""
        self._rests_until_s = self.clock.now_s + seconds
        self.clock.after(seconds, self.pump)

    @property
    def has_rested(self) -> bool:
        """True for a moment after a rest: what comes now has come during it."""
        return self._rests_until_s <= self.clock.now_s < self._rests_until_s + LATE_S

    def committed(self) -> None:
        """Whatever was read and is a frame is in the journal."""
        self._safe = self._read

    def reader_died(self) -> None:
        """What was read and not committed is gone, the frame in progress too."""
        self.is_open = False
        self._tolerate(self._safe, self._read)
        self._safe = self._read

    def unplug(self) -> None:
        """The adapter goes, with what it held."""
        self.is_plugged = False
        self._plug += 1
        said = self._end + sum(map(len, self._mouth))
        self._tolerate(self._read, said)
        self.waiting = b""
        self._mouth.clear()
        self._read = self._end = said
        if self.is_open:
            self.is_open = False
            self.reader.hear(PortLost("EIO", self.clock.wall_ms))

    def write(self, data: bytes) -> int | None:
        """Begins a write, or looks how far it is: bytes that have not left; None if the line is gone."""
        if not self.is_open:
            return None
        self._rests_until_s = 0.0
        if data:
            self._write_done_s = self.clock.now_s + self.write_slow_s * self.clock.random.random()
            self.clock.after(self._write_done_s - self.clock.now_s, self._hear, data, self._plug, self._cancelled)
        left_s = self._write_done_s - self.clock.now_s
        return max(1, int(left_s * 1000)) if left_s > 0 else 0

    def cancel_write(self) -> None:
        """What has not left is thrown away: the fake loses all of it."""
        if self._write_done_s > self.clock.now_s:
            self._cancelled += 1

    def _hear(self, data: bytes, plug: int, cancelled: int) -> None:
        """What the gateway wrote arrives at the device, which may answer."""
        if self._plug != plug or self._cancelled != cancelled:
            return
        self.heard.append(Written(self.clock.now_s, data, self.reader.life))
        if found := _QUESTION.fullmatch(data):
            delay_s = self.clock.random.choice(self.answers_after_s)
            if delay_s is not None:
                self.clock.after(delay_s, self._answer, int(found[1]), plug)

    def _answer(self, call: int, plug: int) -> None:
        if self._plug == plug:
            self._begin(answer_of(self.device, call))

    def _tolerate(self, start: int, end: int) -> None:
        """Frames that have a byte in start..end (inclusive) may be missing."""
        last = bisect_right(self.frames, end, key=lambda said: said.start)
        while last and self.frames[last - 1].end > start:
            last -= 1
            self.tolerated.add(self.frames[last].value)
