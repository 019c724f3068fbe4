"""What we have written, where the line says it back: it is taken out of what is read, before frames are cut."""

from __future__ import annotations

from typing import Literal


class Echo:
    """The echo of one write after another. Bytes come as they come: all, some, or none of it in a chunk."""

    def __init__(self) -> None:
        self._awaited = b""

    @property
    def is_awaited(self) -> bool:
        """True while some of it has not come."""
        return bool(self._awaited)

    def expect(self, data: bytes) -> None:
        """This is being written now; what was left of an earlier echo does not come any more."""
        self._awaited = data

    def forget(self) -> None:
        """No echo is to come: its time is over, or the port is closed."""
        self._awaited = b""

    def take(self, chunk: bytes) -> tuple[bytes, Literal["", "echo", "collision"]]:
        """(what the line says beside the echo, what else this was): an `echo`, or a `collision` where other bytes stand
        in the place of it; then all of the chunk comes back."""
        awaited = self._awaited
        if not awaited:
            return chunk, ""
        length = min(len(awaited), len(chunk))
        if chunk[:length] != awaited[:length]:
            self._awaited = b""
            return chunk, "collision"
        self._awaited = awaited[length:]
        return chunk[length:], "echo"
