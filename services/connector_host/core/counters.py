"""What a connector host counts."""

from __future__ import annotations

from typing import Annotated

from common.core.counters import Counter, Gauge
from common.stream.counters import JournalCounts, SourceCounts


class ConnectorHostCounts(SourceCounts):
    """Totals since its start; the heartbeat carries them."""

    submissions: Annotated[int, Counter("calls", "by which the connector has handed something over")]
    submissions_failed: Annotated[int, Counter("calls", "of these that were answered FAILURE by the journal")]
    calls_handled: Annotated[int, Counter("calls", "to the connector's handlers")]
    calls_unanswered: Annotated[int, Counter("calls", "to which the connector has given no answer in time")]
    replies_unasked: Annotated[int, Counter("replies", "to no open call: too late, or a second one")]


class UsersCounts(JournalCounts):
    """What only the shell knows."""

    results_refused: Annotated[int, Counter("results", "that could not be sent, and were answered FAILURE")]
    entries_waiting: Annotated[int, Gauge("entries", "that wait in memory for the journal")]
    memory_bytes: Annotated[int, Gauge("bytes", "of memory that the process has")]
