"""Who waits until the journal has what was handed over. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

STORE_WAIT_S: Final = 5.0
"""So long a caller waits for a journal that can't be written; then it hears of that, and may try again."""
NOT_WRITTEN: Final = "the journal can't be written: its log says why"


class _Waiting(NamedTuple):
    """One call, and the number after its last entry."""

    ticket: int
    end: int
    deadline_s: float


class Waiters:
    """The calls whose entries have numbers and are not known to be on the disk, in the order of these numbers."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    def add(self, tickets: list[int], end: int, now_s: float) -> None:
        """These wait until everything below `end` is committed."""
        self._waiting.extend(_Waiting(ticket, end, now_s + STORE_WAIT_S) for ticket in tickets)

    def committed(self, end: int) -> list[int]:
        """Everything below `end` is on the disk, or was accepted by the platform: those need wait no longer."""
        done: list[int] = []
        while self._waiting and self._waiting[0].end <= end:
            done.append(self._waiting.popleft().ticket)
        return done

    def expire(self, now_s: float) -> list[int]:
        """Those that have waited for too long."""
        late: list[int] = []
        while self._waiting and now_s >= self._waiting[0].deadline_s:
            late.append(self._waiting.popleft().ticket)
        return late

    @property
    def next_deadline_s(self) -> float | None:
        return self._waiting[0].deadline_s if self._waiting else None
