"""What the log says of devices: one line when a device's state changes, and none while it lasts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.core.events import Level, Note
from services.monitor.core.gateway.devices import DeviceState

STANDS_S: Final = 2.0
"""A state that is over sooner is no news: an adapter that is unplugged and plugged in again, a platform that is
restarted."""
_TOLD: Final = frozenset({"damaged_frames", "some_values_missing", "late_answers", "silent"})
"""States in which a device is served, and that are news all the same."""


class DeviceNews:
    """Remembers what the log has said of each device last."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        """Device → the state of which a line was written; none for a device that was always well."""

    def tell(self, devices: Iterable[tuple[str, DeviceState, float]]) -> list[Note]:
        """Lines for the log, of (device, its state, for how many seconds).

        What concerns all devices, such as a platform that can't be reached, is not told once for each: the process that
        has found it has told it.
        """
        notes = []
        for device, state, for_s in devices:
            said = self._said.get(device, "")
            if state.word in (said, "unknown") or not state.is_own or for_s < STANDS_S:
                continue
            facts: dict[str, str | float] = {"device": device, "state": state.word.replace("_", " ")}
            if state.is_served and state.word not in _TOLD:
                if said:
                    del self._said[device]
                    notes.append(Note("info", "device.state", facts))
                continue
            self._said[device] = state.word
            level: Level = "info" if state.word == "silent" else "warning"
            facts |= {"reason": state.reason, "for_s": round(for_s, 1)}
            notes.append(Note(level, "device.state", facts))
        return notes
