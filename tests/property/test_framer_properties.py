"""What holds for every line and every way of cutting it into chunks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.port_reader.core.framers.delimiter import DelimiterFramer

DELIMITERS = st.sampled_from([b"\n", b"\r\n", b"aa", b"aba"])
LINES = st.binary(max_size=200) | st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n"]), max_size=80).map(b"".join)


def _cut(line: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(line)) for place in places), len(line)]
    return [line[low:high] for low, high in pairwise(edges)]


def _run(delimiter: bytes, limit: int, chunks: list[bytes]):
    framer = DelimiterFramer(delimiter, limit)
    frames = []
    for chunk in chunks:
        frames += framer.feed(chunk)
        assert len(framer.partial) < limit + len(delimiter)
    return frames, framer.take_dead(), framer.partial


@given(DELIMITERS, LINES, st.lists(st.integers(0, 200), max_size=20), st.integers(1, 30))
def test_how_chunks_are_cut_never_matters(delimiter, line, places, limit):
    """Frames, dead pieces and the rest are the same whole, in chunks and a byte at a time, and memory is bounded."""
    whole = _run(delimiter, limit, [line])
    assert _run(delimiter, limit, _cut(line, places)) == whole
    assert _run(delimiter, limit, [line[at : at + 1] for at in range(len(line))]) == whole


@given(DELIMITERS, LINES, st.integers(1, 30))
def test_no_byte_is_lost_and_no_frame_is_cut(delimiter, line, limit):
    """All bytes come out once, and each frame has its one delimiter at its end."""
    frames, dead, partial = _run(delimiter, limit, [line])
    assert sorted(b"".join([*frames, *(piece.data for piece in dead), partial])) == sorted(line)
    for frame in frames:
        assert frame.find(delimiter) == len(frame) - len(delimiter)
        assert len(frame) <= limit + len(delimiter)
