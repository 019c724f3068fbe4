"""Where the connector's threads meet the gateway's: what they hand over, and how they wait for the journal to have it.

Bounded: whoever hands over more than the journal takes waits, so a connector that polls slows down to what the disk
takes, and nothing is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from common.io.clock import wall_ms
from common.io.inbox import Inbox
from services.connector_host.core.events import ConnectorEvent, Said, Submission, Submitted

MOST_WAITING: Final = 1_000
"""Entries in memory that the journal does not have yet."""
MOST_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Bytes of these. One call may have more, when nothing else waits."""
ENDED: Final = "the gateway is stopping"
FORKED: Final = "this is another process, which the connector has forked: the gateway is in its parent"


class Intake:
    """All methods but `take`, `settle` and `abandon` are for the connector's threads; these are for the gateway's."""

    def __init__(self) -> None:
        self._inbox: Inbox[Submission | ConnectorEvent] = Inbox()
        self.descriptor = self._inbox.descriptor
        """Readable while something may be in it."""
        self._room = threading.Condition()
        self._tickets: dict[int, tuple[int, int, _Waiter | None]] = {}
        """Ticket → its entries, their bytes, and who waits for it."""
        self._count = self._entries = self._bytes = 0
        self._over = ""
        """Why nothing is taken any more; "" while it is."""

    def post(self, event: ConnectorEvent) -> None:
        """Tells the core something that has happened. Never waits."""
        if self._over != FORKED:
            self._inbox.put(event)

    def submit(self, said: tuple[Said, ...], *, waits: bool = True) -> str:
        """Hands these over, together and in order; "" or why they are not kept. Waits while there is no room, and
        until they are on the disk, unless not `waits`."""
        size = sum(len(one.data) for one in said)
        waiter = _Waiter() if waits else None
        with self._room:
            while self._is_too_much(len(said), size) and not self._over:
                self._room.wait()
            if self._over:
                return self._over
            self._count += 1
            ticket = self._count
            self._tickets[ticket] = (len(said), size, waiter)
            self._entries, self._bytes = self._entries + len(said), self._bytes + size
            # Here: two threads must not change places between the ticket and the queue.
            self._inbox.put(Submission(ticket, said))
        return "" if waiter is None else waiter.wait()

    def end(self) -> None:
        """From now on nothing is taken any more: the process is about to end."""
        with self._room:
            self._over = ENDED
            tickets = list(self._tickets)
            self._room.notify_all()
        self.settle(tickets, ENDED)

    def abandon(self) -> None:
        """This is a child of the process, in which nobody takes anything. Whoever held the lock is not in it."""
        self._room = threading.Condition()
        self._over = FORKED

    def take(self) -> Iterator[ConnectorEvent]:
        """What has come, in order; what was handed over together with others is one event."""
        submissions: list[Submission] = []
        for item in self._inbox.take():
            if isinstance(item, Submission):
                submissions.append(item)
                continue
            if submissions:
                yield Submitted(submissions, wall_ms())
                submissions = []
            yield item
        if submissions:
            yield Submitted(submissions, wall_ms())

    def settle(self, tickets: list[int], error: str) -> None:
        """These are on the disk, or, with an error, are not."""
        with self._room:
            for ticket in tickets:
                entries, size, waiter = self._tickets.pop(ticket, (0, 0, None))
                self._entries, self._bytes = self._entries - entries, self._bytes - size
                if waiter is not None:
                    waiter.end(error)
            self._room.notify_all()

    @property
    def waiting(self) -> int:
        """Entries that the journal does not have yet."""
        return self._entries

    def _is_too_much(self, entries: int, size: int) -> bool:
        if not self._tickets:
            return False
        return self._entries + entries > MOST_WAITING or self._bytes + size > MOST_WAITING_BYTES


class _Waiter:
    """One call that waits for the journal."""

    __slots__ = ("_error", "_lock")

    def __init__(self) -> None:
        self._error = ""
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> str:
        self._lock.acquire()
        return self._error

    def end(self, error: str) -> None:
        self._error = error
        self._lock.release()
