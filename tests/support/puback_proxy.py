"""A TCP proxy in front of an MQTT broker that says no as ThingsBoard does, and counts only what was accepted.

MQTT 5 and 3.1.1, only as far as needed: fixed headers are split off, CONNECT is read for its protocol level, PUBLISH of
quality of service 1 for topic and packet id, PUBACK for its packet id. Everything else passes untouched.

`rule` decides on each publish; the functions under "rows" are the rows of ThingsBoard's table of refusals. What is
accepted is forwarded to the MQTT broker and kept in `accepted`; what is refused never reaches it. `faults` are things
that a well-behaved gateway never does, whatever the rule: see `_Pair.watch`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, Self

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
TELEMETRY, ATTRIBUTES = "v1/gateway/telemetry", "v1/gateway/attributes"
ANNOUNCE, DISMISS = "v1/gateway/connect", "v1/gateway/disconnect"
LIMITS_QUESTION, LIMITS_ANSWER = "v1/devices/me/rpc/request/1", "v1/devices/me/rpc/response/1"
RECEIVE_MAXIMUM = 0x21


class Passed(NamedTuple):
    """A PUBLISH of quality of service 1 from the client."""

    connection: int
    packet_id: int
    topic: str
    payload: bytes
    protocol: int = 5
    at_s: float = 0.0

    @property
    def is_data(self) -> bool:
        return self.topic in (TELEMETRY, ATTRIBUTES)

    @property
    def devices(self) -> set[str]:
        """Whose data it is; nobody's if it is no data, or not readable."""
        content = self.content if self.is_data else None
        return set(content) if isinstance(content, dict) else set()

    @property
    def content(self) -> Any:
        """The payload, parsed; None if it is no JSON."""
        with contextlib.suppress(ValueError):
            return json.loads(self.payload)
        return None

    def items(self, device: str) -> list[Any]:
        """Telemetry of one device."""
        return list(self.content.get(device, [])) if self.topic == TELEMETRY else []


class Answer(NamedTuple):
    """What becomes of a publish. `forward` False: the MQTT broker never sees it, and the proxy makes the PUBACK."""

    code: int = 0
    """Reason code of the PUBACK; left out on MQTT 3.1.1, as ThingsBoard does."""
    forward: bool = True
    drop: bool = False
    """No PUBACK at all."""
    delay_s: float = 0.0
    close: bool = False
    """Both sides are closed after the PUBACK (or in its place)."""


Rule = Callable[[Passed], Answer]
ACCEPT = Answer()

# Rows: what ThingsBoard answers.


def rate_limited(passed: Passed) -> Answer:
    """A rate limit on telemetry, attributes or claims: 151, or a PUBACK like any other, and the channel is closed."""
    return Answer(code=151, forward=False, close=True)


def failed(passed: Passed) -> Answer:
    """Any other processing error: 128, or a PUBACK like any other, and the channel is closed."""
    return Answer(code=128, forward=False, close=True)


def not_created(passed: Passed, code: int = 151) -> Answer:
    """The device can't be created: 151 or 128, or a PUBACK like any other; the channel stays open."""
    return Answer(code=code, forward=False)


def bad_payload(passed: Passed) -> Answer:
    """One device's payload can't be converted: 153 on an open channel; on 3.1.1 it is closed without a PUBACK."""
    return Answer(code=153, forward=False) if passed.protocol == 5 else Answer(forward=False, drop=True, close=True)


class Throttle:
    """A rule: a token bucket over publishes of data; what finds it empty is `rate_limited`."""

    def __init__(self, rate: float, burst: float, cost: Callable[[Passed], float] = lambda passed: 1.0) -> None:
        self._rate, self._burst, self._cost = rate, burst, cost
        self._tokens, self._filled_s = burst, time.monotonic()
        self.refused = 0

    def __call__(self, passed: Passed) -> Answer:
        if not passed.is_data:
            return ACCEPT
        now_s = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s
        if self._tokens < (cost := self._cost(passed)):
            self.refused += 1
            return rate_limited(passed)
        self._tokens -= cost
        return ACCEPT


