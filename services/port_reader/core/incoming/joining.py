"""Whether anybody saw the first frame of a line begin, and what a journal keeps of the line."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.port_reader.core.incoming.form import KINDS, Kind, Piece

JOIN_S: Final = 0.020
"""Bytes that come sooner after the line is watched were on their way already: nobody saw the frame begin."""
QUIET_S: Final = 0.1
"""A line that has been silent this long between frames is noted to be idle."""
CHOPPY_S: Final = 0.05
"""If frames in pieces follow each other faster than this, the mid-frame flag stays up between them: two commits a
frame would cost more than the flag is worth."""
JOINED: Final = "started listening in the middle of a frame"
CUT_SHOWN: Final = 40
"""Bytes of a frame that are shown where it may have been cut."""
DELIMITER_KEPT: Final = 16
"""So many bytes of the delimiter, its last ones, are kept with the line's state: enough to see that it has changed."""


class LineState(NamedTuple):
    """What the next process has to know of the line, should this one die. Nobody else reads it: for the journal it is
    a few bytes."""

    is_mid_frame: bool
    """True if the line is in the middle of a frame, whose end is no frame of its own."""
    form: Kind
    """What ends its frames, as far as that is known."""


def read_line_state(state: bytes, delimiter: bytes) -> LineState:
    """The state that a journal has kept, for a line that is to end its frames with `delimiter`.

    Its bytes: whether it is in mid-frame, the place of its form in KINDS, the end of the delimiter to which that
    belongs (releases up to 0.3 wrote none). With another delimiter, and where nothing is kept, the form is not known.
    An unreadable state comes from a newer release that may have died in mid-frame: to distrust one good frame is
    cheaper than to trust half of one.
    """
    if not state:
        return LineState(is_mid_frame=False, form="unknown")
    if not 2 <= len(state) <= 2 + DELIMITER_KEPT or state[0] > 1 or state[1] >= len(KINDS):
        return LineState(is_mid_frame=True, form="unknown")
    kept = state[2:]
    is_same = not kept or kept == delimiter[-DELIMITER_KEPT:]
    return LineState(bool(state[0]), KINDS[state[1]] if is_same else "unknown")


class Handover(NamedTuple):
    """What one way in leaves to the next, where the framing of an open line changes."""

    joining: Joining
    last_byte_s: float
    stored_mid_frame: bool
    form: bytes
    """What is known of how its frames end, as the journal keeps it of a line between two frames."""


class Cut(NamedTuple):
    """Frames that silence has made on a line that had sent its delimiter before."""

    frames: int
    first: bytes
    newest: bytes


def cut_more(cut: Cut | None, pieces: list[Piece]) -> Cut:
    """The same with more of them, at least one."""
    first = cut.first if cut else pieces[0].data[:CUT_SHOWN]
    return Cut((cut.frames if cut else 0) + len(pieces), first, pieces[-1].data[:CUT_SHOWN])


class Joining:
    """Whether anybody saw the next frame begin.

    A reader that opens a talking line comes in somewhere in a frame; what comes up to its end is no frame, unless the
    line was watched for JOIN_S in silence before, or the configuration says that it is one (`first_frame`).
    """

    def __init__(self, *, keeps_first: bool, died_mid_frame: bool) -> None:
        """`died_mid_frame`: an earlier process had read the beginning of a frame, and is gone."""
        self.died_mid_frame = died_mid_frame
        self.awaits_first = False
        """True from opening to the first byte."""
        self._keeps_first = keeps_first
        self._until_s = 0.0

    def follow(self, before: Joining) -> None:
        """What was seen of the line so far, by who has cut its frames until now."""
        self.awaits_first, self.died_mid_frame, self._until_s = (
            before.awaits_first,
            before.died_mid_frame,
            before._until_s,
        )

    def open(self) -> None:
        """The port was opened; `watch` follows."""
        self.awaits_first, self._until_s = True, float("inf")

    def watch(self, now_s: float) -> None:
        """From here on the line is watched."""
        self._until_s = min(self._until_s, now_s + JOIN_S)

    def begins_dead(self, now_s: float) -> bool:
        """The first bytes have come: True if nobody saw their frame begin."""
        joined = self.died_mid_frame or now_s <= self._until_s
        self.awaits_first = self.died_mid_frame = False
        return joined and not self._keeps_first
