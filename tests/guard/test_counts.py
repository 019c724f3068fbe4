"""What a frame costs, in counts that do not depend on the machine's mood. Times are in `make bench`.

Each limit is what was counted when it was written, and a fifth more. Who makes something dearer sees it here; who makes
it cheaper writes down the new figure.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from common.config.models import DataPoint, Device, Platform
from common.core.events import Arrived, Send, Tick
from common.core.liveness import CALM_BEAT_S
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.stream.blocks import Block
from common.stream.events import Append, Trim
from common.wire import codec
from common.wire.messages import Entry, FrameBatch, FrameBody, Plane, ReadingBatch, StreamReport
from services.port_reader.core.events import Chunk, Rest
from services.publisher.core.events import Publish, RoundOver
from tests.support.converting import World, frame_batch
from tests.support.port_reader_rig import Rig
from tests.support.publisher_driving import Driver, batch

ROOM: Final = 1.2
FRAME: Final = b"0000000042\r0012345678901\n"
CHUNK: Final = 170
"""Frames of one read of a busy line."""
BATCH: Final = 512
EXAMPLE: Final = Device(
    name="press",
    type="press",
    telemetry=(DataPoint(key="humidity", type="float", until_delimiter="\r"),),
    attributes=(DataPoint(key="SerialNumber", type="string", from_byte=11, to_byte=-1),),
)


def calls_of(work: Callable[[], Any]) -> int:
    """Calls of functions, ours and built-in ones, that this does."""
    count = 0

    def watch(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def check(found: float, counted: float) -> None:
    """A count against what it was. One that is far below is no success either before somebody has looked."""
    assert counted / ROOM <= found <= counted * ROOM, f"found {found}, it was {counted}"


def announced() -> Driver:
    """A publisher whose platform takes 50,000 bytes and knows the device."""
    driver = Driver(Platform(max_payload_size_bytes=50_000))
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    return driver


def test_calls_of_the_port_reader() -> None:
    """One read of a busy line, from its bytes to its batch, and the report on it."""
    rig = Rig(EXAMPLE)
    rig.wait(1)
    rig.report(2)
    chunk, next_number = FRAME * CHUNK, 2

    def turn() -> None:
        nonlocal next_number
        rig.now_s += 0.05
        effects = rig.core.handle(Chunk(chunk, rig.wall_ms), rig.now_s)
        assert {type(effect) for effect in effects} <= {Append, Send, Rest}
        next_number += CHUNK
        generation = rig.journal.state.generation
        report = StreamReport("j", generation, "e1", next_number, next_number, 1 << 20, [], [])
        rig.core.handle(Arrived(Plane.EVENTS, report), rig.now_s)

    for _ in range(3):
        turn()
    check(calls_of(turn) / CHUNK, 1.06)


def test_calls_of_the_converter() -> None:
    """A full batch of the example's two data points."""
    world = World().start()
    world.know(EXAMPLE)
    frames = frame_batch(EXAMPLE, [FRAME] * BATCH)
    world.say(frames)
    check(calls_of(lambda: world.say(frames)) / BATCH, 1.14)
    assert world.take(ReadingBatch)[-1].length == BATCH


def test_calls_of_the_publisher() -> None:
    """A full batch, from the converter's to its publishes, their acceptance and the reports."""
    driver = announced()
    readings = [{"humidity": 42.0}] * BATCH
    batches = [batch(2 + number * BATCH, readings, attributes={"s": number}) for number in range(5)]
    for item in batches[:4]:
        driver.take(item)
        driver.ack_all()

    def turn() -> None:
        driver.take(batches[4])
        driver.ack_all()

    check(calls_of(turn) / BATCH, 1.52)


def test_calls_for_a_frame_that_comes_alone() -> None:
    """What each process does between its arrival and its passing on: on a quiet gateway that is its latency."""
    rig = Rig(EXAMPLE)
    rig.wait(1)
    rig.report(2)
    world = World().start()
    world.know(EXAMPLE)
    frame = frame_batch(EXAMPLE, [FRAME])
    world.say(frame)
    driver = announced()
    reading = Arrived(Plane.READINGS, batch(2, [{"humidity": 42.0}], attributes={"s": 1}))

    def publish() -> None:
        driver.core.handle(reading, driver.now_s)
        driver.core.handle(RoundOver(), driver.now_s)

    check(calls_of(lambda: rig.core.handle(Chunk(FRAME, rig.wall_ms), rig.now_s)), 114)
    check(calls_of(lambda: world.core.handle(Arrived(Plane.FRAMES, frame), world.now_s)), 67)
    check(calls_of(publish), 179)