class PubackProxy:
    """Listens on a free port of the loopback. `rule` decides on each publish; `passed` keeps them all."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.rule: Rule = lambda passed: ACCEPT
        self.passed: list[Passed] = []
        self.accepted: list[Passed] = []
        """What the MQTT broker was given, in order."""
        self.faults: list[str] = []
        self.connections = 0
        self.most_unacked = 0
        """Most publishes of one connection that were unacknowledged at one time."""
        self.mqtt_5: Literal["yes", "refused", "closed", "silent"] = "yes"
        """What becomes of a CONNECT of MQTT 5."""
        self.receive_maximum: int | None = None
        """Said in CONNACK, and held to; None: what the MQTT broker says."""
        self.limits: Any = None
        """The answer to getSessionLimits; None: the MQTT broker gets the question, "silent": nobody does."""
        self.limits_delay_s = 0.0
        self.stalled = False
        """New connections are taken, and nothing is read from them, until this is false."""
        self.closes_after_connack = False
        self.cuts = 0
        """So many publishes of data are cut off after their first bytes."""
        self._open: set[_Pair] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, topic: str) -> int:
        """Publishes on a topic so far, refused ones included."""
        return sum(passed.topic == topic for passed in self.passed)

    def accepted_items(self, device: str) -> list[Any]:
        """A device's telemetry that was accepted, in order, repeats included."""
        return [item for passed in list(self.accepted) for item in passed.items(device)]

    def say(self, topic: str, payload: Any) -> None:
        """Pushes a message to the client, subscribed or not."""
        for pair in list(self._open):
            pair.say(topic, payload)

    def close_all(self) -> None:
        """Cuts every connection that is open."""
        for pair in list(self._open):
            pair.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.stalled = False
        self.close_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._run, args=(client, self.connections), daemon=True).start()

    def _run(self, client: socket.socket, number: int) -> None:
        with client, contextlib.suppress(OSError, _ClosedError):
            never = threading.Event()
            while self.stalled:
                never.wait(0.02)
            server = socket.create_connection(("127.0.0.1", self._target_port))
            pair = _Pair(self, number, client, server)
            self._open.add(pair)
            try:
                pair.run()
            finally:
                self._open.discard(pair)
                pair.cut()


class _ClosedError(Exception):
    """One side is closed, or the rule says so."""


