"""Runs of consecutive entries: what is one row of the journal, one commit, and normally one batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from common.wire import codec
from common.wire.messages import Entry, FrameBody

BATCH_FRAMES: Final = 512
"""A converter holds two batches; larger ones would keep other devices waiting."""
BATCH_BYTES: Final = 128 * 1024
BODY_FORM: Final = 1
"""What a block's `body` is: a packed `FrameBody` of three fields. Blocks outlive an upgrade, and a downgrade too, so
each is stored with the form of its body; this number is raised when the form changes."""


class Block(NamedTuple):
    """Entries `first` to `first + length - 1` of one kind and one section; `body` is a packed FrameBody."""

    first: int
    length: int
    kind: int
    section: str
    body: bytes
    at_ms: int = 0
    """The wall clock when it was numbered: what the journal's age limit counts from."""
    origin: str = ""
    """The name of what was asked for these entries; "" if they came unasked. A poll's answer alone does not tell
    which of the device's values it holds."""

    @property
    def end(self) -> int:
        """The number after the last."""
        return self.first + self.length


def slice_block(block: Block, first: int, end: int) -> Block:
    """The part of the block from `first` up to, not including, `end`; the block itself if that is all of it."""
    first, end = max(first, block.first), min(end, block.end)
    if first == block.first and end == block.end:
        return block
    body = codec.unpack_frames(block.body, block.length)
    low, high = first - block.first, end - block.first
    part = FrameBody(body.ts_ms[low:high], body.frames[low:high], body.extra)
    return block._replace(first=first, length=end - first, body=codec.pack_frames(part))


def split_block(block: Block, max_frames: int, max_bytes: int) -> tuple[Block, Block | None]:
    """(the longest beginning that fits, at least one entry; the rest or None)."""
    if block.length <= max_frames and len(block.body) <= max_bytes:
        return block, None
    count = min(block.length, max(1, max_frames))
    head = slice_block(block, block.first, block.first + count)
    while len(head.body) > max_bytes and head.length > 1:
        count = max(1, min(head.length - 1, head.length * max_bytes // len(head.body)))
        head = slice_block(block, block.first, block.first + count)
    return head, slice_block(block, head.end, block.end) if head.end < block.end else None


def can_join(block: Block, following: Block, max_frames: int = BATCH_FRAMES, max_bytes: int = BATCH_BYTES) -> bool:
    """True if the two may travel in one batch."""
    return (
        block.kind == following.kind == Entry.FRAMES
        and block.section == following.section
        and block.origin == following.origin
        and block.end == following.first
        and block.length + following.length <= max_frames
        and len(block.body) + len(following.body) <= max_bytes
    )


def join_blocks(blocks: list[Block]) -> Block:
    """One block of several that `can_join`, in order."""
    if len(blocks) == 1:
        return blocks[0]
    ts_ms: list[int] = []
    frames: list[bytes] = []
    for block in blocks:
        body = codec.unpack_frames(block.body, block.length)
        ts_ms += body.ts_ms
        frames += body.frames
    return blocks[0]._replace(length=len(frames), body=codec.pack_frames(FrameBody(ts_ms, frames)))


def pack_runs(blocks: Iterable[Block]) -> list[Block]:
    """The same entries in as few batches as possible."""
    runs: list[list[Block]] = []
    length = size = 0
    for block in blocks:
        fits = runs and can_join(runs[-1][-1], block, BATCH_FRAMES - length + runs[-1][-1].length)
        if fits and size + len(block.body) <= BATCH_BYTES:
            runs[-1].append(block)
            length, size = length + block.length, size + len(block.body)
        else:
            runs.append([block])
            length, size = block.length, len(block.body)
    return [join_blocks(run) for run in runs]


def dead_block(first: int, length: int, section: str, ts_ms: int, reason: str) -> Block:
    """Entries that come out as dead letters in their place; the frames hold the reason."""
    body = FrameBody([ts_ms] * length, [reason.encode()] * length)
    return Block(first, length, Entry.DEAD, section, codec.pack_frames(body))
