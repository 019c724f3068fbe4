"""Says numbered frames on many lines from one process.

`python -m bench.feeder CLOCK SECONDS RATE_HZ KIND MOMENTS FD...`.

KIND `lines`: a frame has 25 bytes, `0000000042\\r0012345678901\\n`: its number, and the microsecond at which it was
written. KIND `shaped`: 27 bytes, AA 55, how many bytes follow before the checksum, the number in four bytes, nine
numbers of two bytes, and the sum of all bytes before in two, highest bytes first. RATE_HZ is for each line; 0: as fast
as the lines take it. MOMENTS `apart`: the lines speak one after the other, spread evenly; `together`: all at the same
moments. A full line is waited for, nothing is dropped. CLOCK is a file in which the time of each frame
stands for the subscriber (see `Clock`). Prints how many frames each line said, as JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import sys
import time
from pathlib import Path
from typing import Final

FRAME_BYTES: Final = 25
SHAPED_BYTES: Final = 27
CHUNK_FRAMES: Final = 170
"""A little more than the 4,095 bytes that a pseudo-terminal takes at once, of either kind."""
RING: Final = 1 << 17
"""Frames of a line whose times are kept."""
ROUNDING: Final = 1e-6
"""Of a frame."""


class Clock:
    """When each frame of each line was written, in memory that feeder and subscriber share."""

    def __init__(self, path: Path, lines: int) -> None:
        with path.open("a+b") as file:
            file.truncate(lines * RING * 8)
            self._map = mmap.mmap(file.fileno(), lines * RING * 8)
        self._times_s = memoryview(self._map).cast("d")

    def stamp(self, line: int, first: int, count: int, at_s: float) -> None:
        """Frames `first` and on of a line are written now."""
        for number in range(first, first + count):
            self._times_s[line * RING + number % RING] = at_s

    def written_s(self, line: int, number: int) -> float:
        """When that frame was written; right for the last RING frames."""
        return self._times_s[line * RING + number % RING]


class Mouth:
    """One line's talking."""

    def __init__(self, index: int, fd: int) -> None:
        self.fd = fd
        self.said = 0
        self.rest = b""
        self._index = index
        os.set_blocking(fd, False)

    def prepare(self, count: int, clock: Clock, now_s: float) -> None:
        """Adds frames to what has to be said."""
        self.rest += self._frames(range(self.said + 1, self.said + count + 1), now_s)
        clock.stamp(self._index, self.said + 1, count, now_s)
        self.said += count

    def _frames(self, numbers: range, now_s: float) -> bytes:
        end = b"\r%013d\n" % (now_s * 1_000_000)
        return end.join([b"%010d" % number for number in numbers]) + end

    def say(self) -> None:
        """Writes what the line takes."""
        try:
            self.rest = self.rest[os.write(self.fd, self.rest) :]
        except BlockingIOError:
            pass


class ShapedMouth(Mouth):
    """Frames in binary."""

    _HEAD: Final = b"\xaa\x55\x16"
    _NUMBERS: Final = b"".join([(1_000 + at).to_bytes(2) for at in range(9)])

    def _frames(self, numbers: range, now_s: float) -> bytes:
        fixed = sum(self._HEAD) + sum(self._NUMBERS)
        found = []
        for number in numbers:
            data = number.to_bytes(4)
            found += [self._HEAD, data, self._NUMBERS, (fixed + sum(data)).to_bytes(2)]
        return b"".join(found)


def talk_flat_out(mouths: list[Mouth], clock: Clock, end_s: float) -> None:
    """Each line as fast as it is read."""
    poller = select.poll()
    by_fd = {mouth.fd: mouth for mouth in mouths}
    for fd in by_fd:
        poller.register(fd, select.POLLOUT)
    while (now_s := time.monotonic()) < end_s:
        for fd, _ in poller.poll(100):
            mouth = by_fd[fd]
            if not mouth.rest:
                mouth.prepare(CHUNK_FRAMES, clock, now_s)
            mouth.say()


def first_moments_s(lines: int, step_s: float, *, together: bool) -> list[float]:
    """When each line speaks for the first time, after the start: spread over one step, or all at once."""
    return [0.0 if together else step_s * index / lines for index in range(lines)]


def frames_due(after_s: float, rate_hz: float) -> int:
    """How many frames a line has to have said so long after the start. The moment at which one is due counts: what is
    lost in the sum of two times must not put it off by a whole step."""
    return int(after_s * rate_hz + ROUNDING)


def talk_at(mouths: list[Mouth], clock: Clock, rate_hz: float, end_s: float, *, together: bool) -> None:
    """Each line at a rate. A line writes what came due together as one piece, as an adapter does that hands its bytes
    over every few milliseconds."""
    start_s = time.monotonic()
    step_s = max(1 / rate_hz, 0.004)
    moments_s = first_moments_s(len(mouths), step_s, together=together)
    due = [(start_s + moment_s, index) for index, moment_s in enumerate(moments_s)]
    while True:
        for at, (due_s, index) in enumerate(due):
            now_s = time.monotonic()
            if due_s > now_s:
                time.sleep(due_s - now_s)
                now_s = due_s
            if now_s >= end_s:
                return
            mouth = mouths[index]
            count = frames_due(now_s - start_s, rate_hz) - mouth.said
            if count > 0:
                mouth.prepare(count, clock, time.monotonic())
            if mouth.rest:
                mouth.say()
            due[at] = (due_s + step_s, index)


def main() -> int:
    clock_path, seconds, rate_hz, kind, moments, *fds = sys.argv[1:]
    clock = Clock(Path(clock_path), len(fds))
    mouth_of = ShapedMouth if kind == "shaped" else Mouth
    mouths = [mouth_of(index, int(fd)) for index, fd in enumerate(fds)]
    start_s = time.monotonic()
    if float(rate_hz):
        talk_at(mouths, clock, float(rate_hz), start_s + float(seconds), together=moments == "together")
    else:
        talk_flat_out(mouths, clock, start_s + float(seconds))
    took_s = time.monotonic() - start_s
    for mouth in mouths:
        os.set_blocking(mouth.fd, True)
        while mouth.rest:
            mouth.say()
    print(json.dumps({"said": [mouth.said for mouth in mouths], "took_s": took_s}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
