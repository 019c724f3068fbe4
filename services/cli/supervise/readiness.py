"""Runs inside supervisord: tells systemd when the gateway is ready, and how it stands, as the monitor says it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from common.io.systemd import notify_systemd

READY_WITHIN_S: Final = 60.0
"""A gateway of which some part does not come up is ready all the same: it serves the others, and nothing that waits for
it at boot is to wait for an adapter. systemd itself gives up after 90 s."""


class Readiness:
    """From the moment when supervisord has started its processes. To be told the time every few seconds."""

    def __init__(
        self, notify: Callable[[str], None] = notify_systemd, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._notify = notify
        self._clock = clock
        self._latest_s = clock() + READY_WITHIN_S
        self._is_said = False

    def hear(self, word: str, text: str) -> None:
        """The monitor says how the gateway stands; `word` is `ready` or `starting`."""
        if word == "ready":
            self._say_ready()
        self._notify(f"STATUS={text}")

    def tick(self) -> None:
        """Time has passed; nobody may have said anything, for the monitor may be what does not come up."""
        if not self._is_said and self._clock() >= self._latest_s:
            self._say_ready()

    def _say_ready(self) -> None:
        if not self._is_said:
            self._is_said = True
            self._notify("READY=1")
