"""How many frames a second a line says, from the counters in its process's heartbeats. Pure."""

from __future__ import annotations

from math import inf
from typing import Final

from common.wire.messages import Heartbeat

HALF_S: Final = 10.0
"""What was seen so long ago counts half as much: a person sees a line fall silent, and no flicker between beats."""
_COUNTERS: Final = {"port_reader": "frames_read", "connector_host": "submissions"}
"""Kind of process → its counter of what its devices have said."""


class Rate:
    """Frames a second, over the last half minute or so. `frames_hz` is None until there were two heartbeats."""

    __slots__ = ("frames_hz",)

    def __init__(self) -> None:
        self.frames_hz: float | None = None

    def take(self, before: Heartbeat, beat: Heartbeat) -> None:
        """Two heartbeats that followed each other. The process's own clock counts: on the way they may have waited."""
        name = _COUNTERS.get(beat.kind)
        if name is None:
            return
        if before.instance != beat.instance:
            self.frames_hz = None
            return
        elapsed_s = beat.uptime_s - before.uptime_s
        frames = beat.counters.get(name, 0) - before.counters.get(name, 0)
        # Heartbeats come from the wire: what is no number is no time either.
        if not (0 < elapsed_s < inf and 0 <= frames < inf):
            return
        seen_hz = frames / elapsed_s
        kept = 0.0 if self.frames_hz is None else 0.5 ** (elapsed_s / HALF_S)
        self.frames_hz = kept * (self.frames_hz or 0.0) + (1 - kept) * seen_hz
