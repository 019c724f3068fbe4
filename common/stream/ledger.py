"""How much is unsettled, in bytes and in age, without remembering every block."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

SPAN_BYTES: Final = 64 * 1024
"""256 MiB are then 4,096 spans; the byte limit is kept to within one of them."""
SPAN_MS: Final = 60_000
"""The age limit is kept to within this."""


class Span(NamedTuple):
    """A run of unsettled entries: the number after the last, their bytes, when the last was numbered."""

    end: int
    size: int
    at_ms: int


class Ledger:
    """Bytes of the unsettled entries in spans of at most about SPAN_BYTES and SPAN_MS, oldest first."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: deque[Span] = deque(spans)
        self._began_ms = self._spans[-1].at_ms if self._spans else 0
        self.total_bytes = sum(span.size for span in self._spans)

    def add(self, end: int, size: int, at_ms: int = 0) -> None:
        """A block up to, not including, number `end` was added at this time of the wall clock."""
        self.total_bytes += size
        last = self._spans[-1] if self._spans else None
        if last is not None and last.size + size <= SPAN_BYTES and at_ms - self._began_ms < SPAN_MS:
            size += self._spans.pop().size
        else:
            self._began_ms = at_ms
        self._spans.append(Span(end, size, at_ms))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Each span, oldest first."""
        return tuple(self._spans)

    @property
    def oldest_ms(self) -> int | None:
        """When the last entry of the oldest span was numbered; None where there is no span."""
        return self._spans[0].at_ms if self._spans else None

    def drop(self, base: int) -> None:
        """Everything below `base` is gone; a span counts until all of it is."""
        while self._spans and self._spans[0].end <= base:
            self.total_bytes -= self._spans.popleft().size

    def base_within(self, max_bytes: int) -> int:
        """The number below which all must go so that the rest fits; 0 if nothing must go."""
        excess, base = self.total_bytes - max_bytes, 0
        for span in self._spans:
            if excess <= 0:
                break
            excess -= span.size
            base = span.end
        return base

    def base_since(self, at_ms: int) -> int:
        """The number below which everything was numbered before this time; 0 if nothing was."""
        base = 0
        for span in self._spans:
            if span.at_ms >= at_ms:
                break
            base = span.end
        return base
