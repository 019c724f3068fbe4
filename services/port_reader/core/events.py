"""What the port reader's core hears and orders: its port's part of it, and all of it (`Event`, `Effect`).

Times named `wall_ms` and `arrival_ms` are the wall clock in milliseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from common.config.models import Line
from common.stream.events import SourceEffect, SourceEvent

# Events


class LineErrors(NamedTuple):
    """How many of each kind. Framing: no stop bit where one must be. Overruns: bytes that the chip, or the driver's
    buffer, had no room for. Break: the line was held low for longer than a byte takes."""

    framing: int = 0
    parity: int = 0
    overruns: int = 0
    breaks: int = 0

    def since(self, before: LineErrors) -> LineErrors:
        """What has come since; 0 where a count has fallen, as a new adapter's begins at 0."""
        pairs = zip(self, before, strict=True)
        return LineErrors(*(max(now - then, 0) for now, then in pairs))


NO_ERRORS: Final = LineErrors()


class Opened(Struct, frozen=True):
    """The port is open."""

    wall_ms: int


class OpenFailed(Struct, frozen=True):
    """The port could not be opened; the shell holds nothing of it."""

    reason: str


class Chunk(Struct, frozen=True):
    """Bytes came in on the line."""

    data: bytes
    arrival_ms: int


class LineGap(Struct, frozen=True):
    """Bytes of the line may be missing in the chunks that follow at once: the driver has counted an overrun, the
    machine was suspended, or this process was stopped."""

    reason: str
    is_anywhere: bool = True
    """False: if any are missing, they are behind what the kernel keeps of a line that nobody reads."""


class LineDamaged(Struct, frozen=True):
    """The driver has counted these errors since the last time."""

    errors: LineErrors


class LineRefused(Struct, frozen=True):
    """The driver of the port, or the server that has it, does not take these of its settings, in words."""

    settings: list[str]


class LineRead(Struct, frozen=True):
    """The answer to `ReadOut`, after its chunks."""


class PortLost(Struct, frozen=True):
    """The open port can't be used any more. The core answers with `ClosePort`."""

    reason: str
    wall_ms: int


class WritePending(Struct, frozen=True):
    """This many bytes of a write have not left the machine: the answer to `CheckWrite`."""

    left_bytes: int


class WriteDrained(Struct, frozen=True):
    """All bytes of the last `WritePort` have left the machine."""


class WriteFailed(Struct, frozen=True):
    """The last `WritePort` could not be written."""

    reason: str


class Confirmed(Struct, frozen=True):
    """All that was ordered before the `Confirm` of this member's frame was done, and what failed of it was told."""

    member: int
    reply: bytes


# Effects


class OpenPort(Struct, frozen=True):
    """Open the port; `Opened` or `OpenFailed` follows, at once or later."""


class ClosePort(Struct, frozen=True):
    """Close the port, or give up opening it. What is not written yet is thrown away."""


class ReadOut(Struct, frozen=True):
    """Read what has come, a bounded amount; `LineRead` follows at once."""


class Rest(Struct, frozen=True):
    """Do not read the line before `line_until_s` (None: read it as ever), and do not wake up before `reports_until_s`
    for what the publisher says, unless something else wakes us; in the past: hear it."""

    line_until_s: float | None
    reports_until_s: float


class WritePort(Struct, frozen=True):
    """Read what has arrived, then write without waiting; `WriteDrained`, `WritePending` or `WriteFailed` follows."""

    data: bytes


class CheckWrite(Struct, frozen=True):
    """Say `WriteDrained`, `WritePending` or `WriteFailed`."""


class CancelWrite(Struct, frozen=True):
    """Throw away what is not written yet."""


class AdjustLine(Struct, frozen=True):
    """Change what is not None on the open line, at once; `PortLost` follows where it can't be. On a TCP connection
    this means nothing. `settings` are also those of all openings to come."""

    baudrate: int | None = None
    dtr: bool | None = None
    rts: bool | None = None
    settings: Line | None = None


class Confirm(Struct, frozen=True):
    """Say `Confirmed`: a device waits for this reply to a frame that is now in the journal, unless that has failed."""

    member: int
    reply: bytes


LineEvent = Opened | OpenFailed | LineGap | LineDamaged | LineRefused | LineRead | PortLost
PortEvent = LineEvent | WritePending | WriteDrained | WriteFailed | Confirmed
"""What the port tells beside what comes in on it."""
PortEffect = OpenPort | ClosePort | ReadOut | Rest | WritePort | CheckWrite | CancelWrite | AdjustLine | Confirm
Event = SourceEvent | Chunk | PortEvent
Effect = SourceEffect | PortEffect
