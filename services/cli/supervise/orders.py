"""Runs inside supervisord: takes what the processes ask for (`common.io.orders`), and hands it on when it is due."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.io.orders import ORDERS

READ_BYTES: Final = 65_536
MOST_WAITING: Final = 16
"""Orders that wait for their time; a further one is left out. Nobody needs more."""


class Orders:
    """The reading end of the pipe, as a member of supervisord's loop, and what is not due yet."""

    def __init__(self, run_dir: Path, obey: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`obey` is called with one order, a line of words. Raises OSError if the pipe can't be made."""
        path = run_dir / ORDERS
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # For writing too, so that it never ends when nobody else has it open, and to give orders to ourselves.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._obey = obey
        self._clock = clock
        self._waiting: list[tuple[float, str]] = []
        self._partial = b""

    def join(self, socket_map: dict[int, object]) -> None:
        """Makes supervisord poll us, and no longer the one from before it read its configuration anew."""
        for fd in [fd for fd, member in socket_map.items() if isinstance(member, Orders)]:
            del socket_map[fd]
        socket_map[self._pipe] = self

    def again(self, order: str) -> None:
        """Gives an order to ourselves, for the next round of supervisord's loop."""
        try:
            os.write(self._pipe, f"{order}\n".encode())
        except OSError:
            pass  # A pipe that is full has orders enough; the next tick looks again.

    def later(self, order: str, delay_s: float) -> None:
        """Gives an order to ourselves, for so long later; a second more or less."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((self._clock() + delay_s, order))

    def check(self) -> None:
        """Hands on what is due by now."""
        now_s = self._clock()
        due = [order for at_s, order in self._waiting if at_s <= now_s]
        self._waiting = [entry for entry in self._waiting if entry[0] > now_s]
        for order in due:
            self._obey(order)

    def readable(self) -> bool:
        """Always of interest. supervisord asks once a round, and a round takes a second at most: what waits is looked
        at here."""
        if self._waiting:
            self.check()
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def handle_read_event(self) -> None:
        """Somebody has given orders."""
        try:
            data = os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-READ_BYTES:]
        for line in lines:
            self._obey(line.decode(errors="replace"))

    def handle_error(self) -> None:
        """Somebody else has read it; nothing to do."""
