"""Devices that say numbers without end, and can be unplugged at a moment when nothing of theirs is on the way."""

from __future__ import annotations

import fcntl
import os
import random
import struct
import termios
import threading
import time

from tests.e2e.harness import Line

REST_S = 0.5
"""So long a line may take to come to rest before it is not unplugged after all."""
QUIET_S = 0.05
"""What was written passes through the kernel's own queue before it is counted as waiting."""


class Talker:
    """Says `1\\n`, `2\\n`, … at a rate; every `poison_every` frames one more that its converter will raise on.

    The line is held open, so that nothing is lost between two who read it.
    """

    def __init__(self, name: str, line: Line, rate_hz: float, poison_every: int = 0) -> None:
        self.name = name
        self.line = line
        self.written = 0
        self.poisoned: list[bytes] = []
        self._rate_hz = rate_hz
        self._poison_every = poison_every
        self._slave = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        self._wanted = threading.Event()
        self._wanted.set()
        self._resting = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def unplug(self) -> bool:
        """The adapter is pulled out, if all that was said has been read; False if the line did not come to rest."""
        self._wanted.clear()
        if not self._resting.wait(REST_S) or not self._is_read():
            self._wanted.set()
            return False
        self.line.unplug()
        os.close(self._slave)
        return True

    def plug_in(self) -> None:
        """It comes back, and talks on."""
        self.line.plug_in()
        self._slave = os.open(self.line.path, os.O_RDWR | os.O_NOCTTY)
        self._wanted.set()

    def finish(self, deadline_s: float = 30.0) -> None:
        """Says no more; what was begun is said to its end."""
        self._stop.set()
        self._wanted.set()
        self._thread.join(deadline_s)
        assert not self._thread.is_alive(), f"nobody reads the line of {self.name}"

    def _is_read(self) -> bool:
        end_s = time.monotonic() + REST_S
        empty_since_s: float | None = None
        while time.monotonic() < end_s:
            waiting = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"\0\0\0\0"))[0]
            if waiting:
                empty_since_s = None
            elif empty_since_s is None:
                empty_since_s = time.monotonic()
            elif time.monotonic() > empty_since_s + QUIET_S:
                return True
            self._stop.wait(0.005)
        return False

    def _run(self) -> None:
        due = 0.0
        last_s = time.monotonic()
        while not self._stop.is_set():
            self._stop.wait(1 / self._rate_hz)
            if not self._wanted.is_set():
                self._resting.set()
                self._wanted.wait()
                self._resting.clear()
                last_s = time.monotonic()
            # A line that was held up does not catch up: it talks on at its rate.
            due += min(1.0, time.monotonic() - last_s) * self._rate_hz
            last_s = time.monotonic()
            while due >= 1 and not self._stop.is_set():
                due -= 1
                self._say()

    def _say(self) -> None:
        self.line.write(b"%d\n" % (self.written + 1))
        self.written += 1
        if self._poison_every and self.written % self._poison_every == 0:
            poison = b"poison %d\n" % self.written
            self.line.write(poison)
            self.poisoned.append(poison)


class Noise:
    """A line of random bytes, with a delimiter now and then."""

    def __init__(self, line: Line, bytes_per_s: int, seed: int) -> None:
        self._line = line
        self._random = random.Random(seed)
        self._count = bytes_per_s // 10
        self._stop = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def finish(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self._line.write(self._random.randbytes(self._count))
