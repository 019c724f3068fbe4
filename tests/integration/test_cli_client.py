"""`rpc`, `status` and `watch` against a real broker process, with the far end played by the test."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.core.events import Start
from common.core.membership import Membership
from common.io.endpoints import Endpoints, socket_dir
from common.io.process import make_identity
from common.io.sockets import TapWatch, connect, connect_events
from common.wire import codec
from common.wire.messages import (
    FrameBody,
    Heartbeat,
    Identity,
    Plane,
    Registered,
    Reply,
    Request,
    Tap,
)
from services.monitor.core.gateway.table import Table
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """The data directory of a running broker."""
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"name": "press1", "port": "/dev/null"}]}')
    folder = tmp_path / "data"
    folder.mkdir()
    command = [sys.executable, "-m", "services.broker", "--config", str(tmp_path / "c.json"), "--data-dir", str(folder)]
    with (tmp_path / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, cwd=ROOT)
    try:
        wait_until((socket_dir(folder) / "calls").exists, "the broker listens")
        yield folder
    finally:
        process.terminate()
        assert process.wait(10) == 0


class Peer:
    """A registered process that answers every request with `answer(request)`, in a thread of its own."""

    def __init__(self, data_dir: Path, kind: str, answer: Any) -> None:
        self.identity = make_identity(kind)
        self.requests: list[Request] = []
        self._answer = answer
        self._context: zmq.Context[Any] = zmq.Context()
        self._calls = connect(self._context, zmq.DEALER, Plane.CALLS, Endpoints(socket_dir(data_dir)).calls)
        self._registered = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._registered.wait(10)

    def _run(self) -> None:
        self._calls.socket.poll(5000, zmq.POLLOUT)
        [register] = Membership(self.identity, {}).handle(Start(), 0.0)
        self._calls.send(register.message)
        while not self._end.is_set():
            self._calls.socket.poll(20)
            for event in self._calls.receive():
                match event.message:
                    case Registered():
                        self._registered.set()
                    case Request() as request:
                        self.requests.append(request)
                        self._calls.send(self._answer(request))
        self._context.destroy(linger=0)

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def cli(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments, "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
    )


def test_rpc_prints_the_platforms_reply(data_dir: Path) -> None:
    """The request carries device, method, params and the time; the reply's JSON is printed, exit 0."""
    peer = Peer(data_dir, "publisher", lambda request: reply(request, b'{"result":48.0}'))
    try:
        done = cli(data_dir, "rpc", "press1", "get", '{"a": 1}', "--timeout", "3")
    finally:
        peer.close()
    assert (done.returncode, done.stdout) == (0, '{"result":48.0}\n')
    [request] = peer.requests
    assert (request.verb, request.device, request.target) == ("rpc", "press1", "publisher:0")
    assert codec.unpack(request.body) == {"device": "press1", "method": "get", "params": b'{"a":1}'}
    assert 2 < request.time_left_s <= 3


@pytest.mark.parametrize("how", ["error", "body"])
def test_rpc_that_fails_is_exit_1(data_dir: Path, how: str) -> None:
    """The same JSON, whether the call failed or the answer for the platform is an error."""
    failed = b'{"error": "Method not found", "success": false}'

    def answer(request: Request) -> Reply:
        return reply(request, failed) if how == "body" else Reply(request.id, request.reply_to, "Method not found", b"")

    peer = Peer(data_dir, "publisher", answer)
    try:
        done = cli(data_dir, "rpc", "press1", "get")
    finally:
        peer.close()
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "Method not found", "success": False}


def monitor(data_dir: Path, *devices: str) -> Peer:
    """A monitor that knows these devices."""
    processes = [{"kind": "port_reader", "device": device} for device in devices]
    return Peer(data_dir, "monitor", lambda asked: reply(asked, json.dumps({"processes": processes}).encode()))


def test_rpc_to_a_device_that_is_not_there_names_those_that_are(data_dir: Path) -> None:
    """The reply is the platform's, and the help is beside it: on standard error."""
    unknown = b'{"error":"unknown device arduino9","success":false}'
    peers = [Peer(data_dir, "publisher", lambda request: reply(request, unknown)), monitor(data_dir, "press1", "scale")]
    try:
        done = cli(data_dir, "rpc", "arduino9", "get")
    finally:
        for peer in peers:
            peer.close()
    assert (done.returncode, done.stdout) == (1, unknown.decode() + "\n")
    assert done.stderr.startswith('error: there is no device "arduino9"; there is: press1, scale (')


