"""What processes say of themselves with each heartbeat, one struct per kind of process.

All fields have defaults, and what is not known is left out: processes of two versions hear each other.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from common.wire.messages import Heartbeat


class AnyState(Struct, frozen=True):
    """What processes of any kind may say."""

    draining: bool = False
    temporary: bool = False


class PortReaderState(Struct, frozen=True):
    """A port reader, of its line and its journal."""

    device: str = ""
    port: str = ""
    connected: bool = False
    """True while the port is open."""
    draining: bool = False
    held: bool = False
    """True while the line says more than the platform takes, and is read as fast as that goes."""
    temporary: bool = False
    """True for one that only sends what a device left that is no longer configured."""
    journal: str = ""
    generation: int = 0
    backlog: int = 0
    """Entries that the platform has not accepted."""
    backlog_bytes: int = 0
    in_flight: int = 0
    in_flight_bytes: int = 0
    journal_writable: bool = True
    fault: str = ""
    """Why the port is not open; "" while it is, and before the first try has failed."""
    since_s: float = 0.0
    """For how long it has been open, or for how long not."""
    byte_s: float | None = None
    """Seconds since the last byte came; None if none has come."""
    frame_s: float | None = None
    """Seconds since the last frame ended; None if none has."""
    unframed: str = ""
    """What is wrong with bytes that come and end no frame; "" while nothing is."""
    unanswered: str = ""
    """What is wrong with a device that is asked and does not answer; "" while it answers, or while the port is not
    open."""
    answers_some: bool = False
    """True if it answers other questions all the same."""
    probe_s: float | None = None
    """Seconds until such a device is tried again; None while it is asked in its turns, or just now."""
    damaged: str = ""
    """How many frames of the line had a wrong checksum lately, and what would be right; "" while hardly any had."""
    line_errors: str = ""
    """What the port's driver says is wrong with the bytes, such as framing errors; "" while it says nothing."""
    unready: str = ""
    """What a device did not take of its `init`, so that it is not used; "" where it did, or has none."""
    late_answers: str = ""
    """Which answers always come too late, and what would be right; "" while none do."""
    refused: str = ""
    """Settings that the port's driver, or the server that has it, does not take; "" for none."""
    asked_hz: float = 0.0
    """How many of its questions' turns are taken, a second."""
    wanted_hz: float = 0.0
    """How many of them the configuration wants; 0 for a device that is asked nothing again and again."""
    oldest_s: float | None = None
    """How old the oldest entry is that waits; None where none does."""
    most_backlog: int = 0
    """Entries that the journal may hold; beyond that the oldest are dropped."""
    most_backlog_bytes: int = 0
    delivered: list[float] = []
    """How long entries took from the line to the platform's acceptance, since the process's start
    (`common.core.durations`)."""
    dead: dict[str, int] = {}
    """Kind of dead letter (`common.core.dead_kinds`) → how many, since the process's start; no kind that there is none
    of."""


class ConnectorHostState(Struct, frozen=True):
    """The process of a hosted connector, of the connector and of its journal."""

    connector: str = ""
    type: str = ""
    class_name: str = ""
    file: str = ""
    """Where its class stands."""
    opened: bool = False
    """True once its `open` has returned."""
    draining: bool = False
    temporary: bool = False
    fault: str = ""
    """Why it can't go on, and ends; "" while it can."""
    warning: str = ""
    """What is wrong with it although it goes on; "" while nothing is."""
    wants_shared: bool = False
    """True if it says which shared attributes it wants of each device (`get_device_shared_attributes_keys`)."""
    since_s: float = 0.0
    """For how long it has been open, or for how long not."""
    entry_s: float | None = None
    """Seconds since it has handed something over; None if it never has."""
    devices: int = 0
    """Devices that are there, as it says."""
    some: dict[str, str] = {}
    """The first of them, with their types."""
    journal: str = ""
    generation: int = 0
    backlog: int = 0
    backlog_bytes: int = 0
    in_flight: int = 0
    in_flight_bytes: int = 0
    journal_writable: bool = True
    oldest_s: float | None = None
    """How old the oldest entry is that waits; None where none does."""
    most_backlog: int = 0
    """Entries that the journal may hold; beyond that the oldest are dropped."""
    most_backlog_bytes: int = 0
    delivered: list[float] = []
    """How long entries took from the line to the platform's acceptance, since the process's start
    (`common.core.durations`)."""
    dead: dict[str, int] = {}
    """Kind of dead letter (`common.core.dead_kinds`) → how many, since the process's start; no kind that there is none
    of."""


