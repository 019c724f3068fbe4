"""What a port reader counts, all in one place: name, unit and meaning."""

from __future__ import annotations

from typing import Final, Literal

Counter = Literal[
    "bytes_read",
    "frames_read",
    "frames_sent",
    "frames_resent",
    "frames_settled",
    "frames_shed",
    "frames_unjournaled",
    "frames_dropped",
    "frames_revived",
    "frames_lost",
    "dead_letters",
    "dead_letters_dropped",
    "timestamps_repeated",
    "reports",
    "reports_stale",
    "batches_sent",
    "sends_blocked",
    "journal_commits",
    "journal_errors",
    "exchanges",
    "exchanges_failed",
    "patterns_timed_out",
    "strikes",
    "ports_opened",
    "ports_lost",
    "gaps",
]

COUNTERS: Final[dict[Counter, str]] = {
    "bytes_read": "bytes read from the line",
    "frames_read": "entries numbered: frames, and ports opened and lost",
    "frames_sent": "entries sent for the first time to a publisher",
    "frames_resent": "entries sent again to the same publisher",
    "frames_settled": "entries that the platform has accepted",
    "frames_shed": "entries dropped under a limit of the journal, oldest first",
    "frames_unjournaled": "entries that went on without the journal, which could not be written",
    "frames_dropped": "frames that fitted neither journal nor memory",
    "dead_letters": "frames and pieces of the line that will never be retried",
    "dead_letters_dropped": "dead letters that could not be kept while the journal could not be written",
    "frames_revived": "dead letters sent through again with `serialgw dead-letters --retry`",
    "frames_lost": "entries that damage has taken from the journal, told with their numbers",
    "timestamps_repeated": "frames that share a millisecond with another, above 1,000 frames/s for long",
    "reports": "reports of the publisher on our stream",
    "reports_stale": "reports of another epoch or generation",
    "batches_sent": "frame batches sent, resends included",
    "sends_blocked": "frame batches that the socket did not take",
    "journal_commits": "appends to the journal",
    "journal_errors": "times that the journal could not be written",
    "exchanges": "calls written to the device",
    "exchanges_failed": "calls that ended with an error here",
    "patterns_timed_out": "calls whose responsePattern took too long on a frame",
    "strikes": "frames reported as having been in a converter when it died",
    "ports_opened": "times the port was opened",
    "ports_lost": "times the port was lost",
    "gaps": "times that bytes of the line may be missing, because nobody could read it or its driver lost some",
}


class Counters:
    """The counters of one process; they start at 0."""

    def __init__(self) -> None:
        self.values: dict[str, int] = dict.fromkeys(COUNTERS, 0)

    def add(self, name: Counter, count: int = 1) -> None:
        self.values[name] += count
