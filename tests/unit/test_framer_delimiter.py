"""The delimiter framer, case by case."""

from __future__ import annotations

import pytest

from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.framers.delimiter import DelimiterFramer


@pytest.mark.parametrize(
    ("delimiter", "chunks", "frames", "partial"),
    [
        (b"\n", [b"48\r2430947595\n"], [b"48\r2430947595\n"], b""),
        (b"\n", [b"a\nb\nc"], [b"a\n", b"b\n"], b"c"),
        (b"\r\n", [b"a\r", b"\nb\r\n"], [b"a\r\n", b"b\r\n"], b""),
        (b"\r\n", [b"a\rb\r", b"\r", b"\n"], [b"a\rb\r\r\n"], b""),
        (b"aa", [b"xa", b"aa"], [b"xaa"], b"a"),
        (b"\n", [b"\n", b"\n\n"], [b"\n", b"\n", b"\n"], b""),
        (b"\n", [b"", b"a", b"", b"\n"], [b"a\n"], b""),
    ],
)
def test_frames_end_with_their_delimiter(delimiter, chunks, frames, partial):
    """A delimiter ends a frame wherever the chunks are cut, and stays part of it."""
    framer = DelimiterFramer(delimiter, 100)
    assert [frame for chunk in chunks for frame in framer.feed(chunk)] == frames
    assert framer.partial == partial
    assert framer.take_dead() == []
    assert framer.has_seen_end == bool(frames)


def test_a_frame_of_exactly_the_limit_is_a_frame():
    """The limit counts what stands before the delimiter."""
    framer = DelimiterFramer(b"\r\n", 4)
    assert framer.feed(b"abcd\r\n") == [b"abcd\r\n"]
    assert framer.feed(b"abcde\r\nok\r\n") == [b"ok\r\n"]
    reason = "no delimiter within 4 bytes"
    assert framer.take_dead() == [DeadPiece(reason, b"abcd"), DeadPiece(reason, b"e\r\n")]


def test_a_run_without_delimiter_is_dead_pieces_of_the_limit_and_its_tail_too():
    """Every max_frame_bytes without delimiter is one dead letter; memory stays bounded; the next frame is good."""
    framer = DelimiterFramer(b"\n", 4)
    for chunk in (b"abcdefgh", b"ij", b"klm", b"n\nfine\n"):
        frames = framer.feed(chunk)
        assert len(framer.partial) <= 4
    assert frames == [b"fine\n"]
    assert [piece.data for piece in framer.take_dead()] == [b"abcd", b"efgh", b"ijkl", b"mn\n"]


def test_a_dead_run_ends_with_the_delimiter():
    """After interrupt what comes up to the next delimiter is dead, with that reason."""
    framer = DelimiterFramer(b"\n", 100)
    framer.interrupt("joined mid-frame")
    assert framer.is_mid_frame
    assert framer.feed(b"tail\nwhole\n") == [b"whole\n"]
    assert framer.take_dead() == [DeadPiece("joined mid-frame", b"tail\n")]


def test_take_partial_ends_the_frame_in_progress():
    """Silence takes what is there, and what comes next begins anew."""
    framer = DelimiterFramer(b"\n", 100)
    framer.feed(b"half")
    assert framer.end() == (b"half", "")
    assert framer.feed(b"x\n") == [b"x\n"]


@pytest.mark.parametrize(
    ("after", "frames", "partial"),
    [
        ([b"\r\nnext\r\n"], [b"next\r\n"], b""),
        ([b"\r", b"\nnext\r\n"], [b"next\r\n"], b""),
        ([b"next\r\n"], [b"next\r\n"], b""),
        ([b"\r", b"x\r\n"], [b"\rx\r\n"], b""),
        ([b"", b"\r"], [], b"\r"),
    ],
)
def test_a_delimiter_right_behind_a_prefix_is_swallowed(after, frames, partial):
    """An answer that ended at its own delimiter takes the device's delimiter behind it along, and nothing else."""
    framer = DelimiterFramer(b"\r\n", 100)
    framer.feed(b"OK;")
    assert framer.cut(3) == b"OK;"
    assert [frame for chunk in after for frame in framer.feed(chunk)] == frames
    assert framer.partial == partial


def test_a_prefix_leaves_the_rest():
    """What stands behind the prefix is the beginning of the next frame, without the delimiter in between."""
    framer = DelimiterFramer(b"\r\n", 100)
    framer.feed(b"OK;\r")
    assert framer.cut(3) == b"OK;"
    assert framer.feed(b"\nab") == []
    assert framer.feed(b"c\r\n") == [b"abc\r\n"]
