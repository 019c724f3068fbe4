"""How a line ends its frames, found out from what it says, and found again where it has changed.

Some devices end each frame with the delimiter, some say nothing behind it and pause. Which of them a line has shows
only in what it says, and neither a delimiter (it may stand in the data by chance) nor a pause (it may be in the middle
of a frame) proves it for ever.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["unknown", "delimiter", "silence"]
KINDS: Final[tuple[Kind, ...]] = ("unknown", "delimiter", "silence")
PAUSES_TO_BEGIN: Final = 2
"""So many pauses in a row, and no delimiter, are the form of a line of which nothing is known: one may be in the middle
of a frame."""
PAUSES_TO_CHANGE: Final = 3
"""So many in a row, each behind a piece that may be a message, on a line that has hardly sent its delimiter: one or two
in a frame are no rarity."""
WHOLE_BYTES: Final = 3
"""A piece of fewer bytes is hardly a message: a device that is busy says a dot now and then."""
ENDS_TO_BE_SURE: Final = 3
"""Having ended frames by its delimiter so often, and none by silence since, a line is sure of it: one may be noise."""
ENDS_APART_S: Final = 1.0
"""Delimiters that come closer are one observation: noise comes in bursts."""
PAUSES_TO_DOUBT: Final = 9
"""So many in a row on a line that is sure of its delimiter, or behind pieces that are hardly messages: three times what
is enough elsewhere."""
STALE_PAUSES: Final = 3
"""A silence of STALE_S counts as so many: no device is busy with one message so long without a word."""
STALE_S: Final = 30.0
"""A partial frame that has waited this long for its end will not get it. Nor does a line change sooner where
PAUSES_TO_DOUBT are needed: what waits is not lost meanwhile, and comes with its own times."""
DECIDE_S: Final = 5.0
"""What waits for the form of a line that is not known waits no longer: most devices have said something again by then,
and nobody wonders yet where the first message is. A line that has sent its delimiter is not taken for another before: a
frame of 52 kB takes 4.5 s at 115,200 baud."""
NEVER_S: Final = float("inf")
LEAST_PAUSE_S: Final = 0.05
"""On a line that has sent its delimiter a shorter pause is none: adapters hand bytes on every 16 ms."""


class Piece(NamedTuple):
    """What stood between two pauses."""

    data: bytes
    came_s: float
    """When its last byte came."""
    is_unasked: bool
    """True if it had begun before the call that is on the line was written."""


class _Pause(NamedTuple):
    """A silence as long as `timeout` in what waits for its end."""

    at: int
    """So many of the bytes that wait stand before it."""
    since_s: float


class Form:
    """The form of one line.

    | kind      | a delimiter comes | silence of `timeout` behind bytes                                            |
    |-----------|-------------------|------------------------------------------------------------------------------|
    | unknown   | delimiter         | they wait. The second time in a row: silence, and each is a frame. Once, and |
    |           |                   | DECIDE_S long, or where a call awaits them: a frame; still unknown           |
    | delimiter | delimiter         | they wait. Enough times in a row: silence, and each is a frame. Less often,  |
    |           |                   | and STALE_S long: dead letters                                               |
    | silence   | delimiter         | a frame                                                                      |

    In a row: with no delimiter between, dead letters or not. Enough are PAUSES_TO_CHANGE behind pieces that may be
    messages, DECIDE_S after the first began, where fewer than ENDS_TO_BE_SURE observations speak for the delimiter;
    else PAUSES_TO_DOUBT, and STALE_S. What waits is one frame, pauses and all, if a delimiter comes. A configuration
    with another delimiter makes the form unknown again.
    """

    def __init__(self, kind: Kind) -> None:
        self.is_silence = kind == "silence"
        self.count = 0
        """Pauses since the last delimiter."""
        self.is_touched = self.is_silence
        """True if a delimiter changes more than `ends`."""
        self.ends = int(kind == "delimiter")
        """Observations that speak for the delimiter, up to ENDS_TO_BE_SURE. How many an earlier process has made is not
        kept: one at least."""
        self.next_end_s = 0.0
        """From when on another delimiter is another observation; NEVER_S once there are enough."""
        self._weight = 0
        """Pauses since the last delimiter; long ones count more than once."""
        self._wholes = 0
        """Pauses in a row behind pieces that may be messages."""
        self._first_s = 0.0
        """When the first of the pauses in a row began."""
        self._pauses: list[_Pause] = []
        """Those in what waits."""
        self._unasked = 0
        """How many pieces had begun when a call was written."""

    def end(self, now_s: float) -> None:
        """A delimiter has come."""
        self.is_silence = self.is_touched = False
        self.count = self._weight = self._wholes = 0
        self.forget_places()
        if now_s >= self.next_end_s:
            self.ends += 1
            self.next_end_s = now_s + ENDS_APART_S if self.ends < ENDS_TO_BE_SURE else NEVER_S

    def pause(self, waiting_bytes: int, since_s: float) -> None:
        """Silence has lasted as long as `timeout`, behind so many bytes that wait."""
        if not self.count:
            self._first_s = since_s
        self.count += 1
        self._weight += 1
        self.is_touched = True
        is_whole = waiting_bytes - self._last_pause >= WHOLE_BYTES
        self._wholes = self._wholes + 1 if is_whole else 0
        self._pauses.append(_Pause(waiting_bytes, since_s))

    def go_stale(self) -> None:
        """The pause that was told last has lasted STALE_S."""
        self._weight += STALE_PAUSES - 1

    def settles_s(self, has_seen_end: bool, last_byte_s: float, *, is_awaited: bool) -> float:
        """From when on what waits is what stood between pauses, if nothing comes; infinite for never."""
        if has_seen_end:
            if self.ends < ENDS_TO_BE_SURE and self._wholes >= PAUSES_TO_CHANGE:
                return self._first_s + DECIDE_S
            return self._first_s + STALE_S if self._weight >= PAUSES_TO_DOUBT else NEVER_S
        is_known = self.is_silence or self.count >= PAUSES_TO_BEGIN
        # What had begun before the call was written is no answer: it waits as it would without the call.
        is_answer = is_awaited and self.count > self._unasked
        return last_byte_s if is_known or is_answer else last_byte_s + DECIDE_S

    def settle(self, has_seen_end: bool) -> None:
        """What waited is given out as pieces: that may be the form from now on."""
        self.is_silence |= has_seen_end or self.count >= PAUSES_TO_BEGIN
        if has_seen_end:
            self.ends, self.next_end_s = 0, 0.0

    def take_pieces(self, data: bytes, last_byte_s: float) -> list[Piece]:
        """What waited, cut at its pauses."""
        pieces: list[Piece] = []
        start = 0
        for at, since_s in [*self._pauses, _Pause(len(data), last_byte_s)]:
            if start < at <= len(data):
                pieces.append(Piece(data[start:at], since_s, len(pieces) < self._unasked))
                start = at
        self.forget_places()
        return pieces

    def ask(self, waiting_bytes: int) -> None:
        """A call was written: what has begun by now is no answer to it."""
        self._unasked = len(self._pauses) + (waiting_bytes > self._last_pause)
        self.is_touched |= self._unasked > 0

    def cut(self, count: int) -> None:
        """The first bytes of what waits are gone."""
        self._pauses = [pause._replace(at=pause.at - count) for pause in self._pauses if pause.at > count]
        self._unasked = 0

    @property
    def _last_pause(self) -> int:
        """So many of the bytes that wait stand before the newest pause."""
        return self._pauses[-1].at if self._pauses else 0

    def forget_places(self) -> None:
        """What waits is another thing, or one thing."""
        self._pauses, self._unasked = [], 0
