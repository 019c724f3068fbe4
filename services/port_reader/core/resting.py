"""How long the line may go unread, and the publisher unheard, after a read."""

from __future__ import annotations

from typing import Final

from common.stream.listening import Listening
from common.stream.numbers import Progress
from services.port_reader.core.events import Rest
from services.port_reader.core.hold import LONGEST_S
from services.port_reader.core.pace import ReadPace

REPORTS_S: Final = 0.02
"""The publisher's news may wait so long while it is needed to send more: a window in that time is 200,000 frames/s."""
SLOW_REPORTS_S: Final = 0.2
"""The same while so little is on its way that nobody waits for it; less than the first resend."""
SLOW_BACKLOG: Final = 64
"""Entries on their way that nobody waits for."""


class Resting:
    """One line's rests, and those of the publisher's reports. A report wakes us before the line's own rest ends only if
    nothing more can be sent without it, and then REPORTS_S after the read.

    A busy line rests as its pace says, and reports with it. A slow one is read at once, and reports wait for its next
    frame. While a call is on the line, or silence ends its frames, the line does not rest: somebody waits, or the
    silence has to be heard.
    """

    def __init__(self, pace: ReadPace, listening: Listening) -> None:
        self._pace = pace
        self._listening = listening
        self._line_until_s = 0.0
        """Nobody reads the line before this."""

    @property
    def is_held(self) -> bool:
        """True while the line is read no faster than the platform accepts."""
        return self._pace.is_held

    def set_speed(self, byte_s: float) -> None:
        """The line takes so long for a byte from now on."""
        self._pace.set_speed(byte_s)

    def after_read(self, size: int, progress: Progress, now_s: float, *, may_rest: bool) -> list[Rest]:
        """What rests after a read of `size` bytes. `may_rest` False: the line is read on, whatever its pace."""
        waits = progress.waits
        rest_s = self._pace.rest_s(now_s, size, progress)
        if not rest_s or not may_rest:
            return self.reports(SLOW_REPORTS_S if progress.backlog <= SLOW_BACKLOG and not waits else 0.0, now_s)
        until_s = self._line_until_s = now_s + rest_s
        self._listening.rest(min(until_s, now_s + REPORTS_S) if waits else until_s)
        return [Rest(until_s, self._listening.rests_until_s)]

    def reports(self, rest_s: float, now_s: float) -> list[Rest]:
        """What the publisher says of the little that is on its way may be heard with the next frame; 0: at once."""
        was_resting = now_s < self._listening.rests_until_s
        self._listening.rest(now_s + rest_s, now_s)
        return [Rest(None, now_s + rest_s)] if rest_s or was_resting else []

    def after_tick(self, backlog: int, now_s: float) -> list[Rest]:
        """What rests once time alone may have made entries; `backlog` are not settled. A beat may have put reports off
        for seconds, since nothing waited for them: now they rest no longer than after a read."""
        if not backlog or self._listening.rests_until_s <= now_s + LONGEST_S:
            return []
        return self.reports(SLOW_REPORTS_S, now_s)

    def ends_after(self, since_s: float) -> list[float]:
        """When what rests now is heard again, as far as that is later than `since_s`."""
        return [until_s for until_s in (self._line_until_s, self._listening.rests_until_s) if until_s > since_s]
