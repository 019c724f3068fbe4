"""The converter's metrics: every name in one place; all count since the process started."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Counts of this process; the heartbeat carries them."""

    batches_in: int = 0
    frames_converted: int = 0
    readings_made: int = 0
    """Entries that came out with at least one value."""
    conversion_errors: int = 0
    """Data points that failed."""
    points_absent: int = 0
    """Data points that had no place in their frame."""
    dead_letters: int = 0
    user_errors: int = 0
    """Frames, answers and params for which users' code had no result."""
    credit_returned_empty: int = 0
    """Batches given back unconverted: no section, or not to be read."""
    sends_blocked: int = 0
    dropped_for_new_broker: int = 0
    section_requests: int = 0
    calls_in: int = 0
    calls_failed: int = 0
    calls_expired: int = 0
    notes_reported: int = 0
    hosts_started: int = 0
    """Processes for users' code."""
    hosts_ended: int = 0
    """Of those, ended from outside: they did not answer in time, or made room."""
    hosts_died: int = 0
    """Of those, ended by themselves."""

    def as_dict(self) -> dict[str, int]:
        """Name to count."""
        return asdict(self)
