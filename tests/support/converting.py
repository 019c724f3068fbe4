"""A converter's core among fakes: what tests of it need to speak to it and to read what it says."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

from common.config.models import AttributeUpdate, DataPoint, Device, Rpc, section_of
from common.core.events import Arrived, Send, Start, Tick
from common.wire import codec
from common.wire.messages import (
    Entry,
    FrameBatch,
    FrameBody,
    Heartbeat,
    Identity,
    Message,
    Plane,
    ReadingBatch,
    ReadingBody,
    Registered,
    Reply,
    Request,
    UserReading,
)
from services.converter.core.core import ConverterCore
from services.converter.core.events import (
    ConvertWithUserCode,
    Death,
    DecodeWithUserCode,
    EncodeWithUserCode,
    EndHost,
    HostEnded,
    Order,
    UserAnswered,
    UserConverted,
    UserFrame,
)

IDENTITY = Identity("converter", "0", "c0ffee", 4711, "here", "/run/converter-0.lock")
RPCS = (
    Rpc(method="get", with_response=True, response_type="int", response_timeout_s=2.0, response_pattern="^v"),
    Rpc(method="set", type="int"),
    Rpc(method="plain", template="SET ${params}\n"),
)
PRESS = Device(
    name="press",
    telemetry=(DataPoint(key="n", type="int"),),
    attributes=(DataPoint(key="len", type="string", until_delimiter=";"),),
    attribute_updates=(
        AttributeUpdate(attribute="a", string_to_device="a=${a}\n"),
        AttributeUpdate(attribute="a", string_to_device="again ${a}\n"),
    ),
    downlink_converter="SerialDownlinkConverter",
    rpcs=RPCS,
)
USER = Device(name="user", converter="UserUp", downlink_converter="UserDown", rpcs=RPCS)


def hash_of(device: Device) -> str:
    """A section's hash, as port readers make one."""
    return hashlib.sha256(section_of(device)).hexdigest()[:16]


def frame_batch(
    device: Device, frames: list[bytes], first: int = 1, kind: int = Entry.FRAMES, **fields: Any
) -> FrameBatch:
    """A batch as a port reader sends it; `extra` belongs to the body."""
    body = FrameBody([1000 + first + i for i in range(len(frames))], frames, fields.pop("extra", []))
    batch = FrameBatch(device.name, "journal", 3, first, len(frames), 1, "epoch", kind, hash_of(device), False, False)
    return batch.replace(body=codec.pack_frames(body), **fields)


def call(device: Device, verb: str, body: dict[str, Any], call_id: str = "call-1", time_left_s: float = 4.0) -> Request:
    """A step of a call, as the broker hands it on."""
    section = hash_of(device)
    return Request(
        call_id, "publisher:0", f"converter@{device.name}", verb, device.name, section, time_left_s, codec.pack(body)
    )


def body_of(batch: ReadingBatch) -> ReadingBody:
    """A reading batch's body, read as the publisher reads it."""
    return codec.unpack_readings(batch.body, batch.length)


class FakeUserCode:
    """Users' converters: `convert` makes a `UserFrame` of a frame; at most `slice_frames` frames in one go."""

    def __init__(self) -> None:
        self.convert: Callable[[bytes], UserFrame] = lambda frame: UserFrame(
            [UserReading("user", "default", [(None, b'{"u":%d}' % len(frame))], b"")]
        )
        self.slice_frames = 1_000_000
        self.dies = False
        self.is_slow = False
        """Answers only at `World.let_users_go_on`."""
        self.waiting: list[Any] = []
        """Does not answer."""
        self.death: Death | None = None
        """What a host that is ended was at."""
        self.seen: list[bytes] = []

    def run(self, effect: Any) -> Any:
        """The event that follows; none if the code hangs or kills the process."""
        if self.is_slow and isinstance(effect, Order):
            self.waiting.append(effect)
            return None
        match effect:
            case ConvertWithUserCode(frames=frames, answer_to=answer_to) if not self.dies:
                self.seen += frames[: self.slice_frames]
                answer = None if answer_to is None else (len(frames[0]), "")
                made = [self.convert(frame) for frame in frames[: self.slice_frames]]
                return UserConverted(effect.job, made, answer, effect.host)
            case EncodeWithUserCode() if not self.dies:
                if effect.params == "bad":
                    return UserAnswered(effect.job, None, "UserDown: ValueError: bad", effect.host)
                return UserAnswered(effect.job, f"<{effect.params}>".encode(), "", effect.host)
            case DecodeWithUserCode() if not self.dies:
                return UserAnswered(effect.job, effect.frame.decode(), "", effect.host)
            case EndHost(host=host, why=why):
                return HostEnded(host, self.death, why)
        return None


