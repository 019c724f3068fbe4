"""What tests of the broker's core are made of: a core under a clock of the test's own, and the messages others send."""

from __future__ import annotations

from typing import Any, TypeVar

from common.core.events import Arrived, Start, Tick
from common.core.version import PROTOCOL
from common.wire.messages import (
    PUBLISHER,
    FrameBatch,
    Heartbeat,
    Identity,
    Plane,
    ReadingBatch,
    Register,
    Registered,
    Reply,
    Request,
)
from services.broker.core.core import BrokerCore
from services.broker.core.events import (
    CallArrived,
    FramesArrived,
    ReadingsArrived,
    SendFrames,
    SendTo,
)

Effect = TypeVar("Effect")


def frames(device: str = "press", first: int = 1, length: int = 10, **fields: Any) -> FrameBatch:
    batch = FrameBatch(device, f"j-{device}", 1, first, length, 1, "e1", 0, "hash", False, False, body=b"frames")
    return batch.replace(**fields)


def readings(sent: SendFrames, **fields: Any) -> ReadingBatch:
    """What the converter makes of a batch that it was sent."""
    b = sent.batch
    made = ReadingBatch(
        b.device,
        b.journal,
        b.generation,
        b.first,
        b.length,
        b.base,
        b.epoch,
        b.kind,
        sent.converter,
        sent.instance,
        b"readings",
    )
    return made.replace(**fields)


def request(target: str = PUBLISHER, **fields: Any) -> Request:
    return Request("call-1", "client:1", target, "rpc", "press", "", 5.0, b"").replace(**fields)


class World:
    """A broker's core, and processes that register and beat."""

    def __init__(self) -> None:
        self.core = BrokerCore(Identity("broker", "0", "b1", 1, "here"), lambda tag: f"frames.{tag}")
        self.now_s = 100.0
        self.effects: list[Any] = []
        self.members: dict[str, Register] = {}
        self.say(Start())

    def say(self, event: Any) -> list[Any]:
        """One event; its effects, which are also kept."""
        effects = self.core.handle(event, self.now_s)
        self.effects += effects
        return effects

    def take(self, kind: type[Effect]) -> list[Effect]:
        """The kept effects of this type; all kept ones are forgotten."""
        found = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects.clear()
        return found

    def register(self, kind: str, name: str = "0", instance: str = "", **fields: Any) -> Registered:
        """A process registers (its route is its instance) and is answered."""
        instance = instance or f"{kind}-{name}"
        fields["detail"] = {"protocol": PROTOCOL, **fields.get("detail", {})}
        message = Register(kind, name, instance, 7, "here", "", {}).replace(**fields)
        effects = self.say(CallArrived(instance.encode(), message))
        (answer,) = [e.message for e in effects if isinstance(e, SendTo) and isinstance(e.message, Registered)]
        if answer.accepted:
            self.members[f"{kind}:{name}"] = message
        return answer

    def reader(self, device: str = "press", is_pinned: bool = False, own_calls: bool = False) -> None:
        detail = {"section": "hash", "pinned": is_pinned, "own_calls": own_calls}
        self.register("port_reader", device, detail=detail)

    def beat(self, address: str, **state: Any) -> list[Any]:
        """A registered process beats."""
        who = self.members[address]
        beat = Heartbeat(who.kind, who.name, who.instance, who.pid, who.host, 1.0, state, {})
        return self.say(Arrived(Plane.EVENTS, beat))

    def pass_time(self, seconds: float, *alive: str) -> None:
        """Time passes; the named addresses beat each second, and the broker gets its ticks."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 0.25)
            for address in alive:
                self.beat(address)
            deadline_s = self.core.next_deadline_s
            if deadline_s is not None and self.now_s >= deadline_s:
                self.say(Tick())

    def feed(self, batch: FrameBatch) -> list[SendFrames]:
        """A reader's batch; what goes to converters."""
        return [effect for effect in self.say(FramesArrived(batch)) if isinstance(effect, SendFrames)]

    def convert(self, sent: SendFrames, **fields: Any) -> list[SendFrames]:
        """A converter gives back what it made of a batch; what goes to converters then."""
        event = ReadingsArrived(readings(sent, **fields))
        return [effect for effect in self.say(event) if isinstance(effect, SendFrames)]

    def call(self, message: Request | Reply, route: bytes = b"client-1") -> list[SendTo]:
        """A request or reply comes in; what is sent on the ROUTER."""
        return [effect for effect in self.say(CallArrived(route, message)) if isinstance(effect, SendTo)]
