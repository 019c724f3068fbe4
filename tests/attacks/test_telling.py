"""Telling never holds doing: a log that nobody takes stops nothing (attacks.md 2)."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.io.outlet import LogOutlet, OutletStream, Sink, open_sink
from tests.attacks.rig import gateway, share_late, wait_arrived
from tests.attacks.stranger import needs_root
from tests.e2e.feeding import Feeder
from tests.e2e.harness import ROOT, Platform, closing, needs_mosquitto
from tests.support.waiting import wait_until

CALLS = {
    "serverSideRpc": [
        {
            "method": "ask",
            "type": "string",
            "withResponse": True,
            "responsePattern": "^A",
            "responseType": "string",
            "responseToByte": -1,
        }
    ],
    "downlink_converter": "SerialDownlinkConverter",
    "telemetry": [{"key": "n", "type": "int", "untilDelimiter": "\n"}],
}


# The outlet itself.


class Pipe:
    """A sink that takes so many bytes and then none."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = b""

    def put(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        part = data[: self.room]
        self.room -= len(part)
        self.taken += part
        return len(part)


def make_outlet(pipe: Pipe, waiting_bytes: int = 100) -> LogOutlet:
    return LogOutlet(Sink(pipe.put), lambda count: b"dropped %d\n" % count, waiting_bytes)


@given(
    st.lists(st.binary(min_size=1, max_size=30).map(lambda line: line.replace(b"\n", b"-") + b"\n"), max_size=40),
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
)
def test_what_comes_out_is_whole_lines_in_order_and_the_count_is_right(lines: list[bytes], rooms: list[int]) -> None:
    """However a reader dawdles: nothing is torn, nothing waits without bound, each line came out or was counted."""
    pipe = Pipe(0)
    outlet = make_outlet(pipe)
    for number, line in enumerate(lines):
        pipe.room += rooms[number % len(rooms)]
        outlet.write(line)
        assert outlet._waiting_bytes <= 100 + 32
    pipe.room = 1_000_000
    outlet.catch_up()
    assert not outlet.is_behind
    came = [line + b"\n" for line in pipe.taken.split(b"\n")[:-1]]
    said = [int(line.removeprefix(b"dropped ")) for line in came if line.startswith(b"dropped ")]
    shown = [line for line in came if not line.startswith(b"dropped ")]
    rest = iter(lines)
    assert all(line in rest for line in shown), "in order, each as it was"
    assert len(shown) + sum(said) == len(lines)
    assert sum(said) == outlet.dropped


def test_dropped_lines_are_said_once_when_somebody_reads_again() -> None:
    """One line, with their number, behind what was kept."""
    pipe = Pipe(0)
    outlet = make_outlet(pipe, 20)
    for number in range(50):
        outlet.write(b"line %02d\n" % number)
    pipe.room = 1000
    outlet.catch_up()
    outlet.write(b"later\n")
    assert pipe.taken == b"line 00\nline 01\ndropped 48\nlater\n"


def test_a_full_disk_drops_and_counts() -> None:
    """Whatever the system says, nothing is raised; when there is room, the number is said."""
    full = True
    taken = []

    def put(data: bytes) -> int:
        if full:
            raise OSError(28, "No space left on device")
        taken.append(data)
        return len(data)

    outlet = LogOutlet(Sink(put), lambda count: b"dropped %d\n" % count)
    outlet.write(b"one\ntwo\n")
    outlet.write(b"three\n")
    full = False
    outlet.catch_up()
    assert taken == [b"dropped 3\n"]


def test_a_reader_that_has_gone_is_not_waited_for() -> None:
    """Whoever polls for room would else wake up for ever: a pipe without a reader is always ready."""
    reader, writer = os.pipe()
    outlet = LogOutlet(open_sink(None, writer), lambda count: b"dropped %d\n" % count)
    os.set_blocking(writer, True)
    while not outlet.wants_room:
        outlet.write(b"x" * 999 + b"\n")
    os.close(reader)
    outlet.write(b"y\n")
    assert not outlet.wants_room
    assert outlet.dropped > 1
    os.close(writer)


def test_nobody_is_asked_for_room_once_all_is_said() -> None:
    """What waited went out, the line about what was dropped had to wait, and then found room too: whoever polled on
    for room would find some for ever, and never rest."""
    pipe = Pipe(0)
    outlet = make_outlet(pipe)
    for _ in range(20):
        outlet.write(b"0123456789\n")
    pipe.room = outlet._waiting_bytes
    outlet.catch_up()
    assert (outlet.is_behind, outlet.wants_room) == (True, True)
    pipe.room = 1_000
    outlet.catch_up()
    assert (outlet.is_behind, outlet.wants_room) == (False, False)


def test_prints_go_out_as_whole_harmless_lines() -> None:
    """What users' code prints piece by piece, and what would steer a terminal."""
    pipe = Pipe(1_000_000)
    stream = OutletStream(make_outlet(pipe))
    print("a", end="", file=stream)
    print("b\x1b[2J\x9b1m\u202e", file=stream)
    print("x" * 70_000, end="", file=stream)
    assert pipe.taken.split(b"\n")[0] == b"ab\\u001b[2J\\u009b1m\\u202e"
    assert len(pipe.taken) > 70_000


@contextmanager
def stuck(kind: str) -> Iterator[tuple[int, int]]:
    """(a descriptor on which a write would wait, the other end)."""
    if kind == "terminal":
        reader, writer = pty.openpty()
        tty.setraw(writer)
        termios.tcflow(writer, termios.TCOOFF)
    elif kind == "socket":
        import socket

        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    else:
        reader, writer = os.pipe()
    try:
        yield writer, reader
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_a_process_that_nobody_hears_goes_on(kind: str) -> None:
    """Whatever standard error is, a stuck one holds up no writer; the flags that others share stay as they are."""
    code = (
        "import sys; from common.core.events import Note; from common.io.logs import *\n"
        "logger = start_logs('x'); take_streams(logger)\n"
        "for number in range(20000): print('word', number, 'x' * 50)\n"
        "for number in range(500): log_note(logger, Note('info', f'event{number % 7}', {'n': number}))\n"
        "handler_of(logger).catch_up()\n"
    )
    with stuck(kind) as (writer, _):
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code], stderr=writer, env=environ, timeout=15, check=True)
        assert os.get_blocking(writer)


