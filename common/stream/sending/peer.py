"""Who is at the other end: whether the publisher lives, and whether it still speaks of our stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from common.core.backoff import Backoff

SILENT_S: Final = 3.0
"""A publisher that was not heard for so long is taken for gone: it beats each second."""
ASK_S: Final = 120.0
"""Without a report for so long, though the publisher lives, one entry that waits for acceptance is sent again: a repeat
is answered."""
PROBE: Final = Backoff(1.0, 5.0)
"""How long one probe waits for the next while the publisher is silent."""


class Peer:
    """The publisher as one stream knows it. All times are `now_s`.

    It is silent from the moment that somebody looks and has not heard it for SILENT_S. Then one batch is sent now and
    again to find out whether anybody is there (`next_probe`), until it is heard.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        """`draw` gives numbers in [0, 1): they spread the probes of many readers."""
        self._draw = draw
        self._heard_s = 0.0
        self._told_s = 0.0
        """When it last said something of our stream, or was last given a reason to."""
        self._probes = 0
        self._probe_s: float | None = None
        """When the next probe is due; None while it is not silent."""

    def hear(self, now_s: float) -> bool:
        """The publisher was heard. True if it had been silent."""
        was_silent = self._probe_s is not None
        self._heard_s, self._probe_s, self._probes = now_s, None, 0
        return was_silent

    def owes(self, now_s: float) -> None:
        """Restarts ASK_S: the publisher has just reported on our stream, or now has something to report."""
        self._told_s = now_s

    @property
    def is_silent(self) -> bool:
        """True from the first probe on, until it is heard."""
        return self._probe_s is not None

    def is_gone(self, now_s: float) -> bool:
        """True if it was not heard for SILENT_S."""
        return now_s >= self._heard_s + SILENT_S

    def deadline_s(self, *, has_flights: bool) -> float:
        """When it has to be looked after, if it says nothing; with `has_flights` it owes us a report, too."""
        if self._probe_s is not None:
            return self._probe_s
        silent_s = self._heard_s + SILENT_S
        return min(silent_s, self._told_s + ASK_S) if has_flights else silent_s

    def next_probe(self, now_s: float) -> None:
        """A probe goes out now."""
        self._probe_s = now_s + PROBE.delay_s(self._probes, self._draw())
        self._probes += 1
