"""`serialgw capture` and `serialgw replay`: on pseudo-terminals, with real processes, and through a running gateway."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.io.endpoints import Endpoints, socket_dir
from common.io.exits import EXIT_UNAVAILABLE
from common.io.sockets import TapWatch, connect_events
from common.wire.messages import LINE_STAGE, Tap
from common.wire.taps import Passed, tap_of_line
from services.cli.__main__ import main
from services.cli.captures.files import read_capture
from services.cli.captures.form import Chunk, End
from tests.profiles.samples import samples_of
from tests.support.replaying import CAPTURES, ROOT, environ, replayed, serialgw
from tests.support.waiting import wait_until

Captured = pytest.CaptureFixture[str]
DEADLINE_S = 30.0
PACE_S = 0.02
SDS011 = CAPTURES / "sds011.txt"
PZEM = CAPTURES / "pzem-016.txt"
FRAMES = (b"T=20.1\r\n", b"T=20.2\r\n", b'\x00\xff#"\\\r\n')


class Talker:
    """A device at a pseudo-terminal that says one frame after the other, and keeps what is written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        os.set_blocking(self.ours, False)
        self.port = os.ttyname(self.theirs)
        self.heard = b""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(PACE_S):
            try:
                os.write(self.ours, FRAMES[number % len(FRAMES)])
                number += 1
            except BlockingIOError:
                pass
            if select.select([self.ours], [], [], 0)[0]:
                self.heard += os.read(self.ours, 4096)
        os.close(self.ours)

    def pull_out(self) -> None:
        """The device is gone, and says no more."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Talker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pull_out()
        os.close(self.theirs)


def chunks_of(path: Path) -> list[Chunk]:
    return [one for one in read_capture(path, 10_000_000) if isinstance(one, Chunk)]


def said_in(path: Path) -> bytes:
    return b"".join(one.data for one in chunks_of(path) if not one.is_written)


def has_chunks(path: Path, count: int) -> bool:
    """True once so many are in a file that is being written."""
    return path.exists() and path.read_text().count(" < ") >= count


def capture(source: str, folder: Path, *more: str) -> int:
    return main(["capture", source, "--data-dir", str(folder), *more])


def test_a_talking_line_is_recorded(tmp_path: Path, capsys: Captured) -> None:
    """Every byte in order, with times that rise and an end; nothing is written to the device."""
    out = tmp_path / "c.txt"
    with Talker() as talker:
        assert capture(talker.port, tmp_path, "-o", str(out), "--seconds", "0.6", "--json") == 0
    end = json.loads(capsys.readouterr().out)
    entries = read_capture(out, 1_000_000)
    assert isinstance(entries[-1], End)
    assert entries[-1].at_s >= 0.6
    said = said_in(out)
    assert said in b"".join(FRAMES) * 200
    assert len(said) >= 3 * len(FRAMES[0])
    assert talker.heard == b""
    assert (end["what"], end["endedBy"], end["missed"], end["file"]) == ("end", "--seconds", 0, str(out))
    assert (end["readBytes"], end["writtenBytes"], end["chunks"]) == (len(said), 0, len(entries) - 1)


def test_without_a_file_it_goes_to_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    """The same lines, or one JSON object a chunk; progress goes elsewhere."""
    with Talker() as talker:
        assert capture(talker.port, tmp_path, "--seconds", "0.3") == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[0] == "serialgw capture 1"
        assert out.splitlines()[-1].endswith(" end")
        assert "recording" in err
        assert "recorded" in err
        assert capture(talker.port, tmp_path, "--seconds", "0.3", "--json") == 0
    *chunks, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert {one["what"] for one in chunks} == {"read"}
    assert sum(one["bytes"] for one in chunks) == end["readBytes"] > 0
    assert "file" not in end


def test_no_more_bytes_are_taken_than_is_said(tmp_path: Path, capsys: Captured) -> None:
    """To the byte."""
    out = tmp_path / "c.txt"
    with Talker() as talker:
        assert capture(talker.port, tmp_path, "-o", str(out), "--bytes", "10", "--json") == 0
    assert json.loads(capsys.readouterr().out)["endedBy"] == "--bytes"
    assert len(said_in(out)) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_and_keeps_what_there_is(tmp_path: Path, number: int) -> None:
    """Exit code 0, and a whole file."""
    out = tmp_path / "c.txt"
    with Talker() as talker:
        process = subprocess.Popen(
            serialgw("capture", talker.port, "-o", str(out), "--data-dir", str(tmp_path), "--seconds", "600"),
            **{"cwd": ROOT, "env": environ(), "stderr": subprocess.PIPE},
        )
        try:
            wait_until(lambda: has_chunks(out, 3), "some chunks")
            process.send_signal(number)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
            _, err = process.communicate()
    assert isinstance(read_capture(out, 1_000_000)[-1], End)
    assert b"recorded" in err


def test_a_port_that_is_pulled_out_keeps_what_there_is(tmp_path: Path, capsys: Captured) -> None:
    """And is an error all the same."""
    out = tmp_path / "c.txt"
    with Talker() as talker:

        def pull_out() -> None:
            wait_until(lambda: has_chunks(out, 3), "some chunks")
            talker.pull_out()

        thread = threading.Thread(target=pull_out)
        thread.start()
        code = capture(talker.port, tmp_path, "-o", str(out), "--seconds", "30")
        thread.join()
    assert code == EXIT_UNAVAILABLE
    assert isinstance(read_capture(out, 1_000_000)[-1], End)
    said = capsys.readouterr().err
    assert f"error: {talker.port}: " in said


def test_a_silent_line_is_said(tmp_path: Path, capsys: Captured) -> None:
    """Exit code 1, and a file that says that nothing came."""
    ours, theirs = os.openpty()
    try:
        assert capture(os.ttyname(theirs), tmp_path, "--seconds", "0.1") == 1
    finally:
        os.close(ours)
        os.close(theirs)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "nothing came in" in err


def test_a_connection_is_recorded_as_a_port_is(tmp_path: Path, capsys: Captured) -> None:
    """`socket://`, whose speed nobody here sets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(FRAMES[0])
                connection.recv(1)

        thread = threading.Thread(target=talk)
        thread.start()
        code = capture(url, tmp_path, "--bytes", str(len(FRAMES[0])))
        thread.join()
    assert code == 0
    out = capsys.readouterr().out
    assert FRAMES[0].hex(" ").upper() in out
    assert f"# {url}, begun" in out


