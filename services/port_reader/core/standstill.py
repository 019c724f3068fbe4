"""Whether this process stood still for longer than the kernel keeps what the line says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

KERNEL_BYTES: Final = 4_095
"""The kernel keeps at least so much of a line that nobody reads (N_TTY_BUF_SIZE - 1): a shorter burst lost nothing."""
LEAST_GAP_S: Final = 1.0
"""A busy machine may keep a process waiting for less; a line that can't wait so long should be slower."""


class Standstill:
    """Notices deadlines that were missed by far: nobody let the process run, so nobody read the line."""

    def __init__(self, byte_s: float) -> None:
        """`byte_s`: how long the line takes for a byte."""
        self._kept_s = 0.0
        """The kernel keeps what the line says in this time."""
        self._handled_s = 0.0
        self.set_speed(byte_s)

    def set_speed(self, byte_s: float) -> None:
        """The line takes so long for a byte from now on."""
        self._kept_s = max(LEAST_GAP_S, KERNEL_BYTES * byte_s)

    def has_been(self, now_s: float, due_s: Callable[[float], float]) -> bool:
        """True if we stood still for too long before this event. `due_s` says by when one would have come after the
        last; it is asked only where the time between two events is long enough for it to matter."""
        last_s, self._handled_s = self._handled_s, now_s
        return now_s - last_s > self._kept_s and now_s > due_s(last_s) + self._kept_s
