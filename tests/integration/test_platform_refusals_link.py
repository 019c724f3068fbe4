"""The publisher's side of the wire: hosts that can't be reached, servers that are none, bursts and large payloads."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.wire import codec
from tests.support.puback_proxy import PubackProxy
from tests.support.publisher_driving import batch, points
from tests.support.publisher_process import (
    TOKEN,
    FakeBroker,
    Publisher,
    Subscriber,
    World,
    free_port,
    make_certificate,
    needs_mosquitto,
    start_mosquitto,
)
from tests.support.waiting import wait_until


class WrongServer:
    """Something that listens and does not speak MQTT: says a few bytes to whoever says something, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self.connections = 0
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(self._answer)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def servers() -> Iterator[list[WrongServer]]:
    made = [WrongServer(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), WrongServer(b"")]
    yield made
    for server in made:
        server.close()


def lines(publisher: Publisher, event: str) -> list[str]:
    return [line for line in publisher.said.splitlines() if event in line]


def test_what_cannot_be_reached_is_said_once(tmp_path: Path, servers: list[WrongServer]) -> None:
    """Connection refused, a name that does not exist, servers that are no MQTT servers: the process lives, tries again
    and again with pauses, and says so in one warning."""
    places = [
        ("refused", "127.0.0.1", free_port()),
        ("name", "no-such-host.invalid", 1883),
        *((f"wrong{number}", "127.0.0.1", server.port) for number, server in enumerate(servers)),
    ]
    publishers, brokers = [], []
    try:
        for name, host, port in places:
            folder = tmp_path / name
            (folder / "data").mkdir(parents=True)
            brokers.append(FakeBroker(folder / "data"))
            publishers.append(Publisher(folder, {"host": host, "port": port}))
        wait_until(lambda: all(server.connections >= 4 for server in servers), "four attempts")
        for publisher in publishers:
            wait_until(lambda publisher=publisher: lines(publisher, "link.failed"), "the warning")
            assert publisher.process.poll() is None
            assert len(lines(publisher, "link.failed")) == 1
            assert lines(publisher, "link.failed")[0].split()[1] == "WARNING"
        assert all(server.connections <= 12 for server in servers), "attempts without pauses"
        assert [publisher.stop() for publisher in publishers] == [0] * len(places)
    finally:
        for thing in (*publishers, *brokers):
            thing.close()


class TestWithMosquitto:
    pytestmark = needs_mosquitto

    def test_server_that_closes_after_connack(self, tmp_path: Path) -> None:
        """CONNACK and then a close, again and again: pauses grow, and everything flows once it stays."""

        def prepare(proxy: PubackProxy) -> None:
            proxy.closes_after_connack = True

        with World(tmp_path, prepare) as world:
            wait_until(lambda: len(lines(world.publisher, "link.lost")) >= 3, "three losses")
            assert 3 <= world.proxy.connections <= 5
            world.proxy.closes_after_connack = False
            world.broker.wait_link()
            world.broker.send(batch(1, points(1, 10)))
            world.broker.wait_settled(11)

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
    def test_tls_with_bursts_and_large_payloads(self, tmp_path: Path) -> None:
        """Over TLS: 1,000 calls in one burst are each answered once; 300 kB come down and go up whole, though bytes are
        left decrypted that no poll tells of."""
        (tmp_path / "data").mkdir()
        make_certificate(tmp_path, "server")
        plain = free_port()
        tls = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nlistener {plain} 127.0.0.1"
        limits = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0"
        mosquitto, port = start_mosquitto(tmp_path, f"{tls}\n{limits}")
        broker, eyes = FakeBroker(tmp_path / "data"), Subscriber(plain)
        security = {"type": "tlsAccessToken", "accessToken": TOKEN, "caCert": str(tmp_path / "server.pem")}
        config = {"host": "localhost", "port": port, "security": security, "maxPayloadSizeBytes": 400_000}
        publisher = Publisher(tmp_path, config)
        try:
            broker.wait_link()
            large = "x" * 300_000
            broker.send(batch(1, [{"s": large}]))
            broker.wait_settled(2)
            eyes.say("v1/gateway/rpc", {"device": "press1", "data": {"id": 1, "method": "set", "params": large}})
            request = broker.wait(lambda: broker.requests, "the large call")[0]
            assert json.loads(codec.unpack_map(request.body)["params"]) == large
            for number in range(2, 1_002):
                eyes.say(f"v1/devices/me/rpc/request/{number}", {"method": "gateway_ping"})
            broker.wait(lambda: len(replies(eyes)) >= 1_000, "1,000 replies")
            assert sorted(replies(eyes)) == list(range(2, 1_002))
            assert publisher.stop() == 0
        finally:
            publisher.close()
            eyes.close()
            broker.close()
            mosquitto.terminate()
            mosquitto.wait(10)


def replies(eyes: Subscriber) -> list[int]:
    topic = "v1/devices/me/rpc/response/"
    pong: Any = {"code": 200, "resp": "pong"}
    return [int(seen.removeprefix(topic)) for seen, said in list(eyes.seen) if seen.startswith(topic) and said == pong]
