"""A port reader process on a real pseudo-terminal, the test in the broker's place."""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import pytest
import zmq

from common.config.models import Device, section_of
from common.config.models import Line as LineSettings
from common.config.task import written_task
from common.core.events import Arrived
from common.core.liveness import BEAT_S
from common.io.endpoints import Endpoints, socket_dir
from common.io.exits import EXIT_CONFIG
from common.io.journal.files import JournalFile
from common.io.journal.journal import Journal
from common.io.journal.opening import open_journal
from common.io.journal.places import file_name
from common.io.journal.sections import section_name
from common.io.sockets import Channel, open_socket
from common.stream.blocks import Block
from common.stream.events import Append, DeadLetter
from common.wire import codec
from common.wire.calls import Beat, verb_of
from common.wire.messages import (
    Entry,
    FrameBatch,
    Heartbeat,
    Plane,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
    topic_of,
)
from tests.support.journals import read_journal
from tests.support.waiting import wait_until

DEADLINE_S = 20.0
DEVICE = "press 1"
EPOCH = "e1"


class Line:
    """A pseudo-terminal behind a link that stays the same when it is closed and opened anew."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = -1
        self.open()

    def open(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        # Held open until the reader has it: a master without a slave hangs up.
        self._slave = slave

    def close(self) -> None:
        self.link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self.master)

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    @property
    def unread_bytes(self) -> int:
        """What was written and the reader has not read."""
        count = array.array("i", [0])
        fcntl.ioctl(self._slave, termios.FIONREAD, count)
        return count[0]

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([self.master], [], [], DEADLINE_S)
            assert ready, f"the device got only {data!r}"
            data += os.read(self.master, count - len(data))
        return data


class Broker:
    """The broker's and the publisher's side of one reader; what came in is kept in lists."""

    def __init__(self, data_dir: Path) -> None:
        self.context = zmq.Context()
        endpoints = Endpoints(socket_dir(data_dir))
        self.frames = self._bind(zmq.PULL, Plane.FRAMES, endpoints.frames_in)
        self.calls = self.context.socket(zmq.ROUTER)
        self.calls.bind(endpoints.calls)
        self.events_in = self._bind(zmq.SUB, Plane.EVENTS, endpoints.events_in)
        self.events_in.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.events_out = open_socket(self.context, zmq.XPUB)
        self.events_out.bind(endpoints.events_out)
        self.batches: list[FrameBatch] = []
        self.replies: list[Reply | Request] = []
        self.beats: list[Heartbeat] = []
        self.taps: list[Tap] = []
        self.reader = b""
        self._beat_s = 0.0

    def _bind(self, kind: int, plane: Plane, endpoint: str) -> Channel:
        socket = open_socket(self.context, kind)
        socket.bind(endpoint)
        return Channel(plane, socket)

    def publish(self, message: StreamReport | Heartbeat) -> None:
        self.events_out.send_multipart([topic_of(message), *codec.encode(message)])

    def call(self, verb: str, body: object, call_id: str = "c1") -> None:
        target = f"port_reader:{DEVICE}"
        request = Request(call_id, "publisher:0", target, verb, DEVICE, "", 5.0, codec.pack(body))
        self.calls.send_multipart([self.reader, *codec.encode(request)])

    def report(self, settled: int, dead: list[tuple[int, str]] | None = None) -> None:
        batch = self.batches[-1]
        self.publish(
            StreamReport(batch.journal, batch.generation, EPOCH, settled, settled, 1 << 20, [], dead or []),
        )

    def until(self, condition, what: str):
        """Serves the reader until the condition gives something."""
        end_s = time.monotonic() + DEADLINE_S
        while not (result := condition()):
            assert time.monotonic() < end_s, f"{what} did not come; batches {self.batches}, replies {self.replies}"
            self._serve()
        return result

    def _serve(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._beat_s:
            self._beat_s = now_s + 0.2
            self.publish(Heartbeat("publisher", "0", "p", 1, "h", 1.0, {"epoch": EPOCH, "link": "up"}, {}))
        zmq.select([self.frames.socket, self.calls, self.events_in.socket], [], [], 0.05)
        self.batches += [event.message for event in self.frames.receive() if isinstance(event, Arrived)]
        for event in self.events_in.receive():
            (self.taps if isinstance(event.message, Tap) else self.beats).append(event.message)
        while self.calls.poll(0):
            self.reader, *parts = self.calls.recv_multipart()
            message = codec.decode(parts)
            if isinstance(message, Register):
                answer = Registered(f"port_reader:{DEVICE}", True, "", "b", "")
                self.calls.send_multipart([self.reader, *codec.encode(answer)])
            else:
                if not (isinstance(message, Request) and message.verb == verb_of(Beat)):
                    self.replies.append(message)

    def entries(self, kind: Entry) -> list[bytes]:
        """The frames of one kind that came, each number once, in order."""
        found = {}
        for batch in self.batches:
            if batch.kind == kind:
                frames = codec.unpack_frames(batch.body, batch.length).frames
                found |= {(batch.generation, batch.first + at): frame for at, frame in enumerate(frames)}
        return [found[place] for place in sorted(found)]

    def close(self) -> None:
        self.context.destroy(linger=0)


class Reader:
    """The process under test."""

    def __init__(self, directory: Path, line: Line) -> None:
        self.data_dir = directory / "data"
        self.config = directory / "serial.json"
        self.section = {"deviceName": DEVICE, "deviceType": "press", "port": str(line.link)}
        self.configure()
        self.log = (directory / "reader.log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **device: object) -> None:
        section = {**self.section, **device}
        self.config.write_text(json.dumps({"name": "serial", "devices": [section]}))

    def command(self, device: str = DEVICE) -> list[str]:
        head = [sys.executable, "-m", "services.port_reader", "--config", str(self.config)]
        return [*head, "--device", device, "--data-dir", str(self.data_dir)]

    def start(self, **environ: str) -> None:
        self.process = subprocess.Popen(self.command(), stderr=self.log, env={**os.environ, **environ})

    def shown(self, name: str) -> list[str]:
        """What the kernel shows of the process: `cmdline` or `environ`."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/{name}").read_bytes().decode().split("\0")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    @property
    def journal(self) -> Path:
        return self.data_dir / "journals" / file_name(DEVICE)

    def rows(self, sql: str) -> list[tuple]:
        return read_journal(self.journal, sql)


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path / "tty")
    yield line
    line.close()


