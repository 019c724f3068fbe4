"""The limits of a journal: what must be dropped so that the rest fits, and one log line when that begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.core.events import Note
from common.stream.counters import SourceCounts
from common.stream.ledger import Ledger, Span
from common.stream.limits import Limits

AGE_CHECK_S: Final = 60.0
"""Age limits are in days; this is how often they are looked at while nothing comes in."""


Excess = tuple[int, str]
"""(everything below this number must go, the limit that says so: records, bytes or age)."""


class Retention:
    """How much of one stream its journal may keep.

    Two states: it fits, or it is shedding. A journal that stays full sheds with each append; one line is logged when
    that begins, and one when half of each limit is free again.
    """

    def __init__(self, device: str, limits: Limits, spans: Iterable[Span], counters: SourceCounts) -> None:
        """`spans`: what the journal holds at the start, oldest first."""
        self._device = device
        self._limits = limits
        self._counters = counters
        self._ledger = Ledger(spans)
        self._is_shedding = False
        self._check_s = 0.0

    def take_limits(self, limits: Limits) -> None:
        """So much is kept from now on; what is more is found by the next `excess`."""
        self._limits = limits
        self._check_s = 0.0

    @property
    def total_bytes(self) -> int:
        """Bytes of all that is not settled."""
        return self._ledger.total_bytes

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest that is not settled were numbered, to within a minute; None where all is."""
        return self._ledger.oldest_ms

    @property
    def next_check_s(self) -> float | None:
        """When the age of what waits has to be looked at; None where any age will do."""
        return None if self._limits.ttl_s is None else self._check_s

    def add(self, end: int, size: int, at_ms: int) -> None:
        """A block of `size` bytes up to, not including, number `end` was numbered at this time of the wall clock."""
        self._ledger.add(end, size, at_ms)

    def drop(self, base: int) -> None:
        """Everything below `base` has left the journal."""
        self._ledger.drop(base)

    def excess(self, next_number: int, wall_ms: int | None, now_s: float) -> Excess:
        """What must go now. `wall_ms` None: the time is not known, so nothing is too old."""
        self._check_s = now_s + AGE_CHECK_S
        return self._excess(next_number, wall_ms)

    def shed(self, entries: int, limit: str, backlog: int) -> list[Note]:
        """So many entries were dropped; what is left is `backlog`."""
        self._counters["frames_shed"] += entries
        if self._is_shedding:
            return []
        self._is_shedding = True
        facts = {"device": self._device, "limit": limit, "backlog": backlog, "backlog_bytes": self.total_bytes}
        return [Note("warning", "journal.full", facts)]

    def settled(self, base: int, next_number: int, wall_ms: int | None) -> list[Note]:
        """The platform has accepted everything below `base`. That there is room again is logged only when half of each
        limit is free, so that a journal that stays full brings one warning and not one a frame."""
        if not self._is_shedding or self._excess(next_number, wall_ms, 0.5)[0] > base:
            return []
        self._is_shedding = False
        shed = self._counters["frames_shed"]
        return [Note("info", "journal.has_room", {"device": self._device, "frames_shed": shed})]

    def refusal(self, entries: int, size: int, backlog: int) -> str:
        """Why so many more entries and bytes can't be taken in without pushing out what waits; "" if they can."""
        if backlog + entries > self._limits.max_records:
            return f"the journal is full: {backlog} entries wait"
        if self.total_bytes + size > self._limits.max_bytes:
            return f"the journal is full: {self.total_bytes} bytes wait"
        return ""

    def _excess(self, next_number: int, wall_ms: int | None, share: float = 1.0) -> Excess:
        """What must go to keep this share of the limits."""
        limits = self._limits
        bases = [
            (next_number - int(limits.max_records * share), "records"),
            (self._ledger.base_within(int(limits.max_bytes * share)), "bytes"),
        ]
        if limits.ttl_s is not None and wall_ms is not None:
            bases.append((self._ledger.base_since(wall_ms - int(limits.ttl_s * 1000 * share)), "age"))
        return max(bases)
