"""Whether a batch that is not full waits for more to travel with it."""

from __future__ import annotations

from typing import Final

from common.stream.blocks import BATCH_BYTES, BATCH_FRAMES
from common.stream.sending.flights import Flights
from common.stream.sending.ready import Ready

JOIN_S: Final = 0.02
"""While much is in flight, a batch that is not full waits so long for more."""
MUCH_FRAMES: Final = 1_024
MUCH_BYTES: Final = 256 * 1024
"""So much in flight keeps all processes behind us busy: none of them is kept waiting."""


class Company:
    """One stream's wait for a fuller batch."""

    def __init__(self, company_s: float | None = None) -> None:
        """`company_s`: how long entries may wait for company in this process; a half of it may be over before they come
        here. None: as long as pays."""
        self._wait_s = JOIN_S if company_s is None else min(JOIN_S, company_s / 2)
        self._until_s: float | None = None
        """When the batch goes out as it is; None while none waits."""
        self._is_waiting = False

    @property
    def next_deadline_s(self) -> float | None:
        """When a batch that waits for more goes out as it is."""
        return self._until_s if self._is_waiting else None

    def is_awaited(self, ready: Ready, flights: Flights, now_s: float) -> bool:
        """True if what is ready may become a fuller batch: it is not full, and much is in flight."""
        waiting = ready.queue
        is_full = waiting.bytes >= BATCH_BYTES or ready.end - flights.end >= BATCH_FRAMES
        has_much = flights.end - flights.floor >= MUCH_FRAMES or flights.queue.bytes >= MUCH_BYTES
        if not has_much or is_full:
            self._until_s = None
            return False
        if self._until_s is None:
            self._until_s = now_s + self._wait_s
        self._is_waiting = now_s < self._until_s
        return self._is_waiting

    def look_anew(self, ready: Ready) -> None:
        """Somebody looks again at what is ready; if nothing is, nothing waits."""
        self._is_waiting = False
        if not ready.queue.blocks:
            self._until_s = None

    def gone(self) -> None:
        """The batch has left; the next one waits a time of its own."""
        self._until_s = None
