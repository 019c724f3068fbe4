"""What every framer is: chunks in, frames out, and nothing of the line forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from common.core.frame_shape import Checksum

FAULTY_FRAMES: Final = 8
"""So many of the newest frames with a wrong checksum are kept, for a guess at the right one."""
FAULTY_BYTES: Final = 512
"""Longer ones are not."""


class DeadPiece(NamedTuple):
    """Bytes of the line that are no frame, and why."""

    reason: str
    data: bytes


class Framer(Protocol):
    """Cuts what a line says into frames. How the chunks were cut never changes the result.

    Each byte that goes in comes out once: in a frame, in a piece of `take_dead`, or in what an end from outside gives
    (but for what the configuration leaves out of frames, or says that it means nothing); until then it stands in
    `partial`. A framer holds a bounded number of bytes, and knows no time: what silence ends, and when, `Incoming` and
    `ShapedIncoming` say.
    """

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes, whole; [] if none."""
        ...

    def take_dead(self) -> list[DeadPiece]:
        """What could be no frame since the last call, in order."""
        ...

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here: what comes up to the next end of a frame, that included, is dead."""
        ...

    @property
    def partial(self) -> bytes:
        """What waits for its end, as a copy: up to megabytes."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for their end; to ask costs nothing."""
        ...

    @property
    def is_mid_frame(self) -> bool:
        """True in the middle of a frame, or of a run that is dead up to its end."""
        ...

    @property
    def is_dead_run(self) -> bool:
        """True if what comes up to the next end of a frame is none."""
        ...

    @property
    def is_interrupted(self) -> bool:
        """True if bytes may be missing in the frame in progress, or in the next one."""
        ...


class ShapedFramer(Framer, Protocol):
    """A framer that may find frames in what had come before, as a frame that had begun turned out to be none."""

    late_ends: list[int]
    """The places in the stream where the first frames of the last call end, if they were there before it."""
    fed_bytes: int
    """The place in the stream behind the last byte that came."""
    wrong_frames: int
    """How many were whole but for their checksum, since the framer was made."""
    is_sure: bool
    """True if each frame shows by its checksum that it is whole."""

    def rest(self, reason: str = "") -> list[bytes]:
        """Silence: the frames that stand in what is there; all else is dead, for `reason` if there is no other."""
        ...

    def pass_over(self) -> list[bytes]:
        """The frame that has begun will not be completed: the frames that stand in what is there."""
        ...

    @property
    def candidate_bytes(self) -> int:
        """How many bytes of a frame that has begun are there; 0 for none."""
        ...

    @property
    def missing_bytes(self) -> int | None:
        """How many more bytes it needs; None where nobody knows."""
        ...

    @property
    def last_fault(self) -> str:
        """What was wrong with the last frame that was whole and wrong; "" while none was."""
        ...

    @property
    def faulty(self) -> tuple[tuple[Checksum, ...], list[bytes]]:
        """(what was to be right, the newest frames that were whole and had it wrong, escapes undone): a few of them,
        all of one shape."""
        ...


class Holding:
    """The part of a framer that holds one run of bytes, dead for a reason or not, up to what ends it."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._reason = ""
        """Why what comes up to the next end is dead; "" if it is not."""
        self._dead: list[DeadPiece] = []

    def interrupt(self, reason: str) -> None:
        """What comes up to the next end, that included, is dead."""
        self._reason = reason

    def take_dead(self) -> list[DeadPiece]:
        """What could be no frame since the last call."""
        dead, self._dead = self._dead, []
        return dead

    @property
    def partial(self) -> bytes:
        """What waits for its end."""
        return bytes(self._pending)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for their end."""
        return len(self._pending)

    @property
    def is_mid_frame(self) -> bool:
        """True in the middle of a frame or of a dead run."""
        return bool(self._pending) or bool(self._reason)

    @property
    def is_dead_run(self) -> bool:
        """True if what comes up to the next end is no frame."""
        return bool(self._reason)

    is_interrupted = is_dead_run
