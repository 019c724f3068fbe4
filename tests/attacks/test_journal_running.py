"""A port reader process under whose hands its journal is damaged: it goes on, and each number arrives or is told."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.io.journal.places import file_name
from common.wire import codec
from common.wire.messages import Entry
from tests.attacks.rig import gateway
from tests.e2e.feeding import Feeder, first_values
from tests.e2e.harness import needs_mosquitto
from tests.integration.test_port_reader_process import Broker, Line, Reader
from tests.support.journals import DAMAGES
from tests.support.waiting import wait_until

FRAMES = 1_500
PAD = "x" * 1_000
"""1.5 MB wait: what a reader has in memory is 1 MiB of it."""


class World:
    """One reader, whose publisher says nothing until `drain`."""

    def __init__(self, folder: Path) -> None:
        self.line = Line(folder / "tty")
        self.reader = Reader(folder, self.line)
        self.reader.data_dir.mkdir(mode=0o700)
        self.broker = Broker(self.reader.data_dir)
        self.log = folder / "reader.log"
        self.written = 0
        self._end = 0
        self.reader.start()
        wait_until(self.reader.journal.exists, "the journal")
        wait_until(lambda: "port.opened" in self.text or "port.open" in self.text, "the port", 20)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def part(self, ending: str) -> Path:
        return Path(f"{self.reader.journal}{ending}")

    def say(self, count: int) -> None:
        """Frames `n:xxx`, from 1 on, in no hurry: a pseudo-terminal holds 4 KiB."""
        for _ in range(count):
            self.written += 1
            self.line.write(f"{self.written}:{PAD}\n".encode())

    def start_again(self) -> None:
        """After kill -9."""
        self.reader.stop(signal.SIGKILL)
        self.reader.start()

    def drain(self) -> tuple[set[int], int]:
        """(what arrived, how many numbers were told to be lost), when all was settled."""
        broker = self.broker
        broker.until(self._settle, "the rest")
        arrived = set()
        for frame in broker.entries(Entry.FRAMES):
            number, _, pad = frame.decode().rstrip("\n").partition(":")
            assert pad == PAD, f"{frame[:40]!r} was never said"
            arrived.add(int(number))
        return arrived, told(self.text)

    def _settle(self) -> bool:
        """True when the last frame, or what stands for it, has come and gone."""
        batches = self.broker.batches
        if not batches:
            return False
        last = batches[-1]
        mine = [batch for batch in batches if (batch.journal, batch.generation) == (last.journal, last.generation)]
        end = self._contiguous(mine)
        if end > self._end or len(batches) % 50 == 0:
            self._end = end
            dead = [batch for batch in mine if batch.kind == Entry.DEAD and batch.first < end]
            lost = [(n, "the journal has lost it") for b in dead for n in range(b.first, min(end, b.first + b.length))]
            self.broker.report(end, lost[-4_000:])
        values = [frame for batch in mine if batch.kind == Entry.FRAMES for frame in _frames(batch)]
        return any(frame.startswith(f"{self.written}:".encode()) for frame in values)

    def _contiguous(self, batches: list) -> int:
        end = batches[0].base
        for first, length in sorted({(batch.first, batch.length) for batch in batches}):
            if first <= end:
                end = max(end, first + length)
        return end

    def close(self) -> None:
        if self.reader.process is not None and self.reader.process.poll() is None:
            self.reader.stop(signal.SIGKILL)
        self.broker.close()
        self.line.close()


def _frames(batch) -> list[bytes]:
    return codec.unpack_frames(batch.body, batch.length).frames


def told(text: str) -> int:
    """How many numbers the log says are lost."""
    lost: set[int] = set()
    for runs in re.findall(r'journal\.lost .*numbers="?([0-9 -]+)', text):
        for low, high in re.findall(r"(\d+)(?:-(\d+))?", runs):
            lost |= set(range(int(low), int(high or low) + 1))
    return len(lost)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def damage(world: World, ending: str, kind: str, *, replace: bool = False) -> None:
    """Changes a file that the reader has open; `replace` puts another in its place."""
    part = world.part(ending)
    data = DAMAGES[kind](part.read_bytes(), random.Random(f"{ending} {kind}"))
    if data is None or replace:
        part.unlink()
    if data is not None:
        with part.open("r+b" if part.exists() else "wb") as file:
            file.write(data)
            file.truncate()


CASES: list[tuple[str, str, Callable[[World], None]]] = [
    ("the log is truncated", "-wal", lambda world: damage(world, "-wal", "truncated")),
    ("the journal is deleted", "", lambda world: damage(world, "", "deleted")),
    ("the file is emptied", "", lambda world: damage(world, "", "emptied")),
    ("the log is deleted", "-wal", lambda world: damage(world, "-wal", "deleted")),
    ("twenty bits of the log", "-wal", lambda world: damage(world, "-wal", "twenty bits flipped")),
    ("twenty bits of the file", "", lambda world: damage(world, "", "twenty bits flipped")),
    ("the mark is gone", ".mark", lambda world: damage(world, ".mark", "deleted")),
    ("zeroes in the file", "", lambda world: damage(world, "", "zeroes")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("is_killed", [False, True], ids=["goes on", "is killed"])
def test_a_reader_whose_journal_is_damaged(world: World, case: tuple[str, str, Callable], is_killed: bool) -> None:
    """What it says afterwards arrives in any case; of what waited, as much as is not told to be lost."""
    world.say(FRAMES)
    case[2](world)
    world.say(100)
    if is_killed:
        world.start_again()
    wait_until(lambda: world.text.count("port.opened") > is_killed, "the port", 20)
    world.say(10)
    arrived, lost = world.drain()
    text = world.text
    assert "Traceback" not in text
    # Nobody saw the first one begin.
    missing = set(range(2, world.written + 1)) - arrived
    # A kill takes what was read and not committed.
    assert len(missing) <= lost + (8 if is_killed else 0), f"{len(missing)} are missing, {lost} were told"
    if not is_killed:
        beats = world.broker.beats
        world.broker.until(lambda: beats and beats[-1].counters["frames_lost"] == lost, "the counter")


@pytest.mark.whole  # 13 s until the journal is looked after
def test_a_deleted_journal_is_put_back_whole(world: World) -> None:
    """A reader that has it open writes it anew, and says so; what waited is there for the next one."""
    world.say(FRAMES)
    for ending in ("", "-wal", ".mark"):
        world.part(ending).unlink()
    wait_until(lambda: "deleted or replaced" in world.text, "that it is noticed", 20)
    assert world.reader.journal.exists()
    world.start_again()
    wait_until(lambda: world.text.count("port.opened") > 1, "the port", 20)
    world.say(10)
    arrived, lost = world.drain()
    assert lost == 0
    assert len(set(range(2, world.written + 1)) - arrived) <= 8


@pytest.mark.whole
@needs_mosquitto
def test_a_gateway_tells_what_its_journals_lost(tmp_path: Path) -> None:
    """Stopped by force while 3,000 frames wait; one journal's log loses a bit, the other is deleted. Everything comes
    that can be read, `status` names the device that lost something, and what follows arrives."""
    with gateway(tmp_path, 2) as (rig, lines, platform, mosquitto):
        rig.start()
        platform.wait_connected("press0", "press1", deadline_s=40)
        mosquitto.stop()
        feeders = [Feeder(line, 3_000, 1_500) for line in lines]
        for feeder in feeders:
            feeder.wait_written(3_000)
        wait_until(lambda: rig.status().get("backlog", {}).get("frames", 0) >= 5_990, "the backlog", 30)
        assert rig.process is not None
        for pid in rig.pids.values():
            os.kill(pid, signal.SIGKILL)
        rig.process.kill()
        rig.process.wait(10)
        wait_until(lambda: not rig.pids, "all are gone", 20)
        log, gone = (rig.data_dir / "journals" / file_name(name) for name in ("press0", "press1"))
        log = log.with_name(f"{log.name}-wal")
        log.write_bytes(DAMAGES["one bit flipped"](log.read_bytes(), random.Random(3)) or b"")
        for ending in ("", "-wal"):
            gone.with_name(f"{gone.name}{ending}").unlink(missing_ok=True)
        mosquitto.start()
        rig.start()
        wait_until(lambda: rig.status().get("backlog", {}).get("frames") == 0, "all is sent", 60, 0.5)
        text = rig.cli("status").stdout
        assert "lost: press1: damage to its journal took 3" in text
        lost = told(rig.log.read_text(errors="replace"))
        came = [len(first_values(platform.telemetry(name))) for name in rig.names]
        assert came[0] + came[1] + lost >= 6_000
        assert came[0] > 2_900