def test_wrong_usage_is_told(tmp_path: Path, capsys: Captured) -> None:
    """Before anything is opened, or written over."""
    there = tmp_path / "there.txt"
    there.touch()
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"name": "S", "devices": [{"name": "a", "port": "/dev/ttyUSB9"}]}))
    for arguments, said in (
        (["/dev/null", "-o", str(there)], "is there already: name another file, or --force"),
        (["/dev/ttyUSB0", "--setting", "fast"], "--setting: found"),
        (["/dev/ttyUSB0", "--config", str(config)], "found no device at /dev/ttyUSB0 in"),
        (["rfc2217://h:1"], "expected a port of this machine or socket://HOST:PORT"),
        (["gopher://h:1"], "a scheme that serial ports don't have"),
        (["press1", "--setting", "9600 8N1"], "are for a PORT"),
    ):
        assert capture(arguments[0], tmp_path, *arguments[1:]) == 2
        assert said in capsys.readouterr().err
    assert there.read_bytes() == b""
    for arguments, code in ((["/dev/ttyUSB99"], EXIT_UNAVAILABLE), (["press1"], EXIT_UNAVAILABLE)):
        assert capture(arguments[0], tmp_path, *arguments[1:]) == code
    for wrong in ("0", "nan", "x", "1e9"):
        with pytest.raises(SystemExit):
            capture("/dev/ttyUSB0", tmp_path, "--seconds", wrong)