class _Pair:
    def __init__(self, proxy: PubackProxy, number: int, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._number = number
        self._client = client
        self._server = server
        self._protocol = 5
        self._answers: dict[int, Answer] = {}
        self._unacked: dict[int, Passed] = {}
        self._announced: set[str] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._lock = threading.Lock()

    def cut(self) -> None:
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def say(self, topic: str, payload: Any) -> None:
        name = topic.encode()
        body = struct.pack("!H", len(name)) + name + (b"\0" if self._protocol == 5 else b"")
        body += json.dumps(payload).encode()
        self._send(bytes([PUBLISH << 4]) + _length(len(body)) + body)

    def _send(self, packet: bytes) -> None:
        with self._lock:
            self._client.sendall(packet)

    def run(self) -> None:
        buffers = {self._client: bytearray(), self._server: bytearray()}
        with selectors.DefaultSelector() as selector, self._server:
            for side in buffers:
                selector.register(side, selectors.EVENT_READ)
            while True:
                timeout_s = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
                for key, _ in selector.select(timeout_s):
                    self._read(key.fileobj, buffers)
                while self._later and self._later[0][0] <= time.monotonic():
                    heapq.heappop(self._later)[2]()

    def _read(self, side: Any, buffers: dict[socket.socket, bytearray]) -> None:
        data = side.recv(65_536)
        if not data:
            raise _ClosedError
        buffers[side] += data
        is_client = side is self._client
        if is_client and self._proxy.cuts and _begins_data(buffers[side]):
            self._proxy.cuts -= 1
            raise _ClosedError
        for kind, packet, start in _packets(buffers[side]):
            (self._from_client if is_client else self._from_server)(kind, packet, start)

    # From the client.

    def _from_client(self, kind: int, packet: bytes, start: int) -> None:
        if kind == CONNECT and not self._welcome(packet[start + 6]):
            return
        if kind == PUBLISH and packet[0] & 0x06 == 0x02:
            passed = self._publish(packet, start)
            self.watch(passed)
            self._proxy.passed.append(passed)
            if passed.topic == LIMITS_QUESTION and self._proxy.limits is not None:
                self._answer_limits(passed)
                return
            answer = self._judge(passed)
            if not answer.forward:
                self._answer(passed.packet_id, answer)
                return
            packet, passed = _without_skipped(packet, passed)
            self._proxy.accepted.append(passed)
            self._answers[passed.packet_id] = answer
        self._server.sendall(packet)

    def _welcome(self, level: int) -> bool:
        """True if CONNECT may go on to the MQTT broker."""
        self._protocol = level
        if level != 5 or self._proxy.mqtt_5 == "yes":
            return True
        if self._proxy.mqtt_5 == "refused":
            self._client.sendall(b"\x20\x02\x00\x01")
        if self._proxy.mqtt_5 != "silent":
            raise _ClosedError
        return False

    def _publish(self, packet: bytes, start: int) -> Passed:
        end = start + 2 + struct.unpack_from("!H", packet, start)[0]
        (packet_id,) = struct.unpack_from("!H", packet, end)
        # The core sends no properties longer than 127 bytes, so their length is one byte.
        payload = end + 2 + (1 + packet[end + 2] if self._protocol == 5 else 0)
        topic = packet[start + 2 : end].decode()
        return Passed(self._number, packet_id, topic, packet[payload:], self._protocol, time.monotonic())

    def watch(self, passed: Passed) -> None:
        """Notes a fault for: a second unaccepted publish of a device, more than the receive maximum, a payload above
        the platform's limit, data of a device whose `connect` was not accepted on this connection."""
        proxy, devices = self._proxy, passed.devices
        for other in self._unacked.values():
            if both := devices & other.devices:
                proxy.faults.append(f"two unaccepted publishes of {sorted(both)}")
        if strangers := devices - self._announced:
            proxy.faults.append(f"data of {sorted(strangers)} before connect")
        self._unacked[passed.packet_id] = passed
        proxy.most_unacked = max(proxy.most_unacked, len(self._unacked))
        if proxy.receive_maximum is not None and len(self._unacked) > proxy.receive_maximum:
            proxy.faults.append(f"{len(self._unacked)} unacknowledged publishes")
        limit = proxy.limits.get("maxPayloadSize") if isinstance(proxy.limits, dict) else None
        if limit is not None and not proxy.limits_delay_s and len(passed.payload) > limit:
            proxy.faults.append(f"{len(passed.payload)} bytes on {passed.topic}")

    def _judge(self, passed: Passed) -> Answer:
        answer = self._proxy.rule(passed)
        if answer.forward and passed.topic.startswith("v1/gateway/") and not isinstance(passed.content, dict):
            return bad_payload(passed)
        return answer

    def _answer_limits(self, passed: Passed) -> None:
        self._acknowledge(passed.packet_id, ACCEPT)
        if self._proxy.limits != "silent":
            limits = self._proxy.limits
            self._do_later(self._proxy.limits_delay_s, lambda: self.say(LIMITS_ANSWER, limits))

    # To the client.

    def _from_server(self, kind: int, packet: bytes, start: int) -> None:
        if kind == CONNACK:
            self._send(self._connack(packet))
            if self._proxy.closes_after_connack:
                raise _ClosedError
            return
        if kind == PUBACK:
            packet_id = struct.unpack_from("!H", packet, start)[0]
            answer = self._answers.pop(packet_id, ACCEPT)
            if answer != ACCEPT:
                self._answer(packet_id, answer)
                return
            self._end(packet_id, ACCEPT)
        self._send(packet)

    def _connack(self, packet: bytes) -> bytes:
        maximum = self._proxy.receive_maximum
        if maximum is None or self._protocol != 5:
            return packet
        properties = struct.pack("!BH", RECEIVE_MAXIMUM, maximum)
        return bytes([CONNACK << 4, 3 + len(properties), 0, 0, len(properties)]) + properties

    def _do_later(self, delay_s: float, action: Callable[[], None]) -> None:
        if delay_s:
            heapq.heappush(self._later, (time.monotonic() + delay_s, next(self._count), action))
        else:
            action()

    def _answer(self, packet_id: int, answer: Answer) -> None:
        self._do_later(answer.delay_s, lambda: self._acknowledge(packet_id, answer))

    def _acknowledge(self, packet_id: int, answer: Answer) -> None:
        if not answer.drop:
            self._end(packet_id, answer)
            packet = struct.pack("!BBHB", PUBACK << 4, 3, packet_id, answer.code)
            self._send(packet if self._protocol == 5 else struct.pack("!BBH", PUBACK << 4, 2, packet_id))
        if answer.close:
            raise _ClosedError

    def _end(self, packet_id: int, answer: Answer) -> None:
        """The client hears of a publish."""
        passed = self._unacked.pop(packet_id, None)
        if passed and passed.topic in (ANNOUNCE, DISMISS) and isinstance(content := passed.content, dict):
            if passed.topic == DISMISS:
                self._announced.discard(content["device"])
            elif answer.code < 128 or self._protocol != 5:
                self._announced.add(content["device"])


def _without_skipped(packet: bytes, passed: Passed) -> tuple[bytes, Passed]:
    """ThingsBoard skips a device whose telemetry is no array, and takes the others."""
    content = passed.content
    if passed.topic != TELEMETRY or all(isinstance(items, list) for items in content.values()):
        return packet, passed
    payload = json.dumps({name: items for name, items in content.items() if isinstance(items, list)}).encode()
    header = _header(bytearray(packet))
    assert header is not None
    rest = packet[header[0] : len(packet) - len(passed.payload)] + payload
    return packet[:1] + _length(len(rest)) + rest, passed._replace(payload=payload)


def _length(length: int) -> bytes:
    """A remaining length."""
    encoded = bytearray()
    while True:
        length, byte = length >> 7, length & 127
        encoded.append(byte | (128 if length else 0))
        if not length:
            return bytes(encoded)


def _header(buffer: bytearray) -> tuple[int, int] | None:
    """(where the variable header begins, remaining length) of the first packet; None if that has not come yet."""
    length, shift, start = 0, 0, 1
    while True:
        if start >= len(buffer):
            return None
        byte = buffer[start]
        length |= (byte & 127) << shift
        shift += 7
        start += 1
        if not byte & 128:
            return start, length


def _begins_data(buffer: bytearray) -> bool:
    """True if the first packet is a publish of data, whole or not."""
    header = _header(buffer)
    if header is None or buffer[0] >> 4 != PUBLISH:
        return False
    return bytes(buffer[header[0] + 2 :]).startswith((TELEMETRY.encode(), b"v1/gateway/attributes"))


def _packets(buffer: bytearray) -> Iterator[tuple[int, bytes, int]]:
    """(type, whole packet, where its variable header begins) of each complete packet; takes them out of the buffer."""
    while (header := _header(buffer)) and len(buffer) >= sum(header):
        packet = bytes(buffer[: sum(header)])
        del buffer[: sum(header)]
        yield packet[0] >> 4, packet, header[0]
