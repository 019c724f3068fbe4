"""Plays instruments that talk and answer, all in one process. `python -m bench.devices CLOCK RATE_HZ FD...`.

Each says the feeder's frames at the rate, and answers a request line `GET 42\\n` at once with `A0000000042\\n`. An
instrument whose line is full says nothing and does not catch up. Ends with its input, after whole frames; prints how
many frames each line said and how many requests were answered, as JSON.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Final

from bench.feeder import Clock, Mouth

REQUEST: Final = b"GET "
READ_BYTES: Final = 4_096


class Instrument(Mouth):
    """One line's talking and answering."""

    def __init__(self, index: int, fd: int) -> None:
        super().__init__(index, fd)
        self.answered = 0
        self._heard = b""

    def hear(self) -> None:
        """Answers each request that is whole."""
        *lines, self._heard = (self._heard + os.read(self.fd, READ_BYTES)).split(b"\n")
        for line in lines:
            if line.startswith(REQUEST):
                self.rest += b"A%010d\n" % int(line.removeprefix(REQUEST))
                self.answered += 1
        self.say()


def play(instruments: list[Instrument], clock: Clock, rate_hz: float) -> None:
    """Until the input ends."""
    by_fd = {instrument.fd: instrument for instrument in instruments}
    poller = select.poll()
    for fd in (*by_fd, sys.stdin.fileno()):
        poller.register(fd, select.POLLIN)
    step_s = 1 / rate_hz
    # Not in step with each other.
    due_s = [time.monotonic() + step_s * index / len(instruments) for index in range(len(instruments))]
    while True:
        for fd, _ in poller.poll(max(0.0, (min(due_s) - time.monotonic()) * 1000)):
            if fd not in by_fd:
                return
            by_fd[fd].hear()
        for index, instrument in enumerate(instruments):
            now_s = time.monotonic()
            if due_s[index] <= now_s:
                due_s[index] = max(due_s[index] + step_s, now_s)
                if not instrument.rest:
                    instrument.prepare(1, clock, now_s)
                instrument.say()


def main() -> int:
    clock_path, rate_hz, *fds = sys.argv[1:]
    instruments = [Instrument(index, int(fd)) for index, fd in enumerate(fds)]
    play(instruments, Clock(Path(clock_path), len(fds)), float(rate_hz))
    for instrument in instruments:
        os.set_blocking(instrument.fd, True)
        while instrument.rest:
            instrument.say()
    said = [instrument.said for instrument in instruments]
    print(json.dumps({"said": said, "answered": sum(instrument.answered for instrument in instruments)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
