"""A pseudo-terminal on which a capture is played: it is there for whoever opens it, as a serial port is."""

from __future__ import annotations

import os
import select
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.cli.captures.score import Player

CLOSED_S: Final = 0.02
"""Nothing tells that a port is opened: it is looked at so often."""
SETTLE_S: Final = 0.3
"""Whoever opens a port sets it up, and throws away what had come before: a device that is to be heard whole
speaks behind that."""
LONGEST_WAIT_S: Final = 0.2
"""So often somebody may look whether it is to end."""
_READ_BYTES: Final = 4096


class Stage:
    """The device's end of a pseudo-terminal. Use `close` at the end."""

    def __init__(self) -> None:
        """Raises OSError if this host has no pseudo-terminal to give."""
        self._ours, theirs = os.openpty()
        self.path = os.ttyname(theirs)
        # The kernel keeps these settings while our end is open; so no early byte is echoed, or changed.
        tty.setraw(theirs)
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._poll = select.poll()
        self._unsaid = b""

    def close(self) -> None:
        os.close(self._ours)

    @property
    def is_open(self) -> bool:
        """True while somebody has the port open."""
        self._poll.register(self._ours, 0)
        return not any(events & select.POLLHUP for _, events in self._poll.poll(0))

    def play(self, player: Player, should_end: Callable[[], bool]) -> int:
        """Plays for whoever opens the port, from the beginning each time, until `should_end`, or until all was said and
        the port was closed. Returns how many bytes were said."""
        said_bytes = 0
        has_begun = False
        while not should_end():
            if not self.is_open:
                if has_begun and player.is_over and not player.answers_questions:
                    break
                if has_begun:
                    self._forget()
                has_begun = False
                time.sleep(CLOSED_S)
                continue
            if not has_begun:
                time.sleep(SETTLE_S)
                has_begun = True
                player.begin(time.monotonic())
            said_bytes += self._turn(player)
        return said_bytes

    def _turn(self, player: Player) -> int:
        """Waits for the next thing to do, and does it."""
        now_s = time.monotonic()
        self._unsaid = self._unsaid or player.say(now_s)
        next_s = player.next_s
        wait_s = LONGEST_WAIT_S if next_s is None else max(0.0, min(next_s - now_s, LONGEST_WAIT_S))
        if self._unsaid:
            wait_s = LONGEST_WAIT_S
        self._poll.register(self._ours, select.POLLIN | (select.POLLOUT if self._unsaid else 0))
        for _, events in self._poll.poll(int(wait_s * 1000) + (wait_s > 0)):
            if events & select.POLLIN and not events & select.POLLHUP:
                player.hear(self._read(), time.monotonic())
            if events & select.POLLOUT and not events & select.POLLHUP:
                return self._write()
        return 0

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, _READ_BYTES)
        except OSError:
            # It was closed meanwhile.
            return b""

    def _write(self) -> int:
        try:
            count = os.write(self._ours, self._unsaid)
        except OSError:
            return 0
        self._unsaid = self._unsaid[count:]
        return count

    def _forget(self) -> None:
        """What nobody has read is not for who comes next."""
        self._unsaid = b""
        termios.tcflush(self._ours, termios.TCIOFLUSH)


def make_link(link: Path, path: str) -> None:
    """Makes a symbolic link to the port; one that leads nowhere is replaced, as an earlier run has left it. Raises
    OSError."""
    if link.is_symlink() and not link.exists():
        link.unlink()
    link.symlink_to(path)
