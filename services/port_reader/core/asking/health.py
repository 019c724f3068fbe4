"""Whether a device that is asked answers, and how often one that does not is tried."""

from __future__ import annotations

from typing import Final

FIRST_BACKOFF_S: Final = 1.0
"""The pause before the first probe of a device that is gone; each further one is twice as long, up to the bus's
`maxBackoff`."""
MOST_CUTS: Final = 3
"""So many probes in a row may be cut short by calls; the next one has its whole time. Else calls that never end could
keep a device away that takes longer to answer than a probe has before it is cut."""
NEVER_S: Final = float("inf")


class Health:
    """One device on the line, as its answers show it.

    | state | what is so                            | asked                             | what ends it                |
    |-------|---------------------------------------|-----------------------------------|-----------------------------|
    | here  | it answers, or the port has only just | all its questions, in their turns | failed turns in a row: gone |
    |       | been opened                           |                                   |                             |
    | gone  | it does not answer                    | its first question, once for each | an answer: here             |
    |       |                                       | step of the back-off              |                             |

    What it says by itself is as good as an answer.
    """

    def __init__(self, offline_after: int, max_backoff_s: float) -> None:
        """`offline_after`: failed turns in a row, at least 1."""
        self._offline_after = offline_after
        self._max_backoff_s = max_backoff_s
        self.is_gone = False
        self.probe_s = NEVER_S
        """From when on it is tried again while it is gone; infinite while it is being tried."""
        self._failures = 0
        self._cuts = 0
        self._pause_s = FIRST_BACKOFF_S

    def answered(self) -> bool:
        """It has said something, or the port was opened. True if it was gone."""
        was_gone, self.is_gone = self.is_gone, False
        self._failures, self._cuts, self.probe_s = 0, 0, NEVER_S
        return was_gone

    def failed(self, now_s: float) -> bool:
        """A turn of it brought no answer. True if it counts as gone from now on."""
        self._cuts = 0
        if self.is_gone:
            self._pause_s = min(2 * self._pause_s, self._max_backoff_s)
            self.probe_s = now_s + self._pause_s
            return False
        self._failures += 1
        if self._failures < self._offline_after:
            return False
        self.is_gone, self._pause_s = True, min(FIRST_BACKOFF_S, self._max_backoff_s)
        self.probe_s = now_s + self._pause_s
        return True

    @property
    def may_be_cut(self) -> bool:
        """True if its probe may be cut short."""
        return self.is_gone and self._cuts < MOST_CUTS

    def cut(self, now_s: float) -> None:
        """Its probe was cut short: that says nothing of it, and it is tried again soon."""
        self._cuts += 1
        self.probe_s = now_s + min(FIRST_BACKOFF_S, self._max_backoff_s)
