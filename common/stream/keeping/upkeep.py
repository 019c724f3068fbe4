"""When the journal is read, trimmed and looked after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from common.stream.events import Fetch, KeepJournal
from common.stream.limits import Limits

TRIM_S: Final = 2.0
"""What is settled may stay in the journal so long: most often the next append takes it along, also that of a device
which speaks once a second."""
MARK_S: Final = 0.5
"""The same of a journal that can't be written: no append takes it along, and only a mark can say it."""
KEEP_S: Final = 10.0
"""The journal is looked after this often while something comes in or waits, a quarter more or less; what has waited so
long goes from its log into its file."""
AGAIN_S: Final = 1.0
"""A journal that could not be read is tried again after this."""


class Fetching:
    """One look into the journal at a time."""

    def __init__(self, limits: Limits) -> None:
        self._most = (limits.window_frames, limits.window_bytes // 2)
        """Frames and bytes of one look: the other half of what memory holds is sent meanwhile."""
        self._end: int | None = None
        self.again_s: float | None = None
        """When it may be tried again, after it could not be read; None while it may be at any time."""

    @property
    def may_begin(self) -> bool:
        """True if nobody is reading, and the last time went well."""
        return self._end is None and self.again_s is None

    def begin(self, first: int, stored_end: int) -> Fetch:
        """Asks the journal, which ends at `stored_end`, for what it holds from number `first` on."""
        self._end = stored_end
        return Fetch(first, *self._most)

    def arrived(self, stored_end: int) -> int:
        """Blocks have come. Returns the number up to which the answer is complete: what is missing below it is lost.
        What was appended since the journal was asked has higher numbers, and so has what could not be written
        (`stored_end` on)."""
        end, self._end = self._end, None
        return stored_end if end is None else min(end, stored_end)

    def failed(self, now_s: float) -> None:
        """The journal could not be read."""
        self._end, self.again_s = None, now_s + AGAIN_S

    def tick(self, now_s: float) -> None:
        """It may be time to try again."""
        if self.again_s is not None and now_s >= self.again_s:
            self.again_s = None


class Upkeep:
    """When the journal gets rid of what is settled, and when somebody looks whether its files are still there."""

    def __init__(self, next_number: int, draw: Callable[[], float]) -> None:
        """`draw` gives numbers in [0, 1): many readers don't look at the same moment."""
        self._draw = draw
        self.trim_s: float | None = None
        """When what is settled leaves the journal; None where nothing is."""
        self.keep_s = 0.0
        self._kept_number = next_number
        """The next number when the journal was last looked after."""

    def start(self, now_s: float) -> None:
        """The journal has just been opened, and looked after by that."""
        self.keep_s = now_s + KEEP_S

    def owe_trim(self, now_s: float, within_s: float) -> None:
        """Something is settled that is in the journal still."""
        if self.trim_s is None or now_s + within_s < self.trim_s:
            self.trim_s = now_s + within_s

    def is_trim_due(self, now_s: float) -> bool:
        """True if no append has come that would have taken the settled ones along."""
        return self.trim_s is not None and now_s >= self.trim_s

    def look(self, base: int, next_number: int, now_s: float) -> KeepJournal:
        """Has the journal looked after: it is time. Entries already there at the last check count as an old
        backlog."""
        self.keep_s = now_s + KEEP_S * (0.75 + self._draw() / 2)
        has_backlog, self._kept_number = base < self._kept_number, next_number
        return KeepJournal(has_backlog)
