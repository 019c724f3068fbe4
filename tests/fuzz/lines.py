"""Bytes on a line: any device settings, any bytes in any pieces at any time, calls between. Nothing is invented and
nothing vanishes: frames and dead pieces together are what was said, and each frame is one that the settings call so."""

from __future__ import annotations

import random

from common.config.framing import Framing
from common.config.models import Device, Line
from tests.fuzz.memory import MIB, rounds
from tests.support.port_reader_rig import FakeJournal, Rig, frames_of

GROWTH = 64 * MIB
DELIMITERS = (b"\n", b"\r\n", b"\x00", b"ab", b"aab", b"\xff", b"END", b"\r")


def fuzz(seconds: float, seed: int) -> str:
    runs, read_bytes, frames = 0, 0, 0
    for number in rounds(seconds, GROWTH, every=50):
        said, found = _run(random.Random(f"{seed} {number}"), number)
        read_bytes, frames, runs = read_bytes + said, frames + found, number + 1
    return f"{runs} lines, {read_bytes / MIB:.1f} MiB, {frames} frames: nothing invented, nothing lost"


def _run(draw: random.Random, number: int) -> tuple[int, int]:
    delimiter = draw.choice(DELIMITERS)
    device = Device(
        name="d",
        type="t",
        framing=Framing(
            delimiter=delimiter,
            max_frame_bytes=draw.choice([len(delimiter) + 1, 10, 100, 65_536]),
            first_frame=draw.choice(["keep", "discard"]),
            timeout_s=draw.choice([0.1, 1.0, 86_400.0]),
        ),
        line=Line(baudrate=draw.choice([300, 9_600, 115_200, 3_000_000])),
    )
    rig = Rig(device, FakeJournal())
    rig.wait(draw.random())
    said = b""
    for _ in range(draw.randrange(1, 60)):
        chunk = _chunk(draw, delimiter)
        said += chunk
        rig.read(chunk, draw.choice([0.0, 0.001, 0.05, 0.5, 2.0, 40.0]))
        if draw.random() < 0.2:
            rig.wait(draw.choice([0.1, 1.0, 35.0]))
        if draw.random() < 0.15:
            pattern = draw.choice(["", "^A", ".*", "(", "[ab]+$"])
            rig.exchange(f"c{draw.random()}", pattern=pattern, until=draw.choice([b"", b";", delimiter]))
        partial = len(rig.core._port._line._framer.partial)
        assert partial <= device.framing.max_frame_bytes + len(delimiter), f"run {number}: {partial} bytes wait"
    rig.wait(200)
    settled = pieces_of(rig)
    _check(said, settled, rig, delimiter, number)
    return len(said), len(settled)


def _chunk(draw: random.Random, delimiter: bytes) -> bytes:
    match draw.randrange(5):
        case 0:
            return draw.randbytes(draw.randrange(1, 200))
        case 1:
            return delimiter * draw.randrange(1, 5)
        case 2:
            return bytes(draw.choices(delimiter + b"A;x", k=draw.randrange(1, 60)))
        case 3:
            return delimiter[: draw.randrange(len(delimiter) + 1)] + b"A1"
        case _:
            return draw.randbytes(draw.choice([2_000, 4_096])).replace(delimiter, b"")


def pieces_of(rig: Rig) -> list[bytes]:
    """Frames and answers in the order of their numbers."""
    found: dict[int, bytes] = {}
    for row in rig.journal.rows.values():
        if row.kind in (0, 3):
            found |= dict(enumerate(frames_of(row), row.first))
    return [frame for _, frame in sorted(found.items())]


def _check(said: bytes, frames: list[bytes], rig: Rig, delimiter: bytes, number: int) -> None:
    dead = sum(len(letter.data) for letter in rig.journal.dead)
    framer = rig.core._port._line._framer
    waiting = len(framer.partial)
    whole = sum(map(len, frames)) + dead + waiting
    # A delimiter right behind an answer that ends before it is swallowed.
    swallowed = len(said) - whole
    assert 0 <= swallowed <= len(delimiter) * max(1, rig.count("exchanges")), (
        f"run {number}: {swallowed} bytes are gone"
    )
    place = 0
    for frame in frames:
        found = said.find(frame, place)
        assert found >= 0, f"run {number}: {frame[:50]!r} was never said, or not in this order"
        place = found + len(frame)
        assert frame.count(delimiter) <= 1 or not frame.endswith(delimiter), f"run {number}: two frames in one"
