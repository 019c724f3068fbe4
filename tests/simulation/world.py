"""All cores of a gateway in one world, wired as their shells would wire them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import count
from typing import Any

from common.config.models import DataPoint, Device, Platform, Rpc, section_of
from common.events import Blocked, Core, Send, Writable
from common.messages import FrameBatch, Heartbeat, Identity, Message, Plane, ReadingBatch, StreamReport
from services.broker.core import BrokerCore
from services.broker.events import (
    CallArrived,
    CloseFrames,
    ForwardReadings,
    FramesArrived,
    FramesBlocked,
    FramesWritable,
    OpenFrames,
    ReadingsArrived,
    ReadingsBlocked,
    ReadingsWritable,
    SendFrames,
    SendTo,
    Unreachable,
)
from services.converter.core import ConverterCore
from services.converter.events import ForgetNote, PullFrom
from services.publisher.core import PublisherCore
from services.publisher.events import CheckLink, ConnectPlatform, DisconnectPlatform, Publish
from tests.simulation.kernel import Clock, Link, Process, arrived
from tests.simulation.platform import FakePlatform
from tests.simulation.reader import ReaderProcess


class BrokerProcess(Process):
    """The broker, with the sockets that only it binds."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, "broker:0")
        self.world = world
        self.endpoints: dict[str, str] = {}
        """converter name -> endpoint."""
        self.blocked: set[str] = set()
        """Converters to which nothing goes before `FramesWritable`."""

    def make_core(self) -> Core:
        self.endpoints = {}
        self.blocked = set()
        return BrokerCore(Identity("broker", "0", f"broker#{self.life}", 1, "host"), lambda tag: f"{self.life}/{tag}")

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=Plane.EVENTS, message=message):
                return self.world.send(self, Plane.EVENTS, message)
            case OpenFrames(converter=name, endpoint=endpoint):
                self.endpoints[name] = endpoint
            case CloseFrames(converter=name):
                self.endpoints.pop(name, None)
                self.blocked.discard(name)
            case SendFrames(converter=name):
                return self._send_frames(effect, name)
            case ForwardReadings(batch=batch):
                event = arrived(Plane.READINGS, batch)
                blocked = self.world.carry(self, self.world.publisher, event, Plane.READINGS, ReadingsWritable())
                return [ReadingsBlocked(batch)] if blocked else ()
            case SendTo(route=route, message=message):
                return self._send_to(effect, route, message)
            case _:
                raise AssertionError(f"the broker's core ordered {effect!r}")
        return ()

    def _send_frames(self, effect: SendFrames, name: str) -> Iterable[Any]:
        receiver = self.world.converters[int(name)]
        if name not in self.blocked:
            # Another endpoint: not connected yet, or to a broker that is gone.
            is_connected = receiver.endpoint == self.endpoints.get(name)
            event = arrived(Plane.FRAMES, effect.batch)
            if is_connected and not self.world.carry(self, receiver, event, Plane.FRAMES, None):
                return ()
            self.blocked.add(name)
            self._watch(name, receiver)
        return [FramesBlocked(*effect)]

    def _watch(self, name: str, receiver: ConverterProcess) -> None:
        """Looks again and again whether the converter is connected, as the poller would."""
        life = self.life

        def look() -> None:
            if self.life != life or name not in self.blocked:
                return
            if receiver.alive and receiver.endpoint == self.endpoints.get(name):
                self.blocked.discard(name)
                self.hear(FramesWritable(name))
            elif name in self.endpoints:
                self.clock.after(0.01, look)

        self.clock.after(0.01, look)

    def _send_to(self, effect: SendTo, route: bytes, message: Message) -> Iterable[Any]:
        name, life = route.decode().rsplit("#", 1)
        receiver = self.world.processes.get(name)
        if receiver is None:
            self.world.client_heard(message)
            return ()
        if not receiver.alive or receiver.life != int(life):
            return [Unreachable(effect.route, message, "gone")]
        self.world.carry(self, receiver, arrived(Plane.CALLS, message), Plane.CALLS, None)
        return ()


class ConverterProcess(Process):
    """A converter with the built-in conversion."""

    def __init__(self, world: World, slot: int) -> None:
        super().__init__(world.clock, f"converter:{slot}")
        self.world = world
        self.slot = slot
        self.endpoint = ""
        self.frames_converted = 0

    def make_core(self) -> Core:
        self.endpoint = ""
        identity = Identity("converter", str(self.slot), f"{self.name}#{self.life}", 1, "host", f"lock {self.name}")
        return ConverterCore(identity, lambda: f"id{next(self.world.ids)}")

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                if isinstance(message, ReadingBatch):
                    self.frames_converted += message.length
                return self.world.send(self, plane, message)
            case PullFrom(endpoint=endpoint):
                self.endpoint = endpoint
            case ForgetNote():
                pass
            case _:
                raise AssertionError(f"the converter's core ordered {effect!r}")
        return ()


class PublisherProcess(Process):
    """The publisher and its connection."""

    def __init__(self, world: World, types: dict[str, str]) -> None:
        super().__init__(world.clock, "publisher:0")
        self.world = world
        self.types = types
        self.connection = 0

    def make_core(self) -> Core:
        identity = Identity("publisher", "0", f"{self.name}#{self.life}", 1, "host", "lock publisher")
        return PublisherCore(identity, f"epoch{self.life}", Platform(), self.types, self.clock.random.random)

    def cut(self) -> None:
        self.world.platform.disconnect(self.connection)

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                return self.world.send(self, plane, message)
            case ConnectPlatform(connection=connection, protocol=protocol):
                # The platform tells one life's connections from another's.
                self.connection = connection
                self.world.platform.connect(self, connection, protocol)
            case DisconnectPlatform(connection=connection):
                self.world.platform.disconnect(connection)
            case Publish():
                self.world.platform.publish(self, effect)
            case CheckLink():
                pass
            case _:
                raise AssertionError(f"the publisher's core ordered {effect!r}")
        return ()


