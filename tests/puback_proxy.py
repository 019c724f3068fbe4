"""A TCP proxy in front of an MQTT broker that counts publishes and does what ThingsBoard does to PUBACKs.

MQTT 5 and 3.1.1, only as far as needed: fixed headers are split off, CONNECT is read for its protocol level, PUBLISH of
quality of service 1 for topic and packet id, PUBACK for its packet id. Everything else passes untouched.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

CONNECT, PUBLISH, PUBACK = 1, 3, 4


class Passed(NamedTuple):
    """A PUBLISH of quality of service 1 from the client."""

    connection: int
    packet_id: int
    topic: str
    payload: bytes


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


class PubackProxy:
    """Listens on a free port of the loopback. `rule` decides on each publish; `passed` keeps them all."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.rule: Rule = lambda passed: Answer()
        self.passed: list[Passed] = []
        self.connections = 0
        self._open: set[_Pair] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, topic: str) -> int:
        """Publishes on a topic so far, refused ones included."""
        return sum(passed.topic == topic for passed in self.passed)

    def close_all(self) -> None:
        """Cuts every connection that is open."""
        for pair in list(self._open):
            pair.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.close_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                if self._server.fileno() < 0:
                    return
                client.close()
                continue
            self.connections += 1
            pair = _Pair(self, self.connections, client, server)
            self._open.add(pair)
            threading.Thread(target=self._run, args=(pair,), daemon=True).start()

    def _run(self, pair: _Pair) -> None:
        with contextlib.suppress(OSError, _ClosedError):
            pair.run()
        pair.cut()
        self._open.discard(pair)


class _ClosedError(Exception):
    """One side is closed, or the rule says so."""


class _Pair:
    def __init__(self, proxy: PubackProxy, number: int, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._number = number
        self._client = client
        self._server = server
        self._is_5 = True
        self._answers: dict[int, Answer] = {}
        self._later: list[tuple[float, int, int, Answer]] = []
        self._count = itertools.count()

    def cut(self) -> None:
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        buffers = {self._client: bytearray(), self._server: bytearray()}
        with selectors.DefaultSelector() as selector, self._client, self._server:
            for side in buffers:
                selector.register(side, selectors.EVENT_READ)
            while True:
                timeout_s = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
                for key, _ in selector.select(timeout_s):
                    side = key.fileobj
                    data = side.recv(65_536)  # type: ignore[union-attr]
                    if not data:
                        raise _ClosedError
                    buffers[side] += data  # type: ignore[index]
                    for kind, packet, start in _packets(buffers[side]):  # type: ignore[index]
                        handle = self._from_client if side is self._client else self._from_server
                        handle(kind, packet, start)
                while self._later and self._later[0][0] <= time.monotonic():
                    _, _, packet_id, answer = heapq.heappop(self._later)
                    self._acknowledge(packet_id, answer)

    def _from_client(self, kind: int, packet: bytes, start: int) -> None:
        if kind == CONNECT:
            self._is_5 = packet[start + 6] == 5
        if kind == PUBLISH and packet[0] & 0x06 == 0x02:
            passed = self._publish(packet, start)
            self._proxy.passed.append(passed)
            answer = self._proxy.rule(passed)
            if not answer.forward:
                self._answer(passed.packet_id, answer)
                return
            self._answers[passed.packet_id] = answer
        self._server.sendall(packet)

    def _publish(self, packet: bytes, start: int) -> Passed:
        end = start + 2 + struct.unpack_from("!H", packet, start)[0]
        (packet_id,) = struct.unpack_from("!H", packet, end)
        # The core sends no properties longer than 127 bytes, so their length is one byte.
        payload = end + 2 + (1 + packet[end + 2] if self._is_5 else 0)
        return Passed(self._number, packet_id, packet[start + 2 : end].decode(), packet[payload:])

    def _from_server(self, kind: int, packet: bytes, start: int) -> None:
        if kind == PUBACK:
            packet_id = struct.unpack_from("!H", packet, start)[0]
            answer = self._answers.pop(packet_id, Answer())
            if answer != Answer():
                self._answer(packet_id, answer)
                return
        self._client.sendall(packet)

    def _answer(self, packet_id: int, answer: Answer) -> None:
        if answer.delay_s:
            heapq.heappush(
                self._later,
                (time.monotonic() + answer.delay_s, next(self._count), packet_id, answer._replace(delay_s=0)),
            )
        else:
            self._acknowledge(packet_id, answer)

    def _acknowledge(self, packet_id: int, answer: Answer) -> None:
        if not answer.drop:
            packet = struct.pack("!BBHB", PUBACK << 4, 3, packet_id, answer.code)
            self._client.sendall(packet if self._is_5 else struct.pack("!BBH", PUBACK << 4, 2, packet_id))
        if answer.close:
            raise _ClosedError


def _packets(buffer: bytearray) -> Iterator[tuple[int, bytes, int]]:
    """(type, whole packet, where its variable header begins) of each complete packet; takes them out of the buffer."""
    while True:
        length, shift, start = 0, 0, 1
        while True:
            if start >= len(buffer):
                return
            byte = buffer[start]
            length |= (byte & 127) << shift
            shift += 7
            start += 1
            if not byte & 128:
                break
        if len(buffer) < start + length:
            return
        packet = bytes(buffer[: start + length])
        del buffer[: start + length]
        yield packet[0] >> 4, packet, start
