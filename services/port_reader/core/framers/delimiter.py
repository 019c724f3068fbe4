"""Frames that end with a delimiter of one or more bytes, which stays part of the frame."""

from __future__ import annotations

from services.port_reader.core.framers.base import DeadPiece, Holding


class DelimiterFramer(Holding):
    """Cuts chunks into frames; how the chunks were cut never changes the result.

    What stands before a delimiter may have up to `max_frame_bytes`. A longer run comes out as dead pieces of that size,
    its end with the delimiter included, and never as a frame. At most `max_frame_bytes` and a delimiter are held.
    """

    def __init__(self, delimiter: bytes, max_frame_bytes: int) -> None:
        super().__init__()
        self._delimiter = delimiter
        self._max = max_frame_bytes
        self._held_limit = max_frame_bytes + len(delimiter) - 1
        self._swallow = False
        self.has_seen_end = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes, each with its delimiter; [] if none. `take_dead` has the rest."""
        pending = self._pending
        if pending or self._swallow:
            # A delimiter may stand across the seam, but nowhere before it.
            seam = max(0, len(pending) - len(self._delimiter) + 1)
            pending += chunk
            if self._swallow and not self._swallow_delimiter():
                return []
            if pending.find(self._delimiter, 0 if self._swallow else seam) < 0:
                self._swallow = False
                self._bound()
                return []
            self._swallow = False
            chunk = bytes(pending)
            pending.clear()
        pieces = chunk.split(self._delimiter)
        pending += pieces.pop()
        delimiter = self._delimiter
        frames = [piece + delimiter for piece in pieces]
        if frames:
            self.has_seen_end = True
            if self._reason or len(chunk) > self._max:
                frames = self._sift(frames)
        if len(pending) > self._held_limit:
            self._bound()
        return frames

    def is_bare_end(self, data: bytes) -> bool:
        """True for nothing, or for a delimiter alone."""
        return not data or data == self._delimiter

    def end(self) -> tuple[bytes, str]:
        """Ends the frame in progress without its delimiter: (bytes, why it is dead or "")."""
        data, reason = bytes(self._pending), self._reason
        self._pending.clear()
        self._reason, self._swallow = "", False
        return data, reason

    def cut(self, count: int) -> bytes:
        """The first `count` bytes of `partial` as a frame of their own; a delimiter right behind them is swallowed."""
        prefix = bytes(self._pending[:count])
        del self._pending[:count]
        self._swallow = True
        if self._pending:
            self._swallow = not self._swallow_delimiter()
        return prefix

    def _swallow_delimiter(self) -> bool:
        """True when it is known whether a delimiter follows a prefix, and it is gone if so."""
        pending, delimiter = self._pending, self._delimiter
        if pending.startswith(delimiter):
            del pending[: len(delimiter)]
            return True
        return not delimiter.startswith(bytes(pending))

    def _sift(self, frames: list[bytes]) -> list[bytes]:
        """The good ones of these frames; the others become dead pieces."""
        good = []
        for frame in frames:
            body = self._cut_oversize(bytearray(frame), len(frame) - len(self._delimiter))
            if self._reason:
                self._dead.append(DeadPiece(self._reason, bytes(body)))
                self._reason = ""
            else:
                good.append(frame)
        return good

    def _bound(self) -> None:
        if len(self._pending) > self._held_limit:
            # The last bytes may be the beginning of a delimiter.
            self._pending = self._cut_oversize(self._pending, len(self._pending) - len(self._delimiter) + 1)

    def _cut_oversize(self, data: bytearray, length: int) -> bytearray:
        """What is left of `data` when its first `length` bytes, without delimiter, are cut down to the limit."""
        while length > self._max:
            self._reason = self._reason or f"no delimiter within {self._max} bytes"
            self._dead.append(DeadPiece(self._reason, bytes(data[: self._max])))
            data = data[self._max :]
            length -= self._max
        return data