class World:
    """A gateway with its lines and its platform."""

    def __init__(self, seed: int, devices: int = 2, converters: int = 2) -> None:
        self.clock = Clock(seed)
        self.ids = count(1)
        self.link = Link(self.clock)
        self.platform = FakePlatform(self.clock)
        self.client_replies: list[Message] = []
        self.readers: list[ReaderProcess] = []
        for number in range(devices):
            device = counting_device(f"press{number}")
            section = hashlib.sha256(section_of(device)).hexdigest()[:32]
            self.readers.append(ReaderProcess(self, device, section))
        self.broker = BrokerProcess(self)
        self.converters = [ConverterProcess(self, slot) for slot in range(converters)]
        self.publisher = PublisherProcess(self, {reader.device.name: reader.device.type for reader in self.readers})
        everyone: list[Process] = [self.broker, self.publisher, *self.converters, *self.readers]
        self.processes: dict[str, Process] = {process.name: process for process in everyone}
        self._waiting: list[tuple[Process, int, Process, Any]] = []
        """(who, in which life, waits for whom, to hear what)."""

    def start(self) -> None:
        """Everything starts, in any order."""
        everyone = list(self.processes.values())
        self.clock.random.shuffle(everyone)
        for process in everyone:
            self.clock.after(self.clock.random.random() * 0.5, lambda process=process: self.revive(process))  # type: ignore[misc]

    def revive(self, process: Process) -> None:
        """Starts a process, and tells those who were blocked on it."""
        process.start()
        due = [entry for entry in self._waiting if entry[2] is process]
        self._waiting = [entry for entry in self._waiting if entry[2] is not process]
        for sender, life, _, event in due:
            if sender.life == life:
                sender.later(0.001, event)

    def kill(self, process: Process, back_after_s: float) -> None:
        """kill -9 now, and a supervisor that starts it again."""
        process.kill()
        self.clock.after(back_after_s, lambda: self.revive(process))

    def carry(self, sender: Process, receiver: Process, event: Any, plane: Plane, when_back: Any) -> bool:
        """Takes an event to a process; True if that is not there, and `when_back` is then said when it is."""
        if not receiver.alive:
            entry = (sender, sender.life, receiver, when_back)
            # Once is enough: the poller tells once that a socket takes messages again.
            if when_back is not None and not any(_same(entry, other) for other in self._waiting):
                self._waiting.append(entry)
            return True
        life = receiver.life
        lane = (sender.name, sender.life, receiver.name, plane)
        self.link.carry(lane, lambda: receiver.hear(event) if receiver.life == life else None)
        return False

    def send(self, sender: Process, plane: Plane, message: Message) -> Iterable[Any]:
        """What the `Send` of everyone but the broker's calls and frames does."""
        if plane is Plane.EVENTS:
            self._publish_event(sender, message)
            return ()
        event: Any
        if isinstance(message, FrameBatch):
            event = FramesArrived(message)
        elif isinstance(message, ReadingBatch):
            event = ReadingsArrived(message)
        else:
            event = CallArrived(f"{sender.name}#{sender.life}".encode(), message)
        return [Blocked(plane, message)] if self.carry(sender, self.broker, event, plane, Writable(plane)) else ()

    def _publish_event(self, sender: Process, message: Message) -> None:
        """Events pass the broker's forwarder and are lost while it is away."""
        if not self.broker.alive:
            return
        for process in self.processes.values():
            if self._listens(process, message):
                self.carry(sender, process, arrived(Plane.EVENTS, message), Plane.EVENTS, None)

    @staticmethod
    def _listens(process: Process, message: Message) -> bool:
        kind = process.name.split(":")[0]
        if isinstance(message, StreamReport):
            return isinstance(process, ReaderProcess) and process.disk.journal == message.journal
        if not isinstance(message, Heartbeat):
            return False
        wanted = {
            "broker": {"broker", "publisher", "converter", "port_reader"},
            "port_reader": {"broker", "publisher"},
            "converter": {"broker"},
            "publisher": {"broker", "port_reader"},
        }
        return message.kind in wanted[kind]

    def client_heard(self, message: Message) -> None:
        """A reply to somebody outside."""
        self.client_replies.append(message)

    # What a test asks.

    def accepted(self, device: str) -> list[int]:
        """The numbers that the platform accepted from a device, first occurrences, in order."""
        times: dict[int, int] = {}
        for ts_ms, values in self.platform.telemetry.get(device, []):
            number = values["n"]
            if times.setdefault(number, ts_ms) != ts_ms:
                self.platform.faults.append(f"{device}: {number} came with two timestamps")
        return list(times)

    @property
    def is_settled(self) -> bool:
        """True when no journal holds anything and no line has anything to say."""
        return all(reader.disk.base == reader.disk.next_number and not reader.line.waiting for reader in self.readers)


def _same(entry: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return entry[:3] == other[:3] and type(entry[3]) is type(other[3]) and entry[3] == other[3]


def counting_device(name: str) -> Device:
    """A device that says a number a line, and answers a question."""
    return Device(
        name=name,
        type="counter",
        first_frame="keep",
        telemetry=(DataPoint(key="n", type="int"),),
        attributes=(DataPoint(key="last", type="int"),),
        rpcs=(
            Rpc(method="ask", template="?\n", with_response=True, response_type="int", response_pattern="^-"),
            Rpc(method="set", type="int"),
        ),
        downlink_converter="SerialDownlinkConverter",
    )
