"""No frame across a gap: what stands on both sides of bytes that nobody could read is never one value (attacks.md
11)."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import DataPoint, Device
from common.config.models import Line as LineSettings
from common.wire import codec
from common.wire.messages import Entry
from services.port_reader.core.events import Chunk, LineErrors, LineGap
from services.port_reader.core.standstill import KERNEL_BYTES
from services.port_reader.shell import serial_line
from services.port_reader.shell.opening import open_line
from services.port_reader.shell.serial_line import SerialLine
from tests.e2e.harness import Gateway, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.support.port_reader_rig import Rig, frames_of
from tests.support.waiting import wait_until

DEVICE = Device(name="d", type="d", line=LineSettings(baudrate=115_200), telemetry=(DataPoint(key="n"),))
READ = 4_096

CALM_S = 6.0
"""After this a reader of a line that says nothing beats every ten seconds."""


def say(number: int, width: int) -> bytes:
    """A frame that can be told from any two halves of others."""
    return b"<%0*d|%0*d>\n" % (width, number, width, number)


def make_rig(device: Device = DEVICE) -> Rig:
    rig = Rig(device)
    rig.wait(1)
    rig.report(2)
    rig.read(say(0, 5))
    return rig


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.integers(0, 2 * KERNEL_BYTES),
    st.integers(1, 4_000),
    st.lists(st.integers(1, READ), min_size=1, max_size=8),
    st.integers(0, 2_000),
)
def test_whatever_the_kernel_drops_no_wrong_frame_comes_out(
    width: int, more_than_kept: int, dropped: int, cuts: list[int], new_bytes: int
) -> None:
    """It keeps so much, drops so many bytes, and new ones come behind: each frame that is sent was said; the others are
    dead letters, and what comes later is good again."""
    rig = make_rig()
    said = b"".join(say(number, width) for number in range(1, 4_000))
    kept = KERNEL_BYTES + more_than_kept
    line = said[:kept] + said[kept + dropped : kept + dropped + new_bytes]
    rest = said[kept + dropped + new_bytes :][:3_000]
    rig.now_s += 120
    place, number = 0, 0
    while place < len(line):
        # Full reads while more is there, as the shell makes them.
        size = READ if len(line) - place >= READ else cuts[number % len(cuts)]
        rig.give(Chunk(line[place : place + size], rig.wall_ms))
        place, number = place + size, number + 1
        rig.now_s += 0.00001
    rig.wait(0.2)
    rig.read(rest)
    rig.wait(0.2)
    sent = sent_frames(rig)
    assert sent[0] == say(0, 5)
    assert [frame for frame in sent[1:] if frame not in said.splitlines(keepends=True)] == []
    assert rig.count("gaps") == 1
    assert any("nobody could read the line" in letter.reason for letter in rig.journal.letters.values())
    # What comes after the frame that the gap has cut is good.
    assert sent[-1] == rest[: rest.rindex(b"\n") + 1].splitlines(keepends=True)[-1]


def sent_frames(rig: Rig) -> list[bytes]:
    """All frames that went out, in the order of their numbers; some go out again."""
    found: dict[int, bytes] = {}
    for batch in rig.batches:
        if batch.kind == Entry.FRAMES:
            frames = codec.unpack_frames(batch.body, batch.length).frames
            found |= dict(enumerate(frames, batch.first))
    return [frame for _, frame in sorted(found.items())]


def test_a_short_burst_after_a_long_stop_has_lost_nothing() -> None:
    """Less than the kernel keeps: every frame is good, the one in progress too."""
    rig = make_rig()
    rig.now_s += 120
    rig.read(b"<1|1>\n<2|2>\n<3|")
    rig.read(b"3>\n")
    rig.wait(0.2)
    assert sent_frames(rig)[1:] == [b"<1|1>\n", b"<2|2>\n", b"<3|3>\n"]
    assert (rig.count("gaps"), len(rig.journal.letters)) == (0, 0)


@pytest.mark.parametrize("stop_s", [1.3, 2.0, 5.0])
def test_a_busy_line_that_is_read_late_is_doubted(stop_s: float) -> None:
    """It rests for milliseconds between reads; one that comes a second later has not been read meanwhile."""
    rig = make_rig()
    said = b"".join(say(number, 8) for number in range(4_000))
    for place in range(0, 30_000, 600):
        rig.read(said[place : place + 600], 0.05)
    rig.now_s += stop_s
    rig.give(Chunk(said[30_000 : 30_000 + KERNEL_BYTES] + said[50_000:52_000], rig.wall_ms))
    rig.wait(0.3)
    assert [frame for frame in sent_frames(rig)[1:] if frame not in said.splitlines(keepends=True)] == []
    assert rig.count("gaps") == 1


def test_a_line_that_is_only_busy_or_idle_is_not_doubted() -> None:
    """Full reads one after the other; and a calm line, whose reader hears nothing for ten seconds at a time."""
    rig = make_rig()
    chunk = b"".join(say(number, 8) for number in range(300))
    for _ in range(50):
        rig.give(Chunk(chunk, rig.wall_ms))
        rig.wait(0.05)
    rig.wait(60)
    rig.read(chunk)
    rig.wait(0.2)
    assert len(sent_frames(rig)) + rig.uplink.backlog >= 300
    assert rig.count("gaps") == 0


def test_an_answer_does_not_overtake_what_was_said_before_it() -> None:
    """Found by fuzzing: frames wait until a doubted burst is over, and the beginning of an answer, which may end before
    its delimiter, waits behind them."""
    rig = make_rig()
    rig.exchange(time_left_s=100.0, timeout_s=60.0, until=b";", pattern="^ok")
    rig.now_s += 40
    rig.give(Chunk(b"1\n2\nok;3", rig.wall_ms))
    rig.wait(1)
    entries = [frame for _, row in sorted(rig.journal.rows.items()) for frame in frames_of(row)]
    assert entries[-3:] == [b"1\n", b"2\n", b"ok;"]


@pytest.mark.parametrize("reason", ["the driver lost bytes of the line", "the machine was suspended"])
def test_where_bytes_may_be_missing_anywhere_the_whole_burst_is_dead(reason: str) -> None:
    """The driver says so, or the machine slept: what was read with it, and up to the next delimiter."""
    rig = make_rig()
    rig.give(LineGap(reason))
    rig.read(b"<1|1>\n<2|", 0.0)
    rig.wait(0.2)
    rig.read(b"7>\n<8|8>\n")
    rig.wait(0.2)
    assert sent_frames(rig)[1:] == [b"<8|8>\n"]
    dead = [(letter.reason, letter.data) for letter in rig.journal.letters.values()]
    assert dead == [(reason, b"<1|1>\n"), (reason, b"<2|7>\n")]


def test_a_tcp_line_waits_at_its_other_end() -> None:
    """Nothing is dropped there while nobody reads."""
    rig = make_rig(Device(name="d", type="d", line=LineSettings(port="socket://host:1"), telemetry=DEVICE.telemetry))
    rig.now_s += 120
    rig.read(b"".join(say(number, 8) for number in range(400)))
    rig.wait(0.3)
    assert rig.count("gaps") == 0


def test_the_drivers_count_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Overruns of the chip and of the buffer, as Linux lays them out; a driver without a count has lost nothing."""
    line = Line(tmp_path / "tty")
    opened = open_line(LineSettings(port=str(line.path)))
    assert not opened.has_overrun()
    counts = [0] * 20

    def ioctl(_: int, request: int, data: bytes) -> bytes:
        assert (request, len(data)) == (0x545D, 80)
        return struct.pack("20i", *counts)

    monkeypatch.setattr(serial_line, "fcntl", SimpleNamespace(ioctl=ioctl))
    counting = SerialLine(opened.fd, SimpleNamespace(), None)
    assert not counting.has_overrun()
    for place in (7, 10):
        counts[place] += 1
        assert counting.has_overrun()
        assert not counting.has_overrun()
    counts[6] += 5
    assert not counting.has_overrun(), "a wrong stop bit is no lost byte"
    assert counting.take_errors() == LineErrors(framing=5, overruns=2)
    assert counting.take_errors() == LineErrors()
    counts[6:11] = [0] * 5
    assert not counting.has_overrun()
    assert counting.take_errors() == LineErrors(), "another adapter's counts begin at 0"
    monkeypatch.undo()
    opened.close()
    line.close()


