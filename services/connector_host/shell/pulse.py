"""The pulse of a process that has users' threads: they may keep the interpreter to themselves, in code written in C."""

from __future__ import annotations

import faulthandler
from pathlib import Path
from typing import Final

from common.io.pulse import Pulse

TURN_S: Final = 30.0
"""If our thread gets no turn for so long, all threads' tracebacks are written, and the process ends."""
ARM_EVERY_S: Final = 5.0
"""How often the clock for that is set back: each time starts a thread."""


class HostPulse(Pulse):
    """As every process's, and a clock that needs no turn itself."""

    def __init__(self, sockets: Path, descriptor: int, address: str) -> None:
        super().__init__(sockets, descriptor, address)
        self._descriptor = descriptor
        self._arm_s = float("-inf")

    def beat(self, now_s: float) -> None:
        """Our thread has gone round once more."""
        super().beat(now_s)
        if now_s >= self._arm_s:
            self._arm_s = now_s + ARM_EVERY_S
            faulthandler.dump_traceback_later(TURN_S, exit=True, file=self._descriptor)

    def close(self) -> None:
        """What follows may take its time."""
        faulthandler.cancel_dump_traceback_later()
        super().close()
