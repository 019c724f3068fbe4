"""MQTT packets from a hostile broker: malformed, cut, doubled, out of turn, unasked for, acknowledging what it likes.

The real connection and the real core hear them. Nothing is raised or grows; a reading is reported as settled only if
its packet was acknowledged, or its refusal was said; and as soon as the broker behaves, all that is left arrives.
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
from typing import Any

from common.config.models import Platform
from common.core.events import Arrived, Send, Start, Tick
from common.wire.messages import Identity, Plane, StreamReport
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import (
    CheckLink,
    ConnectPlatform,
    DisconnectPlatform,
    LinkDown,
    LinkOpened,
    Publish,
    RoundOver,
)
from services.publisher.shell.mqtt import Connection
from tests.fuzz.memory import MIB, rounds
from tests.support.publisher_driving import EPOCH, batch

GROWTH = 64 * MIB
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
TELEMETRY = "v1/gateway/telemetry"
TOPICS = ("v1/gateway/rpc", "v1/gateway/attributes", "v1/devices/me/rpc/request/7", "v1/devices/me/attributes")
TOPICS += ("v1/devices/me/rpc/response/1", "", "x", "v1/devices/me/rpc/request/" + "9" * 5_000, "a\x00b", "v1/+/#")
PAYLOADS = (b"", b"{}", b"[", b"null", b"\xff\xfe", b'{"device":5,"data":7}', b"[" * 2_000, b'{"maxPayloadSize":1}')
CALL = {"device": "press1", "data": {"id": 1, "method": "gateway_ping", "params": {}}}
LIMITS = {"maxPayloadSize": 65_536, "maxInflightMessages": 3, "payloadDataPointsLimit": 0}
REFUSALS = (128, 131, 135, 144, 149, 151, 153, 16, 77)
"""And two that are none, being below 128."""
NO_ANSWER = -1


def fuzz(seconds: float, seed: int) -> str:
    lives, totals = 0, [0, 0, 0]
    for number in rounds(seconds, GROWTH, every=20):
        with _World(random.Random(f"{seed} {number}"), number) as world:
            counts = world.live()
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lives = number + 1
    return f"{totals[0]} packets, {totals[1]} connections, {totals[2]} readings all settled, in {lives} lives"


class _World:
    """A publisher's core, its connections, and the broker that they meet."""

    def __init__(self, draw: random.Random, number: int) -> None:
        self._draw = draw
        self._number = number
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._platform = Platform(host="127.0.0.1", port=self._listener.getsockname()[1])
        self._core = PublisherCore(
            Identity("publisher", "0", "p", 1, "h"),
            EPOCH,
            self._platform,
            ThingsBoard(),
            {"press1": "press"},
            draw=draw.random,
        )
        self._connection: Connection | None = None
        self._peer: socket.socket | None = None
        self._heard = b""
        self._is_5 = True
        self._now_s = 100.0
        self._is_hostile = True
        self._acknowledges_anything = draw.random() < 0.3
        self._settled = 1
        """The number below which all is settled, as last reported."""
        self._dead: set[int] = set()
        self._told: set[int] = set()
        """Readings whose packet was acknowledged with success."""
        self._packets = self._connections = 0

    def __enter__(self) -> _World:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._peer is not None:
            self._peer.close()
        self._listener.close()

    def live(self) -> tuple[int, int, int]:
        """(packets said, connections, readings)."""
        self._tell(Start())
        first = 1
        for _ in range(self._draw.randrange(10, 60)):
            count = self._draw.choice([0, 1, 1, 5, 50])
            if count:
                # A publisher of another process is needed for nothing: what is lost is sent again by the reader.
                numbers = range(first, first + count)
                values = [{"n": number} for number in numbers]
                self._tell(Arrived(Plane.READINGS, batch(first, values)))
                first += count
            if self._draw.random() < 0.6:
                self._abuse()
            self._turn(self._draw.choice([0.001, 0.1, 2.0, 20.0]))
        self._is_hostile = False
        for _ in range(400):
            self._turn(0.3)
            if self._settled >= first:
                break
        assert self._settled == first, f"run {self._number}: {self._settled - 1} of {first - 1} have been settled"
        return self._packets, self._connections, first - 1

    # The publisher's side.

    def _turn(self, seconds: float) -> None:
        self._now_s += seconds
        for _ in range(20):
            deadline_s = self._core.next_deadline_s
            if deadline_s is None or deadline_s > self._now_s:
                break
            self._tell(Tick())
        for _ in range(4):
            self._serve()
            self._read()
        self._tell(RoundOver())

    def _read(self) -> None:
        connection = self._connection
        if connection is None or connection.descriptor < 0:
            return
        readable, _, _ = select.select([connection.descriptor], [], [], 0.0005)
        if readable:
            connection.read()
        elif connection.wants_write:
            connection.write()
        connection.acknowledge()
        self._follow(connection)

    def _follow(self, connection: Connection) -> None:
        for event in connection.take_events():
            if isinstance(event, LinkDown) and connection is self._connection:
                self._connection = None
            self._tell(event)

    def _tell(self, event: Any) -> None:
        pending = [event]
        while pending:
            for effect in self._core.handle(pending.pop(0), self._now_s):
                pending += self._perform(effect)

    def _perform(self, effect: Any) -> list[Any]:
        match effect:
            case ConnectPlatform():
                return self._connect(effect)
            case DisconnectPlatform() if self._connection is not None:
                self._connection.close()
                self._connection = None
            case Publish() if self._connection is not None:
                self._connection.publish(effect)
                return self._connection.take_events()
            case CheckLink() if self._connection is not None:
                self._connection.check()
                return self._connection.take_events()
            case Send(message=StreamReport() as report):
                self._check(report)
        return []

    def _connect(self, order: ConnectPlatform) -> list[Any]:
        if self._connection is not None:
            self._connection.close()
        if self._peer is not None:
            self._peer.close()
        subscriptions = (("v1/gateway/rpc", False), ("v1/devices/me/rpc/request/+", False))
        self._connection = Connection(
            order.connection, order.protocol, self._platform, "id", context=None, subscriptions=subscriptions
        )
        fault = self._connection.open()
        assert not fault, fault
        self._peer = self._listener.accept()[0]
        self._peer.settimeout(0.0005)
        self._heard, self._connections = b"", self._connections + 1
        return [LinkOpened(order.connection)]

    def _check(self, report: StreamReport) -> None:
        self._dead |= {number for number, _ in report.dead}
        assert report.settled <= report.received
        for number in range(self._settled, report.settled):
            is_known = number in self._told or number in self._dead or self._acknowledges_anything
            assert is_known, f"run {self._number}: {number} is settled, but was never acknowledged"
        self._settled = max(self._settled, report.settled)

    # The broker's side.

    def _serve(self) -> None:
        if self._peer is None:
            return
        try:
            data = self._peer.recv(1 << 20)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        self._heard += data
        while (packet := self._take()) is not None and self._peer is not None:
            self._answer(*packet)

    def _take(self) -> tuple[int, int, bytes] | None:
        """(type, flags, what follows the fixed header) of the next packet that is whole."""
        length, shift, place = 0, 0, 1
        while True:
            if place >= len(self._heard):
                return None
            length |= (self._heard[place] & 127) << shift
            shift, place = shift + 7, place + 1
            if not self._heard[place - 1] & 128:
                break
        if len(self._heard) < place + length:
            return None
        head, rest = self._heard[0], self._heard[place : place + length]
        self._heard = self._heard[place + length :]
        return head >> 4, head & 15, rest

    def _answer(self, kind: int, flags: int, rest: bytes) -> None:
        draw = self._draw
        if kind == CONNECT:
            self._is_5 = rest[6] == 5
        if kind == PUBLISH and flags & 6:
            self._answer_publish(rest)
            return
        answers = {
            CONNECT: lambda: _packet(CONNACK, 0, b"\0\0" + b"\0" * self._is_5),
            SUBSCRIBE: lambda: _packet(SUBACK, 0, rest[:2] + b"\0" * self._is_5 + b"\1\1"),
            PINGREQ: lambda: _packet(PINGRESP, 0, b""),
        }
        if kind not in answers:
            return
        packet = answers[kind]()
        if not self._is_hostile or draw.random() < 0.7:
            self._say(packet)
        elif draw.random() < 0.7:
            self._say(_damaged(draw, packet))

    def _answer_publish(self, rest: bytes) -> None:
        """Each QoS 1 packet: accepted, refused, or left without an answer."""
        size = struct.unpack_from(">H", rest)[0]
        topic, mid, payload = rest[2 : 2 + size].decode(), rest[2 + size : 4 + size], rest[4 + size + self._is_5 :]
        code = 0
        if self._is_hostile and self._draw.random() < 0.3:
            code = self._draw.choice(REFUSALS) if self._is_5 and self._draw.random() < 0.3 else NO_ANSWER
        if code == NO_ANSWER:
            return
        if topic == TELEMETRY and code < 128:
            self._told |= {item["values"]["n"] for item in json.loads(payload).get("press1", [])}
        elif topic == "v1/devices/me/rpc/request/1" and self._draw.random() < 0.8:
            self._say(self._message("v1/devices/me/rpc/response/1", json.dumps(LIMITS).encode()))
        self._say(_packet(PUBACK, 0, mid + bytes([code, 0]) if code else mid))

    def _message(self, topic: str, payload: bytes) -> bytes:
        qos, kept = self._draw.choice([0, 1, 1, 2, 3] if self._is_hostile else [0]), self._draw.random() < 0.1
        mid = struct.pack(">H", self._draw.choice([0, 1, 2, 65_535, self._draw.randrange(65_536)])) if qos else b""
        name = topic.encode()
        body = struct.pack(">H", len(name)) + name + mid + b"\0" * self._is_5 + payload
        return _packet(PUBLISH, qos << 1 | kept, body)

    def _abuse(self) -> None:
        """Something that nobody has asked for."""
        draw = self._draw
        match draw.randrange(9):
            case 0:
                self._say(self._message(draw.choice(TOPICS), draw.choice(PAYLOADS)))
            case 1:
                self._say(_damaged(draw, self._message(draw.choice(TOPICS), json.dumps(CALL).encode())))
            case 2:
                self._say(b"".join(self._message(TOPICS[0], json.dumps(CALL).encode()) for _ in range(30)))
            case 3:
                # Type and flags of any kind but an acknowledgement, and what fits to neither.
                kind = draw.choice([kind for kind in range(16) if kind != PUBACK])
                self._say(_packet(kind, draw.randrange(16), draw.randbytes(draw.choice([0, 1, 2, 3, 10, 300]))))
            case 4:
                self._say(bytes([draw.choice([0x30, 0x20, 0x90]), 0xFF, 0xFF, 0xFF, draw.choice([0x7F, 0xFF]), 1, 2]))
            case 5:
                self._say(_packet(CONNACK, draw.randrange(2), bytes([draw.randrange(3), draw.randrange(256), 0])))
            case 6 if self._is_5:
                properties = draw.randbytes(draw.randrange(1, 12))
                self._say(_packet(draw.choice([CONNACK, SUBACK, DISCONNECT]), 0, b"\0\0" + properties))
            case 7:
                self._hang_up()
            case _ if self._acknowledges_anything:
                mid = struct.pack(">H", draw.choice([0, 1, 2, 3, 65_535, draw.randrange(65_536)]))
                self._say(_packet(PUBACK, 0, draw.choice([mid, mid[:1], mid + b"\0", mid + b"\x10\5abc", b""])))

    def _say(self, packet: bytes) -> None:
        if self._peer is None:
            return
        self._packets += 1
        pieces = [packet]
        if self._is_hostile and self._draw.random() < 0.2:
            place = self._draw.randrange(len(packet) + 1)
            pieces = [packet[:place], packet[place:]]
        try:
            for piece in pieces:
                self._peer.sendall(piece)
                if len(pieces) > 1:
                    self._read()
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None


def _packet(kind: int, flags: int, rest: bytes) -> bytes:
    length, size = len(rest), b""
    while True:
        length, digit = length >> 7, length & 127
        size += bytes([digit | (128 if length else 0)])
        if not length:
            return bytes([kind << 4 | flags]) + size + rest


def _damaged(draw: random.Random, packet: bytes) -> bytes:
    """The packet with one thing wrong; its type stays, so that nothing becomes an acknowledgement."""
    place = draw.randrange(1, len(packet)) if len(packet) > 1 else 1
    match draw.randrange(4):
        case 0:
            return packet[:place]
        case 1:
            return packet[:place] + bytes([draw.randrange(256)]) + packet[place + 1 :]
        case 2:
            return packet + bytes([0xF0, 0x00])
        case _:
            return packet[:place] + packet[place + 1 :]
