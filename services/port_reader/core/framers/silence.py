"""Frames that nothing but silence ends, and frames of one length whose beginning silence tells. Pure."""

from __future__ import annotations

from common.core.checksum import Check, faults_of
from common.core.frame_shape import Checksum, Shape
from services.port_reader.core.framers.base import FAULTY_BYTES, FAULTY_FRAMES, DeadPiece, Holding


class SilenceFramer(Holding):
    """Takes what stands between two silences as a frame, or cuts it into frames of a fixed length.

    When silence is, its user says. Of a fixed length a frame whose checksum is wrong means that bytes are missing: all
    up to the next silence is dead. At most `max_frame_bytes` are held, or a frame of the fixed length.
    """

    def __init__(self, shape: Shape, max_frame_bytes: int, skip: bytes = b"", mask: int = 0xFF) -> None:
        """`shape` has `silence_ms`, and perhaps a fixed length; `skip` and `mask` as a `ShapeFramer` takes them."""
        super().__init__()
        self.late_ends: list[int] = []
        self.fed_bytes = 0
        self.is_sure = False
        self.missing_bytes: int | None = None
        self.last_fault = ""
        self._length = shape.length if isinstance(shape.length, int) else None
        self._checksums = shape.checksums
        self.wrong_frames = 0
        self._faulties: list[bytes] = []
        self._checks = [Check(checksum) for checksum in shape.checksums]
        first, last = shape.strip
        self._strip = slice(first, -last or None)
        self._max = max_frame_bytes
        self._skip = skip
        self._mask_table = None if mask == 0xFF else bytes(byte & mask for byte in range(256))

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames of a fixed length that this chunk completes; [] where only silence ends them."""
        self.late_ends = []
        self.fed_bytes += len(chunk)
        pending = self._pending
        pending += chunk if self._mask_table is None else chunk.translate(self._mask_table)
        frames: list[bytes] = []
        while self._length is not None and not self._reason and len(pending) >= self._length:
            self._take(self._length, frames)
        while len(pending) > self._max:
            self._reason = self._reason or f"no silence within {self._max} bytes"
            self._bury(self._max)
        return frames

    def rest(self, reason: str = "") -> list[bytes]:
        """Silence: what waits is a frame, or the part of one. `reason`: why it is dead whatever it is."""
        frames: list[bytes] = []
        self._reason = self._reason or reason
        count = len(self._pending)
        if count and self._length is not None:
            self._reason = self._reason or f"silence after {count} of {self._length} bytes"
        if count and self._reason:
            self._bury(count)
        elif count:
            self._take(count, frames)
        self._reason = ""
        self.late_ends = [self.fed_bytes] * len(frames)
        return frames

    def pass_over(self) -> list[bytes]:
        """Nothing but silence tells that a frame is none."""
        return []

    @property
    def faulty(self) -> tuple[tuple[Checksum, ...], list[bytes]]:
        """(what was to be right, the newest frames that had it wrong)."""
        return self._checksums, [*self._faulties]

    @property
    def candidate_bytes(self) -> int:
        """All that waits begins a frame."""
        return 0 if self._reason else len(self._pending)

    def _take(self, count: int, frames: list[bytes]) -> None:
        """The first bytes that wait are a frame, if their checksums are right."""
        frame = bytes(self._pending[:count])
        fault = faults_of(self._checks, frame) if self._checks else ""
        if fault:
            self.last_fault = f"checksum: {fault}"
            self.wrong_frames += 1
            if len(frame) <= FAULTY_BYTES:
                self._faulties = [*self._faulties[1 - FAULTY_FRAMES :], frame]
            self._bury(count, self.last_fault)
            if self._length is not None:
                self._reason = "bytes are missing since the last silence"
            return
        del self._pending[:count]
        frames.append(frame[self._strip])

    def _bury(self, count: int, reason: str = "") -> None:
        """The first bytes that wait are dead."""
        piece = bytes(self._pending[:count])
        del self._pending[:count]
        piece = piece.strip(self._skip) if self._skip and not reason else piece
        if piece:
            self._dead.append(DeadPiece(reason or self._reason, piece))
