"""The broker's counters, which go out with its heartbeat. Totals since its start."""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    "batches_in",
    "frames_in",
    "batches_out",
    "frames_dropped",
    "batches_dropped",
    "frames_stale",
    "batches_repeated",
    "credits_restored",
    "batches_blocked",
    "batches_taken_back",
    "readings_in",
    "readings_out",
    "readings_dropped",
    "requests",
    "requests_unroutable",
    "replies",
    "replies_dropped",
    "registrations",
    "registrations_refused",
    "takeovers",
    "junk_messages",
)
"""`frames_stale` were meant for a publisher that is gone: their reader sends them to the new one. `readings_*` count
readings. `batches_repeated` are resends of a batch that is still queued: nothing is lost. `batches_taken_back` were not
answered in time, and went to another converter."""

Counters = dict[str, int]


def new_counters() -> Counters:
    """All of them at zero."""
    return dict.fromkeys(NAMES, 0)