def test_settings_come_from_where_they_are(tmp_path: Path, capsys: Captured) -> None:
    """The configuration's device at this port, or a profile; the head of the file says which."""
    with Talker() as talker:
        config = tmp_path / "c.json"
        device = {"name": "a", "port": talker.port, "baudrate": 19200, "parity": "E", "bytesize": 7}
        config.write_text(json.dumps({"name": "S", "devices": [device]}))
        for option, setting in ((["--config", str(config)], "19200 7E1"), (["--profile", "dsmr-p1"], "115200 8N1")):
            assert capture(talker.port, tmp_path, *option, "--bytes", "1") == 0
            assert f"# {talker.port}, {setting}, begun" in capsys.readouterr().out


# Replay


def test_a_replay_is_read_as_the_device_was(tmp_path: Path, capsys: Captured) -> None:
    """From the beginning for each who opens the port; the link is there as long as it is."""
    link, out = tmp_path / "meter", tmp_path / "out.txt"
    said = said_in(SDS011)
    with replayed(SDS011, "--speed", "20", "--loop", "--link", str(link)) as port:
        assert os.readlink(link) == port
        for _ in range(2):
            assert capture(str(link), tmp_path, "-o", str(out), "--bytes", str(len(said)), "--force") == 0
            assert said_in(out) == said
    assert not link.is_symlink()


