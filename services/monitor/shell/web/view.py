"""What the web side sees of the gateway: the newest snapshot, exchanged whole, and what it knows by itself."""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.config.history import MOST_KEPT
from services.monitor.core.chronicle.chronicle import Event, Happened
from services.monitor.core.gateway.snapshot import Snapshot
from services.monitor.core.metrics.collecting import Configuration, Outside
from services.monitor.shell.web.pending import Pending

STALE_S: Final = 5.0
"""The monitor's loop shows what there is each second; one that has not for so long stands still."""

MOST_CHANGES: Final = 64
"""Of what pages change in a second; the guard lets fewer pass."""


class View:
    """Written by the monitor's thread, read by the web's. Only references are exchanged, so no lock is needed."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.pending = Pending(data_dir)
        self.snapshot = Snapshot(time.monotonic())
        self.streams = 0
        """Pages that listen now."""
        self.updates_skipped = 0
        """Snapshots that a page was too slow for; it had a later one."""
        self.events: tuple[Event, ...] = ()
        """What has happened lately, oldest first."""
        self.events_dropped = 0
        """Events that were pushed out by newer ones."""
        self.changes: deque[Happened] = deque(maxlen=MOST_CHANGES)
        """What pages have changed, and is no event yet. Put in by the web's thread, taken out by the monitor's."""
        self.tell: Callable[[], None] | None = None
        """Called in the monitor's thread when there is a new snapshot; None while nobody wants to hear."""

    def show(self, snapshot: Snapshot) -> None:
        """There is a new snapshot. In the monitor's thread."""
        self.snapshot = snapshot
        if self.streams and (tell := self.tell) is not None:
            tell()

    @property
    def is_stale(self) -> bool:
        """True if the monitor stands still."""
        return time.monotonic() > self.snapshot.taken_s + STALE_S

    @property
    def disk_free_bytes(self) -> int:
        """Room on the data directory's disk for a user without privileges; 0 where nobody can say."""
        try:
            found = os.statvfs(self.data_dir)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    @property
    def outside(self) -> Outside:
        """What metrics need beside the snapshot."""
        return Outside(
            time.monotonic(),
            time.time(),
            platform.python_version(),
            self.disk_free_bytes,
            self.streams,
            self.updates_skipped,
            self.events_dropped,
            self._configuration,
        )

    @property
    def configuration(self) -> dict[str, object]:
        """How the files were taken, as `serialgw status --json` has it."""
        taken, is_pending = self.pending.look(time.monotonic())
        return {
            "pending": is_pending,
            "successful": taken.successful,
            "reason": taken.reason,
            "changes": taken.changes,
            "at_ms": taken.at_ms,
        }

    @property
    def _configuration(self) -> Configuration | None:
        """The same for metrics, where `serialgw run` or a reload has written that down."""
        taken, is_pending = self.pending.look(time.monotonic())
        if not taken.at_ms:
            return None
        gone = max(0, taken.changes - MOST_KEPT)
        return Configuration(taken.successful, taken.success_ms / 1000, is_pending, taken.changes, gone)