def test_a_busy_line_takes_few_messages_and_commits() -> None:
    """115,200 baud, 480 frames/s, with a publisher that answers in 3 ms: what it does in ten seconds."""
    rig = Rig(EXAMPLE, ports=64)
    rig.wait(1)
    rig.report(2)
    rig.performed.clear()
    end_s, rest_until_s, waiting = rig.now_s + 10, 0.0, b""
    while rig.now_s < end_s:
        rig.wait(2 / 480)
        waiting += FRAME[1:] * 2
        if rig.now_s >= rest_until_s:
            rig.read(waiting, 0.0)
            waiting = b""
            rest_until_s = max(
                (e.line_until_s for e in rig.performed if isinstance(e, Rest) and e.line_until_s is not None),
                default=0.0,
            )
            last = rig.batches[-1]
            rig.report(last.first + last.length)
    counts = Counter(type(effect) for effect in rig.performed)
    batches = sum(isinstance(getattr(effect, "message", None), FrameBatch) for effect in rig.performed)
    assert rig.count("frames_read") >= 4_600
    check(batches / 10, 4.2)
    check(counts[Append] / 10, 4.2)
    assert counts[Trim] == 0


def test_messages_of_the_publisher() -> None:
    """Five full batches of one device: a publish of telemetry each, attributes once in a while, a report for each."""
    driver = announced()
    published = len(driver.published)
    effects: list[Any] = []
    for number in range(5):
        effects += driver.take(batch(2 + number * 500, [{"n": 1.0}] * 500, attributes={"s": number}))
    while driver.unacked:
        effects += driver.ack(driver.unacked[0])
    reports = sum(isinstance(effect, Send) and isinstance(effect.message, StreamReport) for effect in effects)
    check(len(driver.published) - published, 6)
    assert all(isinstance(order, Publish) for order in driver.published)
    check(reports, 5)


def test_an_idle_reader_hardly_wakes_up() -> None:
    """Its beat, once in ten seconds, and nothing else."""
    rig = Rig(EXAMPLE)
    rig.wait(1)
    rig.report(2)
    rig.wait(30, heartbeats=False)
    ticks = 0
    end_s = rig.now_s + 100
    while (deadline_s := rig.core.next_deadline_s or end_s) < end_s:
        rig.now_s = deadline_s
        rig.give(Tick())
        ticks += 1
    check(ticks, 100 / CALM_BEAT_S)


def test_bytes_on_the_disk_of_a_frame_that_comes_alone(tmp_path: Path) -> None:
    """A page of its block and one of `meta`, each with its head in the log; and the mark, and its share of what the
    log's pages are copied for. Whoever says something once a second writes this, on a card that wears."""
    journal = Journal(JournalFile(tmp_path / "press.journal", "press", "j1"))
    journal.put_section("s", b"{}")
    body = codec.pack_frames(FrameBody([1_700_000_000_000], [FRAME[:13]], []))
    before = 0
    for number in range(1, 4_001):
        block = Block(number, 1, Entry.FRAMES, "s", body, 1_700_000_000_000 + number)
        # The one before is settled: that is what comes of the frame before within a second.
        journal.append(Append([block], number + 1, 1_700_000_000_000 + number, number - 1, b"\0\1"))
        before = before or _written_bytes()
    found = (_written_bytes() - before) / 3_999
    journal.close()
    check(found, 2_189)


def _written_bytes() -> int:
    """What this process has given to the system to be written."""
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(said["wchar"])


def test_bytes_of_a_frame_between_processes() -> None:
    """24 bytes on the line; with timestamps and msgpack it is little more."""
    rig = Rig(EXAMPLE)
    rig.wait(1)
    rig.read(FRAME * CHUNK)
    check(sum(map(len, codec.encode(rig.batches[-1]))) / CHUNK, 36.2)
