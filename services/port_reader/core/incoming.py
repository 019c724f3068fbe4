"""The incoming side of the line: the framer, and what ends a frame besides its delimiter."""

from __future__ import annotations

from math import isfinite
from typing import Final, NamedTuple

from common.config.framing import Framing
from services.port_reader.core.framers import framer_of
from services.port_reader.core.framers.base import DeadPiece

JOIN_S: Final = 0.020
"""Bytes that come sooner after the line is watched were on their way already: nobody saw the frame begin."""
STALE_S: Final = 30.0
"""A partial frame that has waited this long for its end will not get it."""
QUIET_S: Final = 0.1
"""A line that has been silent this long between frames is noted to be idle."""
CHOPPY_S: Final = 0.05
"""If frames in pieces follow each other faster than this, the mid-frame flag stays up between them: two commits a
frame would cost more than the flag is worth."""
JOINED: Final = "started listening in the middle of a frame"
_PACKED: Final = ((b"\0\0", b"\0\1"), (b"\1\0", b"\1\1"))
"""A line's state as the journal keeps it, by is_mid_frame and has_seen_delimiter: a byte for each. They stand ready, as
each commit takes one along."""


class LineState(NamedTuple):
    """What the next process has to know of the line, should this one die. Nobody else reads it: for the journal it is
    two bytes."""

    is_mid_frame: bool
    """True if the line is in the middle of a frame, whose end is no frame of its own."""
    has_seen_delimiter: bool
    """True if the line has ever sent its delimiter: then silence ends no frame."""


def read_line_state(state: bytes) -> LineState:
    """The state that a journal has kept. Where nothing is known the line is between two frames and has sent no
    delimiter. An unreadable state comes from a newer release that may have died in mid-frame: to distrust one good
    frame is cheaper than to trust half of one."""
    if not state:
        return LineState(is_mid_frame=False, has_seen_delimiter=False)
    if len(state) != len(LineState._fields):
        return LineState(is_mid_frame=True, has_seen_delimiter=False)
    return LineState(bool(state[0]), bool(state[1]))


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


