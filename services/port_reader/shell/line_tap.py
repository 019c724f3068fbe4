"""Shows the bytes on the line to whoever records it. Nobody waits for them, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence

from common.io.shell import Planes
from common.io.sockets import TapWatch
from common.wire.messages import Plane


class LineTap:
    """The taps of one line, under the name of each device on it that somebody has asked for."""

    def __init__(self, devices: Sequence[str], watch: TapWatch, planes: Planes) -> None:
        self._devices = devices
        self._watch = watch
        self._planes = planes
        self._shown = 0

    @property
    def is_wanted(self) -> bool:
        """Asked at each read: while nobody watches anything it costs next to nothing."""
        return self._watch.has_any and any(map(self._watch.has_line, self._devices))

    def show(self, data: bytes, at_ms: int, *, is_written: bool) -> None:
        """Bytes that were read, or are being written."""
        # Here: most lines are never recorded, and a port reader keeps what it has loaded.
        from common.wire.taps import Passed, tap_of_line

        self._shown += 1
        for device in filter(self._watch.has_line, self._devices):
            self._planes.channels[Plane.EVENTS].send(tap_of_line(device, Passed(self._shown, at_ms, is_written, data)))
