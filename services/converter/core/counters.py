"""What a converter counts."""

from __future__ import annotations

from typing import Annotated, TypedDict

from common.core.counters import Counter


class ConverterCounts(TypedDict):
    """Totals since its start; the heartbeat carries them.

    A frame that comes twice is counted twice: what arrives at the platform is counted by the publisher.
    """

    batches_in: Annotated[int, Counter("batches", "frame batches")]
    frames_converted: Annotated[int, Counter("frames", "by what is built in and by users' code")]
    frames_blank: Annotated[int, Counter("frames", "that say nothing: blanks, NULs, the delimiter alone")]
    readings_made: Annotated[int, Counter("readings", "with at least one value")]
    conversion_errors: Annotated[int, Counter("data points", "that failed on a frame")]
    points_absent: Annotated[int, Counter("data points", "that had no place in their frame")]
    points_without_value: Annotated[int, Counter("data points", "of which the device says that they have no value")]
    frames_unfit: Annotated[int, Counter("frames", "that no message of their device fits, dead letters each")]
    times_refused: Annotated[int, Counter("frames", "whose own time is unreadable, or too far from ours")]
    dead_letters: Annotated[int, Counter("frames", "of which nothing can be made")]
    user_errors: Annotated[int, Counter("frames", "frames, answers and params for which users' code had no result")]
    credit_returned_empty: Annotated[int, Counter("batches", "given back unconverted: no section, or not to be read")]
    sends_blocked: Annotated[int, Counter("messages", "that a socket did not take")]
    dropped_for_new_broker: Annotated[int, Counter("messages", "that the broker before it had known of")]
    section_requests: Annotated[int, Counter("requests", "for a section, asked of its port reader")]
    calls_in: Annotated[int, Counter("calls", "steps of calls")]
    calls_failed: Annotated[int, Counter("calls", "steps that ended with an error")]
    calls_expired: Annotated[int, Counter("calls", "whose time was over")]
    notes_reported: Annotated[int, Counter("reports", "of frames that a process died in, to their port reader")]
    hosts_started: Annotated[int, Counter("processes", "for users' code")]
    hosts_ended: Annotated[int, Counter("processes", "of these, ended from outside: too slow, or to make room")]
    hosts_died: Annotated[int, Counter("processes", "of these, ended by themselves")]