class Incoming:
    """Chunks in, frames and dead pieces out; all times are `now_s`."""

    def __init__(self, framing: Framing, state: bytes) -> None:
        """`state` is what the journal has kept of the line."""
        is_mid_frame, has_seen_end = read_line_state(state)
        self._framer = framer_of(framing)
        self._framer.has_seen_end = has_seen_end
        self._dead: list[DeadPiece] = []
        """What was found here to be no frame, and all that the framer had found before it."""
        self._timeout_s = framing.timeout_s
        self._joining = Joining(keeps_first=framing.first_frame == "keep", died_mid_frame=is_mid_frame)
        self._last_byte_s = 0.0
        self._flagged_s = -1.0
        self.stored_mid_frame = is_mid_frame
        """What the journal says; the core keeps it up to date."""

    @property
    def ends_by_silence(self) -> bool:
        """True if the line never sent its delimiter, and silence is to end its frames."""
        return not self._framer.has_seen_end and isfinite(self._timeout_s)

    @property
    def partial_bytes(self) -> int:
        """Bytes that wait for their delimiter."""
        return len(self._framer.partial)

    @property
    def has_frame_begun(self) -> bool:
        """True if the next frame's first byte has already come."""
        return self._has_bytes and not self._framer.is_dead_run

    def open(self) -> None:
        """The port was opened; `watch` follows."""
        self._joining.open()

    def watch(self, now_s: float) -> None:
        """What had come between opening and now was read: from here on the line is watched. (A journal on a slow disk
        takes its time with the entry that says so, and meanwhile nobody sees a frame begin.)"""
        self._joining.watch(now_s)

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here: what comes up to the next delimiter is no frame."""
        self._framer.interrupt(reason)

    def put_dead(self, frames: list[bytes], reason: str) -> None:
        """Frames that are none after all."""
        for frame in frames:
            self._add_dead(DeadPiece(reason, frame))

    def distrust(self) -> None:
        """Whether somebody died in the middle of a frame can't be known: nobody saw the next one begin."""
        self._joining.died_mid_frame = True

    def feed(self, chunk: bytes, now_s: float) -> list[bytes]:
        """The frames that this chunk completes."""
        if self._joining.awaits_first and self._joining.begins_dead(now_s):
            self._framer.interrupt(JOINED)
        self._last_byte_s = now_s
        return self._framer.feed(chunk)

    def take_dead(self) -> list[DeadPiece]:
        """Dead pieces since the last call."""
        if not self._dead:
            return self._framer.take_dead()
        dead, self._dead = [*self._dead, *self._framer.take_dead()], []
        return dead

    def is_bare_end(self, data: bytes) -> bool:
        """True for bytes that end a frame and say nothing."""
        return self._framer.is_bare_end(data)

    def take_prefix(self, until: bytes) -> bytes | None:
        """The beginning of the frame in progress up to and with `until`, if it has it; not taken yet."""
        if not self.has_frame_begun:
            return None
        partial = self._framer.partial
        place = partial.find(until)
        return partial[: place + len(until)] if place >= 0 else None

    def cut(self, count: int) -> None:
        """Takes the prefix that was looked at; a delimiter right behind it is swallowed."""
        self._framer.cut(count)

    def expire(self, now_s: float) -> bytes | None:
        """What silence has made a frame, on a line that never sent its delimiter; None for nothing.

        What silence has made a dead piece comes with `take_dead`.
        """
        silence_s = self._silence_s
        if silence_s is None or now_s < self._last_byte_s + silence_s:
            return None
        data, reason = self._framer.end()
        if not data:
            return None
        if self._framer.has_seen_end:
            reason = reason or f"no delimiter within {STALE_S:g} s"
        if not reason:
            return data
        self._add_dead(DeadPiece(reason, data))
        return None

    def abort(self, reason: str) -> None:
        """The line ends here: a frame in progress becomes a dead piece."""
        self._joining.awaits_first = False
        data, dead_reason = self._framer.end()
        if data:
            self._add_dead(DeadPiece(dead_reason or reason, data))

    def state_after_append(self, now_s: float) -> bytes:
        """The state that goes with an append, whose commit has room for it anyway."""
        self.stored_mid_frame = self._framer.is_mid_frame or (
            self.stored_mid_frame and now_s - self._flagged_s < CHOPPY_S
        )
        return _PACKED[self.stored_mid_frame][self._framer.has_seen_end]

    def state_change(self, now_s: float) -> bytes | None:
        """The state if it needs a commit of its own now, as it does where a frame has begun; None if not."""
        if self._framer.is_mid_frame:
            if self.stored_mid_frame:
                return None
            self._flagged_s = now_s
        elif not self.stored_mid_frame or now_s < self._last_byte_s + QUIET_S or self._joining.died_mid_frame:
            return None
        self.stored_mid_frame = self._framer.is_mid_frame
        return _PACKED[self.stored_mid_frame][self._framer.has_seen_end]

    @property
    def next_deadline_s(self) -> float | None:
        if (silence_s := self._silence_s) is not None:
            return self._last_byte_s + silence_s
        if self.stored_mid_frame and not self._framer.is_mid_frame and not self._joining.died_mid_frame:
            return self._last_byte_s + QUIET_S
        return None

    def _add_dead(self, piece: DeadPiece) -> None:
        """In its place among those that the framer finds."""
        self._dead += self._framer.take_dead()
        self._dead.append(piece)

    @property
    def _has_bytes(self) -> bool:
        return bool(self._framer.partial)

    @property
    def _silence_s(self) -> float | None:
        """The silence that ends the frame in progress; None if there is none or it waits for ever."""
        if not self._framer.is_mid_frame or self._joining.awaits_first:
            return None
        if self._framer.has_seen_end:
            return STALE_S
        return self._timeout_s if isfinite(self._timeout_s) else None
