"""What becomes of the bytes of a line that is recorded: chunks, counted, up to a limit. Touches nothing."""

from __future__ import annotations

from typing import Final

from services.cli.captures.form import Chunk

TOGETHER_S: Final = 0.005
"""What follows so soon is the same chunk: no adapter tells more exactly when a byte came, and a line a byte is hard to
read. Shorter pauses mean something to no device that is read by a program."""
MOST_CHUNK_BYTES: Final = 4096
"""As much as a port reader takes at once."""
SECONDS: Final = 60.0
"""Most devices have said all that they say by then; each limit can be set."""
MOST_SECONDS: Final = 86_400.0
"""A day."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of the line: about 70 MiB of file, and four hours at 9,600 baud."""
LIMIT_BYTES: Final = 256 * 1024 * 1024
"""The largest limit: a file of about a gigabyte."""


class Recorder:
    """Puts together what came at nearly the same moment, and counts. What is past the limit is left out."""

    def __init__(self, most_bytes: int) -> None:
        self.read_bytes = 0
        self.written_bytes = 0
        self.chunks = 0
        self._most_bytes = most_bytes
        self._waiting: Chunk | None = None
        self.last_s = 0.0
        """When something came last."""

    @property
    def is_full(self) -> bool:
        """True once the limit is reached."""
        return self.read_bytes + self.written_bytes >= self._most_bytes

    def take(self, seen: Chunk) -> Chunk | None:
        """Bytes that came; the chunk that is finished by them. Times never fall."""
        at_s = max(seen.at_s, self.last_s)
        data = seen.data[: self._most_bytes - self.read_bytes - self.written_bytes]
        if not data:
            return None
        if seen.is_written:
            self.written_bytes += len(data)
        else:
            self.read_bytes += len(data)
        before, waiting = self.last_s, self._waiting
        self.last_s = at_s
        if (
            waiting is not None
            and waiting.is_written == seen.is_written
            and at_s - before <= TOGETHER_S
            and len(waiting.data) + len(data) <= MOST_CHUNK_BYTES
        ):
            self._waiting = waiting._replace(data=waiting.data + data)
            return None
        self.chunks += 1
        self._waiting = Chunk(at_s, seen.is_written, data)
        return waiting

    def end(self) -> Chunk | None:
        """The line is silent, or the recording over: the chunk that waits."""
        waiting, self._waiting = self._waiting, None
        return waiting
