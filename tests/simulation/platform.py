"""A platform that accepts, is away, cuts and is slow; and checks what every client of it must keep to."""

from __future__ import annotations

import json
from typing import Any

from services.publisher.events import LinkDown, LinkUp, PlatformMessage, PubAck, Publish
from tests.simulation.kernel import Clock, Process


class FakePlatform:
    """The other end of the publisher's connection. It keeps what it accepted."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.is_up = True
        self.slow_s = 0.005
        self.lose_acks = 0.0
        """How likely an accepted publish is never acknowledged, because the connection ends first."""
        self.telemetry: dict[str, list[tuple[int, Any]]] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.lifecycle: list[tuple[str, str]] = []
        self.replies: dict[Any, list[Any]] = {}
        self.faults: list[str] = []
        """What a well-behaved publisher never does."""
        self.cuts = 0
        self._client: Process | None = None
        self._connection = 0
        self._announced: set[str] = set()
        self._unacked: dict[int, set[str]] = {}

    # What the publisher's shell would do.

    def connect(self, client: Process, connection: int, protocol: int) -> None:
        """CONNACK after a moment, or a refused connection."""

        def answer() -> None:
            if not self.is_up:
                client.hear(LinkDown(connection, "connection refused", False))
                return
            self._client, self._connection = client, connection
            self._announced, self._unacked = set(), {}
            client.hear(LinkUp(connection, protocol))

        self._later(client, answer)

    def disconnect(self, connection: int) -> None:
        """The client says goodbye, or its process dies."""
        if connection == self._connection:
            self._client = None

    def publish(self, client: Process, publish: Publish) -> None:
        """Accepts after a moment; or is cut off before or after."""
        if self._client is not client:
            return
        connection = self._connection
        devices = self._devices_of(publish)
        for other in self._unacked.values():
            if both := devices & other:
                self.faults.append(f"two unaccepted publishes of {sorted(both)}")
        self._unacked[publish.token] = devices

        def arrive() -> None:
            if self._client is not client or self._connection != connection:
                return
            self._accept(publish)
            if self.clock.random.random() < self.lose_acks:
                self.cut("closed before PUBACK")
                return
            self._later(client, lambda: self._acknowledge(client, connection, publish.token))

        self._later(client, arrive)

    # What tests do.

    def cut(self, reason: str) -> None:
        """The connection ends."""
        client, connection = self._client, self._connection
        self._client = None
        if client is not None:
            self.cuts += 1
            client.later(0.0, LinkDown(connection, reason, True))

    def go_away(self, seconds: float) -> None:
        """Down for a while."""
        self.is_up = False
        self.cut("the platform went away")

        def come_back() -> None:
            self.is_up = True

        self.clock.after(seconds, come_back)

    def say(self, topic: str, payload: Any) -> None:
        """Something comes down to the gateway, if it is connected."""
        if self._client is not None:
            self._client.hear(PlatformMessage(self._connection, topic, json.dumps(payload).encode()))

    # Inside.

    def _later(self, client: Process, action: Any) -> None:
        life = client.life
        delay_s = self.slow_s * (0.5 + self.clock.random.random())
        self.clock.after(delay_s, lambda: action() if client.life == life else None)

    def _acknowledge(self, client: Process, connection: int, token: int) -> None:
        if self._client is client and self._connection == connection:
            self._unacked.pop(token, None)
            client.hear(PubAck(connection, token, 0))

    @staticmethod
    def _devices_of(publish: Publish) -> set[str]:
        if publish.topic in ("v1/gateway/telemetry", "v1/gateway/attributes"):
            return set(json.loads(publish.payload))
        return set()

    def _accept(self, publish: Publish) -> None:
        said = json.loads(publish.payload)
        match publish.topic:
            case "v1/gateway/connect":
                self._announced.add(said["device"])
                self.lifecycle.append(("connect", said["device"]))
            case "v1/gateway/disconnect":
                self.lifecycle.append(("disconnect", said["device"]))
            case "v1/gateway/telemetry":
                for device, items in said.items():
                    self._check_announced(device)
                    kept = self.telemetry.setdefault(device, [])
                    kept.extend((item["ts"], item["values"]) for item in items)
            case "v1/gateway/attributes":
                for device, values in said.items():
                    self._check_announced(device)
                    self.attributes.setdefault(device, {}).update(values)
            case "v1/gateway/rpc":
                self.replies.setdefault(said["id"], []).append(said["data"])

    def _check_announced(self, device: str) -> None:
        if device not in self._announced:
            self.faults.append(f"data of {device} before its connect")
