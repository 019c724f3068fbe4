"""What the driver of a serial port counts of damage on the line, and what that says about the settings."""

from __future__ import annotations

from typing import Final

from services.port_reader.core.events import LineErrors

TELL_S: Final = 60.0
"""Errors that have stopped for so long are told no more."""
COUNTS_BYTES: Final = 80
"""The size of the kernel's `serial_icounter_struct`: 20 numbers of 32 bits (include/uapi/linux/serial.h)."""


def read_counts(data: bytes) -> LineErrors:
    """The driver's totals, from what TIOCGICOUNT gives: COUNTS_BYTES in this machine's order of bytes."""
    count = memoryview(data).cast("i")
    # cts dsr rng dcd rx tx frame overrun parity brk buf_overrun, and room.
    return LineErrors(framing=count[6], parity=count[8], overruns=count[7] + count[10], breaks=count[9])


class LineHealth:
    """Tells whether the settings of the line fit the device, as far as the driver's counts show it."""

    def __init__(self) -> None:
        self._seen_s: dict[str, float] = {}

    def add(self, found: LineErrors, now_s: float) -> None:
        """The driver has counted these."""
        for name, count in found._asdict().items():
            if count:
                self._seen_s[name] = now_s

    def fault(self, now_s: float) -> str:
        """What is probably wrong, in words; "" while nothing is."""
        now = {name for name, seen_s in self._seen_s.items() if now_s - seen_s < TELL_S}
        if not now & {"framing", "parity"}:
            return ""
        kinds = " and ".join(f"{name} errors" for name in ("framing", "parity") if name in now)
        what = "another baud rate, or other data and stop bits" if "framing" in now else "another parity"
        return f"the driver counts {kinds}: {what}? Noise on the cable makes them, too"