def test_a_replay_ends_when_all_is_said_and_the_port_closed(tmp_path: Path) -> None:
    """By itself, with 0."""
    process = subprocess.Popen(
        serialgw("replay", str(SDS011), "--at-once", "--json"),
        **{"cwd": ROOT, "env": environ(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        assert capture(port, tmp_path, "--bytes", str(len(said_in(SDS011)))) == 0
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_replay_refuses_what_it_can_not_play(tmp_path: Path, capsys: Captured) -> None:
    """Other files, a capture of nothing, a link over something that is there."""
    empty, other = tmp_path / "empty.txt", tmp_path / "other.bin"
    empty.write_text("serialgw capture 1\n1.0 end\n")
    other.write_bytes(b"\x00\x01")
    for path, said in ((empty, "found no bytes in it"), (other, "which captures begin with")):
        assert main(["replay", str(path)]) == 2
        assert said in capsys.readouterr().err
    assert main(["replay", str(SDS011), "--link", str(other)]) == 1
    assert other.read_bytes() == b"\x00\x01"


# A running gateway


@contextmanager
def gateway(folder: Path, *devices: dict[str, Any]) -> Iterator[Path]:
    """The data directory of a broker, and of a port reader for the first of these devices."""
    config, data_dir = folder / "c.json", folder / "data"
    config.write_text(json.dumps({"name": "S", "devices": devices}))
    data_dir.mkdir()
    common = ["--config", str(config), "--data-dir", str(data_dir)]
    commands = [
        [sys.executable, "-m", "services.broker", *common],
        [sys.executable, "-m", "services.port_reader", *common, "--device", str(devices[0]["name"])],
    ]
    processes = []
    with (folder / "gateway.log").open("wb") as log:
        try:
            for command in commands:
                processes.append(subprocess.Popen(command, cwd=ROOT, env=environ(), stderr=log))
                wait_until((socket_dir(data_dir) / "calls").exists, "the broker listens")
            yield data_dir
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(DEADLINE_S)
    sys.stderr.write((folder / "gateway.log").read_text())


def test_a_device_of_a_running_gateway_is_recorded(tmp_path: Path, capsys: Captured) -> None:
    """What its port reader reads, byte by byte, while that goes on."""
    out = tmp_path / "c.txt"
    with Talker() as talker, gateway(tmp_path, {"name": "t 1", "port": talker.port}) as data_dir:
        assert capture("t 1", data_dir, "-o", str(out), "--bytes", "200", "--seconds", "60", "--json") == 0
    assert said_in(out) in b"".join(FRAMES) * 10_000
    end = json.loads(capsys.readouterr().out)
    assert (end["endedBy"], end["readBytes"], end["missed"]) == ("--bytes", 200, 0)


def test_what_the_gateway_asks_is_recorded_and_played_again(tmp_path: Path, capsys: Captured) -> None:
    """A replayed meter is asked by a real reader, recorded with its questions, and what was recorded answers again."""
    out, again = tmp_path / "c.txt", tmp_path / "again.txt"
    question, answers = samples_of("pzem-016")[0].asked[0], [one.stream for one in samples_of("pzem-016")[:3]]
    with replayed(PZEM, "--speed", "10") as port:
        device = {"name": "meter", "port": port, "profile": "pzem-016", "every": 0.1}
        with gateway(tmp_path, device) as data_dir:
            assert capture("meter", data_dir, "-o", str(out), "--bytes", "200", "--seconds", "60") == 0
    # The last one is cut where there was enough.
    found = chunks_of(out)[:-1]
    assert {one.data for one in found if one.is_written} == {question}
    said = [one.data for one in found if not one.is_written]
    assert set(said[1:]) <= set(answers)
    assert len(said) >= 3
    capsys.readouterr()
    assert main(["try", "--profile", "pzem-016", str(out), "--json"]) in (0, 1)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = [one["telemetry"] for one in shown if one.get("telemetry")]
    assert {one["voltage"] for one in values} <= {239.3, 225.7, 220.2}
    assert {one["asks"] for one in shown if one.get("written") and one["bytes"] == len(question)} == {"input:0+10"}
    with replayed(out, "--at-once") as port:
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(fd, question)
            assert select.select([fd], [], [], DEADLINE_S)[0]
            again.write_bytes(os.read(fd, 4096))
        finally:
            os.close(fd)
    assert again.read_bytes()[:3] == b"\x01\x04\x14"


def test_what_did_not_come_is_counted(tmp_path: Path, capsys: Captured) -> None:
    """Taps that are missing between two that came, and what is none: said in the file, to the person, and in JSON. A
    clock that jumps does not move what comes behind it by an hour."""
    out = tmp_path / "c.txt"
    context: zmq.Context[Any] = zmq.Context()
    with Talker() as talker, gateway(tmp_path, {"name": "other", "port": talker.port}) as data_dir:
        publish, _ = connect_events(context, Endpoints(socket_dir(data_dir)), [])
        watch = TapWatch(publish)

        def say() -> None:
            wait_until(lambda: watch.receive() == () and watch.has_line("far"), "somebody records")
            publish.send(Tap(LINE_STAGE, "far", b"junk"))
            for number, ts_ms in ((7, 1_000), (8, 1_500), (11, 1_400), (12, 3_600_000)):
                publish.send(tap_of_line("far", Passed(number, ts_ms, number == 8, b"\x01")))

        thread = threading.Thread(target=say)
        thread.start()
        code = capture("far", data_dir, "-o", str(out), "--seconds", "60", "--bytes", "4", "--json")
        thread.join()
    context.destroy(linger=0)
    found, err = capsys.readouterr()
    assert (code, json.loads(found)["missed"]) == (0, 3)
    assert "# 3 reads missing" in out.read_text()
    assert "warning: 3 reads missing" in err
    chunks = chunks_of(out)
    assert [one.is_written for one in chunks] == [False, True, False]
    assert [round(one.at_s - chunks[0].at_s, 2) for one in chunks[:2]] == [0.0, 0.5]
    assert b"".join(one.data for one in chunks) == b"\x01" * 4


def test_a_device_that_is_not_there_is_told(tmp_path: Path, capsys: Captured) -> None:
    """A port that the gateway has, with the device's name; nothing is opened."""
    with Talker() as talker, gateway(tmp_path, {"name": "t1", "port": talker.port}) as data_dir:
        assert capture("nobody", data_dir, "--seconds", "0.5") == 1
        assert "nothing came" in capsys.readouterr().err