class Talker:
    """A device that talks a hundred times faster than its line is set to, so that a stop of a second loses much.

    Such a line is full after a fifth of a second, for which a busy machine may well keep a reader from running; no line
    that talks as fast as its settings say loses anything then, and no reader could notice it. So this device waits for
    its line, as one with a handshake, but for the stop that the test makes: from `lose` on, what the line does not take
    is lost, until it takes something again after `hear`.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self.said: set[bytes] = set()
        self.lost = 0
        """Frames that the line has not taken whole."""
        self._is_losing = self._is_heard = False
        self._stop = threading.Event()
        os.set_blocking(line.master, False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lose(self) -> None:
        """The reader is stopped."""
        self._is_losing = True

    def hear(self) -> None:
        """The reader is about to go on; the line is still full."""
        self._is_heard = True

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            for _ in range(10):
                number += 1
                frame = say(number, 9)
                self.said.add(frame)
                self._say(frame)

    def _say(self, frame: bytes) -> None:
        while frame and not self._stop.is_set():
            try:
                frame = frame[os.write(self._line.master, frame) :]
                self._is_losing = self._is_losing and not self._is_heard
            except BlockingIOError:
                if self._is_losing:
                    self.lost += 1
                    return
                self._stop.wait(0.002)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)


@needs_mosquitto
@pytest.mark.parametrize("is_calm", [False, True])
def test_after_a_stop_no_value_is_made_of_two(tmp_path: Path, is_calm: bool) -> None:
    """A device that talks on while the reader is stopped and continued: each value that arrives was said as one. Also
    one that begins to talk while a reader is stopped that had nothing to do for ten seconds anyway."""
    line, mosquitto = Line(tmp_path / "tty"), Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    section = {"name": "press", "type": "x", "port": str(line.path), "telemetry": [{"key": "n", "type": "string"}]}
    with closing(mosquitto, platform, line):
        gateway = Gateway(tmp_path, write_config(tmp_path / "config", mosquitto.port, [section]))
        with closing(gateway):
            gateway.start_all(["press"])
            platform.wait_connected("press")
            pid = gateway.processes["press"].pid
            if is_calm:
                time.sleep(CALM_S)
                os.kill(pid, signal.SIGSTOP)
            talker = Talker(line)
            with closing(talker):
                if not is_calm:
                    platform.wait_telemetry("press", 50)
                    os.kill(pid, signal.SIGSTOP)
                talker.lose()
                stopped = len(talker.said)
                wait_until(
                    lambda: len(talker.said) > stopped + 5_000 and talker.lost > 1_000, "the line drops some", 60, 0.1
                )
                talker.hear()
                os.kill(pid, signal.SIGCONT)
                before = len(platform.telemetry("press"))
                platform.wait_telemetry("press", before + 5_000, 60)
            values = {item["values"]["n"].encode() for item in platform.telemetry("press")}
            assert {value + b"\n" for value in values} - talker.said == set()
            letters = gateway.cli("dead-letters", "--device", "press").stdout
            assert "nobody could read the line for too long" in letters


def test_what_was_read_before_a_write_is_no_answer_though_it_is_doubted() -> None:
    """Frames of a doubted burst wait until it is over, and a call may be written meanwhile (seed 1206): what had come
    before is no answer to it, what comes after is."""
    rig = Rig(Device(name="d", converter="Users"))
    rig.wait(1)
    rig.give(LineGap("nobody could read the line for too long", is_anywhere=False))
    rig.read(b"-1\n2\n", 0.0)
    rig.exchange(pattern="^-")
    assert rig.written == [b"GET\n"]
    rig.read(b"half\n-7\n", 0.01)
    rig.wait(1)
    assert rig.ended("c1") == "answer: -7\n"
    assert list(dict.fromkeys(rig.sent())) == [b"-1\n", b"2\n", b"half\n"]
    assert list(dict.fromkeys(rig.sent(Entry.ANSWER))) == [b"-7\n"]