class World:
    """One core under a fake clock, with a broker and users' code that a test commands."""

    def __init__(self, deaths: tuple[Death, ...] = ()) -> None:
        numbers = itertools.count(1)
        self.core = ConverterCore(IDENTITY, lambda: f"ask-{next(numbers)}", deaths)
        self.now_s = 100.0
        self.users = FakeUserCode()
        self.effects: list[Any] = []

    def start(self) -> World:
        """Starts and registers."""
        self.hear(Start())
        self.register("broker-1")
        return self

    def register(self, broker: str) -> None:
        self.say(Registered(IDENTITY.address, True, "", broker, f"ipc:///{broker}/frames.0"), Plane.CALLS)

    def say(self, message: Message, plane: Plane | None = None) -> None:
        planes = {FrameBatch: Plane.FRAMES, Heartbeat: Plane.EVENTS}
        self.hear(Arrived(plane or planes.get(type(message), Plane.CALLS), message))

    def hear(self, event: Any) -> None:
        """Hands the core an event and performs what it orders of users' code."""
        pending = [event]
        while pending:
            for effect in self.core.handle(pending.pop(0), self.now_s):
                self.effects.append(effect)
                if (following := self.users.run(effect)) is not None:
                    pending.append(following)

    def let_users_go_on(self) -> None:
        """Users' code answers what it was at."""
        waiting, self.users.waiting = self.users.waiting, []
        self.users.is_slow = False
        events = [self.users.run(order) for order in waiting]
        self.users.is_slow = True
        for event in events:
            self.hear(event)

    def run_for(self, seconds: float) -> None:
        """Ticks at every deadline within that time; fails if the clock stands still."""
        end_s = self.now_s + seconds
        for _ in range(10_000):
            deadline_s = self.core.next_deadline_s
            if deadline_s is None or deadline_s > end_s:
                self.now_s = end_s
                return
            self.now_s = max(self.now_s, deadline_s)
            self.hear(Tick())
        raise AssertionError("the core wants to be woken again and again without time passing")

    def take(self, kind: type) -> list[Any]:
        """Effects, or messages sent, of this type; each is given once."""
        found: list[Any] = []
        kept: list[Any] = []
        for effect in self.effects:
            thing = effect.message if isinstance(effect, Send) and not issubclass(kind, Send) else effect
            (found if isinstance(thing, kind) else kept).append(effect)
        self.effects = kept
        return [e.message if isinstance(e, Send) and not issubclass(kind, Send) else e for e in found]

    def take_requests(self, verb: str) -> list[Request]:
        """Requests of a verb that were sent; the others stay."""
        requests = self.take(Request)
        self.effects += [Send(Plane.CALLS, request) for request in requests if request.verb != verb]
        return [request for request in requests if request.verb == verb]

    def teach(self, device: Device) -> None:
        """Answers the open question for a device's section."""
        for request in self.take_requests("section"):
            assert codec.unpack_map(request.body) == {"section": hash_of(device)}
            self.say(Reply(request.id, request.reply_to, "", codec.pack(section_of(device))))

    def know(self, device: Device) -> None:
        """Makes the core know a section by a batch that is then thrown away."""
        self.say(frame_batch(device, [b"0"]))
        self.teach(device)
        self.take(ReadingBatch)
        self.users.seen.clear()
