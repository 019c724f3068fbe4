"""What the port reader's core hears from its shell, and orders from it, beyond `common.events`.

Times named `wall_ms` and `arrival_ms` are the wall clock in milliseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from common.messages import Request
from common.sequence import Range
from services.port_reader.blocks import Block


class DeadLetter(NamedTuple):
    """What will never be retried. `number` is 0 for pieces of the line that never got one."""

    number: int
    ts_ms: int
    reason: str
    data: bytes


class KeptLetter(NamedTuple):
    """A dead letter as the journal keeps it; ids rise, and are never used again."""

    id: int
    number: int
    ts_ms: int
    reason: str
    data: bytes


# Events


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


class JournalBlocks(Struct, frozen=True):
    """The answer to `Fetch`: blocks in order, the first holding `first`; [] if the journal has nothing from there."""

    blocks: list[Block]


class JournalFailed(Struct, frozen=True):
    """The journal could not be written. `blocks` are those of the `Append` that failed, `dead` the dead letters of the
    `Trim` or `Bury`."""

    reason: str
    blocks: list[Block]
    dead: list[DeadLetter] = []


class FetchFailed(Struct, frozen=True):
    """The journal could not be read."""

    reason: str


class JournalBack(Struct, frozen=True):
    """An `Append` with `is_retry` succeeded: everything below `end` is written."""

    end: int


class GapsFound(Struct, frozen=True):
    """The journal has found out what it lost: numbers from first to last, in order. Some may be in memory still."""

    ranges: list[Range]


class SectionFound(Struct, frozen=True):
    """The answer to `FindSection`; None if the journal doesn't know it."""

    request: Request
    section: bytes | None


class LettersFound(Struct, frozen=True):
    """The answer to `FindLetters`; `total` and `total_bytes` of all that are kept."""

    request: Request
    letters: list[KeptLetter]
    total: int
    total_bytes: int


# Effects


class OpenPort(Struct, frozen=True):
    """Open the port; `Opened` or `OpenFailed` follows, at once or later."""


class ClosePort(Struct, frozen=True):
    """Close the port, or give up opening it. What is not written yet is thrown away."""


class ReadOut(Struct, frozen=True):
    """Read what has come, a bounded amount; `LineRead` follows at once."""


class RestLine(Struct, frozen=True):
    """Do not read the line before `until_s`, nor what the publisher says before `reports_until_s`."""

    until_s: float
    reports_until_s: float


class RestReports(Struct, frozen=True):
    """Do not wake up before `until_s` for what the publisher says, unless the line wakes us; in the past: hear it."""

    until_s: float


class WritePort(Struct, frozen=True):
    """Read what has arrived, then write without waiting; `WriteDrained`, `WritePending` or `WriteFailed` follows."""

    data: bytes


class CheckWrite(Struct, frozen=True):
    """Say `WriteDrained`, `WritePending` or `WriteFailed`."""


class CancelWrite(Struct, frozen=True):
    """Throw away what is not written yet."""


class Append(Struct, frozen=True):
    """One commit: these blocks, and the stream's state with them. Everything below `base` may be deleted.

    `revived` are the ids of dead letters that are among the blocks again.
    """

    blocks: list[Block]
    next_number: int
    last_ts_ms: int
    base: int
    is_mid_frame: bool
    has_seen_delimiter: bool
    is_retry: bool = False
    revived: tuple[int, ...] = ()


class Trim(Struct, frozen=True):
    """One commit: delete what is below `base`; keep these dead letters."""

    base: int
    dead: list[DeadLetter]


class MarkSettled(Struct, frozen=True):
    """Effect: what is below `base` is settled; said beside a journal that can't be written, so that the next process
    does not begin with what the platform has already."""

    base: int


class Bury(Struct, frozen=True):
    """One commit: keep these dead letters, which have no number."""

    dead: list[DeadLetter]


class SetFlags(Struct, frozen=True):
    """One commit: whether the line is in the middle of a frame, and whether it has ever sent its delimiter."""

    is_mid_frame: bool
    has_seen_delimiter: bool


class RaiseGeneration(Struct, frozen=True):
    """One commit: the next opening has a higher generation than this."""

    generation: int


class KeepJournal(Struct, frozen=True):
    """Look whether the journal's files are where they were. `has_backlog`: what waits has waited for long, and is
    better off in the file than in its log. `GapsFound` may follow."""

    has_backlog: bool


class Fetch(Struct, frozen=True):
    """Read blocks from the one that holds `first`: at least one, about so many at most; `JournalBlocks` follows."""

    first: int
    max_frames: int
    max_bytes: int


class Strike(Struct, frozen=True):
    """One commit: the deaths that these numbers have been alone in so far."""

    counts: dict[int, int]


class FindSection(Struct, frozen=True):
    """Look a section up by its hash; `SectionFound` follows."""

    section: str
    request: Request


class FindLetters(Struct, frozen=True):
    """Look up dead letters with `after` < id < `before`, at most so many and about so many bytes, at least one if there
    is one; the newest ones, newest first, or the oldest ones, oldest first. `LettersFound` follows."""

    request: Request
    after: int
    before: int
    most: int
    most_bytes: int
    newest_first: bool
