"""What the port reader's core hears from its shell, and orders from it, beyond `common.events`.

Times named `wall_ms` and `arrival_ms` are the wall clock in milliseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Opened(NamedTuple):
    """The port is open."""

    wall_ms: int


class OpenFailed(NamedTuple):
    """The port could not be opened; the shell holds nothing of it."""

    reason: str


class Chunk(NamedTuple):
    """Bytes came in on the line."""

    data: bytes
    arrival_ms: int


class LineGap(NamedTuple):
    """Bytes of the line may be missing somewhere in the chunks that follow at once: the driver has counted an overrun,
    or the machine was suspended."""

    reason: str


class LineRead(NamedTuple):
    """The answer to `ReadOut`, after its chunks."""


class PortLost(NamedTuple):
    """The open port can't be used any more. The core answers with `ClosePort`."""

    reason: str
    wall_ms: int


class WritePending(NamedTuple):
    """This many bytes of a write have not left the machine: the answer to `CheckWrite`."""

    left_bytes: int


class WriteDrained(NamedTuple):
    """All bytes of the last `WritePort` have left the machine."""


class WriteFailed(NamedTuple):
    """The last `WritePort` could not be written."""

    reason: str


class JournalBlocks(NamedTuple):
    """The answer to `Fetch`: blocks in order, the first holding `first`; [] if the journal has nothing from there."""

    blocks: list[Block]


class JournalFailed(NamedTuple):
    """The journal could not be written. `blocks` are those of the `Append` that failed, `dead` the dead letters of the
    `Trim` or `Bury`."""

    reason: str
    blocks: list[Block]
    dead: list[DeadLetter] = []


class FetchFailed(NamedTuple):
    """The journal could not be read."""

    reason: str


class JournalBack(NamedTuple):
    """An `Append` with `is_retry` succeeded: everything below `end` is written."""

    end: int


class GapsFound(NamedTuple):
    """The journal has found out what it lost: numbers from first to last, in order. Some may be in memory still."""

    ranges: list[Range]


class SectionFound(NamedTuple):
    """The answer to `FindSection`; None if the journal doesn't know it."""

    request: Request
    section: bytes | None


class LettersFound(NamedTuple):
    """The answer to `FindLetters`; `total` and `total_bytes` of all that are kept."""

    request: Request
    letters: list[KeptLetter]
    total: int
    total_bytes: int


# Effects


class OpenPort(NamedTuple):
    """Open the port; `Opened` or `OpenFailed` follows, at once or later."""


class ClosePort(NamedTuple):
    """Close the port, or give up opening it. What is not written yet is thrown away."""


class ReadOut(NamedTuple):
    """Read what has come, a bounded amount; `LineRead` follows at once."""


class RestLine(NamedTuple):
    """Do not read the line before `until_s`, nor what the publisher says before `reports_until_s`."""

    until_s: float
    reports_until_s: float


class RestReports(NamedTuple):
    """Do not wake up before `until_s` for what the publisher says, unless the line wakes us; in the past: hear it."""

    until_s: float


class WritePort(NamedTuple):
    """Read what has arrived, then write without waiting; `WriteDrained`, `WritePending` or `WriteFailed` follows."""

    data: bytes


class CheckWrite(NamedTuple):
    """Say `WriteDrained`, `WritePending` or `WriteFailed`."""


class CancelWrite(NamedTuple):
    """Throw away what is not written yet."""


class Append(NamedTuple):
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


class Trim(NamedTuple):
    """One commit: delete what is below `base`; keep these dead letters."""

    base: int
    dead: list[DeadLetter]


class MarkSettled(NamedTuple):
    """Effect: what is below `base` is settled; said beside a journal that can't be written, so that the next process
    does not begin with what the platform has already."""

    base: int


class Bury(NamedTuple):
    """One commit: keep these dead letters, which have no number."""

    dead: list[DeadLetter]


class SetFlags(NamedTuple):
    """One commit: whether the line is in the middle of a frame, and whether it has ever sent its delimiter."""

    is_mid_frame: bool
    has_seen_delimiter: bool


class RaiseGeneration(NamedTuple):
    """One commit: the next opening has a higher generation than this."""

    generation: int


class KeepJournal(NamedTuple):
    """Look whether the journal's files are where they were. `has_backlog`: what waits has waited for long, and is
    better off in the file than in its log. `GapsFound` may follow."""

    has_backlog: bool


class Fetch(NamedTuple):
    """Read blocks from the one that holds `first`: at least one, about so many at most; `JournalBlocks` follows."""

    first: int
    max_frames: int
    max_bytes: int


class Strike(NamedTuple):
    """One commit: the deaths that these numbers have been alone in so far."""

    counts: dict[int, int]


class FindSection(NamedTuple):
    """Look a section up by its hash; `SectionFound` follows."""

    section: str
    request: Request


class FindLetters(NamedTuple):
    """Look up dead letters with `after` < id < `before`, at most so many and about so many bytes, at least one if there
    is one; the newest ones, newest first, or the oldest ones, oldest first. `LettersFound` follows."""

    request: Request
    after: int
    before: int
    most: int
    most_bytes: int
    newest_first: bool
