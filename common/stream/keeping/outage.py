"""While the journal can't be written: what waits for it in memory, and when it is tried again."""

from __future__ import annotations

from typing import Final

from common.core.events import Note
from common.stream.blocks import Block
from common.stream.counters import SourceCounts
from common.stream.events import DeadLetter
from common.stream.keeping.held import HeldEntries

RETRY_S: Final = 1.0
"""A journal that failed is tried again this often."""


class Outage:
    """The journal is up, or it is down and everything numbered since is held in memory.

    What is held is sent all the same, and once it is settled nobody needs it on the disk any more.
    """

    def __init__(self, device: str, most_bytes: int, counters: SourceCounts) -> None:
        """`most_bytes`: what memory holds; what comes beyond it gets no number, is dropped and counted."""
        self._device = device
        self._most_bytes = most_bytes
        self._counters = counters
        self._retry_s = 0.0
        """When it is tried again."""
        self.is_down = False
        """True while the journal can't be written."""
        self.held = HeldEntries(counters)

    @property
    def is_full(self) -> bool:
        """True if memory is full while the journal is down: what comes now must be dropped."""
        return self.held.bytes >= self._most_bytes

    @property
    def next_deadline_s(self) -> float | None:
        return self._retry_s if self.is_down else None

    def begin(self, reason: str, now_s: float) -> list[Note]:
        """The journal could not be read or written. Each outage is logged once."""
        self._counters["journal_errors"] += 1
        if self.is_down:
            return []
        self.is_down, self._retry_s = True, now_s + RETRY_S
        return [Note("warning", "journal.failed", {"device": self._device, "reason": reason})]

    def retried(self, now_s: float) -> list[Block] | None:
        """What is to be written once more. []: nothing is held, only probe the journal; None: it is not yet time."""
        if not self.is_down or now_s < self._retry_s:
            return None
        self._retry_s = now_s + RETRY_S
        return list(self.held.blocks)

    def end(self, end: int) -> tuple[list[Block], list[DeadLetter], list[Note]]:
        """The journal was written, with all that was held below `end`: (blocks, dead letters) that are to follow."""
        self.is_down = False
        held, letters = self.held.take()
        later = [block for block in held if block.first >= end]
        return later, letters, [Note("info", "journal.recovered", {"device": self._device})]
