"""Runs inside supervisord: a signal ends its wait at once, and its first wait is none.

supervisord looks for dead children, and goes on with stopping, once per round of its loop. Without this a round can
last a second, because Python resumes an interrupted poll: a killed process came back only after that, and a stop took
one for each group. The processes too would be started only after the first second.
"""

from __future__ import annotations

import os
import signal
from typing import Final

ROUNDS: Final = 4
"""Rounds after a signal: one notes it, one acts on it, one starts what was reaped; and one to spare."""


class SignalWakeup:
    """The reading end of Python's wakeup descriptor, as a member of supervisord's loop."""

    def __init__(self) -> None:
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._round = 0
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        os.write(writer, b"\0")

    def join(self, socket_map: dict[int, object]) -> None:
        """Makes supervisord poll us, and no longer the one from before it read its configuration anew."""
        for fd in [fd for fd, member in socket_map.items() if isinstance(member, SignalWakeup)]:
            del socket_map[fd]
        socket_map[self._reader] = self

    def readable(self) -> bool:
        """Always of interest."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def handle_read_event(self) -> None:
        """A signal came, or this is the beginning. The byte stays unread for some rounds, so that all begin at once."""
        self._round += 1
        if self._round >= ROUNDS:
            self._round = 0
            os.read(self._reader, 1)

    def handle_error(self) -> None:
        """Somebody else has read it; nothing to do."""
