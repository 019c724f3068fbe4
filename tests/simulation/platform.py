"""A platform that accepts, refuses in every way that ThingsBoard has, is away, cuts and is slow; and checks what every
client of it must keep to.

How each refusal looks (MQTT 5 | MQTT 3.1.1):

| row       | what                                 | MQTT 5                  | MQTT 3.1.1               |
|-----------|--------------------------------------|-------------------------|--------------------------|
| `rate`    | too much data                        | PUBACK 151, then closed | PUBACK, then closed      |
| `error`   | some fault of the server             | PUBACK 128, then closed | PUBACK, then closed      |
| `device`  | the device can't be created          | PUBACK 151/128, open    | (can't be told from acceptance) |
| `payload` | one device's payload can't be read   | PUBACK 153, open        | closed without PUBACK    |
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from services.publisher.core.events import (
    LinkDown,
    LinkRefused,
    LinkUp,
    PlatformMessage,
    PubAck,
    Publish,
)
from tests.simulation.kernel import Clock, Process
from tests.simulation.rates import ServerRates

_TELEMETRY = "v1/gateway/telemetry"
_ATTRIBUTES = "v1/gateway/attributes"
_LIMITS = "v1/devices/me/rpc/request/1"
_GATEWAY_REPLY = "v1/devices/me/rpc/response/"
UNSUPPORTED_PROTOCOL = 132


class Item(NamedTuple):
    """One item of telemetry that was accepted, repeats included."""

    session: int
    """The number of the connection, over all publishers."""
    at_s: float
    ts_ms: int
    number: int | None
    state: int | None
    versions: tuple[str, ...] = ()
    """The keys by which it says under which sections it was made (`tests.simulation.swaps`)."""


class FakePlatform:
    """The other end of the publisher's connection. It keeps what it accepted."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        # How it is now; faults change this.
        self.is_up = True
        self.speaks_mqtt_5 = True
        self.limits: dict[str, Any] = {}
        """What it answers to `getSessionLimits`; nothing if empty."""
        self.rates: ServerRates | None = None
        """What it counts, where it limits rates."""
        self.slow_s = 0.005
        self.refuses: dict[str, float] = {}
        """Row `rate` or `error` -> how likely it refuses a publish of data so."""
        self.refused_devices: dict[str, int] = {}
        """Devices whose `connect` is refused, and the reason code."""
        self.bad_values: set[int] = set()
        """Telemetry that it can never read."""
        self.refused_s: dict[int, float] = {}
        """Which of these it has refused, and when for the last time."""
        self.lose_acks = 0.0
        """How likely an accepted publish is never acknowledged, because the connection ends first."""
        self.lose_publishes = 0.0
        """How likely the connection ends before a publish has arrived."""
        self.late_s = 0.0
        """So long some publishes wait for their PUBACK; above the client's patience it never comes."""
        # What it has seen.
        self.telemetry: dict[str, list[tuple[int, int]]] = {}
        """Device -> (ts, number) in the order of acceptance, repeats included."""
        self.items: dict[str, list[Item]] = {}
        """Device -> all that its telemetry has said, in the order of acceptance."""
        self.keyed: dict[str, list[tuple[int, str, Any]]] = {}
        """Device → (ts, key, value) in the order of acceptance, repeats included, of those for whom a test has laid out
        a list."""
        self.attributes: dict[str, dict[str, Any]] = {}
        self.shared: dict[str, dict[str, Any]] = {}
        """Attributes that devices are told when they change, and asked for by the gateway."""
        self.lifecycle: dict[str, list[str]] = {}
        self.replies: dict[Any, list[Any]] = {}
        self.replied_as: dict[Any, set[str]] = {}
        """Call → the devices under whose name its replies came."""
        self.links: list[tuple[float, float]] = []
        """Connections: (since, until)."""
        self.gateway_replies: dict[str, list[Any]] = {}
        """Calls of the gateway itself → their answers."""
        self.tried_replies: set[Any] = set()
        """Calls whose reply was published, whether it came through or not."""
        self.faults: list[str] = []
        """What a well-behaved publisher never does."""
        self._client: Process | None = None
        self._connection = 0
        self._protocol = 5
        self._since_s = 0.0
        self._is_closing = False
        """It has refused and is about to close: it reads nothing more."""
        self._announced: set[str] = set()
        self._unacked: dict[int, set[str]] = {}

    # What the publisher's shell would do.

    def connect(self, client: Process, connection: int, protocol: int) -> None:
        """CONNACK after a moment, or a refused connection."""
        self._later(client, self._answer_connect, client, connection, protocol)

    def _answer_connect(self, client: Process, connection: int, protocol: int) -> None:
        if not self.is_up:
            client.hear(LinkDown(connection, "connection refused", False))
        elif protocol == 5 and not self.speaks_mqtt_5:
            client.hear(LinkRefused(connection, UNSUPPORTED_PROTOCOL, "unsupported protocol version"))
        else:
            self._end_link()
            self._client, self._connection, self._protocol = client, connection, protocol
            self._since_s = self.clock.now_s
            self._announced, self._unacked, self._is_closing = set(), {}, False
            client.hear(LinkUp(connection, protocol))

    def disconnect(self, client: Process, connection: int) -> None:
        """The client says goodbye, or its process dies."""
        if client is self._client and connection == self._connection:
            self._end_link()

    def publish(self, client: Process, publish: Publish) -> None:
        """Accepts or refuses after a moment; or is cut off before or after."""
        if self._client is not client or publish.connection != self._connection:
            return
        if publish.topic == "v1/gateway/rpc":
            self.tried_replies.add(json.loads(publish.payload)["id"])
        devices = _devices_of(publish)
        for other in self._unacked.values():
            if both := devices & other:
                self.faults.append(f"two unaccepted publishes of {sorted(both)}")
        if (early := devices - self._announced) and not self._is_closing:
            # What closes on MQTT 3.1.1 has acknowledged the announcement that it refuses.
            self.faults.append(f"data of {sorted(early)} before its connect was accepted")
        self._unacked[publish.token] = devices
        self._later(client, self._arrive, client, publish)

    def _arrive(self, client: Process, publish: Publish) -> None:
        if self._client is not client or self._connection != publish.connection or self._is_closing:
            return
        if self._draw(self.lose_publishes):
            self.cut("closed in the middle of a publish")
            return
        said = json.loads(publish.payload)
        if self.rates is not None and not self.rates.takes(publish.topic, publish.payload, self.clock.now_s):
            self._refuse_rate(client, publish, said)
        elif not self._refuse(client, publish, said):
            self._accept(publish.topic, said)
            if self._draw(self.lose_acks):
                self.cut("closed before PUBACK")
                return
            self._acknowledge(client, publish, 0, self.late_s if self._draw(0.3) else 0.0)

    def _refuse(self, client: Process, publish: Publish, said: Any) -> bool:
        """Does what its row says to a publish that is refused; False if it is not."""
        topic = publish.topic
        is_data = topic in (_TELEMETRY, _ATTRIBUTES)
        if is_data:
            for row, code in (("rate", 151), ("error", 128)):
                if self._draw(self.refuses.get(row, 0.0)):
                    self._close_after(client, publish, code)
                    if row == "rate" and self._protocol == 5:
                        self._drop_devices(said, 150)
                    return True
        if topic == "v1/gateway/connect" and self._protocol == 5 and said["device"] in self.refused_devices:
            self._acknowledge(client, publish, self.refused_devices[said["device"]], 0.0)
            return True
        if topic == _TELEMETRY and (bad := self._bad_devices(said)):
            numbers = {item["values"].get("n") for device in bad for item in said[device]}
            self.refused_s |= dict.fromkeys(numbers & self.bad_values, self.clock.now_s)
            if self._draw(0.5):
                self._accept(topic, {device: items for device, items in said.items() if device not in bad})
            if self._protocol == 5:
                self._acknowledge(client, publish, 153, 0.0)
            else:
                self.cut("closed at a payload that can't be read")
            return True
        return False

    def _close_after(self, client: Process, publish: Publish, code: int) -> None:
        """Acknowledges, as a refusal where that can be told, and closes."""
        self._is_closing = True
        self._acknowledge(client, publish, code if self._protocol == 5 else 0, 0.0)
        self.clock.after(0.02 + 0.1 * self.clock.random.random(), self._cut_if, client, publish.connection)

    def _refuse_rate(self, client: Process, publish: Publish, said: Any) -> None:
        """What is too much: an announcement leaves the connection open, all else closes it."""
        if publish.topic == "v1/gateway/connect" and self._protocol == 5:
            self._acknowledge(client, publish, 151, 0.0)
            return
        self._close_after(client, publish, 151)
        if publish.topic in (_TELEMETRY, _ATTRIBUTES) and self._protocol == 5:
            self._drop_devices(said, 150)

    def _bad_devices(self, said: dict[str, Any]) -> set[str]:
        if not self.bad_values:
            return set()
        return {
            name for name, items in said.items() if any(item["values"].get("n") in self.bad_values for item in items)
        }

    def _drop_devices(self, said: dict[str, Any], reason: int) -> None:
        for device in said:
            self.say("v1/gateway/disconnect", {"device": device, "reason": reason})
            if self._client is None or not self._client.is_busy:
                # Else it will hear of it later, and can't know yet.
                self._announced.discard(device)

    # What tests do.

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    def is_announced(self, device: str) -> bool:
        """True if this connection knows the device as connected."""
        return self._client is not None and device in self._announced

    def cut(self, reason: str) -> None:
        """The connection ends."""
        client, connection = self._client, self._connection
        if client is not None:
            self._end_link()
            client.later(0.0, LinkDown(connection, reason, True))

    def _cut_if(self, client: Process, connection: int) -> None:
        if self._client is client and self._connection == connection:
            self.cut("closed after a refusal")

    def go_away(self) -> None:
        """Down, until `is_up` is set again."""
        self.is_up = False
        self.cut("the platform went away")

    def drop_device(self, device: str) -> None:
        """Ends one device's session, and says so."""
        self._drop_devices({device: []}, 150)

    def say(self, topic: str, payload: Any) -> bool:
        """Something comes down to the gateway; False if it is not connected."""
        if self._client is None:
            return False
        self._client.hear(PlatformMessage(self._connection, topic, json.dumps(payload).encode()))
        return True

    # Inside.

    def _draw(self, likelihood: float) -> bool:
        return likelihood > 0 and self.clock.random.random() < likelihood

    def _end_link(self) -> None:
        if self._client is not None:
            self.links.append((self._since_s, self.clock.now_s))
        self._client = None

    def _later(self, client: Process, action: Any, *arguments: Any) -> None:
        delay_s = self.slow_s * (0.5 + self.clock.random.random())
        self.clock.after(delay_s, self._act, client, client.life, action, arguments)

    @staticmethod
    def _act(client: Process, life: int, action: Any, arguments: tuple[Any, ...]) -> None:
        if client.life == life:
            action(*arguments)

    def _acknowledge(self, client: Process, publish: Publish, code: int, late_s: float) -> None:
        delay_s = late_s + self.slow_s * (0.5 + self.clock.random.random())
        self.clock.after(delay_s, self._act, client, client.life, self._hand_ack, (client, publish, code))

    def _hand_ack(self, client: Process, publish: Publish, code: int) -> None:
        if self._client is client and self._connection == publish.connection:
            self._unacked.pop(publish.token, None)
            client.hear(PubAck(publish.connection, publish.token, code))

    def _accept(self, topic: str, said: Any) -> None:
        match topic:
            case "v1/gateway/connect":
                self._announced.add(said["device"])
                self.lifecycle.setdefault(said["device"], []).append("connect")
            case "v1/gateway/disconnect":
                self._announced.discard(said["device"])
                self.lifecycle.setdefault(said["device"], []).append("disconnect")
            case "v1/gateway/telemetry":
                for device, items in said.items():
                    kept, all_kept = self.telemetry.setdefault(device, []), self.items.setdefault(device, [])
                    kept.extend((item["ts"], item["values"]["n"]) for item in items if "n" in item["values"])
                    if device in self.keyed:
                        self.keyed[device] += [
                            (item["ts"], key, value) for item in items for key, value in item["values"].items()
                        ]
                    session, now_s = len(self.links), self.clock.now_s
                    all_kept.extend(
                        Item(
                            session,
                            now_s,
                            item["ts"],
                            item["values"].get("n"),
                            item["values"].get("s"),
                            tuple(key for key in item["values"] if key.startswith("v")),
                        )
                        for item in items
                    )
            case "v1/gateway/attributes":
                for device, values in said.items():
                    self.attributes.setdefault(device, {}).update(values)
            case "v1/gateway/rpc":
                self.replies.setdefault(said["id"], []).append(said["data"])
                self.replied_as.setdefault(said["id"], set()).add(said["device"])
            case "v1/gateway/attributes/request":
                if values := self.shared.get(said["device"]):
                    answer = {"id": said["id"], "device": said["device"], "value": values["level"]}
                    self.say("v1/gateway/attributes/response", answer)
            case "v1/devices/me/rpc/request/1" if self.limits:
                self.say("v1/devices/me/rpc/response/1", self.limits)
            case _ if topic.startswith(_GATEWAY_REPLY):
                self.gateway_replies.setdefault(topic.removeprefix(_GATEWAY_REPLY), []).append(said)


def _devices_of(publish: Publish) -> set[str]:
    if publish.topic in (_TELEMETRY, _ATTRIBUTES):
        return set(json.loads(publish.payload))
    return set()
