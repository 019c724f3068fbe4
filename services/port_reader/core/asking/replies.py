"""What is said to a device that waits for it: its frame is in the journal, or was none."""

from __future__ import annotations

from collections import deque
from typing import Final

from services.port_reader.core.events import CancelWrite, CheckWrite, Effect, WritePort

WAITING_LIMIT: Final = 16
"""Acknowledgements that wait for another write to end. A device that has sent more frames than that unacknowledged does
not wait for any of them."""
LOOK_S: Final = 0.05
"""How often a write is looked after that does not leave: nothing tells when a port has sent its last byte."""
WRITE_S: Final = 10.0
"""One that has not left after so long is given up; the device will send its frame again."""
NEVER_S: Final = float("inf")


class Replies:
    """Acknowledgements, in order, one write at a time."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self.is_writing = False
        self._look_s = NEVER_S
        self._until_s = NEVER_S

    def add(self, data: bytes) -> None:
        """This is to be said as soon as nothing else is leaving the machine."""
        if len(self._waiting) < WAITING_LIMIT:
            self._waiting.append(data)

    def begin(self, now_s: float) -> WritePort | None:
        """The next one, if there is one and none is being written."""
        if not self._waiting or self.is_writing:
            return None
        self.is_writing, self._look_s, self._until_s = True, now_s + LOOK_S, now_s + WRITE_S
        return WritePort(self._waiting.popleft())

    def end_write(self) -> bool:
        """A write is out, or has failed. True if it was one of these."""
        was_writing, self.is_writing, self._look_s = self.is_writing, False, NEVER_S
        return was_writing

    def pending(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """So many bytes have not left yet; each takes `byte_s` on the line."""
        self._look_s = now_s + min(LOOK_S, max(0.001, left_bytes * byte_s))

    def tick(self, now_s: float) -> list[Effect]:
        """A look at the write, if it is due."""
        if now_s < self._look_s:
            return []
        if now_s >= self._until_s:
            self.end_write()
            return [CancelWrite()]
        self._look_s = now_s + LOOK_S
        return [CheckWrite()]

    def close(self) -> None:
        """The port is closed."""
        self._waiting.clear()
        self.end_write()

    @property
    def next_deadline_s(self) -> float:
        return self._look_s