@pytest.fixture
def reader(tmp_path, line):
    reader = Reader(tmp_path, line)
    reader.data_dir.mkdir()
    yield reader
    if reader.process is not None and reader.process.poll() is None:
        reader.process.kill()
        reader.process.wait()
    reader.log.close()
    sys.stdout.write((tmp_path / "reader.log").read_text())


@pytest.fixture
def broker(reader):
    broker = Broker(reader.data_dir)
    yield broker
    broker.close()


def _open(broker: Broker, reader: Reader) -> None:
    reader.start()
    broker.until(lambda: broker.entries(Entry.OPENED), "the OPENED entry")
    _wait_for_beat(broker)


def _wait_for_beat(broker: Broker) -> None:
    # Past the 20 ms in which bytes count as the tail of a frame.
    broker.until(lambda: any(beat.state["connected"] and beat.uptime_s > 0.5 for beat in broker.beats), "a beat")


def test_a_frame_is_journaled_sent_and_trimmed(broker, reader, line):
    """A frame arrives as a FrameBatch after the publisher's heartbeat and leaves the journal after its report."""
    _open(broker, reader)
    before_ms = time.time_ns() // 1_000_000
    line.write(b"48\r2430947595\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    batch = broker.batches[-1]
    body = codec.unpack_frames(batch.body, batch.length)
    assert body.frames == [b"48\r2430947595\n"]
    assert abs(body.ts_ms[0] - before_ms) < 1000
    assert (batch.first, batch.base, batch.epoch, batch.device) == (2, 1, EPOCH, DEVICE)
    assert reader.rows("SELECT first, length, kind FROM blocks ORDER BY first") == [(1, 1, 1), (2, 1, 0)]
    broker.report(3)
    broker.until(lambda: not reader.rows("SELECT 1 FROM blocks"), "the trim")
    assert reader.rows("SELECT next_number, settled FROM meta") == [(3, 3)]
    assert broker.entries(Entry.OPENED) == [b"press"]


def test_who_was_started_by_hand_becomes_a_program_that_has_its_task(broker, reader, line):
    """Same pid; the task is in a file of ours, and no secret is in the environment of what has loaded nothing else."""
    reader.start(TB_GW_ACCESS_TOKEN="very-secret", TB_GW_OTHER="kept")
    broker.until(lambda: broker.entries(Entry.OPENED), "the OPENED entry")
    broker.until(lambda: broker.beats, "a beat")
    assert {beat.pid for beat in broker.beats} == {reader.process.pid}
    words = reader.shown("cmdline")
    [place] = [Path(word.removeprefix("--task=")) for word in words if word.startswith("--task=")]
    assert place.is_relative_to(socket_dir(reader.data_dir))
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert written_task(words).device.name == DEVICE
    assert {"TB_GW_ACCESS_TOKEN=withheld", "TB_GW_OTHER=kept"} <= set(reader.shown("environ"))


def test_who_can_not_write_its_task_serves_all_the_same(broker, reader, line):
    """As on a full disk: it has read what it is to do, and needs only more memory."""
    (socket_dir(reader.data_dir) / "tasks-by-hand").write_text("something is in the way")
    _open(broker, reader)
    assert not [word for word in reader.shown("cmdline") if word.startswith("--task=")]
    line.write(b"one\n")
    broker.until(lambda: broker.entries(Entry.FRAMES) == [b"one\n"], "the frame")


def test_an_edited_configuration_counts_at_the_next_start_by_hand(broker, reader, line):
    """The task of the last start does not stand in its way."""
    _open(broker, reader)
    reader.stop(signal.SIGKILL)
    reader.configure(deviceType="other press")
    reader.start()
    broker.until(lambda: b"other press" in broker.entries(Entry.OPENED), "the OPENED entry of the new type")


def test_a_terminal_that_closes_ends_no_reader(broker, reader, line):
    """SIGHUP to a process that was started in it by hand; SIGTERM still drains."""
    _open(broker, reader)
    reader.process.send_signal(signal.SIGHUP)
    line.write(b"after\n")
    broker.until(lambda: broker.entries(Entry.FRAMES) == [b"after\n"], "the frame")
    assert reader.process.poll() is None


def test_kill_and_start_again_goes_on_from_the_journal(broker, reader, line):
    """After kill -9 what was unsettled comes again under a higher generation, with the same timestamps."""
    _open(broker, reader)
    line.write(b"one\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    first = broker.batches[-1]
    reader.stop(signal.SIGKILL)
    reader.start()
    again = broker.until(
        lambda: [b for b in broker.batches if b.generation > first.generation and b.first == first.first],
        "the frame again",
    )
    assert again[0].body == first.body


def test_what_the_kernel_had_received_is_kept(broker, reader, line):
    """Difference 20: opening throws nothing away; the first piece is a tail, the rest are frames."""
    line.write(b"tail\nwhole\n")
    reader.start()
    broker.until(lambda: broker.entries(Entry.FRAMES) == [b"whole\n"], "the frame")
    assert reader.rows("SELECT number, reason, data FROM dead_letters") == [
        (0, "started listening in the middle of a frame", b"tail\n")
    ]


def test_a_port_behind_tcp(broker, reader):
    """socket://HOST:PORT is a line like any other: frames, writes, loss and return."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE_S)
        place = f"socket://127.0.0.1:{server.getsockname()[1]}"
        reader.configure(port=place)
        reader.start()
        connection, _ = server.accept()
        broker.until(lambda: broker.entries(Entry.OPENED), "the OPENED entry")
        _wait_for_beat(broker)
        connection.sendall(b"over tcp\n")
        broker.until(lambda: broker.entries(Entry.FRAMES) == [b"over tcp\n"], "the frame")
        connection.close()
        broker.until(lambda: broker.entries(Entry.LOST), "the LOST entry")
        server.accept()[0].close()
        broker.until(lambda: len(broker.entries(Entry.OPENED)) >= 2, "the second OPENED entry")


def test_a_journal_without_a_device_is_drained(broker, reader, line):
    """--journal sends what a device left that is no longer configured, and exits with 0 when it is settled."""
    _open(broker, reader)
    line.write(b"left\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    reader.stop(signal.SIGKILL)
    reader.configure(deviceName="another")
    broker.batches.clear()
    command = [*reader.command()[:5], "--journal", str(reader.journal), "--data-dir", str(reader.data_dir)]
    with subprocess.Popen(command, stderr=reader.log) as drainer:
        broker.until(lambda: broker.entries(Entry.FRAMES) == [b"left\n"], "the frame")
        broker.until(lambda: broker.entries(Entry.LOST) == [b"no longer configured"], "the LOST entry")
        broker.report(4)
        assert drainer.wait(DEADLINE_S) == 0
    assert not reader.journal.exists()
    assert {batch.device for batch in broker.batches} == {DEVICE}


def test_a_journal_without_a_device_that_lost_its_section_is_kept(reader):
    """One bit of the section: nothing can be sent, all of it is told and kept, and comes back with the device."""
    device = Device(name=DEVICE, line=LineSettings(port="/dev/null"))
    section = section_of(device)
    reader.journal.parent.mkdir(mode=0o700)
    file = JournalFile(reader.journal, DEVICE, "j1", section=(section_name(section), section))
    journal = Journal(file)
    journal.put_section(*file.section)
    blocks = [Block(first, 1, Entry.FRAMES, section_name(section), b"x" * 30) for first in range(1, 201)]
    journal.append(Append(blocks, 201, 7, 1, b""))
    journal.bury([DeadLetter(0, 1, "why", b"dead")])
    journal.close()
    data = reader.journal.read_bytes()
    reader.journal.write_bytes(data.replace(section, bytes([section[0] ^ 1]) + section[1:]))
    reader.configure(deviceName="another")
    command = [*reader.command()[:5], "--journal", str(reader.journal), "--data-dir", str(reader.data_dir)]
    for _ in range(2):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert ended.returncode == EXIT_CONFIG
        assert "journal.lost" in ended.stderr
        assert "numbers=1-200" in ended.stderr
        assert "0 frames and 1 dead letters wait in it" in ended.stderr
    (aside,) = reader.journal.parent.glob("*.damaged-*")
    assert "Traceback" not in ended.stderr
    aside.rename(reader.journal)
    journal = open_journal(file, "x").journal
    assert [block.first for block in journal.fetch(1, 999, 10**6)] == list(range(1, 201))


@pytest.mark.alone
def test_unplugged_and_back_within_a_second(broker, reader, line):
    """A lost port is a LOST entry, its return an OPENED entry within a second, and frames flow."""
    _open(broker, reader)
    line.close()
    broker.until(lambda: broker.entries(Entry.LOST), "the LOST entry")
    back_s = time.monotonic()
    line.open()
    broker.until(lambda: len(broker.entries(Entry.OPENED)) == 2, "the second OPENED entry")
    assert time.monotonic() - back_s < 1.0
    # What comes right behind the opening may have begun before it.
    beats = len(broker.beats)
    broker.until(lambda: [beat for beat in broker.beats[beats:] if beat.state["since_s"] > 0.3], "a later beat")
    line.write(b"again\n")
    broker.until(lambda: broker.entries(Entry.FRAMES) == [b"again\n"], "the frame")


def test_an_exchange_is_written_and_its_answer_goes_to_a_converter(broker, reader, line):
    """The answer is the first frame after the write; it is journaled as ANSWER and sent on for decoding."""
    extensions = reader.config.parent / "extensions" / "serial"
    extensions.mkdir(parents=True)
    (extensions / "mine.py").write_text("class Mine:\n    def convert(self, config, data):\n        return data\n")
    reader.configure(downlink_converter="Mine")
    _open(broker, reader)
    line.write(b"48\r1\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    body = {"writes": [b"GET\n"], "method": "get", "with_response": True, "timeout_s": 3, "pattern": "", "until": b""}
    broker.call("exchange", body)
    assert broker.until(lambda: line.read(4), "the write") == b"GET\n"
    line.write(b"21.5\n")
    request = broker.until(lambda: broker.replies and broker.replies[-1], "the answer")
    assert (request.verb, request.target, request.id) == ("decode", f"converter@{DEVICE}", "c1")
    assert codec.unpack(request.body) == {"method": "get", "frame": b"21.5\n"}
    broker.until(lambda: broker.entries(Entry.ANSWER) == [b"21.5\n"], "the ANSWER entry")
    broker.call("exchange", {**body, "with_response": False}, "c2")
    reply = broker.until(lambda: broker.replies[-1] if broker.replies[-1].id == "c2" else None, "the reply")
    assert (reply.error, codec.unpack(reply.body)) == ("", b'{"success":true}')


def test_a_call_of_built_in_converters_is_converted_here(broker, reader, line):
    """Params in, value out; the answer is journaled too."""
    rpc = {"method": "get", "requestDataFromDevice": True, "withResponse": True, "type": "string"}
    rpc |= {"responseType": "float", "responseTimeoutSec": 3}
    reader.configure(downlink_converter="SerialDownlinkConverter", serverSideRpc=[rpc])
    _open(broker, reader)
    line.write(b"48\r1\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    broker.call("encode", {"method": "get", "params": b'"GET"'})
    assert broker.until(lambda: line.read(3), "the write") == b"GET"
    line.write(b"21.5\n")
    reply = broker.until(lambda: broker.replies and broker.replies[-1], "the answer")
    assert (reply.id, reply.error, codec.unpack(reply.body)) == ("c1", "", b'{"result":21.5}')
    broker.until(lambda: broker.entries(Entry.ANSWER) == [b"21.5\n"], "the ANSWER entry")


def test_an_answer_of_several_lines(broker, reader, line):
    """One value, one entry, however its lines come; what comes behind is telemetry."""
    rpc = {"method": "get", "template": "LIST\r\n", "withResponse": True, "responseType": "string"}
    rpc |= {"responseUntilDelimiter": "OK\r\n", "responseTimeoutSec": 30}
    reader.configure(downlink_converter="SerialDownlinkConverter", serverSideRpc=[rpc])
    _open(broker, reader)
    line.write(b"48\r1\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    broker.call("encode", {"method": "get", "params": b""})
    assert broker.until(lambda: line.read(6), "the write") == b"LIST\r\n"
    for piece in (b"LIST\r\nsp=2", b"0\r\nmode=3\r\n", b"OK\r\nT=5\n"):
        line.write(piece)
        wait_until(lambda: line.unread_bytes == 0, "the piece to be read", every_s=0.0)
    reply = broker.until(lambda: broker.replies and broker.replies[-1], "the answer")
    assert (reply.error, codec.unpack(reply.body)) == ("", b'{"result":"sp=20\\r\\nmode=3"}')
    broker.until(lambda: len(broker.entries(Entry.FRAMES)) == 2, "the frame behind it")
    assert broker.entries(Entry.ANSWER) == [b"LIST\r\n", b"sp=20\r\nmode=3\r\nOK\r\n"]
    assert broker.entries(Entry.FRAMES) == [b"48\r1\n", b"T=5\n"]


@pytest.mark.alone
def test_a_calm_reader_listens_again_after_a_call(broker, reader, line):
    """It has promised to be silent for ten seconds; a frame that waits for the news on the one before it hears them."""
    _open(broker, reader)
    broker.report(2)
    broker.until(lambda: any(beat.every_s > BEAT_S for beat in broker.beats), "a calm reader's beat")
    calm_s = time.monotonic()
    broker.until(lambda: time.monotonic() > calm_s + 4.0, "some of its silence")
    broker.call("no such verb", {})
    broker.until(lambda: broker.replies, "the reply")
    line.write(b"one\n")
    # As a device talks: not with the same read. Sent after the first has arrived, it would not wait for the news.
    wait_until(lambda: line.unread_bytes == 0, "the first frame to be read", every_s=0.0)
    line.write(b"two\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the first frame")
    start_s = time.monotonic()
    broker.report(3)
    broker.until(lambda: broker.entries(Entry.FRAMES) == [b"one\n", b"two\n"], "the second frame")
    # Deaf it would take nine tenths of a second, till its next timer.
    assert time.monotonic() - start_s < 0.6


def test_sigterm_drains_and_exits_with_0(broker, reader, line):
    """SIGTERM closes the port, journals LOST, waits for the platform and exits with 0; the journal is clean."""
    _open(broker, reader)
    assert reader.process is not None
    reader.process.send_signal(signal.SIGTERM)
    broker.until(lambda: broker.entries(Entry.LOST) == [b"shut down"], "the LOST entry")
    broker.report(3)
    assert reader.process.wait(DEADLINE_S) == 0
    assert reader.rows("SELECT settled, substr(line_state, 1, 1), closed FROM meta") == [(3, b"\0", 1)]
    assert reader.rows("SELECT 1 FROM blocks") == []


def test_a_dead_letter_moves_with_its_bytes(broker, reader, line):
    """What the publisher reports dead stands in the journal's dead letters with reason and bytes."""
    _open(broker, reader)
    line.write(b"bad\n")
    broker.until(lambda: broker.entries(Entry.FRAMES), "the frame")
    broker.report(3, [(2, "no number")])
    broker.until(lambda: reader.rows("SELECT 1 FROM dead_letters"), "the dead letter")
    assert reader.rows("SELECT number, reason, data FROM dead_letters") == [(2, "no number", b"bad\n")]


def test_taps_show_frames_as_they_pass(broker, reader, line):
    """While somebody subscribes to taps, each block of frames goes out as a Tap too."""
    broker.events_in.socket.setsockopt(zmq.SUBSCRIBE, b"tap.")
    _open(broker, reader)
    line.write(b"seen\n")
    tap = broker.until(lambda: broker.taps, "the tap")[0]
    assert (tap.stage, tap.device, codec.unpack_frames(tap.body, 1).frames) == ("frames", DEVICE, [b"seen\n"])


def test_an_unknown_device_and_a_second_process_are_refused(broker, reader, line):
    """Exit 78 names the known devices; exit 69 names the process that holds the journal."""
    unknown = subprocess.run(reader.command("x"), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (unknown.returncode, DEVICE in unknown.stderr) == (78, True)
    _open(broker, reader)
    second = subprocess.run(reader.command(), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert reader.process is not None
    assert (second.returncode, str(reader.process.pid) in second.stderr) == (69, True)


SUMMED = {
    "framing": {"start": "hex:AA C0", "length": 10, "end": "hex:AB"},
    "checksum": {"type": "sum8", "from": 2, "to": 8, "at": 8},
}
SUMMED_FRAME = bytes.fromhex("AAC00600060058D93DAB")


def test_a_device_with_a_framing_of_its_own_is_read(broker, reader, line):
    """Frames with start, length and checksum, by configuration alone; a wrong one is a dead letter with its reason."""
    reader.configure(**SUMMED)
    _open(broker, reader)
    wrong = SUMMED_FRAME[:8] + b"\x3e\xab"
    line.write(b"\xaa\xc0\xaa" + SUMMED_FRAME + wrong + SUMMED_FRAME[:3])
    line.write(SUMMED_FRAME[3:])
    broker.until(lambda: broker.entries(Entry.FRAMES) == [SUMMED_FRAME] * 2, "the frames")
    dead = [(b"\xaa\xc0\xaa", "no frame in these bytes"), (wrong, "checksum: the frame says 3E, its bytes give 3D")]
    broker.until(lambda: reader.rows("SELECT data, reason FROM dead_letters ORDER BY id") == dead, "the dead letters")
    assert reader.stop() == 0


def test_kill_9_in_the_middle_of_frames_leaves_no_part_for_a_whole(broker, reader, line):
    """Again and again, while the line talks: each frame that comes is one that was said."""
    reader.configure(**SUMMED)
    _open(broker, reader)
    for round_number in range(3):
        line.write(SUMMED_FRAME * 5 + SUMMED_FRAME[:6])
        wanted = 5 * (round_number + 1)
        broker.until(lambda n=wanted: len(broker.entries(Entry.FRAMES)) >= n, "the frames")
        reader.stop(signal.SIGKILL)
        broker.beats.clear()
        reader.start()
        _wait_for_beat(broker)
        line.write(SUMMED_FRAME[6:])
    line.write(SUMMED_FRAME)
    broker.until(lambda: len(broker.entries(Entry.FRAMES)) >= 16, "the last frame")
    assert set(broker.entries(Entry.FRAMES)) == {SUMMED_FRAME}
