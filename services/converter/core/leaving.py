"""How a converter leaves: it is told to drain, tells the broker, finishes what it holds, and exits when it is quiet."""

from __future__ import annotations

from typing import Final

DRAIN_S: Final = 2.0
"""A drain ends after this in any case: whoever stops a gateway waits for us."""
DRAIN_QUIET_S: Final = 0.1
"""What the broker sent before it heard of the drain comes within this."""


class Leaving:
    """Since when a converter drains, and until when it still listens. Nothing is asked of it before `begin`."""

    def __init__(self) -> None:
        self.since_s: float | None = None
        """None while the process stays."""
        self.quiet_s = 0.0
        """From this moment on nothing more is expected to come; each batch that comes moves it."""

    def begin(self, now_s: float) -> None:
        """The process was told to end."""
        self.since_s, self.quiet_s = now_s, now_s + DRAIN_QUIET_S

    def is_over(self, now_s: float, *, is_idle: bool) -> bool:
        """True if the process may exit: it is idle and nothing more comes, or its time is over."""
        deadline_s = self.deadline_s(is_idle=is_idle)
        return deadline_s is not None and now_s >= deadline_s

    def deadline_s(self, *, is_idle: bool) -> float | None:
        """When the process exits if nothing else happens; None while it stays."""
        if self.since_s is None:
            return None
        latest_s = self.since_s + DRAIN_S
        return min(latest_s, self.quiet_s) if is_idle else latest_s
