"""When a source that was told to end may end: once all that it holds is settled, or nobody can settle it."""

from __future__ import annotations

from typing import Final

from common.stream.sending.peer import SILENT_S

SETTLE_S: Final = 3.0
"""How long a source that is told to end waits for the platform to accept the rest."""
LISTEN_S: Final = 1.5
"""A publisher that lives is heard within this time."""


class Ending:
    """Whether a source that was told to end may end."""

    def __init__(self) -> None:
        self.since_s: float | None = None
        """Since when it was told; None while it was not."""
        self._publisher_s = -SILENT_S
        self._link = ""

    def hear(self, now_s: float, link: str | None = None) -> None:
        """The publisher lives; `link`: how it says that the platform is reached."""
        self._publisher_s = now_s
        self._link = self._link if link is None else link

    def begin(self, now_s: float, *, was_deaf: bool) -> None:
        """It is told to end. One that has not listened gives the publisher a moment to show that it is there."""
        self.since_s = now_s
        if was_deaf:
            self._publisher_s = max(self._publisher_s, now_s - SILENT_S + LISTEN_S)

    @property
    def next_deadline_s(self) -> float | None:
        """When the source waits no longer in any case; None before it is told to end."""
        return None if self.since_s is None else self.since_s + SETTLE_S

    def is_vain(self, now_s: float) -> bool:
        """True if waiting any longer for the platform's acceptance is pointless."""
        if self.since_s is None:
            return False
        is_heard = self._link == "up" and now_s < self._publisher_s + SILENT_S
        return not is_heard or now_s >= self.since_s + SETTLE_S
