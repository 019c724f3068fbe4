"""The counters of every process that journals."""

from __future__ import annotations

from typing import Annotated, TypedDict

from common.core.counters import Counter, Gauge


class SourceCounts(TypedDict):
    """Totals since its start; the heartbeat carries them."""

    frames_read: Annotated[int, Counter("frames", "of the device, answers to calls among them")]
    frames_sent: Annotated[int, Counter("entries", "sent for the first time to a publisher")]
    frames_resent: Annotated[int, Counter("entries", "sent again to the same publisher")]
    frames_settled: Annotated[int, Counter("entries", "that the platform has accepted")]
    frames_shed: Annotated[int, Counter("entries", "dropped under a limit of the journal, oldest first")]
    frames_unjournaled: Annotated[int, Counter("entries", "sent on although the journal could not be written")]
    frames_dropped: Annotated[int, Counter("frames", "that fitted neither journal nor memory")]
    frames_revived: Annotated[int, Counter("dead letters", "sent through again with `serialgw dead-letters --retry`")]
    frames_lost: Annotated[int, Counter("entries", "that damage has taken from the journal, told with their numbers")]
    dead_letters: Annotated[int, Counter("frames", "frames and pieces of the line, never to be retried")]
    dead_letters_dropped: Annotated[int, Counter("frames", "dead letters that an unwritable journal could not keep")]
    timestamps_repeated: Annotated[int, Counter("frames", "that share a millisecond: over 1,000 frames/s for long")]
    reports: Annotated[int, Counter("reports", "of the publisher on our stream")]
    reports_stale: Annotated[int, Counter("reports", "of another epoch or generation")]
    batches_sent: Annotated[int, Counter("batches", "frame batches sent, resends included")]
    sends_blocked: Annotated[int, Counter("batches", "that the socket did not take")]
    journal_commits: Annotated[int, Counter("commits", "appends to the journal")]
    journal_errors: Annotated[int, Counter("failures", "times that the journal could not be written")]
    exchanges_failed: Annotated[int, Counter("calls", "that ended with an error here")]
    strikes: Annotated[int, Counter("frames", "reported as having been in a converter when it died")]


class JournalCounts(TypedDict):
    """Of the journal itself, and of the process's loop."""

    wakeups: Annotated[int, Counter("times", "the loop left its wait")]
    dead_letters_kept: Annotated[int, Gauge("dead letters", "that the journal holds")]
    dead_letters_shed: Annotated[int, Counter("dead letters", "dropped under the journal's limit, oldest first")]
    dead_letters_damaged: Annotated[int, Counter("dead letters", "that damage has taken from the journal")]
    blocks_damaged: Annotated[int, Counter("blocks", "whose checksum was wrong")]
