"""The real publisher process, the test in our broker's place, and a proxy that can say no before a real mosquitto."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import zmq
from paho.mqtt.enums import CallbackAPIVersion

from common.io.endpoints import Endpoints, socket_dir
from common.wire import codec
from common.wire.calls import Beat, verb_of
from common.wire.messages import (
    Heartbeat,
    Message,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
)
from tests.support.puback_proxy import PubackProxy
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

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
            self.readings.send_multipart(codec.encode(item.replace(epoch=self.epoch)))

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
                case Request() if message.verb != verb_of(Beat):
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
        """Until all entries below this number are settled: the number that comes next."""

        def settled() -> StreamReport | None:
            report = self.reports.get(f"journal-{device}")
            return report if report and report.settled >= number else None

        return self.wait(settled, f"{device} settled below {number}", deadline_s)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Publisher(ServiceProcess):
    """The process, with the configuration of its platform."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        path = write_config(folder, config)
        super().__init__("publisher", "--config", str(path), "--data-dir", str(folder / "data"))


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
    wait_listening(port)
    return process, port


def wait_listening(port: int) -> None:
    """Waits until somebody takes connections on the port."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, f"port {port} listens")


def make_certificate(folder: Path, name: str) -> None:
    """A self-signed certificate for localhost, which is its own CA."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


class Subscriber:
    """The platform's eyes: every message on v1/gateway/#, in order."""

    def __init__(self, port: int) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("v1/#", qos=1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = lambda _c, _u, message: self.seen.append((message.topic, json.loads(message.payload)))
        wait_listening(port)
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
    """mosquitto, the proxy before it, a subscriber, our broker, and the publisher, which starts when `prepare` has set
    the proxy up. `platform` goes into the configuration of the platform."""

    def __init__(
        self, folder: Path, prepare: Callable[[PubackProxy], None] = lambda proxy: None, **platform: Any
    ) -> None:
        (folder / "data").mkdir(exist_ok=True)
        self.mosquitto, port = start_mosquitto(folder)
        self.proxy = PubackProxy(port)
        prepare(self.proxy)
        self.eyes = Subscriber(port)
        self.broker = FakeBroker(folder / "data")
        self._folder = folder
        self.config = {"host": "127.0.0.1", "port": self.proxy.port, "security": {"accessToken": TOKEN}, **platform}
        self.publisher = Publisher(folder, self.config)

    def restart(self) -> None:
        """kill -9, and another publisher, which is connected. A beat of the one before may come late: the epoch tells
        them apart."""
        epoch = self.broker.epoch
        self.publisher.close()
        self.publisher = Publisher(self._folder, self.config)
        self.broker.wait(lambda: self.broker.epoch != epoch, "another publisher")
        self.broker.wait_link()

    def close(self) -> None:
        self.publisher.close()
        self.broker.close()
        self.eyes.close()
        self.proxy.__exit__()
        self.mosquitto.terminate()
        self.mosquitto.wait(10)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
