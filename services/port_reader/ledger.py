"""How much is unsettled, in bytes, without remembering every block."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

SPAN_BYTES: Final = 64 * 1024
"""256 MiB are then 4,096 spans; the byte limit is kept to within one of them."""


class Ledger:
    """Bytes of the unsettled entries in spans of about SPAN_BYTES, oldest first."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._spans: deque[tuple[int, int]] = deque(spans)
        self.total_bytes = sum(size for _, size in self._spans)

    def add(self, end: int, size: int) -> None:
        """A block up to, not including, number `end` was added."""
        self.total_bytes += size
        if self._spans and self._spans[-1][1] + size <= SPAN_BYTES:
            size += self._spans.pop()[1]
        self._spans.append((end, size))

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """(number after the last, bytes) of each, oldest first."""
        return tuple(self._spans)

    def drop(self, base: int) -> None:
        """Everything below `base` is gone; a span counts until all of it is."""
        while self._spans and self._spans[0][0] <= base:
            self.total_bytes -= self._spans.popleft()[1]

    def base_within(self, max_bytes: int) -> int:
        """The number below which all must go so that the rest fits; 0 if nothing must go."""
        excess, base = self.total_bytes - max_bytes, 0
        for end, size in self._spans:
            if excess <= 0:
                break
            excess -= size
            base = end
        return base
