"""The real publisher process in front of a real mosquitto, with the test in our broker's place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import zmq
from paho.mqtt.enums import CallbackAPIVersion

from common import codec
from common.io.sockets import Endpoints, socket_dir
from common.messages import (
    Entry,
    Heartbeat,
    Message,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
)
from tests.puback_proxy import Answer, PubackProxy
from tests.publisher_driving import batch, points
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_mosquitto = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)"),
]
TOKEN = "s3cr3t-t0k3n"


class FakeBroker:
    """Binds our broker's endpoints, registers the publisher, keeps what it says."""

    def __init__(self, data_dir: Path) -> None:
        endpoints = Endpoints(socket_dir(data_dir))
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.calls = self._bind(zmq.ROUTER, endpoints.calls)
        self.readings = self._bind(zmq.PUSH, endpoints.readings_out)
        self.heard = self._bind(zmq.SUB, endpoints.events_in)
        self.heard.setsockopt(zmq.SUBSCRIBE, b"")
        self.publish = self._bind(zmq.PUB, endpoints.events_out)
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.beat: Heartbeat | None = None
        self.beats = 0
        self.reports: dict[str, StreamReport] = {}
        self._peer = b""

    def _bind(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        bound: zmq.Socket[bytes] = self._context.socket(kind)
        bound.setsockopt(zmq.LINGER, 0)
        bound.bind(endpoint)
        return bound

    def say(self, message: Message) -> None:
        self.calls.send_multipart([self._peer, *codec.encode(message)])

    def send(self, *batches: ReadingBatch) -> None:
        """Readings, stamped with the publisher's epoch."""
        for item in batches:
            self.readings.send_multipart(codec.encode(item._replace(epoch=self.epoch)))

    @property
    def epoch(self) -> str:
        assert self.beat is not None
        return str(self.beat.state["epoch"])

    def step(self) -> None:
        while self.calls.poll(0):
            self._peer, *parts = self.calls.recv_multipart()
            message = codec.decode(parts)
            match message:
                case Register():
                    self.say(Registered("publisher:0", True, "", "b1", ""))
                case Request():
                    self.requests.append(message)
                case Reply():
                    self.replies.append(message)
        while self.heard.poll(0):
            message = codec.decode(self.heard.recv_multipart()[1:])
            match message:
                case Heartbeat():
                    self.beat, self.beats = message, self.beats + 1
                case StreamReport():
                    self.reports[message.journal] = message

    def wait(self, condition: Callable[[], Any], what: str, deadline_s: float = 20.0) -> Any:
        def look() -> Any:
            self.step()
            return condition()

        return wait_until(look, what, deadline_s)

    def wait_link(self, link: str = "up") -> None:
        self.wait(lambda: self.beat is not None and self.beat.state["link"] == link, f"link {link}")

    def wait_settled(self, number: int, device: str = "press1", deadline_s: float = 20.0) -> StreamReport:
        def settled() -> StreamReport | None:
            report = self.reports.get(f"journal-{device}")
            return report if report and report.settled >= number else None

        return self.wait(settled, f"{device} settled up to {number}", deadline_s)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Publisher:
    """The process, and what it said on standard error."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        path = write_config(folder, config)
        command = [sys.executable, "-m", "services.publisher", "--config", str(path)]
        command += ["--data-dir", str(folder / "data")]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env=environ)
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self._said.extend(self.process.stderr)

    @property
    def said(self) -> str:
        return b"".join(self._said).decode()

    def wait(self) -> int:
        code = self.process.wait(20)
        self._reader.join(5)
        return code

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


def write_config(folder: Path, thingsboard: dict[str, Any]) -> Path:
    path = folder / "tb_gateway.json"
    connectors = [{"name": "lines", "type": "serial", "configuration": "lines.json"}]
    path.write_text(json.dumps({"thingsboard": thingsboard, "connectors": connectors}))
    devices = [{"name": f"press{number}", "type": "press", "port": f"/dev/null{number}"} for number in (1, 2)]
    (folder / "lines.json").write_text(json.dumps({"name": "lines", "devices": devices}))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_mosquitto(folder: Path, extra: str = "", listener: str = "127.0.0.1") -> tuple[subprocess.Popen[bytes], int]:
    """mosquitto on a free port, listening."""
    assert MOSQUITTO is not None
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} {listener}\n{extra or 'allow_anonymous true'}\nuser root\n")
    log = (folder / "mosquitto.log").open("ab")
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=subprocess.STDOUT)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "mosquitto listens")
    return process, port


class Subscriber:
    """The platform's eyes: every message on v1/gateway/#, in order."""

    def __init__(self, port: int) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("v1/#", qos=1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = lambda _c, _u, message: self.seen.append((message.topic, json.loads(message.payload)))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(10), "the test's subscriber could not subscribe"

    def say(self, topic: str, payload: Any) -> None:
        self._client.publish(topic, json.dumps(payload), qos=1)

    def values(self, device: str) -> list[int]:
        return [
            item["values"]["n"]
            for topic, payload in list(self.seen)
            if topic == "v1/gateway/telemetry"
            for item in payload.get(device, [])
        ]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class World:
    """mosquitto, the proxy before it, a subscriber, our broker, and the publisher."""

    def __init__(self, folder: Path) -> None:
        self.mosquitto, port = start_mosquitto(folder)
        self.proxy = PubackProxy(port)
        self.eyes = Subscriber(port)
        self.broker = FakeBroker(folder / "data")
        config = {"host": "127.0.0.1", "port": self.proxy.port, "security": {"accessToken": TOKEN}}
        self.publisher = Publisher(folder, config)

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()
        self.eyes.close()
        self.proxy.__exit__()
        self.mosquitto.terminate()
        self.mosquitto.wait(10)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "data").mkdir()
    made = World(tmp_path)
    yield made
    made.close()


class TestWithMosquitto:
    pytestmark = needs_mosquitto

    def test_readings_calls_and_drain(self, world: World) -> None:
        """`connect`, telemetry, attributes in order; settled after acceptance; an RPC both ways; SIGTERM is exit 0; the
        access token stands nowhere."""
        broker, eyes = world.broker, world.eyes
        broker.wait_link()
        opened = batch(1, [None], kind=Entry.OPENED, device_type="press")
        broker.send(opened, batch(2, points(2, 50), attributes={"sn": "1"}))
        assert broker.wait_settled(52).dead == []
        wait_until(lambda: len(eyes.values("press1")) == 50, "50 values")
        topics = [topic.removeprefix("v1/gateway/") for topic, _ in eyes.seen if topic.startswith("v1/gateway/")]
        assert topics == ["connect", "telemetry", "attributes"]
        eyes.say("v1/gateway/rpc", {"device": "press1", "data": {"id": 3, "method": "get", "params": 5}})
        request = broker.wait(lambda: broker.requests, "the call's first step")[0]
        assert (request.verb, request.target) == ("encode", "converter@press1")
        broker.say(Reply(request.id, "publisher:0", "", codec.pack(b'{"result":48}')))
        wanted = ("v1/gateway/rpc", {"device": "press1", "id": 3, "data": {"result": 48}})
        broker.wait(lambda: wanted in eyes.seen, "the reply at the platform")
        eyes.say("v1/gateway/rpc", ["junk"])
        broker.wait(lambda: broker.beat and broker.beat.counters["downlink_junk"], "the junk is counted")
        assert broker.beat is not None
        assert broker.beat.counters["readings_accepted"] == 50
        assert world.publisher.stop() == 0
        assert "link.up protocol=5" in world.publisher.said
        assert TOKEN not in world.publisher.said + str(broker.beat) + str(broker.reports)

    def test_nothing_is_lost_over_cuts_and_lost_acks(self, world: World) -> None:
        """PUBACKs that are dropped and connections that are cut: every value arrives, in order, repeats apart."""
        broker = world.broker
        broker.wait_link()
        world.proxy.rule = lambda passed: (
            Answer(drop=True, close=True) if len(world.proxy.passed) % 7 == 0 else Answer(delay_s=0.002)
        )
        last = 1
        for _ in range(20):
            for device in ("press1", "press2"):
                broker.send(batch(last, points(last, 25), device=device))
            last += 25
            broker.step()
        for device in ("press1", "press2"):
            broker.wait_settled(last, device, 60)
            values = world.eyes.values(device)
            assert list(dict.fromkeys(values)) == list(range(1, last))
        assert world.proxy.connections > 1

    def test_refused_record_is_a_dead_letter(self, world: World) -> None:
        """153 for what holds one value: that value is reported dead, all others are accepted."""
        broker = world.broker
        broker.wait_link()
        world.proxy.rule = lambda passed: (
            Answer(code=153, forward=False) if b'"values":{"n": 33}' in passed.payload else Answer()
        )
        broker.send(batch(1, points(1, 60)), batch(1, points(101, 20), device="press2"))
        report = broker.wait_settled(61)
        assert [number for number, _ in report.dead] == [33]
        broker.wait_settled(21, "press2")
        wait_until(lambda: len(world.eyes.values("press1")) == 59, "the others")
        assert world.eyes.values("press1") == [number for number in range(1, 61) if number != 33]

    def test_quota_and_close(self, world: World) -> None:
        """151 and a close, three times: nothing is lost, nothing dead."""
        broker = world.broker
        broker.wait_link()
        refusals = iter(range(3))

        def rule(passed: Any) -> Answer:
            if passed.topic == "v1/gateway/telemetry" and next(refusals, None) is not None:
                return Answer(code=151, forward=False, close=True)
            return Answer()

        world.proxy.rule = rule
        broker.send(batch(1, points(1, 10)))
        assert broker.wait_settled(11, deadline_s=40).dead == []
        wait_until(lambda: world.eyes.values("press1") == list(range(1, 11)), "all ten, once")

    def test_second_publisher_of_one_directory_is_refused(self, world: World, tmp_path: Path) -> None:
        """The flock keeps seconds out: exit 69 and the holder's pid."""
        world.broker.wait_link()
        second = Publisher(tmp_path, {"host": "127.0.0.1", "port": world.proxy.port})
        assert second.wait() == 69
        assert str(world.publisher.process.pid) in second.said

    def test_refused_credentials_are_one_error(self, tmp_path: Path) -> None:
        """mosquitto without anonymous access: one ERROR, no token in it, and the process goes on."""
        (tmp_path / "data").mkdir()
        mosquitto, port = start_mosquitto(tmp_path, "allow_anonymous false")
        broker = FakeBroker(tmp_path / "data")
        publisher = Publisher(
            tmp_path, {"host": "127.0.0.1", "port": port, "security": {"type": "accessToken", "accessToken": TOKEN}}
        )
        try:
            wait_until(lambda: "link.refused" in publisher.said, "the refusal")
            broker.wait(lambda: broker.beats >= 2, "heartbeats go on")
            assert publisher.said.count("ERROR") == 1
            assert TOKEN not in publisher.said
            assert publisher.stop() == 0
        finally:
            publisher.close()
            broker.close()
            mosquitto.terminate()
            mosquitto.wait(10)

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
    def test_tls_is_checked(self, tmp_path: Path) -> None:
        """Over TLS with the right CA large publishes flow; with another CA the connection is refused by us."""
        (tmp_path / "data").mkdir()
        make_certificate(tmp_path, "server")
        make_certificate(tmp_path, "other")
        files = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nallow_anonymous true"
        mosquitto, port = start_mosquitto(tmp_path, files)
        broker = FakeBroker(tmp_path / "data")
        security = {"type": "tlsAccessToken", "accessToken": TOKEN, "caCert": str(tmp_path / "other.pem")}
        config = {"host": "localhost", "port": port, "security": security, "maxPayloadSizeBytes": 400_000}
        publisher = Publisher(tmp_path, config)
        try:
            wait_until(lambda: "link.failed" in publisher.said, "the refusal")
            assert "certificate" in publisher.said.lower()
            publisher.close()
            security["caCert"] = str(tmp_path / "server.pem")
            publisher = Publisher(tmp_path, config)
            broker.beat = None
            broker.wait_link()
            broker.send(batch(1, [{"s": "x" * 300_000}]), batch(2, points(2, 50)))
            broker.wait_settled(52)
            assert publisher.stop() == 0
        finally:
            publisher.close()
            broker.close()
            mosquitto.terminate()
            mosquitto.wait(10)


def make_certificate(folder: Path, name: str) -> None:
    """A self-signed certificate for localhost, which is its own CA."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


class OldServer:
    """An MQTT server that knows 3.1.1 only: CONNACK 1 for everything else, PUBACK and SUBACK for the rest."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.levels: list[int] = []
        self.topics: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                try:
                    self._talk(client, stream)
                except (OSError, IndexError):
                    continue

    def _talk(self, client: socket.socket, stream: Any) -> None:
        while True:
            first = stream.read(1)[0]
            length, shift = 0, 0
            while True:
                byte = stream.read(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if not byte & 128:
                    break
            rest = stream.read(length)
            match first >> 4:
                case 1:
                    self.levels.append(rest[6])
                    client.sendall(b"\x20\x02\x00" + (b"\x00" if rest[6] == 4 else b"\x01"))
                    if rest[6] != 4:
                        return
                case 3:
                    end = 2 + struct.unpack_from("!H", rest)[0]
                    self.topics.append(rest[2:end].decode())
                    client.sendall(b"\x40\x02" + rest[end : end + 2])
                case 8:
                    client.sendall(b"\x90\x07" + rest[:2] + b"\x01" * 5)

    def close(self) -> None:
        self._server.close()


def test_old_server_is_spoken_to_in_3_1_1(tmp_path: Path) -> None:
    """CONNACK "unacceptable protocol version" leads to 3.1.1; data flows after the unanswered question for limits, and
    settles a second after its PUBACK."""
    (tmp_path / "data").mkdir()
    server = OldServer()
    broker = FakeBroker(tmp_path / "data")
    publisher = Publisher(tmp_path, {"host": "127.0.0.1", "port": server.port})
    try:
        broker.wait_link()
        broker.send(batch(1, points(1, 3)))
        broker.wait_settled(4)
        assert server.levels == [5, 4]
        assert server.topics == ["v1/devices/me/rpc/request/1", "v1/gateway/connect", "v1/gateway/telemetry"]
        assert publisher.stop() == 0
    finally:
        publisher.close()
        broker.close()
        server.close()


def test_bad_configuration_is_exit_78(tmp_path: Path) -> None:
    """A configuration that can't be used is said in a sentence, without a traceback."""
    publisher = Publisher(tmp_path, {"host": 5})
    assert publisher.wait() == 78
    assert "Traceback" not in publisher.said
    assert "host" in publisher.said
