"""Lines whose frames have shapes: what devices of 34 families say, damaged and in pieces at any time, calls between.
Each frame is one that its framing calls so, in the order in which it was said; and nothing vanishes."""

from __future__ import annotations

import random

import msgspec

from common.config.models import Device, Line
from services.port_reader.core.events import PortLost
from tests.fuzz.lines import pieces_of
from tests.fuzz.memory import MIB, rounds
from tests.support.framing import FRAMINGS, STREAMS, frames_of, framing_of
from tests.support.port_reader_rig import FakeJournal, Rig

GROWTH = 64 * MIB


def fuzz(seconds: float, seed: int) -> str:
    runs, read_bytes, frames = 0, 0, 0
    for number in rounds(seconds, GROWTH, every=50):
        said, found = run(random.Random(f"{seed} {number}"), number)
        read_bytes, frames, runs = read_bytes + said, frames + found, number + 1
    return f"{runs} lines, {read_bytes / MIB:.1f} MiB, {frames} frames: nothing invented, nothing lost"


def run(draw: random.Random, number: int) -> tuple[int, int]:
    """One line; (bytes that it has said, frames that came of them)."""
    stream = draw.choice(STREAMS)
    family = stream["family"]
    framing = msgspec.structs.replace(
        framing_of(FRAMINGS[family]),
        max_frame_bytes=draw.choice([100, 2_000, 65_536]),
        first_frame=draw.choice(["keep", "discard"]),
        partial_ms=draw.choice([None, None, 50, 5_000]),
    )
    device = Device(name="d", type="t", framing=framing, line=Line(baudrate=draw.choice([300, 9_600, 115_200])))
    rig = Rig(device, FakeJournal())
    rig.wait(draw.random())
    said = b""
    text = bytes.fromhex(stream["stream_hex"])
    for _ in range(draw.randrange(1, 60)):
        chunk = _chunk(draw, text)
        said += chunk
        rig.read(chunk, draw.choice([0.0, 0.001, 0.05, 0.3, 0.6, 2.0, 40.0]))
        if draw.random() < 0.2:
            rig.wait(draw.choice([0.1, 1.0, 35.0]))
        if draw.random() < 0.15:
            rig.exchange(f"c{draw.random()}", pattern=draw.choice(["", "^A", ".*"]))
        if draw.random() < 0.02:
            rig.give(PortLost("EIO", rig.wall_ms))
            rig.wait(1)
        waiting = rig.core._port._line.partial_bytes
        assert waiting <= 2 * framing.max_frame_bytes + 16, f"run {number}: {waiting} bytes wait"
    rig.wait(200)
    frames = pieces_of(rig)
    where = f"run {number}, {family}"
    assert rig.core._port._line.partial_bytes == 0, where
    _check(said, frames, rig, where)
    return len(said), len(frames)


def _chunk(draw: random.Random, text: bytes) -> bytes:
    start = draw.randrange(len(text))
    match draw.randrange(5):
        case 0:
            return text
        case 1:
            return text[start : start + draw.randrange(1, 40)]
        case 2:
            damaged = bytearray(text)
            damaged[start] ^= 1 << draw.randrange(8)
            return bytes(damaged)
        case 3:
            return draw.randbytes(draw.randrange(1, 60))
        case _:
            return text[: start + 1]


def _check(said: bytes, frames: list[bytes], rig: Rig, where: str) -> None:
    framing = rig.device.framing
    is_plain = not any(shape.escape or shape.is_cobs or any(shape.strip) for shape in framing.shapes)
    place = 0
    for frame in frames if is_plain else ():
        found = said.find(frame, place)
        assert found >= 0, f"{where}: {frame[:50]!r} was never said, or not in this order"
        place = found + len(frame)
        assert frames_of(framing, [frame]) == ([frame], []), f"{where}: {frame[:50]!r} is no frame"
    is_line = not framing.shapes[0].starts and not framing.shapes[0].code
    if is_plain and not is_line and not framing.skip:
        dead = sum(len(letter.data) for letter in rig.journal.dead)
        assert sum(map(len, frames)) + dead == len(said), f"{where}: not all bytes came out once"
