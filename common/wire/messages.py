"""What processes say to each other: one struct per message, the header fields first, the body last.

A message may gain fields behind those that its header has, with defaults; who does not know them leaves them out.

Numbers of a stream start at 1. `received`, `settled` and `base` are exclusive bounds: every number below them is
meant. Bodies are msgpack made by `common.wire.codec`; the broker never opens them.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final, Self

import msgspec
from msgspec import Meta, Struct

PUBLISHER: Final = "publisher:0"
MONITOR: Final = "monitor:0"
MOST_NUMBER: Final = 2**53
"""Far more than a stream will ever count to, and small enough to be added up and sent on."""
MOST_ENTRIES: Final = 65_536
"""The most entries of one batch; a port reader's batches have 512 at most."""
LONGEST_NAME: Final = 255
"""Characters of a device's name or type, as ThingsBoard takes them."""
Number = Annotated[int, Meta(ge=-MOST_NUMBER, le=MOST_NUMBER)]
Count = Annotated[int, Meta(ge=0, le=MOST_NUMBER)]
Length = Annotated[int, Meta(ge=0, le=MOST_ENTRIES)]
Lacking = list[tuple[str, Count, list[str]]]
"""For each message that has taken some of a batch's frames: its name ("" where the device has one message only), how
many it has taken, and the keys of its data points that none of these has."""


class Wire(Struct, frozen=True, array_like=True):
    """What travels between processes, as an array of its fields."""

    def replace(self, **fields: Any) -> Self:
        """A copy with other values for these fields."""
        return msgspec.structs.replace(self, **fields)


class Plane(StrEnum):
    """The four planes of the design; a process has at most one sending and one receiving side on each."""

    FRAMES = "frames"
    READINGS = "readings"
    CALLS = "calls"
    EVENTS = "events"


class Entry(IntEnum):
    """What a numbered entry of a stream is."""

    FRAMES = 0
    OPENED = 1
    LOST = 2
    ANSWER = 3
    DEAD = 4


NOBODY: Final = ""
"""The correlation id of an ANSWER that answers no call: the device has repeated what was written to it. It is journaled
as all that a device says, and never published."""


class Identity(Wire, frozen=True, array_like=True):
    """Who a process is. `instance` is new at each start; `lock` names the flock that proves it is the only one."""

    kind: str
    name: str
    instance: str
    pid: Number
    host: str
    lock: str = ""

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.name}"


class FrameBatch(Wire, frozen=True, array_like=True):
    """A run of consecutive entries of one kind and one section, from a port reader to a converter."""

    device: str
    journal: str
    generation: Count
    first: Count
    length: Length
    base: Count
    """The reader's lowest unsettled number."""
    epoch: str
    """The publisher this batch is meant for."""
    kind: Number
    section: str
    """Hash of the device's section under which the entries were journaled."""
    pinned: bool
    """True if user code converts this device, so that one converter process sees all its frames."""
    alone: bool
    """True if this one frame was in a converter when it died: it travels in a batch of its own."""
    origin: str = ""
    """The name of what was asked for these entries; "" if they came unasked. Nearly no batch has one, and then it is
    written as before there was any."""
    body: bytes = b""
    """`FrameBody`."""


class FrameBody(Wire, frozen=True, array_like=True):
    """`ts_ms[i]` and `frames[i]` belong to number `first + i`.

    OPENED: the frame is the device type; LOST: the reason; ANSWER: `extra` is [correlation id or NOBODY, method].
    DEAD: the frame is the reason why that number is a dead letter (the reader keeps the bytes).
    """

    ts_ms: list[int]
    frames: list[bytes]
    extra: list[str] = []


class ReadingBatch(Wire, frozen=True, array_like=True):
    """What a converter made of a frame batch, same numbers. `length` 0 only gives the credit back."""

    device: str
    journal: str
    generation: Count
    first: Count
    length: Length
    base: Count
    epoch: str
    kind: Number
    converter: str
    """Name of the converter whose credit this gives back."""
    instance: str
    body: bytes
    """`ReadingBody`."""


class UserReading(Wire, frozen=True, array_like=True):
    """One reading as users' converters make them: its own device name, several times and values."""

    device: str
    device_type: str
    telemetry: list[tuple[int | None, bytes]]
    """(ts_ms or None for the frame's own, JSON object of values)."""
    attributes: bytes
    """JSON object, or b""."""
    strategies: bytes = b""
    """JSON object of keys to report strategies as a configuration says them, for keys that brought one of their own
    (`DatapointKey`); b"" for none."""
    mark: str = ""
    """`connect` or `disconnect` where a hosted connector says that the device is there or gone; then what else stands
    here comes after it. "" elsewhere."""


