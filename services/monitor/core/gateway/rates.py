"""How many frames a second a line says, from the counters in its process's heartbeats. Pure."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from common.wire.messages import Heartbeat

ENOUGH: Final = 20
"""So many frames say what the rate is: a fast line's is that of the last moments, and follows at once."""
LOOK_BACK_S: Final = 60.0
"""A slow line's rate is that of so long at most: one frame a minute is a rate too."""
MOST_BEATS: Final = 64
"""Heartbeats that are remembered: one comes each second at most, but for news."""
_COUNTERS: Final = {"port_reader": "frames_read", "connector_host": "submissions"}
"""Kind of process → its counter of what its devices have said."""


class Rate:
    """Frames a second, lately. `frames_hz` is None until there were two heartbeats."""

    __slots__ = ("_instance", "_seen", "frames_hz")

    def __init__(self) -> None:
        self.frames_hz: float | None = None
        self._instance = ""
        self._seen: deque[tuple[float, float]] = deque(maxlen=MOST_BEATS)
        """(seconds that the process had run, frames that it had counted), of the last heartbeats."""

    def take(self, beat: Heartbeat) -> None:
        """The next heartbeat. The process's own clock counts: on its way a heartbeat may have waited."""
        name = _COUNTERS.get(beat.kind)
        if name is None:
            return
        if beat.instance != self._instance:
            self._instance, self.frames_hz = beat.instance, None
            self._seen.clear()
        now_s, frames = beat.uptime_s, beat.counters.get(name, 0)
        last_s, last = self._seen[-1] if self._seen else (-inf, 0)
        # Heartbeats come from the wire: what is no number is no time either, and neither goes back.
        if not (last_s < now_s < inf and last <= frames < inf):
            return
        for before_s, before in reversed(self._seen):
            if now_s - before_s > LOOK_BACK_S and before_s != last_s:
                break
            self.frames_hz = (frames - before) / (now_s - before_s)
            if frames - before >= ENOUGH:
                break
        self._seen.append((now_s, frames))
