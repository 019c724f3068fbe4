"""Headers and bodies on each plane: messages that are nearly ours, and those that are ours at the wrong moment. Every
core hears all of them; what is junk is said to be junk, and nothing crashes or grows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, get_type_hints

import msgpack

from common.config.models import DataPoint, Device, Platform
from common.core.errors import WireError
from common.core.events import Arrived, Junk, Start, Tick
from common.wire import codec, messages
from common.wire.messages import Identity, Plane
from services.broker.core.core import BrokerCore
from services.broker.core.events import CallArrived, FramesArrived, ReadingsArrived
from services.monitor.core.core import MonitorCore
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import LinkUp, RoundOver
from tests.fuzz.memory import MIB, rounds
from tests.support.converting import World as Converting
from tests.support.port_reader_rig import Rig

GROWTH = 96 * MIB
DEVICE = Device(
    name="d",
    type="t",
    telemetry=(DataPoint(key="n", type="int"),),
)
TYPES = (
    messages.FrameBatch,
    messages.ReadingBatch,
    messages.StreamReport,
    messages.Heartbeat,
    messages.Tap,
    messages.Register,
    messages.Registered,
    messages.Request,
    messages.Reply,
)
WORDS = (
    "",
    "d",
    "0",
    "e1",
    "epoch",
    "j",
    "b1",
    "broker",
    "publisher",
    "port_reader",
    "converter",
    "client",
    "publisher:0",
)
WORDS += (
    "port_reader:d",
    "converter@d",
    "monitor:0",
    "rpc",
    "exchange",
    "encode",
    "decode",
    "section",
    "note",
    "retry",
)
WORDS += ("dead_letters", "status", "beat", "encode_update", "attributes", "x" * 5_000, "\x1b[2J", "\u202e")
NUMBERS = (0, 1, 2, 3, 4, 5, -1, 7, 512, 4_096, 65_536, 2**31, 2**53, 2**53 + 1, -(2**53), 2**63)


def fuzz(seconds: float, seed: int) -> str:
    lives, heard, junk = 0, 0, 0
    for number in rounds(seconds, GROWTH, every=20):
        draw = random.Random(f"{seed} {number}")
        cores = _Cores(draw)
        for _ in range(200):
            message = _message(draw)
            heard += 1
            if message is None:
                junk += 1
            cores.hear(message)
        cores.finish()
        lives = number + 1
    return f"{heard} messages, {junk} of them junk, heard by five cores in {lives} lives"


def _message(draw: random.Random) -> Any:
    """A message that came through the codec; None for junk, which must be refused as such and not otherwise."""
    cls: Any = draw.choice(TYPES)
    hints = get_type_hints(cls)
    made = cls(*(_value(draw, name, hints[name]) for name in cls.__struct_fields__))
    try:
        parts = list(codec.encode(made))
    except (OverflowError, UnicodeEncodeError):
        return None
    for _ in range(draw.choice([0, 0, 0, 1, 2])):
        place = draw.randrange(len(parts))
        parts[place] = _damaged(draw, parts[place])
    try:
        return codec.decode(parts)
    except WireError:
        return None


def _value(draw: random.Random, name: str, hint: Any) -> Any:
    kind = getattr(hint, "__origin__", hint)
    if name == "body":
        return _body(draw)
    match kind.__name__:
        case "str":
            return draw.choice(WORDS)
        case "int":
            return draw.choice(NUMBERS)
        case "bool":
            return draw.random() < 0.5
        case "float":
            return draw.choice([0.0, 1.0, -1.0, 1e300, float("inf"), float("nan"), 5.0])
        case "bytes":
            return draw.randbytes(draw.randrange(20))
        case "list":
            return [(draw.choice(NUMBERS[:9]), draw.choice(NUMBERS[:9])) for _ in range(draw.randrange(4))]
        case _:
            return {draw.choice(WORDS): draw.choice([1, True, "up", "e1", None, [], {}, 1.5]) for _ in range(3)} | {
                "epoch": "e1",
                "link": "up",
                "protocol": draw.choice([2, 2, 1, "x"]),
            }


def _body(draw: random.Random) -> bytes:
    match draw.randrange(7):
        case 0:
            return draw.randbytes(draw.randrange(100))
        case 1:
            return msgpack.packb([[1, 2], [b"1\n", b"x"], []])
        case 2:
            count = draw.randrange(4)
            body = messages.ReadingBody([5] * count, [b'{"n":1}'] * count, draw.choice([b"", b"{}", b"[", b'{"a":1}']))
            return codec.pack_readings(body.replace(dead={0: "why"} if count and draw.random() < 0.3 else {}))
        case 3:
            words: dict[Any, Any] = {
                draw.choice(WORDS): draw.choice([1, b"x", "y", None, [b"w"], {}]) for _ in range(4)
            }
            return codec.pack(
                words | {"section": "s", "numbers": [1, 2], "journal": "j", "generation": 1, "device": "d"}
            )
        case 4:
            known = {"writes": [b"GET\n"], "method": "get", "with_response": True, "timeout_s": 2.0, "pattern": "^A"}
            return codec.pack({**known, "until": b"", draw.choice(list(known)): draw.choice([None, 5, b"", "(", []])})
        case 5:
            return codec.pack(draw.choice([None, b"{}", b'{"result":1}', "text", 5, b"\xff"]))
        case _:
            return b"\xc1" * draw.randrange(3)


def _damaged(draw: random.Random, part: bytes) -> bytes:
    if not part:
        return draw.randbytes(3)
    place = draw.randrange(len(part))
    match draw.randrange(4):
        case 0:
            return part[:place]
        case 1:
            return part[:place] + bytes([draw.randrange(256)]) + part[place + 1 :]
        case 2:
            return part + draw.randbytes(draw.randrange(5))
        case _:
            return part[:place] + part[place + draw.randrange(1, 4) :]


class _Cores:
    """One of each, that has begun to work."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._now_s = 100.0
        self._rig = Rig(DEVICE)
        self._rig.wait(1)
        self._converting = Converting().start()
        self._converting.know(DEVICE)
        self._broker = BrokerCore(Identity("broker", "0", "b1", 1, "h"), lambda tag: f"frames.{tag}")
        self._monitor = MonitorCore(Identity("monitor", "0", "m1", 1, "h"), ["d"])
        self._publisher = PublisherCore(
            Identity("publisher", "0", "p", 1, "h"), "e1", Platform(), ThingsBoard(), {"d": "t"}, draw=lambda: 0.5
        )
        self._plain: list[tuple[Any, Callable[[Any], Any]]] = [
            (self._broker, _for_broker),
            (self._monitor, _as_arrived),
            (self._publisher, _as_arrived),
        ]
        for core, _ in self._plain:
            core.handle(Start(), self._now_s)
        self._publisher.handle(Tick(), self._now_s)
        self._publisher.handle(LinkUp(1, 5), self._now_s)

    def hear(self, message: Any) -> None:
        self._now_s += self._draw.choice([0.0, 0.001, 0.3, 6.0])
        for core, event_of in self._plain:
            event = Junk(self._draw.choice(list(Plane)), "junk") if message is None else event_of(message)
            core.handle(event, self._now_s)
            deadline_s = core.next_deadline_s
            if deadline_s is not None and deadline_s <= self._now_s:
                core.handle(Tick(), self._now_s)
        self._publisher.handle(RoundOver(), self._now_s)
        if message is not None:
            self._rig.now_s = max(self._rig.now_s, self._now_s)
            self._rig.give(_as_arrived(message))
            self._converting.now_s = max(self._converting.now_s, self._now_s)
            self._converting.hear(_as_arrived(message))
            if self._draw.random() < 0.1:
                self._rig.read(b"5\n")

    def finish(self) -> None:
        """Time passes, and a frame still goes all the way."""
        self._rig.wait(15)
        self._converting.run_for(5)
        assert self._rig.exit is None, "a message has ended the reader"


def _as_arrived(message: Any) -> Any:
    planes = {messages.FrameBatch: Plane.FRAMES, messages.ReadingBatch: Plane.READINGS}
    events = (messages.StreamReport, messages.Heartbeat, messages.Tap)
    plane = Plane.EVENTS if isinstance(message, events) else planes.get(type(message), Plane.CALLS)
    return Arrived(plane, message)


def _for_broker(message: Any) -> Any:
    match message:
        case messages.FrameBatch():
            return FramesArrived(message)
        case messages.ReadingBatch():
            return ReadingsArrived(message)
        case messages.StreamReport() | messages.Heartbeat() | messages.Tap():
            return Arrived(Plane.EVENTS, message)
    return CallArrived(b"route", message)
