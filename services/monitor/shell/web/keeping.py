"""Keeps the chronicle: hands it what there is to be seen, what is logged, and what pages have changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from services.monitor.core.chronicle.chronicle import Chronicle, Happened
from services.monitor.core.chronicle.logged import events_of
from services.monitor.core.chronicle.noticing import STARTED, Noticing
from services.monitor.core.gateway.hiding import hidden
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.shell.web.log_tail import LogTail
from services.monitor.shell.web.view import View

SELF: Final = "monitor:0"
BEFORE: Final = "of what was before there are warnings and errors of the log here, where `serialgw run` keeps one"
IDS_A_MS: Final = 1_000
"""Numbers that a monitor may give in a millisecond: so those of the next one are higher, however soon it is there."""


class Keeping:
    """In the monitor's thread; others see what the view has."""

    def __init__(self, view: View, data_dir: Path, *, shows_frames: bool) -> None:
        self._view = view
        self._begun_ms = _now_ms()
        self._shows_frames = shows_frames
        self._chronicle = Chronicle(self._begun_ms * IDS_A_MS)
        self._noticing = Noticing()
        self._tail = LogTail(data_dir)
        self._has_begun = False

    def take(self, snapshot: Snapshot) -> None:
        """There is a new snapshot. Raises nothing."""
        news: list[Happened] = []
        if not self._has_begun:
            self._has_begun = True
            news += self._logged(self._tail.history())
            news.append(Happened(self._begun_ms, "process", "info", "", SELF, "", STARTED, BEFORE))
        while self._view.changes:
            news.append(self._view.changes.popleft())
        news += self._logged(self._tail.read())
        news += self._noticing.look(snapshot, _now_ms())
        if self._chronicle.add(news):
            self._view.events, self._view.events_dropped = self._chronicle.kept, self._chronicle.dropped

    def close(self) -> None:
        """Takes no more."""
        self._tail.close()

    def _logged(self, lines: list[str]) -> list[Happened]:
        found = list(events_of(lines, self._begun_ms))
        return found if self._shows_frames else [event._replace(text=hidden(event.text)) for event in found]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
