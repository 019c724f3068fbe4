"""Whether a frame is one that is kept already: a device that has not heard its acknowledgement says it again.

There are two ways to do so. A device says the frame once more, so it is the one before it. Or it gives up and starts
its whole message over, as ASTM E1381 has it: then frames come again behind the same frames as before, also those that
were acknowledged. That happens where the dialogue was cut, so frames from before the cut are looked at only: a result
that is measured twice and comes out the same is two results.

What is remembered is in the journal, as digests beside what the line itself wants to be remembered: also a reader that
died between commit and acknowledgement keeps no frame twice.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from common.config.asking import REPEAT_S

try:
    # What `hashlib` takes it from. That loads OpenSSL as well, which is half a MiB of every reader that asks.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_MARK: Final = b"\xd5R"
_DIGEST_BYTES: Final = 12
_TIME_BYTES: Final = 4
_ONE_BYTES: Final = _DIGEST_BYTES + _TIME_BYTES
_TAIL_BYTES: Final = 1 + len(_MARK)
REMEMBERED: Final = 64
"""Frames of a message that is begun: analysers' messages mostly have fewer, and 1 KiB goes into each commit."""


class Repeats:
    """The last frame of a line, and the message that it is of."""

    def __init__(self, digest: bytes = b"", at_s: int = 0, before: dict[bytes, int] | None = None) -> None:
        """`at_s`: when the last frame came, seconds since 1970 UTC. `before`: the frames of messages that were cut: a
        digest of each and of the one before it, and when it came."""
        self._digest = digest
        self._at_s = at_s
        self._before = before or {}
        self._begun: dict[bytes, int] = {}
        """Those of the message that is begun."""

    def is_repeat(self, frame: bytes, wall_ms: int) -> bool:
        """True for the last frame once more, or for one of a message that was cut, soon after it; the frame is the last
        one from now on."""
        digest, at_s = _digest_of(frame), wall_ms // 1000
        is_last = digest == self._digest and abs(at_s - self._at_s) <= REPEAT_S
        is_of_before = False
        if not is_last:
            place = _digest_of(self._digest + digest)
            # Each once: what comes a third time was not cut a second time.
            is_of_before = abs(at_s - self._before.pop(place, -(2**40))) <= REPEAT_S
            self._begun[place] = at_s
            if len(self._begun) > REMEMBERED:
                del self._begun[next(iter(self._begun))]
        self._digest, self._at_s = digest, at_s
        return is_last or is_of_before

    def end_message(self) -> None:
        """A frame came that waits for no acknowledgement: the message before it is over, and heard as such."""
        self._begun.clear()

    def cut(self) -> None:
        """The dialogue was cut: the device may start over."""
        self._before = dict(self._all())
        self._begun.clear()

    def _all(self) -> list[tuple[bytes, int]]:
        """The newest that are remembered, older ones first."""
        found = {**self._before, **self._begun}
        return list(islice(found.items(), max(0, len(found) - REMEMBERED), None))

    @property
    def state(self) -> bytes:
        """What is to be remembered; b"" for nothing."""
        if not self._digest:
            return b""
        found = [*self._all(), (self._digest, self._at_s)]
        written = b"".join([digest + (at_s % 2**32).to_bytes(_TIME_BYTES, "big") for digest, at_s in found])
        return written + bytes((len(found),)) + _MARK


def split_state(state: bytes) -> tuple[bytes, Repeats]:
    """(what the line itself wanted to be remembered, the last frames), from what the journal has kept. The process that
    has kept it is gone: the dialogue was cut."""
    if len(state) < _TAIL_BYTES or not state.endswith(_MARK):
        return state, Repeats()
    end = len(state) - _TAIL_BYTES
    start = end - state[end] * _ONE_BYTES
    if start < 0 or start == end:
        return state, Repeats()
    *before, (digest, at_s) = [
        (state[at : at + _DIGEST_BYTES], int.from_bytes(state[at + _DIGEST_BYTES : at + _ONE_BYTES], "big"))
        for at in range(start, end, _ONE_BYTES)
    ]
    return state[:start], Repeats(digest, at_s, dict(before))


def _digest_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()