class ConverterState(Struct, frozen=True):
    """A converter process."""

    slot: str = ""
    draining: bool = False
    held: int | None = None
    """Batches that it has and has not answered: what the broker compares its credit with."""
    user_devices: list[str] = []
    hosts: list[str] = []
    """Devices for which a process with users' code runs."""


class YieldSeen(Struct, frozen=True):
    """What comes of a device's frames, as the publisher sees it."""

    barren: int = 0
    """Frames in a row of which no value came."""
    value_s: float | None = None
    """Seconds since the last value; None if none has come."""
    pause_s: float = 0.0
    """The longest time between two values in which frames came without one."""
    absent: list[str] = []
    """Data points that no frame of their message has had so far, by their keys and, where the device has several, their
    messages; [] also while too few have come to say so."""
    errors: int = 0
    """Data points that failed on a frame."""
    error: str = ""
    """The last error, as a sentence."""
    error_s: float = 0.0
    """Seconds since then."""
    looks: str = ""
    """What is wrong with the line's settings, by the look of the frame; "" if nothing."""


class PublisherState(Struct, frozen=True):
    """The publisher, of its link and of what waits."""

    epoch: str = ""
    link: str = ""
    """`up`, `connecting` or `down`."""
    fault: str = ""
    """Why the link is not up, or not for long: a sentence with what to do; "" while all is well."""
    protocol: int = 0
    """5, or 4 for MQTT 3.1.1."""
    host: str = ""
    port: int = 0
    devices: int = 0
    """Devices that the platform should know as connected."""
    in_flight: int = 0
    backlog: int = 0
    calls: int = 0
    yields: dict[str, YieldSeen] = {}
    """What comes of the frames of those devices of which there is anything to say."""
    refused: dict[str, str] = {}
    """Device that the platform does not take → why."""
    unaccepted_s: float = 0.0
    """For how long something has waited while the platform accepted nothing."""
    left_out: dict[str, str] = {}
    """Device that the configuration leaves out → the connector whose list denies it."""
    published: list[float] = []
    """How long publishes took up to their PUBACK, since the process's start (`common.core.durations`)."""
    refused_codes: dict[str, int] = {}
    """MQTT reason code → how many publishes were refused with it; `other` where there were too many codes."""
    interval_s: float = 0.0
    """The distance that is kept between publishes; 0 at full speed."""
    called: list[float] = []
    """How long calls took, from the caller's request to its answer."""
    calls_ended: dict[str, int] = {}
    """How calls ended (`common.wire.call_ends`) → how many, since the process's start."""


class ConverterSeen(Struct, frozen=True):
    """A converter as the broker sees it."""

    credit: int = 0
    pinned: int = 0
    liveness: str = ""
    draining: bool = False
    blocked: bool = False


class BrokerState(Struct, frozen=True):
    """The broker, of whom it serves and what waits in it."""

    converters: dict[str, ConverterSeen] = {}
    devices: int = 0
    """Port readers that are not lost."""
    queued_devices: int = 0
    """Devices with batches in a queue."""
    queued_bytes: int = 0
    held_calls: int = 0
    settling: bool = False
    """True while it waits, after its start, for everyone to register."""
    draining: bool = False


class MonitorState(Struct, frozen=True):
    """The monitor, and processes of the command line, have nothing to add."""


State = PortReaderState | ConnectorHostState | ConverterState | PublisherState | BrokerState | MonitorState
Kind = TypeVar("Kind", bound=Struct)


def facts_of(state: State) -> dict[str, Any]:
    """A state as a heartbeat carries it."""
    facts = asdict(state)
    if isinstance(state, BrokerState):
        facts["converters"] = {name: asdict(seen) for name, seen in state.converters.items()}
    if isinstance(state, PublisherState):
        facts["yields"] = {name: asdict(seen) for name, seen in state.yields.items()}
    return facts


def state_of(beat: Heartbeat, kind: type[Kind]) -> Kind | None:
    """What a heartbeat says, read as of this kind; None if that is not what stands in it."""
    try:
        return msgspec.convert(beat.state, kind)
    except (msgspec.ValidationError, RecursionError):
        return None
