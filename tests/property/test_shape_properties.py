"""What holds for every shape, every line and every way of cutting it into chunks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from cobs.cobs import encode
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from services.port_reader.core.framers import shaped
from tests.fuzz.shapes import run
from tests.support.framing import FRAMINGS, STREAMS, frames_of, framing_of, read

STARTS = st.sampled_from(["a", "b", "aa", "ab", "aab", ["a", "ba"], ["ab", "b"]])
ENDS = st.sampled_from(["z", "y", "yz", "zz", "az", "ba", ["z", "y"], ["yz", "z"], ["ayz", "y"]])
LENGTHS = st.sampled_from([3, 5, 8, {"at": 1}, {"at": 2, "plus": 4, "mask": 7}, {"at": 1, "type": "dec1", "plus": 3}])
ESCAPES = st.sampled_from(
    [
        {"byte": "d", "xor": 3},
        {"byte": "d", "map": {"e": "z", "f": "d"}},
        {"byte": "d", "double": True},
        {"byte": "y", "double": True},
        {"byte": "a", "double": True},
    ]
)
CHECKSUMS = st.sampled_from(
    [
        {"type": "xor8", "at": -2},
        {"type": "sum8", "mask": 7, "plus": 96},
        {"type": "sum8", "mask": 3, "plus": 96, "at": -2},
        {"type": "xor8", "mask": 3, "result": 1},
        {"type": "sum8", "mask": 3, "plus": 96, "from": 1, "at": 2},
    ]
)


def _optional(strategy):
    return st.none() | strategy


@st.composite
def sections(draw, without=()):
    """A device section with a framing that the reader takes, without some of its keys."""
    keys = {
        "start": draw(_optional(STARTS)),
        "end": draw(_optional(ENDS)),
        "length": draw(_optional(LENGTHS)),
        "endPlus": draw(_optional(st.integers(1, 2))),
        "endUntil": draw(_optional(st.sampled_from(["q", "qz"]))),
        "escape": draw(_optional(ESCAPES)),
        "restart": draw(_optional(st.just(True))),
        "strip": draw(_optional(st.just([1, 1]))),
        "skip": draw(_optional(st.just("q"))),
        "checksum": draw(_optional(CHECKSUMS)),
        "silenceMs": draw(_optional(st.just(20))),
        "decode": draw(_optional(st.just("cobs"))),
    }
    # Few of them at a time, as most exclude each other.
    dropped = draw(st.sets(st.sampled_from(["endPlus", "endUntil", "escape", "decode", "silenceMs"]), min_size=3))
    dropped.update(without)
    shape = {key: value for key, value in keys.items() if value is not None and key not in dropped}
    shapes = [shape]
    if draw(st.booleans()):
        shapes = [{**shape, "start": "a"}, {"start": draw(st.sampled_from(["b", "ab", "ya"])), "length": 4}]
        for one in shapes:
            one.pop("strip", None)
    limit = draw(st.sampled_from([12, 40, 65_536]))
    section = {"framing": shapes if len(shapes) > 1 else shape, "maxFrameBytes": limit}
    assume(not read(section)[1].problems)
    return section


LINES = st.lists(st.sampled_from([bytes((byte,)) for byte in b"aabbyzzdefq`c\0\1\2\3"]), max_size=70).map(b"".join)
PLACES = st.lists(st.integers(0, 70), max_size=12)


def _cut(line, places):
    edges = [0, *sorted(min(place, len(line)) for place in places), len(line)]
    return [line[low:high] for low, high in pairwise(edges) if low < high]


def _run(framing, chunks):
    framer = shaped(framing)
    frames = []
    for chunk in chunks:
        frames += framer.feed(chunk)
        assert framer.waiting_bytes <= 2 * framing.max_frame_bytes + 16
    waiting = framer.partial
    frames_by_silence = framer.rest()
    assert framer.waiting_bytes == 0
    return frames, waiting, frames_by_silence, framer.take_dead()


@settings(deadline=None)
@given(sections(), LINES, PLACES)
def test_how_chunks_are_cut_never_matters(section, line, places):
    """Frames, dead pieces with their reasons, and what waits are the same whole, in chunks and a byte at a time."""
    framing = framing_of(section)
    whole = _run(framing, [line])
    assert _run(framing, _cut(line, places)) == whole
    assert _run(framing, [line[at : at + 1] for at in range(len(line))]) == whole


@settings(deadline=None)
@given(sections(), LINES, st.integers(0, 70), PLACES)
def test_a_gap_is_judged_alike_however_chunks_are_cut(section, line, at, places):
    """Where bytes may be missing the same pieces are dead."""
    framing = framing_of(section)
    before, behind = line[:at], line[at:]

    def run(cut_of):
        framer = shaped(framing)
        frames = [frame for chunk in cut_of(before) for frame in framer.feed(chunk)]
        framer.interrupt("a gap")
        frames += [frame for chunk in cut_of(behind) for frame in framer.feed(chunk)]
        return frames, framer.partial, framer.rest(), framer.take_dead()

    whole = run(lambda text: [text] if text else [])
    assert run(lambda text: _cut(text, places)) == whole
    assert run(lambda text: [text[at : at + 1] for at in range(len(text))]) == whole


@settings(deadline=None)
@given(sections(without=("escape", "decode", "strip", "skip")), LINES)
def test_no_byte_is_lost(section, line):
    """What is in no frame is in a dead piece, each byte once: but for what is escaped, stripped, skipped or shared by
    two frames, and for lines in which nothing stands."""
    framing = framing_of(section)
    first = framing.shapes[0]
    is_line = not first.starts and first.length is None and first.silence_ms is None
    assume(not is_line and not any(set(shape.starts) & set(shape.ends) for shape in framing.shapes))
    frames, dead = frames_of(framing, [line])
    assert sorted(b"".join([*frames, *(piece.data for piece in dead)])) == sorted(line)


@settings(deadline=None)
@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 2_000), max_size=12))
def test_a_devices_stream_gives_its_frames_however_it_is_cut(stream, places):
    """All 34 families, at drawn places."""
    framing = framing_of(FRAMINGS[stream["family"]])
    line = bytes.fromhex(stream["stream_hex"])
    assert frames_of(framing, _cut(line, places)) == frames_of(framing, [line])


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=600), max_size=6), st.integers(1, 50))
@example([b"\0" * 3, bytes(range(1, 255)), bytes(range(1, 256)) * 2], 1)
def test_cobs_of_others_is_read(packets, size):
    """What the package cobs encodes comes back as it was."""
    line = b"".join(encode(packet) + b"\0" for packet in packets)
    chunks = [line[at : at + size] for at in range(0, len(line), size)]
    assert frames_of(framing_of({"framing": "cobs"}), chunks) == (packets, [])


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6))
def test_slip_is_read(packets):
    """RFC 1055: each packet may have an END in front as well."""
    line = b"".join(
        b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0" for packet in packets
    )
    assert frames_of(framing_of({"framing": "slip"}), [line]) == (packets, [])


@pytest.mark.parametrize("seed", range(20))
def test_a_reader_invents_nothing_and_loses_nothing(seed):
    """Damaged streams at any time, with calls between and ports that are lost: frames as the framing calls them."""
    run(random.Random(f"suite {seed}"), seed)