@pytest.mark.timeout(20)
@needs_root
def test_a_terminal_of_another_user_can_be_written_to() -> None:
    """One that may not be opened anew, as after `su`: asked before each write."""
    with stuck("pipe") as (writer, reader):
        sink = open_sink(None, writer)
        assert sink.put(b"x") == 1
        assert os.read(reader, 10) == b"x"
    from common.io.outlet import _sink_that_asks

    with stuck("pipe") as (writer, reader):
        outlet = LogOutlet(_sink_that_asks(writer), lambda _: b"")
        for _ in range(100):
            outlet.write(b"y" * 5000 + b"\n")
        assert outlet.dropped > 0
        assert os.read(reader, 5001) == b"y" * 5000 + b"\n"


# The whole gateway.


@needs_mosquitto
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_data_calls_and_restarts_go_on_under_a_log_that_nobody_reads(kind: str, tmp_path: Path) -> None:
    """A pager that is left open, a terminal under ^S: all frames arrive in time, calls are answered, a killed process
    comes back; when somebody reads again, what was dropped is said."""
    with gateway(tmp_path, 2, sections=[CALLS]) as (rig, lines, platform, _), stuck(kind) as (writer, reader):
        if kind == "pipe":
            _fill(writer)
        rig.start("--log-level", "DEBUG", stderr=writer)
        platform.wait_connected("press0", "press1", deadline_s=40)
        _flood(platform)
        feeders = [Feeder(line, 400, 50) for line in lines]
        with closing(*feeders):
            for number in range(1, 6):
                platform.say("v1/gateway/rpc", _call("press0", number))
                lines[0].read_until(b"q%d\n" % number)
                lines[0].write(b"A%d\n" % number)
                assert platform.reply("press0", number) == {"result": f"A{number}"}
            rig.kill("converter-0")
            rig.kill("publisher")
            wait_arrived(platform, "press1", feeders[1])
            assert share_late(platform, "press1", feeders[1], since=300) == 0
        rig.wait_for("converter-0", "publisher", "broker", "press0", "press1")
        if kind == "terminal":
            termios.tcflow(writer, termios.TCOON)
        os.set_blocking(reader, False)
        text = ""

        def told() -> bool:
            nonlocal text
            try:
                text += os.read(reader, 1 << 20).decode(errors="replace")
            except BlockingIOError:
                pass
            return "log.dropped lines=" in text

        wait_until(told, "what was dropped", 20, 0.05)
        assert rig.stop() == 0


def _call(device: str, number: int) -> dict[str, object]:
    return {"device": device, "data": {"id": number, "method": "ask", "params": f"q{number}\n"}}


def _flood(platform: Platform) -> None:
    """More lines about calls to nobody than any pipe or buffer holds."""
    for number in range(300):
        platform.say("v1/gateway/rpc", _call("nobody" * 50, 1000 + number))


def _fill(writer: int) -> None:
    """Nobody has ever read: not even the first line finds room."""
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"-" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)


@needs_mosquitto
def test_data_goes_on_while_the_one_that_takes_the_logs_stands_still(tmp_path: Path) -> None:
    """supervisord stopped: the processes' own pipes fill up, and they go on."""
    with gateway(tmp_path, 1) as (rig, lines, platform, _):
        rig.start("--log-level", "DEBUG")
        platform.wait_connected("press0", deadline_s=40)
        assert rig.process is not None
        os.kill(rig.process.pid, signal.SIGSTOP)
        try:
            feeder = Feeder(lines[0], 500, 100)
            with closing(feeder):
                _flood(platform)
                wait_arrived(platform, "press0", feeder)
                assert share_late(platform, "press0", feeder) == 0
        finally:
            os.kill(rig.process.pid, signal.SIGCONT)
        assert rig.stop() == 0


@needs_mosquitto
@needs_root
def test_data_and_restarts_go_on_on_a_full_disk(tmp_path: Path) -> None:
    """The log's own disk, with supervisord's file on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(disk)], check=True)
    try:
        with gateway(tmp_path, 1) as (rig, lines, platform, _):
            (tmp_path / "data").mkdir(mode=0o700)
            rig.log = disk / "run.log"
            rig.start("--log-level", "DEBUG")
            platform.wait_connected("press0", deadline_s=40)
            with (disk / "filler").open("wb", buffering=0) as filler:
                try:
                    while True:
                        filler.write(bytes(4096))
                except OSError:
                    pass
            feeder = Feeder(lines[0], 300, 50)
            _flood(platform)
            with closing(feeder):
                feeder.wait_written(50)
                rig.kill("converter-0")
                rig.kill("publisher")
                wait_arrived(platform, "press0", feeder)
            (disk / "filler").unlink()
            assert rig.stop() == 0
            assert "log.dropped lines=" in rig.log.read_text()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
