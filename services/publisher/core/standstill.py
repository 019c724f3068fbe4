"""Was this process stopped for a while, so that what it hears now may be old? Pure."""

from __future__ import annotations

from typing import Final

STOOD_STILL_S: Final = 2.0
"""A process that beats each second and hears nothing for longer was stopped: what it finds in its sockets may be as
old."""
STALE_FOR_S: Final = 0.5
"""So long after a stop the sockets are taken to hold what came during it."""


class LinkStandstill:
    """Notices that the process was stopped (SIGSTOP, a frozen container, a host that swaps) and went on.

    A call from the platform has a deadline that begins when it is sent, and says no time of its own. So a call that is
    read after a stop may be late already, by as much as the stop took.
    """

    __slots__ = ("_handled_s", "_stale_until_s", "_stood_s")

    def __init__(self) -> None:
        self._handled_s: float | None = None
        self._stood_s = 0.0
        self._stale_until_s = 0.0

    def notice(self, now_s: float) -> None:
        """Compares the time of this event with that of the one before; called for every event."""
        since_s = 0.0 if self._handled_s is None else now_s - self._handled_s
        if since_s > STOOD_STILL_S:
            self._stood_s, self._stale_until_s = since_s, now_s + STALE_FOR_S
        self._handled_s = now_s

    def waited_s(self, now_s: float) -> float:
        """How long a message that is read now may have lain in our socket; 0.0 where we were not stopped."""
        return self._stood_s if now_s < self._stale_until_s else 0.0
