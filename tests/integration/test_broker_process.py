"""The real broker and monitor processes, with the test in the place of all others."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq
from msgspec.structs import astuple

from common.core.events import Arrived
from common.core.version import PROTOCOL
from common.io.endpoints import Endpoints, socket_dir
from common.io.exits import EXIT_CONFIG, EXIT_UNAVAILABLE
from common.io.process import make_identity
from common.io.sockets import Channel, connect, connect_events
from common.wire import codec
from common.wire.messages import (
    FrameBatch,
    Heartbeat,
    Message,
    Plane,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
)
from tests.support.brokering import frames, request
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"name": "serial", "devices": [{"name": "press", "port": "/dev/null", "telemetry": [{"key": "n"}]}]}
Wanted = TypeVar("Wanted")


class Peer:
    """A process among the others, played by the test: registers when told, beats when told."""

    def __init__(self, context: zmq.Context[Any], endpoints: Endpoints, kind: str, name: str = "0") -> None:
        self.identity = make_identity(kind, name, Path(f"/{kind}-{name}.lock"))
        self._context = context
        self._endpoints = endpoints
        self.calls = connect(context, zmq.DEALER, Plane.CALLS, endpoints.calls)
        self.publish, self.events = connect_events(context, endpoints, [b"beat.broker."])
        self.into: Channel | None = None
        self.out: Channel | None = None
        self._inbox: list[Any] = []

    def register(self, **detail: Any) -> Registered:
        """Registers and connects the planes that its kind uses."""
        who = self.identity
        detail = {"protocol": PROTOCOL, **detail}
        message = Register(who.kind, who.name, who.instance, who.pid, who.host, who.lock, detail)
        wait_until(lambda: self.calls.send(message), "the broker takes a registration")
        answer = self.hear(self.calls, Registered)
        if answer.accepted:
            self._connect(answer)
        return answer

    def _connect(self, answer: Registered) -> None:
        ends = self._endpoints
        match self.identity.kind:
            case "port_reader":
                self.out = connect(self._context, zmq.PUSH, Plane.FRAMES, ends.frames_in)
            case "converter":
                self.into = connect(self._context, zmq.PULL, Plane.FRAMES, ends.at(answer.frames_endpoint))
                self.out = connect(self._context, zmq.PUSH, Plane.READINGS, ends.readings_in)
            case "publisher":
                self.into = connect(self._context, zmq.PULL, Plane.READINGS, ends.readings_out)

    def hear(self, channel: Channel | None, kind: type[Wanted], deadline_s: float = 10.0) -> Wanted:
        """The next message of this type that comes in on a channel; others before it are dropped."""
        assert channel is not None

        def received() -> list[Wanted]:
            return [e.message for e in [next(iter(channel.receive()), None)] if is_wanted(e)]

        def is_wanted(event: Any) -> bool:
            return isinstance(event, Arrived) and isinstance(event.message, kind)

        return wait_until(received, f"{self.identity.address} hears {kind.__name__}", deadline_s)[0]

    def hears_nothing(self, channel: Channel | None) -> bool:
        assert channel is not None
        return not channel.socket.poll(100)

    def say(self, message: Message) -> None:
        """Sends on the plane of its kind, when it can."""
        channel = self.out if isinstance(message, FrameBatch | ReadingBatch) else self.calls
        assert channel is not None
        wait_until(lambda: channel.send(message), f"{self.identity.address} sends")

    def beat(self, **state: Any) -> None:
        who = self.identity
        self.publish.send(Heartbeat(who.kind, who.name, who.instance, who.pid, who.host, 1.0, state, {}))

    def convert(self, batch: FrameBatch) -> ReadingBatch:
        """Says what a converter makes of a batch."""
        who = self.identity
        made = ReadingBatch(*astuple(batch)[:8], who.name, who.instance, b"readings")
        self.say(made)
        return made

    def die(self) -> None:
        """Its connections close, as when the process is killed."""
        for channel in (self.calls, self.publish, self.events, self.into, self.out):
            if channel is not None:
                channel.socket.close(linger=0)


class World:
    """A directory with a configuration, the broker in it, and who talks to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "serial.json"
        self.config.write_text(json.dumps(CONFIG))
        self.endpoints = Endpoints(socket_dir(folder))
        self.context: zmq.Context[Any] = zmq.Context()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.broker = self.start("broker")

    def command(self, service: str) -> list[str]:
        program = [sys.executable, "-m", f"services.{service}"]
        return [*program, "--config", str(self.config), "--data-dir", str(self.folder)]

    def start(self, service: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(self.command(service), cwd=ROOT, stderr=log)
        self.processes.append(process)
        return process

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(service), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    def log(self) -> str:
        return (self.folder / "broker.log").read_text()

    def peer(self, kind: str, name: str = "0") -> Peer:
        return Peer(self.context, self.endpoints, kind, name)

    def join(self, kind: str, name: str = "0", **detail: Any) -> Peer:
        """A peer that is registered."""
        peer = self.peer(kind, name)
        assert peer.register(**detail).accepted
        return peer

    def close(self) -> None:
        self.context.destroy(linger=0)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def counters(peer: Peer, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The counters of the first heartbeat of the broker that fulfil the condition."""
    found: list[dict[str, int]] = []

    def fits() -> bool:
        found.append(peer.hear(peer.events, Heartbeat).counters)
        return condition(found[-1])

    wait_until(fits, "the broker's counters", every_s=0.0)
    return found[-1]


def test_a_batch_goes_all_the_way(world: World) -> None:
    """Reader to converter to publisher, through real sockets, bytes unchanged; whoever came first."""
    reader = world.join("port_reader", "press", section="hash")
    reader.say(frames(body=b"\x00\xffraw"))
    converter, publisher = world.join("converter"), world.join("publisher")
    batch = converter.hear(converter.into, FrameBatch)
    assert batch == frames(body=b"\x00\xffraw")
    made = converter.convert(batch)
    assert publisher.hear(publisher.into, ReadingBatch) == made


def test_a_stuck_converter_holds_two_batches_and_no_more(world: World) -> None:
    """All others go to the one that works; when the stuck one gives one back it gets one."""
    stuck, working = world.join("converter", "0"), world.join("converter", "1")
    world.join("publisher")
    reader = world.join("port_reader", "press")
    for number in range(50):
        reader.say(frames(first=1 + 10 * number))
    held = [stuck.hear(stuck.into, FrameBatch) for _ in range(2)]
    for _ in range(48):
        working.convert(working.hear(working.into, FrameBatch))
    assert stuck.hears_nothing(stuck.into)
    stuck.convert(held[0])
    for number in range(50, 53):
        reader.say(frames(first=1 + 10 * number))
    stuck.hear(stuck.into, FrameBatch)
    assert stuck.hears_nothing(stuck.into)


def test_a_pinned_device_stays_until_its_converter_is_lost(world: World) -> None:
    """Also over many batches; when its converter dies another one goes on with what was not handed out."""
    one, two = world.join("converter", "0"), world.join("converter", "1")
    world.join("publisher")
    reader = world.join("port_reader", "press")
    reader.say(frames(first=1, pinned=True))
    owner, other = (one, two) if not one.hears_nothing(one.into) else (two, one)
    owner.convert(owner.hear(owner.into, FrameBatch))
    for number in range(1, 10):
        reader.say(frames(first=1 + 10 * number, pinned=True))
        batch = owner.hear(owner.into, FrameBatch)
        assert batch.first == 1 + 10 * number
        owner.convert(batch)
    assert other.hears_nothing(other.into)
    owner.die()

    def other_goes_on() -> bool:
        other.beat()
        # Again and again, as a reader does: the first may have gone into the dead one's pipe.
        reader.say(frames(first=101, pinned=True))
        return not other.hears_nothing(other.into)

    wait_until(other_goes_on, "the other converter gets the pinned device")
    assert other.hear(other.into, FrameBatch).first == 101


def test_others_take_over_at_once_where_nothing_is_pinned(world: World) -> None:
    """A dead converter's connection is gone: no batch is sent there, none waits for 5 s."""
    dead, living = world.join("converter", "0"), world.join("converter", "1")
    world.join("publisher")
    reader = world.join("port_reader", "press")
    dead.die()
    for number in range(20):
        reader.say(frames(first=1 + 10 * number))
    # Two at most went into the dead one's pipe before its end was seen: they are lost with it, and resent by a reader.
    for _ in range(18):
        living.convert(living.hear(living.into, FrameBatch, deadline_s=3.0))


def test_a_restarted_converter_takes_its_place_at_once(world: World) -> None:
    """Same name, same lock: it gets frames at an endpoint of its own while the old file may still be there."""
    old = world.join("converter")
    reader = world.join("port_reader", "press")
    for number in range(5):
        reader.say(frames(first=1 + 10 * number))
    old.hear(old.into, FrameBatch)
    old.die()
    new = world.join("converter")
    assert [new.hear(new.into, FrameBatch).first for _ in range(2)] == [1, 11]
    assert new.hears_nothing(new.into)


def test_junk_at_every_socket_stops_nothing(world: World) -> None:
    """It is counted and said once per plane; good messages go through as before."""
    ends = world.endpoints
    junk = [[b""], [b"x", b"y"], [os.urandom(50)] * 3, [b"beat.", b"\xc1", b""], [codec.pack([99]), b""]]
    wrong = list(codec.encode(Reply("id", "to", "", b"")))
    reader = world.join("port_reader", "press")
    for kind, endpoint in (
        (zmq.PUSH, ends.frames_in),
        (zmq.PUSH, ends.readings_in),
        (zmq.DEALER, ends.calls),
        (zmq.XPUB, ends.events_in),
    ):
        socket = world.context.socket(kind)
        socket.connect(endpoint)
        if kind == zmq.XPUB:
            assert socket.recv()
        for parts in [*junk, wrong]:
            socket.send_multipart(parts)
    # Frames: 6, readings: 6, calls: 5 (the reply goes nowhere), events: 1 (the others have no topic of ours).
    assert counters(reader, lambda found: found["junk_messages"] >= 18)["junk_messages"] == 18
    assert world.log().count("wire.junk") == 4
    converter = world.join("converter")
    reader.say(frames())
    assert converter.hear(converter.into, FrameBatch) == frames()
    assert world.broker.poll() is None


def test_bytes_that_are_no_zeromq_stop_nothing(world: World) -> None:
    """Somebody opens the sockets with another program."""
    import socket

    converter, reader = world.join("converter"), world.join("port_reader", "press")
    for endpoint in (world.endpoints.frames_in, world.endpoints.calls, world.endpoints.events_out):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(endpoint.removeprefix("ipc://"))
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(1000))
    reader.say(frames())
    assert converter.hear(converter.into, FrameBatch) == frames()


def test_calls_find_their_way_and_errors_come_at_once(world: World) -> None:
    """A request over converter@DEVICE, its reply, and the answer for a reader whose connection is gone."""
    client, publisher = world.join("client", "1"), world.join("publisher")
    converter, reader = world.join("converter"), world.join("port_reader", "press", section="hash")
    publisher.say(request("converter@press", reply_to=client.identity.address))
    assert converter.hear(converter.calls, Request).section == "hash"
    converter.say(Reply("call-1", client.identity.address, "", b"42"))
    assert client.hear(client.calls, Reply).body == b"42"
    reader.die()

    def says_not_connected() -> bool:
        # A request that was already on its way into the dead connection gets no answer from the broker.
        client.say(request("port_reader:press", reply_to=client.identity.address))
        if client.hears_nothing(client.calls):
            return False
        return client.hear(client.calls, Reply, 5.0).error == "device press is not connected"

    wait_until(says_not_connected, "the reader's connection is seen to be gone", 10.0)


def test_after_a_restart_everyone_is_back(world: World) -> None:
    """kill -9 of the broker: a new one is found by the same sockets, and asks for registration by its heartbeat."""
    converter, reader = world.join("converter"), world.join("port_reader", "press")
    first = reader.hear(reader.events, Heartbeat)
    world.broker.kill()
    world.broker.wait()
    world.start("broker")
    wait_until(lambda: reader.hear(reader.events, Heartbeat).instance != first.instance, "the new broker beats")
    assert converter.register().accepted
    reader.say(frames())
    assert converter.hear(converter.into, FrameBatch) == frames()
    left = [path for path in (world.folder / "run").iterdir() if re.fullmatch(r"frames\.[0-9a-f]{8}", path.name)]
    assert len(left) == 1


def test_a_second_broker_is_refused_and_told_by_whom(world: World) -> None:
    """Exit 69 with the pid; the first one goes on."""
    reader, converter = world.join("port_reader", "press"), world.join("converter")
    second = world.run("broker")
    assert second.returncode == EXIT_UNAVAILABLE
    assert f"pid {world.broker.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    reader.say(frames())
    assert converter.hear(converter.into, FrameBatch) == frames()


def test_a_broken_configuration_is_exit_78(world: World) -> None:
    """The problem in one sentence on standard error, no traceback."""
    world.config.write_text("{")
    refused = world.run("monitor")
    assert refused.returncode == EXIT_CONFIG
    assert refused.stderr.startswith("serial.json:")
    assert "Traceback" not in refused.stderr


def test_a_broken_configuration_does_not_concern_the_broker(world: World) -> None:
    """One that dies while somebody edits the file comes back, and everybody with it."""
    world.broker.kill()
    world.broker.wait()
    world.config.write_text("{")
    world.broker = world.start("broker")
    converter, reader = world.join("converter"), world.join("port_reader", "press")
    reader.say(frames())
    assert converter.hear(converter.into, FrameBatch) == frames()


def test_sigterm_hands_out_what_is_queued(world: World) -> None:
    """Exit 0; what was sent reaches the converter, and nothing of ours is left behind."""
    converter, reader = world.join("converter"), world.join("port_reader", "press")
    reader.say(frames(first=1))
    reader.say(frames(first=11))
    reader.say(frames(first=21))
    first = converter.hear(converter.into, FrameBatch)
    counters(reader, lambda found: found["batches_in"] == 3)
    world.broker.send_signal(signal.SIGTERM)
    wait_until(lambda: "broker.drain" in world.log(), "the broker drains")
    converter.convert(first)
    assert [converter.hear(converter.into, FrameBatch).first for _ in range(2)] == [11, 21]
    assert world.broker.wait(10) == 0
    assert "Traceback" not in world.log()


def test_the_monitor_answers_status(world: World) -> None:
    """Through the broker, over real sockets: every process with its facts."""
    monitor = world.start("monitor")
    client, publisher = world.join("client", "1"), world.join("publisher")

    def all_have_beaten() -> dict[str, Any] | None:
        publisher.beat(link="up", epoch="e1")
        client.say(request("monitor:0", verb="status", reply_to=client.identity.address))
        reply = client.hear(client.calls, Reply, 5.0)
        status = json.loads(codec.unpack(reply.body)) if not reply.error else {}
        kinds = {process["kind"] for process in status.get("processes", [])}
        return status if kinds == {"broker", "monitor", "publisher", "port_reader"} else None

    status = wait_until(all_have_beaten, "everyone in status")
    assert status["link"] == {"state": "up", "epoch": "e1"}
    shown = {process["kind"]: (process["pid"], process["state"]) for process in status["processes"]}
    assert shown["broker"] == (world.broker.pid, "alive")
    assert shown["monitor"] == (monitor.pid, "alive")
    assert shown["port_reader"] == (None, "lost")
    monitor.send_signal(signal.SIGTERM)
    assert monitor.wait(10) == 0
