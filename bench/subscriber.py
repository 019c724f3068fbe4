"""Counts what arrives at the MQTT broker, in a process of its own. `python -m bench.subscriber PORT CLOCK LINES`.

Speaks just enough MQTT to subscribe, so that it costs little: it shares the machine with what is measured. It also
answers the gateway's question for the platform's limits as ThingsBoard does; without an answer the reference gateway
sends nothing. Each line of its input is answered by one JSON object: frames that came, repeats, frames out of order,
frames missing below the highest number, messages, how many devices were said to be connected and when the last of them
was; and since the question before the latencies and when each line's first new frame came.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.feeder import Clock
from bench.mqtt import PUBLISH, connect, next_packet, packet, text

NAME: Final = re.compile(rb'"line(\d+)":\[')
NUMBER: Final = re.compile(rb'"humidity":(\d+)')
TELEMETRY: Final = b"v1/gateway/telemetry"
CONNECTED: Final = b"v1/gateway/connect"
QUESTION: Final = b"v1/devices/me/rpc/request/"
ANSWER: Final = b"v1/devices/me/rpc/response/"
LIMITS: Final = (
    b'{"maxPayloadSize":65536,"maxInflightMessages":100,'
    b'"rateLimits":{"messages":"","telemetryMessages":"","telemetryDataPoints":""},'
    b'"gatewayRateLimits":{"messages":"","telemetryMessages":"","telemetryDataPoints":""}}'
)
"""ThingsBoard's own, without rate limits."""
LATENCIES: Final = 1_000_000
"""Kept at most between two questions."""
EVERY: Final = 50
"""Of a run of frames that came in one message, the first, the last and each of so many are timed."""


class Account:
    """What came of one line."""

    def __init__(self) -> None:
        self.highest = self.frames = self.repeats = self.disordered = 0
        self.news_s: float | None = None
        """When the first frame came that was later than all before, since the question before."""
        self._missing: set[int] = set()

    def take(self, numbers: list[int]) -> None:
        """The numbers of one message, in order."""
        first, count = self.highest + 1, len(numbers)
        if numbers[0] == first and numbers[-1] == first + count - 1 and numbers == list(range(first, first + count)):
            self.highest += count
            self.frames += count
            return
        for number in numbers:
            if number > self.highest:
                self._missing.update(range(self.highest + 1, number))
                self.highest = number
                self.frames += 1
            elif number in self._missing:
                self._missing.discard(number)
                self.disordered += 1
                self.frames += 1
            else:
                self.repeats += 1

    @property
    def missing(self) -> int:
        return len(self._missing)


class Subscriber:
    """All lines."""

    def __init__(self, port: int, clock: Clock, lines: int) -> None:
        self._clock = clock
        self._accounts = [Account() for _ in range(lines)]
        self._latencies_ms: list[float] = []
        self._messages = 0
        self._connected: set[bytes] = set()
        self._connected_s: float | None = None
        self._buffer = bytearray()
        self.socket = connect(port, b"bench", [TELEMETRY, CONNECTED, QUESTION + b"+"])
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def read(self) -> None:
        """Takes what is there."""
        data = self.socket.recv(1 << 20)
        if not data:
            sys.exit("the MQTT broker is gone")
        now_s = time.monotonic()
        buffer = self._buffer
        buffer += data
        start = 0
        while (found := next_packet(buffer, start)) is not None:
            kind, body, end = found
            if kind == PUBLISH:
                payload = body + 2 + int.from_bytes(buffer[body : body + 2])
                if buffer.startswith(QUESTION, body + 2):
                    self._answer(bytes(buffer[body + 2 : payload]).removeprefix(QUESTION))
                elif buffer.startswith(CONNECTED, body + 2):
                    self._connect(bytes(buffer[payload:end]), now_s)
                else:
                    self._take(bytes(buffer[payload:end]), now_s)
            start = end
        del buffer[:start]

    def _answer(self, number: bytes) -> None:
        self.socket.sendall(packet(PUBLISH << 4, text(ANSWER + number) + LIMITS))

    def _connect(self, payload: bytes, now_s: float) -> None:
        device = payload.partition(b'"device":')[2].split(b'"')[1]
        if device not in self._connected:
            self._connected.add(device)
            self._connected_s = now_s

    def _take(self, payload: bytes, now_s: float) -> None:
        self._messages += 1
        pieces = NAME.split(payload)
        for name, items in zip(pieces[1::2], pieces[2::2], strict=True):
            line = int(name)
            numbers = list(map(int, NUMBER.findall(items)))
            if not numbers:
                continue
            account = self._accounts[line]
            if account.news_s is None and max(numbers) > account.highest:
                account.news_s = now_s
            account.take(numbers)
            if len(self._latencies_ms) < LATENCIES:
                written_s = self._clock.written_s
                timed = numbers if len(numbers) < EVERY else [*numbers[::EVERY], numbers[-1]]
                self._latencies_ms += [(now_s - written_s(line, number)) * 1000 for number in timed]

    def report(self) -> dict[str, Any]:
        """What came so far."""
        latencies_ms, self._latencies_ms = sorted(self._latencies_ms), []
        accounts = self._accounts
        news_s = [account.news_s for account in accounts]
        for account in accounts:
            account.news_s = None

        def quantile(share: float) -> float | None:
            return round(latencies_ms[int(share * (len(latencies_ms) - 1))], 2) if latencies_ms else None

        return {
            "at_s": time.monotonic(),
            "frames": sum(account.frames for account in accounts),
            "highest": [account.highest for account in accounts],
            "news_s": news_s,
            "missing": sum(account.missing for account in accounts),
            "disordered": sum(account.disordered for account in accounts),
            "repeats": sum(account.repeats for account in accounts),
            "messages": self._messages,
            "connected": len(self._connected),
            "connected_s": self._connected_s,
            "p50_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "max_ms": quantile(1.0),
        }


def main() -> int:
    port, clock_path, lines = sys.argv[1:]
    subscriber = Subscriber(int(port), Clock(Path(clock_path), int(lines)), int(lines))
    print("{}", flush=True)
    while True:
        ready, _, _ = select.select([subscriber.socket, sys.stdin], [], [])
        if subscriber.socket in ready:
            subscriber.read()
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return 0
            print(json.dumps(subscriber.report()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
