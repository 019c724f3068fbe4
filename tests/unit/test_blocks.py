"""Blocks: what may travel together, and what a part of one keeps."""

from __future__ import annotations

from common.stream.blocks import Block, can_join, join_blocks, pack_runs, slice_block, split_block
from common.wire import codec
from common.wire.messages import Entry, FrameBody


def _block(first: int, origin: str = "", length: int = 3) -> Block:
    frames = [f"{number}\n".encode() for number in range(first, first + length)]
    body = codec.pack_frames(FrameBody(list(range(length)), frames))
    return Block(first, length, Entry.FRAMES, "s", body, 7, origin)


def test_a_part_of_a_block_has_its_origin() -> None:
    """Sliced, split, or joined with what has the same one."""
    block = _block(1, "temperature")
    head, rest = split_block(block, 2, 10**6)
    assert rest is not None
    parts = [slice_block(block, 2, 3), head, rest, join_blocks([head, rest]), *pack_runs([head, rest])]
    assert [(part.first, part.length, part.origin) for part in parts] == [
        (2, 1, "temperature"),
        (1, 2, "temperature"),
        (3, 1, "temperature"),
        (1, 3, "temperature"),
        (1, 3, "temperature"),
    ]


def test_answers_to_different_questions_do_not_travel_together() -> None:
    """A batch has one origin: nothing in it says which frame answers which."""
    assert can_join(_block(1), _block(4))
    assert can_join(_block(1, "temperature"), _block(4, "temperature"))
    assert not can_join(_block(1, "temperature"), _block(4, "humidity"))
    assert not can_join(_block(1), _block(4, "humidity"))
    runs = pack_runs([_block(1, "a"), _block(4, "a"), _block(7), _block(10), _block(13, "b")])
    assert [(run.first, run.length, run.origin) for run in runs] == [(1, 6, "a"), (7, 6, ""), (13, 3, "b")]