def test_watch_of_a_device_that_is_not_there_ends_and_names_those_that_are(data_dir: Path) -> None:
    """It would be silent for ever."""
    peer = monitor(data_dir, "press1", "scale")
    try:
        done = cli(data_dir, "watch", "nosuch")
    finally:
        peer.close()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith('error: there is no device "nosuch"; there is: press1, scale (')


def test_rpc_without_a_publisher_says_so(data_dir: Path) -> None:
    """The broker answers for who is not there."""
    done = cli(data_dir, "rpc", "press1", "get", "--timeout", "5")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "the publisher is not running", "success": False}


def test_status_without_a_monitor_is_unavailable(data_dir: Path) -> None:
    """One line, exit 69."""
    done = cli(data_dir, "status")
    assert (done.returncode, done.stdout) == (69, "")
    assert "the monitor can't be asked" in done.stderr


def test_watch_shows_a_device_and_ends_with_ctrl_c(data_dir: Path) -> None:
    """Only the device that was named, although its name begins another's topic; Ctrl-C is exit 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "watch", "press1", "--hex", "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    context: zmq.Context[Any] = zmq.Context()
    publish, _ = connect_events(context, Endpoints(socket_dir(data_dir)), [])
    watch = TapWatch(publish)
    wait_until(lambda: list(watch.receive()) or "press1" in watch, "watch has subscribed")
    publish.send(beat(make_identity("port_reader", "press1")))
    for device in ("press1.x", "press1"):
        publish.send(Tap("frames", device, codec.pack_frames(FrameBody([0], [device.encode()]))))
    assert process.stdout is not None
    line = process.stdout.readline()
    context.destroy(linger=0)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert line.endswith(" press1 frame   70 72 65 73 73 31\n")
    assert (process.returncode, output, errors) == (0, "", "")


def reply(request: Request, json_bytes: bytes) -> Reply:
    return Reply(request.id, request.reply_to, "", codec.pack(json_bytes))


def beat(identity: Identity) -> Heartbeat:
    return Heartbeat(identity.kind, identity.name, identity.instance, identity.pid, identity.host, 0.0, {}, {})


def state_of_a_gateway(request: Request) -> Reply:
    """What a monitor answers, of a device with a name that would clear the screen."""
    table = Table(["press1", "\x1b[2Jevil"])
    table.hear(Heartbeat("monitor", "0", "i", 7, "host", 60.0, {}, {}), 100.0)
    return reply(request, json.dumps(table.show()).encode())


def test_status_is_drawn_again_in_place_until_ctrl_c(data_dir: Path) -> None:
    """On a terminal: cleared once, then each line over itself; the cursor comes back, and Ctrl-C is exit 0."""
    peer = Peer(data_dir, "monitor", state_of_a_gateway)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "status", "--watch", "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=slave, cwd=ROOT, env={**os.environ, "COLUMNS": "80", "LINES": "20"})
    os.close(slave)
    said = b""
    try:

        def drawn() -> bool:
            nonlocal said
            if select.select([master], [], [], 0.1)[0]:
                said += os.read(master, 65536)
            return said.count(b"\x1b[H") >= 3

        wait_until(drawn, "three pictures")
        process.send_signal(signal.SIGINT)
        while process.poll() is None or select.select([master], [], [], 0)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                break
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(master)
        peer.close()
    assert said.count(b"\x1b[2J") == 1
    assert said.endswith(b"\x1b[?25h")
    assert b"\\u001b[2Jevil" in said
    assert max(len(line) for line in re.sub(rb"\x1b\[[?0-9]*[a-zA-Z]", b"", said).split(b"\r\n")) <= 80


def test_status_is_told_again_and_again_to_programs(data_dir: Path) -> None:
    """One JSON object a line; a monitor that has gone is said in one, and waited for."""
    peer = Peer(data_dir, "monitor", state_of_a_gateway)
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "status", "--watch", "--json", "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    peer.close()
    assert {device["name"] for device in first["devices"]} == {"press1", "\x1b[2Jevil"}
    assert first.keys() == second.keys()
    while "fault" not in json.loads(process.stdout.readline()):
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
