"""When each device has said something last, and which have been silent for too long. Pure."""

from __future__ import annotations

from services.publisher.core.outbox.outbox import Outbox
from services.publisher.core.outlet import Outlet
from services.publisher.core.stream import Release


class Activity:
    """Has silent devices disconnected on the platform; their next reading connects them again.

    A device is silent from the moment that this publisher has first looked at it, if it has said nothing since.
    """

    def __init__(self, timeout_s: float, period_s: float, outbox: Outbox, out: Outlet) -> None:
        """`timeout_s`: so long a device may be silent; `period_s`: so often that is looked at."""
        self._timeout_s = timeout_s
        self._period_s = period_s
        self._outbox = outbox
        self._out = out
        self._heard: dict[str, float] = {}
        self._due_s = 0.0

    def note(self, device: str, release: Release, now_s: float) -> None:
        """A run of a device has come, or its port was opened: both are signs of life."""
        self._heard[device] = now_s
        for readings in release.body.user.values():
            for reading in readings:
                self._heard[reading.device] = now_s

    def look(self, now_s: float) -> None:
        """To be called each second."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + self._period_s
        lanes = self._outbox.table.lanes
        self._heard = {name: heard_s for name, heard_s in self._heard.items() if name in lanes}
        for name, lane in lanes.items():
            if not lane.is_open:
                self._heard.pop(name, None)
                continue
            silent_s = now_s - self._heard.setdefault(name, now_s)
            # What waits for the platform comes first: a device is not silent while it has something to say.
            if silent_s >= self._timeout_s and not lane.is_ended and not lane.has_data and not lane.unaccepted:
                self._outbox.fall_silent(lane, now_s)
                self._out.note("info", "device.silent", device=name, silent_s=silent_s, then="disconnected")
