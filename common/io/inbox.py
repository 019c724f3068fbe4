"""What threads hand to the loop: the one place where two threads of a process meet.

Everything else belongs to the loop's thread alone. A thread that has done something that blocks puts its outcome here
and ends; the loop wakes up and takes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue with a descriptor that is readable while something may be in it."""

    def __init__(self) -> None:
        self._items: SimpleQueue[Item] = SimpleQueue()
        self.descriptor, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Polled for reading by whoever takes; it stays open as long as the process lives."""

    def put(self, item: Item) -> None:
        """Hands something to the loop, in order. From any thread; never waits."""
        self._items.put(item)
        try:
            os.write(self._bell, b"\0")
        except BlockingIOError:
            pass  # The pipe is full of wake-ups already.

    def take(self) -> Iterator[Item]:
        """All that is there, oldest first. For the loop, when the descriptor is readable."""
        os.read(self.descriptor, 4096)
        while not self._items.empty():
            yield self._items.get()
