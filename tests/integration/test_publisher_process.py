"""The real publisher process in front of a real mosquitto, with the test in our broker's place."""

from __future__ import annotations

import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.wire import codec
from common.wire.messages import Entry, Reply
from tests.support.puback_proxy import Answer
from tests.support.publisher_driving import batch, points
from tests.support.publisher_process import (
    TOKEN,
    FakeBroker,
    Publisher,
    Subscriber,
    World,
    make_certificate,
    needs_mosquitto,
    start_mosquitto,
)
from tests.support.waiting import wait_until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def topics_of(eyes: Subscriber) -> list[str]:
    """What has come on which of the gateway's topics."""
    return [topic.removeprefix("v1/gateway/") for topic, _ in list(eyes.seen) if topic.startswith("v1/gateway/")]


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
        # The publisher has heard of their acceptance before our own subscription brings the last of them.
        wait_until(lambda: len(topics_of(eyes)) >= 3, "what was published")
        assert topics_of(eyes) == ["connect", "telemetry", "attributes"]
        assert eyes.values("press1") == list(range(2, 52))
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
        # What the gateway says of itself comes when it has looked at the machine.
        topics = [topic for topic in server.topics if topic != "v1/devices/me/attributes"]
        questions = ["v1/devices/me/rpc/request/1", "v1/devices/me/attributes/request/1"]
        assert topics[:4] == [*questions, "v1/gateway/connect", "v1/gateway/telemetry"]
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
