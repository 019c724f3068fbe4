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
"""So many in a row on a line that has sent its delimiter: one or two in a frame are no rarity."""
DECIDE_S: Final = 5.0
"""What waits for the form of a line that is not known waits no longer: most devices have said something again by then,
and nobody wonders yet where the first message is. A line that has sent its delimiter is not taken for another before: a
frame of 52 kB takes 4.5 s at 115,200 baud."""
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

    | kind      | a delimiter comes | silence of `timeout` behind bytes                                           |
    |-----------|-------------------|-----------------------------------------------------------------------------|
    | unknown   | delimiter         | they wait. The second time in a row: silence, and each is a frame. Once, and |
    |           |                   | DECIDE_S long, or while a call waits for an answer: a frame; still unknown  |
    | delimiter | delimiter         | they wait. The third time in a row, DECIDE_S after the first began: silence, |
    |           |                   | and each is a frame. Once or twice, and STALE_S long: dead letters          |
    | silence   | delimiter         | a frame                                                                     |

    In a row: with no delimiter between, dead letters or not. What waits is one frame, pauses and all, if a delimiter
    comes. A configuration with another delimiter makes the form unknown again.
    """

    def __init__(self, kind: Kind) -> None:
        self.is_silence = kind == "silence"
        self.count = 0
        """Pauses since the last delimiter."""
        self.is_touched = self.is_silence
        """True if a delimiter changes anything: most lines are never asked more than this."""
        self._first_s = 0.0
        """When the first of the pauses in a row began."""
        self._pauses: list[_Pause] = []
        """Those in what waits."""
        self._unasked = 0
        """How many pieces had begun when a call was written."""

    def end(self) -> None:
        """A delimiter has come."""
        self.is_silence = self.is_touched = False
        self.count = 0
        self.forget_places()

    def pause(self, waiting_bytes: int, since_s: float) -> None:
        """Silence has lasted as long as `timeout`, behind so many bytes that wait."""
        if not self.count:
            self._first_s = since_s
        self.count += 1
        self.is_touched = True
        self._pauses.append(_Pause(waiting_bytes, since_s))

    def settles_s(self, has_seen_end: bool, last_byte_s: float, *, is_awaited: bool) -> float:
        """From when on what waits is what stood between pauses, if nothing comes; infinite for never."""
        if has_seen_end:
            return self._first_s + DECIDE_S if self.count >= PAUSES_TO_CHANGE else float("inf")
        is_known = self.is_silence or self.count >= PAUSES_TO_BEGIN
        return last_byte_s if is_known or is_awaited else last_byte_s + DECIDE_S

    def settle(self, has_seen_end: bool) -> None:
        """What waited is given out as pieces: that may be the form from now on."""
        self.is_silence |= has_seen_end or self.count >= PAUSES_TO_BEGIN

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
        last = self._pauses[-1].at if self._pauses else 0
        self._unasked = len(self._pauses) + (waiting_bytes > last)

    def cut(self, count: int) -> None:
        """The first bytes of what waits are gone."""
        self._pauses = [pause._replace(at=pause.at - count) for pause in self._pauses if pause.at > count]
        self._unasked = 0

    def forget_places(self) -> None:
        """What waits is another thing, or one thing."""
        self._pauses, self._unasked = [], 0
