"""What every framer is: chunks in, frames out, and nothing of the line forgotten."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class DeadPiece(NamedTuple):
    """Bytes of the line that are no frame, and why."""

    reason: str
    data: bytes


class Framer(Protocol):
    """Cuts what a line says into frames. How the chunks were cut never changes the result.

    Each byte that goes in comes out once: in a frame of `feed` or `cut`, in a piece of `take_dead`, or in what `end`
    gives; until then it stands in `partial`. A framer holds a bounded number of bytes, and knows no time: what silence
    ends, and when, `Incoming` says.
    """

    has_seen_end: bool
    """True once the line has ended a frame in the framer's own way; the maker of a framer sets it to what an earlier
    process had seen."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes, whole; [] if none."""
        ...

    def take_dead(self) -> list[DeadPiece]:
        """What could be no frame since the last call, in order."""
        ...

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here: what comes up to the next end of a frame, that included, is dead."""
        ...

    def end(self) -> tuple[bytes, str]:
        """Ends what is in progress without its own end: (bytes, why they are dead or ""). b"" for nothing."""
        ...

    def cut(self, count: int) -> bytes:
        """The first `count` bytes of `partial` as a frame of their own: a call knows its answer by them. Bytes right
        behind them that could only end that frame are swallowed."""
        ...

    def is_bare_end(self, data: bytes) -> bool:
        """True for bytes that end a frame and say nothing."""
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
