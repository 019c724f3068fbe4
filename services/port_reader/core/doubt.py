"""What the line said while nobody could read it: the kernel keeps so much, and drops what comes after. Pure.

Where it has dropped something, what stands before and what stands behind look like one frame. What was kept comes all
at once, a burst, and new bytes right behind it; so the place where bytes are missing is at the end of the burst. Where
the driver says that it has lost some, or the machine was suspended, it is anywhere in it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.port_reader.core.standstill import KERNEL_BYTES

MORE_BYTES: Final = 2_048
"""A read of so much: more may be there."""
BURST_BYTES: Final = 256 * 1024
"""No driver keeps more: what comes behind it is new."""
SEAM_BYTES: Final = 4_096
"""New bytes that may have come while the burst was read; more where that took long on a fast line."""
MARGIN: Final = 1.5
"""For a line that does not say the same amount in each moment."""
BURST_S: Final = 0.1
"""A burst lasts so long at least: what the kernel keeps behind its first 4 KiB follows a moment later."""


class Verdict(NamedTuple):
    """The frames of a burst: the first ones are good, the others dead."""

    unasked: list[bytes]
    """Good ones that came before the call that is on the line was written: none is its answer."""
    good: list[bytes]
    """The other good ones."""
    dead: list[bytes]
    is_cut: bool
    """True if what comes next, up to its delimiter, is dead too."""


class Doubt:
    """One burst, from its first byte to its end."""

    def __init__(self, reason: str, byte_s: float, *, is_anywhere: bool) -> None:
        """`byte_s`: how long the line takes for a byte; `is_anywhere`: bytes may be missing anywhere in it."""
        self.reason = reason
        self.ends_s: float | None = None
        """When it ends if nothing more comes; None before its first byte."""
        self._byte_s = byte_s
        self._began_s = 0.0
        self._is_anywhere = is_anywhere
        self._frames: list[bytes] = []
        self._unasked = 0
        """How many of them had come before a call was written."""
        self._bytes = self._late_bytes = 0
        """All, and those of the second half: by then what was kept has come, and the line shows how fast it is."""

    def take(self, chunk_bytes: int, frames: list[bytes], now_s: float) -> bool:
        """Takes the frames that a chunk has completed; True if that was the end of the burst."""
        self._frames += frames
        self._bytes += chunk_bytes
        if self.ends_s is None:
            self._began_s, self.ends_s = now_s, now_s + BURST_S
        elif chunk_bytes >= MORE_BYTES:
            self.ends_s = max(self.ends_s, now_s + BURST_S)
        if now_s >= self._began_s + BURST_S / 2:
            self._late_bytes += chunk_bytes
        return now_s >= self.ends_s or self._bytes >= BURST_BYTES

    def ask(self) -> None:
        """A call was written: what has come so far is no answer to it."""
        self._unasked = len(self._frames)

    def judge(self, partial_bytes: int, now_s: float) -> Verdict:
        """What to make of the burst, behind whose last frame stand `partial_bytes`."""
        if self._is_anywhere:
            return Verdict([], [], self._frames, True)
        if self._bytes < KERNEL_BYTES:
            return self._verdict(len(self._frames), is_cut=False)
        took_s = now_s - self._began_s
        # An emulated line may be faster than its settings say.
        rate_hz = max(1 / self._byte_s, self._late_bytes / max(BURST_S / 2, took_s - BURST_S / 2))
        unsafe_bytes = max(SEAM_BYTES, MARGIN * took_s * rate_hz) - partial_bytes
        # The frame in which the kernel's first bytes ended was whole before anything could be missing.
        unsafe_bytes = min(unsafe_bytes, self._bytes - KERNEL_BYTES)
        good = len(self._frames)
        while good and unsafe_bytes > 0:
            good -= 1
            unsafe_bytes -= len(self._frames[good])
        return self._verdict(good, is_cut=True)

    def _verdict(self, good: int, *, is_cut: bool) -> Verdict:
        """So many frames are good, the first ones."""
        unasked = min(self._unasked, good)
        return Verdict(self._frames[:unasked], self._frames[unasked:good], self._frames[good:], is_cut)
