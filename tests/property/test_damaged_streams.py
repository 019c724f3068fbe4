"""What devices say, damaged: the frames behind the damage are found, and no CRC lets a wrong one through."""

from __future__ import annotations

import random

import pytest

from common.core.checksum import CRCS, width_of
from tests.support.framing import FRAMINGS, STREAMS, cut, frames_of, framing_of

ROUNDS = 40
"""Drawn mutations of each kind, a family."""
CHECKED = [
    stream for stream in STREAMS if any(shape.checksums for shape in framing_of(FRAMINGS[stream["family"]]).shapes)
]
BY_FAMILY = pytest.mark.parametrize("stream", CHECKED, ids=[stream["family"] for stream in CHECKED])


def good_of(stream) -> tuple[bytes, list[bytes]]:
    """The stream as it is, and its frames. Without a start, a line that is run into is lost with what stands before
    it: then it is said twice."""
    times = 1 if all(one.starts or one.code for one in framing_of(FRAMINGS[stream["family"]]).shapes) else 2
    return bytes.fromhex(stream["stream_hex"]) * times, frames_in(stream) * times


def frames_in(stream) -> list[bytes]:
    """Its frames."""
    return [bytes.fromhex(frame) for frame in stream["frames_hex"]]


def is_strong(framing) -> bool:
    """True if each frame has a CRC of 16 bits or more."""
    return all(any(one.type in CRCS and width_of(one) >= 16 for one in shape.checksums) for shape in framing.shapes)


def judge(framing, line: bytes, frames: list[bytes], size: int, others: list[bytes] = []) -> None:  # noqa: B006
    """The stream's frames are the last ones; where the checksum is a CRC there is none that was never said: beside
    these only `others`."""
    found, _ = frames_of(framing, cut(line, size))
    assert found[-1] == frames[-1]
    if is_strong(framing):
        assert set(found) <= {*frames, *others}


@BY_FAMILY
def test_the_last_good_frame_is_found_behind_noise(stream):
    """Noise in front, in which any byte may stand, starts of frames above all."""
    draw = random.Random(stream["family"])
    line, frames = good_of(stream)
    framing = framing_of(FRAMINGS[stream["family"]])
    likely = [byte for shape in framing.shapes for start in (*shape.starts, b"\x01\x04") for byte in start]
    for _ in range(ROUNDS):
        noise = bytes(draw.choice([draw.randrange(256), *likely]) for _ in range(draw.randrange(1, 80)))
        judge(framing, noise + line, frames, draw.choice([1, 3, 7, 10_000]))


@BY_FAMILY
def test_the_last_good_frame_is_found_behind_each_flipped_bit(stream):
    """A damaged stream, then a good one: of long ones some bits, drawn."""
    draw = random.Random(stream["family"])
    line, frames = good_of(stream)
    framing = framing_of(FRAMINGS[stream["family"]])
    bits = range(len(line) * 8)
    for bit in bits if len(bits) <= 400 else draw.sample(bits, 400):
        damaged = bytearray(line)
        damaged[bit // 8] ^= 1 << bit % 8
        judge(framing, bytes(damaged) + line, frames, draw.choice([7, 10_000]))


@BY_FAMILY
def test_the_last_good_frame_is_found_behind_a_truncated_one(stream):
    """Cut anywhere, at its beginning or at its end, the next one right behind it."""
    draw = random.Random(stream["family"])
    line, frames = good_of(stream)
    framing = framing_of(FRAMINGS[stream["family"]])
    for _ in range(ROUNDS):
        at = draw.randrange(1, len(line))
        judge(framing, line[:at] + line, frames, draw.choice([1, 7, 10_000]))
        judge(framing, line[at:] + line, frames, draw.choice([1, 7, 10_000]))


@BY_FAMILY
def test_two_streams_of_different_devices_joined(stream):
    """An adapter is plugged over while the line is read: the new device's frames are found."""
    line, frames = good_of(stream)
    framing = framing_of(FRAMINGS[stream["family"]])
    for before in STREAMS:
        same = FRAMINGS[before["family"]] == FRAMINGS[stream["family"]]
        judge(framing, bytes.fromhex(before["stream_hex"]) + line, frames, 10_000, frames_in(before) if same else [])
