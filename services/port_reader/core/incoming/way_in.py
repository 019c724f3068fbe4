"""What both ways in are: who saw the first frame begin, what is dead, what a journal keeps of the line. Pure."""

from __future__ import annotations

from collections.abc import Callable

from common.config.framing import Framing
from services.port_reader.core.framers.base import DeadPiece, Framer
from services.port_reader.core.incoming.joining import CHOPPY_S, QUIET_S, Cut, Handover, Joining


class WayIn:
    """Beside a framer, whatever it takes for a frame; all times are `now_s`."""

    returned: Cut | None = None
    """What silence had cut on a line that has sent its delimiter, once that comes again. Whoever tells it sets it to
    None. Silence ends no frame of a line that has another end."""

    def __init__(self, framer: Framer, framing: Framing, *, is_mid_frame: bool) -> None:
        """`is_mid_frame`: an earlier process had read the beginning of a frame, and is gone."""
        self._framer = framer
        self.is_awaited: Callable[[], bool] = lambda: False
        """Whether a call waits for what the line says: only on a line without shapes that changes what a frame is."""
        self._joining = Joining(keeps_first=framing.first_frame == "keep", died_mid_frame=is_mid_frame)
        self._dead: list[DeadPiece] = []
        """What was found here to be no frame, and all that the framer had found before it."""
        self._last_byte_s = 0.0
        self._flagged_s = -1.0
        self.stored_mid_frame = is_mid_frame
        """What the journal says; the core keeps it up to date."""

    @property
    def last_byte_s(self) -> float:
        """When something came last; 0.0 if nothing ever did."""
        return self._last_byte_s

    @property
    def partial_bytes(self) -> int:
        """How many bytes wait for their end."""
        return self._framer.waiting_bytes

    @property
    def is_interrupted(self) -> bool:
        """True if bytes may be missing in the frame in progress, or in the next one."""
        return self._framer.is_interrupted

    def open(self) -> None:
        """The port was opened; `watch` follows."""
        self._joining.open()

    def watch(self, now_s: float) -> None:
        """What had come between opening and now was read: from here on the line is watched. (A journal on a slow disk
        takes its time with the entry that says so, and meanwhile nobody sees a frame begin.)"""
        self._joining.watch(now_s)

    def follow(self, before: Handover) -> None:
        """Cuts the frames of a line that is open; what waits on it is fed next."""
        self._joining.follow(before.joining)
        self._last_byte_s, self.stored_mid_frame = before.last_byte_s, before.stored_mid_frame

    def distrust(self) -> None:
        """Whether somebody died in the middle of a frame can't be known: nobody saw the next one begin."""
        self._joining.died_mid_frame = True

    def put_dead(self, frames: list[bytes], reason: str) -> None:
        """Frames that are none after all."""
        for frame in frames:
            self._add_dead(DeadPiece(reason, frame))

    def take_dead(self) -> list[DeadPiece]:
        """Dead pieces since the last call."""
        if not self._dead:
            return self._framer.take_dead()
        dead, self._dead = [*self._dead, *self._framer.take_dead()], []
        return dead

    def _add_dead(self, piece: DeadPiece) -> None:
        """In its place among those that the framer finds."""
        self._dead += self._framer.take_dead()
        self._dead.append(piece)

    def state_after_append(self, now_s: float) -> bytes:
        """The state that goes with an append, whose commit has room for it anyway."""
        self.stored_mid_frame = self._framer.is_mid_frame or (
            self.stored_mid_frame and now_s - self._flagged_s < CHOPPY_S
        )
        return self._state()

    def state_change(self, now_s: float) -> bytes | None:
        """The state if it needs a commit of its own now, as it does where a frame has begun whose rest might be taken
        for a whole one; None if not."""
        if self._framer.is_mid_frame:
            if self.stored_mid_frame:
                return None
            self._flagged_s = now_s
        elif not self.stored_mid_frame or now_s < self._last_byte_s + QUIET_S or self._joining.died_mid_frame:
            return None
        self.stored_mid_frame = self._framer.is_mid_frame
        return self._state()

    def _state(self) -> bytes:
        """What the journal keeps of the line now."""
        raise NotImplementedError

    @property
    def next_deadline_s(self) -> float | None:
        """When silence has a meaning next, if nothing comes; None if never."""
        if (due_s := self._due_s) is not None:
            return due_s
        if self.stored_mid_frame and not self._framer.is_mid_frame and not self._joining.died_mid_frame:
            return self._last_byte_s + QUIET_S
        return None

    @property
    def _due_s(self) -> float | None:
        """When silence means something for what waits; None if nothing does, or for ever."""
        raise NotImplementedError
