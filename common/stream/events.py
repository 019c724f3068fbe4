"""What a core that journals hears from its journal, and orders of it."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from common.core.events import CommonEffect, CommonEvent, Note, Send
from common.core.sequence import Range
from common.stream.blocks import Block
from common.wire.messages import Request


class DeadLetter(NamedTuple):
    """What will never be retried. `number` is 0 for pieces of the line that never got one."""

    number: int
    ts_ms: int
    reason: str
    data: bytes
    origin: str = ""
    """The name of what was asked for it, as its block said. A retry keeps it: without it a poll's answer can't be
    interpreted."""


class KeptLetter(NamedTuple):
    """A dead letter as the journal keeps it; ids rise, and are never used again."""

    id: int
    number: int
    ts_ms: int
    reason: str
    data: bytes
    origin: str = ""


# Events


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
    """The answer to `LookUpSection`; None if the journal doesn't know it."""

    request: Request
    section: bytes | None


class SectionKept(Struct, frozen=True):
    """The answer to `KeepSection`: `name` is what blocks call it by, and who asks for it."""

    request: Request
    name: str
    section: bytes


class LettersFound(Struct, frozen=True):
    """The answer to `FindLetters`; `total` and `total_bytes` of all that are kept."""

    request: Request
    letters: list[KeptLetter]
    total: int
    total_bytes: int


# Effects


class Append(Struct, frozen=True):
    """One commit: these blocks, and the stream's state with them. Everything below `base` may be deleted.

    `line_state` is what the line wants to be remembered: the bytes are its own, at most LINE_STATE_BYTES. `revived` are
    the ids of dead letters that are among the blocks again.
    """

    blocks: list[Block]
    next_number: int
    last_ts_ms: int
    base: int
    line_state: bytes
    is_retry: bool = False
    revived: tuple[int, ...] = ()


class Trim(Struct, frozen=True):
    """One commit: delete what is below `base`; keep these dead letters."""

    base: int
    dead: list[DeadLetter]


class MarkSettled(Struct, frozen=True):
    """Effect: what is below `base` is settled. This is recorded in the mark beside a journal that can't be written, so
    that the next process does not begin with what the platform has already, nor gives out its timestamps again."""

    base: int
    last_ts_ms: int
    """The highest timestamp that was given out, also of what never came into the journal."""


class Bury(Struct, frozen=True):
    """One commit: keep these dead letters, which have no number."""

    dead: list[DeadLetter]


class SetLineState(Struct, frozen=True):
    """One commit: what the line wants to be remembered, with no block. The bytes are its own, at most
    LINE_STATE_BYTES; whoever stores them does not look inside."""

    state: bytes


class RaiseGeneration(Struct, frozen=True):
    """One commit: the next opening has a higher generation than this."""

    generation: int


class KeepJournal(Struct, frozen=True):
    """Check that the journal's files still exist and are the ones that were opened. `has_backlog`: old entries wait, so
    move them from the write-ahead log into the database. `GapsFound` may follow."""

    has_backlog: bool


class Fetch(Struct, frozen=True):
    """Read blocks from the one that holds `first`: at least one, about so many at most; `JournalBlocks` follows."""

    first: int
    max_frames: int
    max_bytes: int


class Strike(Struct, frozen=True):
    """One commit: how often a converter has died so far while it converted each of these numbers alone."""

    counts: dict[int, int]


class LookUpSection(Struct, frozen=True):
    """Look a section up by its hash; `SectionFound` follows."""

    section: str
    request: Request


class KeepSection(Struct, frozen=True):
    """Keep a section that the blocks which follow are to name; `SectionKept` follows. If it can't be written now it is
    written with the first of them."""

    section: bytes
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


class Listen(Struct, frozen=True):
    """Hear others' heartbeats (`beats` True) or none; read nothing from the events plane before `until_s` (in the past:
    read at once)."""

    beats: bool
    until_s: float


JournalEvent = (
    JournalBlocks | JournalFailed | FetchFailed | JournalBack | GapsFound | SectionFound | SectionKept | LettersFound
)
JournalEffect = (
    Append
    | Trim
    | MarkSettled
    | Bury
    | SetLineState
    | RaiseGeneration
    | KeepJournal
    | Fetch
    | Strike
    | LookUpSection
    | KeepSection
    | FindLetters
)
StreamEffect = JournalEffect | Send | Note
"""What one stream orders."""


class OfMember(Struct, frozen=True):
    """An event of the journal of one of several devices; `member` is its place among them."""

    member: int
    event: JournalEvent


class ForMember(Struct, frozen=True):
    """An effect on the journal of one of several devices; `member` is its place among them."""

    member: int
    effect: JournalEffect


SourceEvent = CommonEvent | JournalEvent | OfMember
SourceEffect = CommonEffect | JournalEffect | ForMember | Listen
"""What a process that journals hears and orders."""