class Faults(Wire, frozen=True, array_like=True):
    """What went wrong in the frames of one reading batch, which may have readings all the same."""

    errors: Count = 0
    """Data points that failed on a frame, those of frames that are dead letters included; where none has failed, frames
    that no message fits, or that are refusals."""
    error: str = ""
    """The first of them, as a sentence."""
    absent: list[str] = []
    """Keys of the data points that none of these frames has; of a device with messages `lacking` says it."""
    looks: str = ""
    """What is wrong with the line's settings, by the look of a frame of which nothing could be made; "" if nothing."""
    blank: Count = 0
    """Frames that say nothing: blanks and NULs."""
    lacking: Lacking | None = None
    """None: the device has no messages; all of its data points are looked for in each frame."""


class ReadingBody(Wire, frozen=True, array_like=True):
    """Readings of consecutive numbers.

    `telemetry[i]` is the JSON object of values of number `first + i`, b"" for none. `attributes` is one JSON object
    for the whole batch, the last value of each key, or b"". `dead` maps an index to why that frame is a dead letter.
    `user` maps an index to what a user's converter made of it (its `telemetry[i]` is then b""). `answer` is
    [correlation id, JSON reply] for Entry.ANSWER. `device_type` goes with OPENED.
    """

    ts_ms: list[int]
    telemetry: list[bytes]
    attributes: bytes = b""
    dead: dict[int, str] = {}
    user: dict[int, list[UserReading]] = {}
    answer: tuple[str, bytes] | None = None
    device_type: str = ""
    faults: Faults | None = None


class StreamReport(Wire, frozen=True, array_like=True):
    """The publisher's whole word on one stream; repeated each second, so losing one costs a second."""

    journal: str
    generation: Number
    epoch: str
    received: Number
    settled: Number
    credit_bytes: Number
    missing: list[tuple[int, int]]
    """Inclusive ranges below the highest number seen that have not come."""
    dead: list[tuple[int, str]]
    """Settled numbers that are dead letters, with reasons, until the reader's base has passed them."""


class Heartbeat(Wire, frozen=True, array_like=True):
    """Every process each second on the events plane, under the topic `beat.<kind>.<name>`."""

    kind: str
    name: str
    instance: str
    pid: Number
    host: str
    uptime_s: float
    state: dict[str, Any]
    """Facts for people and peers: publisher {"epoch", "link"}, port reader {"port", "connected", "backlog"} …"""
    counters: dict[str, int]
    every_s: float = 1.0
    """The next one comes within this time."""

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.name}"


PEEK: Final = "peek"
"""The stage of a tap that is a sample for a page (`common.wire.peeks`); it has a topic of its own."""
LINE_STAGE: Final = "line"
"""The stage of taps that say what passes on a line. They have a topic of their own: who watches frames wants none."""


class Tap(Wire, frozen=True, array_like=True):
    """What passes, for `serialgw watch` and `serialgw capture`; sent only while somebody subscribes."""

    stage: str
    """`frames` or `readings`: a batch; `left_out`: how many were too much; `line`: bytes (`common.wire.taps`);
    `peek`: a sample (`common.wire.peeks`)."""
    device: str
    body: bytes


class Register(Wire, frozen=True, array_like=True):
    """First word to a broker: who I am; answered by `Registered`; said again to each new broker."""

    kind: str
    name: str
    instance: str
    pid: Number
    host: str
    lock: str
    detail: dict[str, Any]
    """Port reader: {"section": hash, "pinned": bool, "own_calls": bool}."""


class Registered(Wire, frozen=True, array_like=True):
    """`accepted` False: another live process has this identity; `reason` names it; try again in a second."""

    address: str
    accepted: bool
    reason: str
    broker: str
    """The broker's instance."""
    frames_endpoint: str
    """Where a converter pulls its frames from; "" for everyone else."""


class Request(Wire, frozen=True, array_like=True):
    """A step of a call. Whoever ends the call sends `Reply(id, reply_to)`; the id stays the same all the way."""

    id: str
    reply_to: str
    target: str
    """An address, or `converter@DEVICE`, whoever converts the calls of this device: the broker knows."""
    verb: str
    device: str
    section: str
    """Hash of the device's section; the broker fills it in for converters, from the reader's registration."""
    time_left_s: float
    body: bytes
    """msgpack map of arguments."""


class Reply(Wire, frozen=True, array_like=True):
    """How a call ended: `error` "" and a body, or an error text."""

    id: str
    target: str
    error: str
    body: bytes
    """msgpack value."""


Message = FrameBatch | ReadingBatch | StreamReport | Heartbeat | Tap | Register | Registered | Request | Reply


def topic_of(message: StreamReport | Heartbeat | Tap) -> bytes:
    """The events plane's topic, which subscribers filter by prefix."""
    match message:
        case StreamReport():
            return f"ack.{message.journal}.".encode()
        case Heartbeat():
            return f"beat.{message.kind}.{message.name}.".encode()
        case Tap(stage=stage):
            return f"{stage if stage in (PEEK, LINE_STAGE) else 'tap'}.{message.device}.".encode()
