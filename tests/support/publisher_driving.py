"""A publisher core under a hand-driven clock: what it is told, what it orders, and a platform that answers as told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.config.models import Platform
from common.core.events import Arrived, Exit, Note, Send, Start, Tick
from common.wire import codec
from common.wire.messages import (
    Entry,
    Identity,
    Plane,
    ReadingBatch,
    ReadingBody,
    Reply,
    Request,
    StreamReport,
    UserReading,
)
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects import Dialect
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import (
    ConnectPlatform,
    KeepNames,
    LinkDown,
    LinkUp,
    PlatformMessage,
    PubAck,
    Publish,
)
from services.publisher.core.names import Named, decode_names

EPOCH = "epoch-1"
TYPES = {f"press{number}": "press" for number in range(1, 9)}


def body(
    values: Sequence[Any] = (),
    *,
    ts_ms: int = 1_000,
    attributes: Any = None,
    dead: dict[int, str] | None = None,
    user: dict[int, list[UserReading]] | None = None,
    answer: tuple[str, bytes] | None = None,
    device_type: str = "",
) -> bytes:
    """A packed reading body: one telemetry object per value, b"" for None; times count up from `ts_ms`."""
    telemetry = [b"" if value is None else json.dumps(value).encode() for value in values]
    times = [ts_ms + index for index in range(len(telemetry))]
    known = b"" if attributes is None else json.dumps(attributes).encode()
    return codec.pack_readings(ReadingBody(times, telemetry, known, dead or {}, user or {}, answer, device_type))


def batch(
    first: int,
    values: Sequence[Any],
    *,
    device: str = "press1",
    base: int = 1,
    generation: int = 1,
    epoch: str = EPOCH,
    kind: Entry = Entry.FRAMES,
    journal: str = "",
    **more: Any,
) -> ReadingBatch:
    """A reading batch of these numbers; see `body` for the rest."""
    packed = body(values, ts_ms=1_000 + first, **more)
    name = journal or f"journal-{device}"
    return ReadingBatch(device, name, generation, first, len(values), base, epoch, kind, "0", "c", packed)


def points(first: int, count: int) -> list[dict[str, int]]:
    """Values that say their own number."""
    return [{"n": number} for number in range(first, first + count)]


class Driver:
    """Runs the core's effects by hand."""

    def __init__(self, config: Platform | None = None, dialect: Dialect | None = None, **options: Any) -> None:
        self.now_s = 100.0
        self.core = PublisherCore(
            Identity("publisher", "0", "i", 1, "here"),
            EPOCH,
            config or Platform(),
            dialect or ThingsBoard(),
            TYPES,
            draw=lambda: 0.5,
            version="9.9",
            **options,
        )
        self.unacked: list[Publish] = []
        self.published: list[Publish] = []
        self.connection = 0
        self.exited = False
        self.reports: dict[str, StreamReport] = {}
        self.notes: list[Note] = []
        self.kept: list[dict[str, Named]] = []
        """What was written of the names of devices, oldest first."""
        self.renamed: list[bytes] = []
        """The same as it was written."""
        self.hear(Start())

    def hear(self, *events: Any) -> list[Any]:
        """Tells the core, and lets it do the turn's work; the effects of that."""
        effects: list[Any] = []
        for event in events:
            effects += self.core.handle(event, self.now_s)
        self._record(effects)
        return effects + self._turns()

    def _turns(self) -> list[Any]:
        effects: list[Any] = []
        rounds = 0
        while not self.exited and (self.core.next_deadline_s or 0.0) <= self.now_s:
            news = self.core.handle(Tick(), self.now_s)
            self._record(news)
            effects += news
            rounds += 1
            assert rounds < 50, "the core asks for ticks without end"
        return effects

    def _record(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case ConnectPlatform(connection=connection):
                    self.connection = connection
                    self.unacked = []
                case Publish():
                    self.unacked.append(effect)
                    self.published.append(effect)
                case Send(message=StreamReport() as report):
                    self.reports[report.journal] = report
                case KeepNames(content=content):
                    self.kept.append(decode_names(content))
                    self.renamed.append(content)
                case Exit():
                    self.exited = True
                case Note():
                    self.notes.append(effect)

    def wait(self, seconds: float) -> list[Any]:
        """Lets time pass, with a tick whenever the core wants one."""
        end_s = self.now_s + seconds
        effects: list[Any] = []
        while not self.exited and (deadline_s := self.core.next_deadline_s) is not None and deadline_s <= end_s:
            self.now_s = max(self.now_s, deadline_s)
            effects += self._turns()
        self.now_s = end_s
        return effects + self._turns()

    def take(self, *batches: ReadingBatch) -> list[Any]:
        """Batches that arrive in one turn."""
        return self.hear(*(Arrived(Plane.READINGS, item) for item in batches))

    def up(self, protocol: int = 5, *, limits: Any = None, receive_maximum: int = 65_535) -> None:
        """CONNACK; the platform's limits ({} for none, None for no answer) and all that follows are acknowledged."""
        self.hear(LinkUp(self.connection, protocol, receive_maximum))
        if limits is not None:
            self.say("v1/devices/me/rpc/response/1", limits)
        self.settle_control()

    def settle_control(self) -> None:
        """Acknowledges everything in flight that is no data."""
        while control := [order for order in self.unacked if not is_data(order)]:
            for order in control:
                self.ack(order)

    def ack(self, order: Publish, code: int = 0) -> list[Any]:
        """PUBACK for one publish."""
        self.unacked.remove(order)
        return self.hear(PubAck(order.connection, order.token, code))

    def ack_all(self) -> None:
        """Acknowledges until nothing is in flight."""
        while self.unacked:
            self.ack(self.unacked[0])

    def down(self, reason: str = "closed", *, reached: bool = True) -> list[Any]:
        """The connection ends."""
        self.unacked = []
        return self.hear(LinkDown(self.connection, reason, reached))

    def again(self, protocol: int = 5) -> None:
        """Waits for the next attempt, and lets it succeed."""
        connection = self.connection
        while self.connection == connection:
            self.wait(1.0)
        self.up(protocol, limits={})

    def say(self, topic: str, payload: Any) -> list[Any]:
        """The platform says something."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.hear(PlatformMessage(self.connection, topic, data))

    def request(self, request: Request) -> list[Any]:
        """A request over the calls plane."""
        return self.hear(Arrived(Plane.CALLS, request))

    def reply(self, call_id: str, *, error: str = "", data: bytes = b"") -> list[Any]:
        """A reply over the calls plane."""
        packed = codec.pack(data) if data else b""
        return self.hear(Arrived(Plane.CALLS, Reply(call_id, "publisher:0", error, packed)))

    @property
    def data(self) -> list[Publish]:
        """Data in flight."""
        return [order for order in self.unacked if is_data(order)]

    def report(self, device: str = "press1") -> StreamReport:
        """The last report of a device's journal."""
        return self.reports[f"journal-{device}"]

    def items(self, device: str = "press1") -> list[Any]:
        """Values of all telemetry published for a device, repeats included."""
        found = []
        for order in self.published:
            if order.topic == "v1/gateway/telemetry":
                found += [item["values"] for item in json.loads(order.payload).get(device, [])]
        return found

    def topics(self, since: int = 0) -> list[str]:
        """The topics published on, without their common beginning."""
        return [order.topic.removeprefix("v1/gateway/") for order in self.published[since:]]


def is_data(order: Publish) -> bool:
    """True for telemetry and attributes."""
    return order.topic in ("v1/gateway/telemetry", "v1/gateway/attributes")


def calls_sent(effects: Sequence[Any]) -> list[Any]:
    """Requests and replies that were sent over the calls plane."""
    messages = [effect.message for effect in effects if isinstance(effect, Send) and effect.plane is Plane.CALLS]
    return [message for message in messages if isinstance(message, Request | Reply)]


def said(order: Publish) -> Any:
    """The payload of a publish, parsed."""
    return json.loads(order.payload)
