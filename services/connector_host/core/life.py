"""The life of a hosted connector, from its loading to the end of its process. Pure."""

from __future__ import annotations

from typing import Final, Literal

CLOSE_S: Final = 5.0
"""So long a connector has for its `close`, as in the reference."""
LEAVE_S: Final = 1.0
"""A connector that can't go on is shown so for this long before its process ends, so that the monitor hears of it."""
Phase = Literal["running", "closing", "leaving", "over"]
"""See `Life`."""


class Life:
    """Where the connector is in its life.

    | phase     | meaning                                             | `fail`    | `close`   | `end`  |
    |-----------|-----------------------------------------------------|-----------|-----------|--------|
    | `running` | it loads, or works                                  | `leaving` | `closing` |        |
    | `closing` | it was told to close, and has until `until_s`       |           |           | `over` |
    | `leaving` | it can't go on, and that is shown until `until_s`   |           | `over`    | `over` |
    | `over`    | the journal is sent as far as it goes; then the end |           |           |        |
    """

    def __init__(self) -> None:
        self.phase: Phase = "running"
        self.until_s: float | None = None
        """When this phase is over in any case; None for one that lasts."""
        self.is_open = False
        """True once the connector has said so, and from then on."""
        self.since_s = 0.0
        """When it was begun, was opened, or has failed."""
        self.fault = ""
        """Why it can't go on."""
        self.warning = ""
        self.code = 0
        """With which the process will end."""

    def begin(self, now_s: float) -> None:
        """The process has started."""
        self.since_s = now_s

    def opened(self, now_s: float) -> None:
        """The connector is built, and has begun its work."""
        self.is_open, self.since_s = True, now_s

    def fail(self, reason: str, code: int, now_s: float) -> bool:
        """It can't go on; False where it has failed before, or is on its way out anyway."""
        if self.phase != "running":
            return False
        self.phase, self.until_s = "leaving", now_s + LEAVE_S
        self.fault, self.code, self.since_s = reason, code, now_s
        return True

    def close(self, now_s: float) -> None:
        """It is told to end: that takes a moment where it works."""
        if self.phase == "running":
            self.phase, self.until_s = "closing", now_s + CLOSE_S
        else:
            self.end()

    def end(self) -> None:
        """It is closed, or was shown long enough: what it has left is sent, and nothing else is waited for."""
        self.phase, self.until_s = "over", None

    def is_late(self, now_s: float) -> bool:
        """True once a phase has had its time."""
        return self.until_s is not None and now_s >= self.until_s
