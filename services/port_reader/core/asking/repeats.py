"""Whether a frame is the one before it once more: a device that has not heard its acknowledgement says it again.

The last frame is remembered in the journal, as a digest beside what the line itself wants to be remembered: also a
reader that died between commit and acknowledgement keeps no frame twice.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from common.config.asking import REPEAT_S

_MARK: Final = b"\xd5R"
_DIGEST_BYTES: Final = 12
_TIME_BYTES: Final = 4
_BYTES: Final = _DIGEST_BYTES + _TIME_BYTES + len(_MARK)


class Repeats:
    """The last frame of a line."""

    def __init__(self, digest: bytes = b"", at_s: int = 0) -> None:
        """`at_s`: seconds since 1970 UTC."""
        self._digest = digest
        self._at_s = at_s

    def is_repeat(self, frame: bytes, wall_ms: int) -> bool:
        """True for the last frame once more, soon after it; the frame is the last one from now on."""
        digest, at_s = blake2b(frame, digest_size=_DIGEST_BYTES).digest(), wall_ms // 1000
        is_repeat = digest == self._digest and abs(at_s - self._at_s) <= REPEAT_S
        self._digest, self._at_s = digest, at_s
        return is_repeat

    @property
    def state(self) -> bytes:
        """What is to be remembered; b"" for nothing."""
        if not self._digest:
            return b""
        return self._digest + (self._at_s % 2**32).to_bytes(_TIME_BYTES, "big") + _MARK


def split_state(state: bytes) -> tuple[bytes, Repeats]:
    """(what the line itself wanted to be remembered, the last frame), from what the journal has kept."""
    if len(state) < _BYTES or not state.endswith(_MARK):
        return state, Repeats()
    own, digest = state[:-_BYTES], state[-_BYTES : -_TIME_BYTES - len(_MARK)]
    return own, Repeats(digest, int.from_bytes(state[-_TIME_BYTES - len(_MARK) : -len(_MARK)], "big"))
