"""Whether the port is open, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from common.core.backoff import Backoff

REOPEN: Final = Backoff(0.1, 0.4)
"""An adapter that comes back is open again well within a second."""
OPEN_TIMEOUT_S: Final = 5.0
"""A connection to a TCP port may take so long; a serial port opens at once or not at all."""
STABLE_S: Final = 1.0
"""A port that was open for this long is tried again at once when it is lost."""


class Opening:
    """The state of one port.

    | state   | what is so                            | what ends it                                             |
    |---------|---------------------------------------|----------------------------------------------------------|
    | closed  | nobody wants it open                  | `begin`: opening                                         |
    | opening | the shell was told to open it         | `opened`: open; `failed`, or no answer in time: waiting  |
    | open    | it is read                            | `lost`: waiting; `close`: closed                         |
    | waiting | it could not be opened, or is gone    | the back-off is over (`is_retry_due`): opening           |

    What comes in another state than its own (an `Opened` of a port that was given up) is out of date and changes
    nothing.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        """`draw` gives numbers in [0, 1): ports that were lost together are not tried together."""
        self._draw = draw
        self.state: Literal["closed", "opening", "open", "waiting"] = "closed"
        self._due_s = 0.0
        """When opening has taken too long, or waiting is over."""
        self.since_s = 0.0
        """Since when it has been open, or since when it has not."""
        self._attempt = 0
        self.reason = ""
        """Why it is not open, in words; "" while it is, and before the first try has failed."""

    @property
    def is_open(self) -> bool:
        return self.state == "open"

    @property
    def next_deadline_s(self) -> float | None:
        return self._due_s if self.state in ("opening", "waiting") else None

    def begin(self, now_s: float) -> None:
        """The shell is told to open it."""
        if self.state == "closed":
            self.since_s = now_s
        self.state, self._due_s = "opening", now_s + OPEN_TIMEOUT_S

    def opened(self, now_s: float) -> bool:
        """It is open. False if nobody waits for that any more."""
        if self.state != "opening":
            return False
        self.state, self.since_s, self.reason = "open", now_s, ""
        return True

    def failed(self, reason: str, now_s: float) -> bool:
        """It can't be opened now, and is tried again. True if that is to be logged: the reason is another one."""
        if self.state != "opening":
            return False
        self._wait(now_s)
        self._attempt += 1
        is_new, self.reason = reason != self.reason, reason
        return is_new

    def lost(self, reason: str, now_s: float) -> None:
        """The open port is gone, and is tried again."""
        self._attempt = 0 if now_s >= self.since_s + STABLE_S else self._attempt + 1
        self.since_s, self.reason = now_s, reason
        self._wait(now_s)

    def close(self) -> None:
        """Nobody wants it open any more."""
        self.state = "closed"

    def is_retry_due(self, now_s: float) -> bool:
        """True if it is time to open it again."""
        return self.state == "waiting" and now_s >= self._due_s

    def is_overdue(self, now_s: float) -> bool:
        """True if opening it has taken too long."""
        return self.state == "opening" and now_s >= self._due_s

    def _wait(self, now_s: float) -> None:
        self.state, self._due_s = "waiting", now_s + REOPEN.delay_s(self._attempt, self._draw())
