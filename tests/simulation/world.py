"""All cores of a gateway in one world, wired as their shells would wire them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from common.config.framing import Framing
from common.config.models import AttributeUpdate, DataPoint, Device, Platform, ReportStrategy, Rpc, section_of
from common.core.events import Blocked, Core, Reconnected, Send, Writable
from common.io.journal.sections import section_name
from common.stream.limits import Limits
from common.wire.messages import (
    FrameBatch,
    Heartbeat,
    Identity,
    Message,
    Plane,
    ReadingBatch,
    StreamReport,
)
from services.broker.core.events import CallArrived, FramesArrived, ReadingsArrived
from services.converter.core.core import ConverterCore
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    EndHost,
    ForgetDeath,
    PullFrom,
)
from services.publisher.core.core import PublisherCore
from services.publisher.core.dialects.thingsboard import ThingsBoard
from services.publisher.core.events import (
    CheckLink,
    ConnectPlatform,
    DisconnectPlatform,
    KeepNames,
    NamesKept,
    Probe,
    Probed,
    Publish,
    RoundOver,
)
from services.publisher.core.known import KnownDevice, KnownDevices
from services.publisher.core.names import decode_names
from services.publisher.core.strategies import Strategies
from tests.simulation.asked import AskedProcess
from tests.simulation.broker import BrokerProcess
from tests.simulation.frames import STATE_DIGITS
from tests.simulation.host import TYPE, HostProcess
from tests.simulation.kernel import Clock, Link, Process, arrived
from tests.simulation.line import SerialLine
from tests.simulation.platform import FakePlatform
from tests.simulation.rates import ServerRates
from tests.simulation.reader import ReaderProcess
from tests.simulation.scenario import Scenario
from tests.simulation.source import SourceProcess
from tests.simulation.users import BESIDE, Harm, UserDevices
from tests.simulation.watching import MonitorProcess

MAX_FRAME_BYTES = 128
TIMEOUT_S = 0.1
"""Devices that pause in mid-frame do so for up to 0.3 s: that must end no frame."""
RPC_TIMEOUT_S = 2.0
RECONNECT_S = 0.1
"""ZeroMQ tries a connection again after so long."""
LATE_S = 8.0
"""A converter that answers late takes up to this."""
PERIOD_MS = 4_000
"""The period of report strategies that have one: long enough that publishers die while something waits for its end."""
_HEARS = {
    "broker": frozenset({"broker", "publisher", "converter", "port_reader", "connector_host"}),
    "port_reader": frozenset({"broker", "publisher"}),
    "connector_host": frozenset({"broker", "publisher"}),
    "converter": frozenset({"broker"}),
    "publisher": frozenset({"broker", "port_reader", "connector_host"}),
    "monitor": frozenset({"broker", "publisher", "converter", "port_reader", "connector_host", "monitor"}),
}


class ConverterProcess(Process):
    """A converter with the built-in conversion, and users' code on devices that have it."""

    def __init__(self, world: World, slot: int) -> None:
        super().__init__(world.clock, f"converter:{slot}")
        self.world = world
        self.slot = slot
        self.endpoint = ""
        self.frames_converted = 0
        self.answers = "at once"
        """Or `never`, `late`, `twice`."""
        self.users: UserDevices | None = None

    def make_core(self) -> Core:
        self.endpoint = ""
        instance = f"{self.name}#{self.life}"
        identity = Identity("converter", str(self.slot), instance, 1, "host", f"lock {self.name}")
        if self.world.folder is not None:
            self.users = UserDevices(self.world, self, self.world.folder / f"{self.slot}.notes")
        deaths = self.users.poison.reports if self.users else ()
        return ConverterCore(identity, lambda: f"id{next(self.world.ids)}", deaths)

    def cut(self, core: ConverterCore) -> None:
        if self.users is not None:
            self.users.cut()

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                if isinstance(message, ReadingBatch):
                    return self._answer(message)
                return self.world.send(self, plane, message)
            case PullFrom(endpoint=endpoint):
                self.endpoint = endpoint
            case ForgetDeath(id=death) if self.users is not None:
                self.users.poison.forget(death)
            case ConvertWithUserCode() | DecodeWithUserCode() if self.users is not None:
                return self.users.ask(effect)
            case EndHost(host=host, why=why) if self.users is not None:
                return self.users.end(host, why)
            case _:
                raise AssertionError(f"the converter's core ordered {effect!r}")
        return ()

    def _answer(self, batch: ReadingBatch) -> Iterable[Any]:
        """Readings, as this converter gives them in bad times: never, late, or twice."""
        self.frames_converted += batch.length
        draw = self.clock.random
        match self.answers:
            case "never":
                return ()
            case "late":
                self.clock.after(draw.random() * LATE_S, self._answer_late, self.life, batch)
                return ()
            case "twice":
                self.clock.after(draw.random() * LATE_S, self._answer_late, self.life, batch)
        return self.world.send(self, Plane.READINGS, batch)

    def _answer_late(self, life: int, batch: ReadingBatch) -> None:
        if self.life == life and self.core is not None:
            self.world.send(self, Plane.READINGS, batch)


class PublisherProcess(Process):
    """The publisher and its connection."""

    def __init__(self, world: World, types: dict[str, str], hosts: dict[str, str]) -> None:
        """`types` of the devices that lines have; `hosts`: the connectors' names by their streams'."""
        super().__init__(world.clock, "publisher:0")
        self.world = world
        self.types = types
        self.gone: set[str] = set()
        """Those that are not configured at the moment."""
        self.hosts = hosts
        self.connection = 0
        self.names = b""
        """What its disk keeps of the devices that users' converters have named; it outlives the process."""
        self._is_round_over = False

    def idle(self) -> None:
        """A round of the loop may end here, or take along what comes next."""
        if not self._is_round_over and self.clock.random.random() < 0.5:
            self._is_round_over = True
            self.hear(RoundOver())
            self._is_round_over = False

    def make_core(self) -> Core:
        identity = Identity("publisher", "0", f"{self.name}#{self.life}", 1, "host", "lock publisher")
        types = {name: kind for name, kind in self.types.items() if name not in self.gone}
        return PublisherCore(
            identity,
            f"epoch{self.life}",
            Platform(),
            ThingsBoard(),
            types | dict.fromkeys(self.hosts, ""),
            draw=self.clock.random.random,
            names=decode_names(self.names) if self.names else {},
            shared={name: ["level"] for name in types},
            connectors=dict.fromkeys(types, "Lines") | self.hosts,
            strategies=self.world.strategies,
            hosts={TYPE: list(self.hosts.values())} if self.hosts else None,
        )

    @property
    def known(self) -> KnownDevices:
        """What a publisher that starts now knows of the devices."""
        strategies = self.world.strategies
        found = {
            name: KnownDevice(kind, "Lines", ["level"], strategies=(strategies or {}).get(name))
            for name, kind in self.types.items()
            if name not in self.gone
        }
        hosts = {stream: KnownDevice("", connector) for stream, connector in self.hosts.items()}
        return KnownDevices(found | hosts, has_strategies=strategies is not None)

    def cut(self, core: PublisherCore) -> None:
        self.world.platform.disconnect(self, self.connection)

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Send(plane=plane, message=message):
                return self.world.send(self, plane, message)
            case ConnectPlatform(connection=connection, protocol=protocol):
                self.connection = connection
                self.world.platform.connect(self, connection, protocol)
            case DisconnectPlatform(connection=connection):
                self.world.platform.disconnect(self, connection)
            case Publish():
                self.world.platform.publish(self, effect)
            case KeepNames(content=content):
                self.names = content
                return [NamesKept()]
            case Probe(connection=connection):
                self.later(0.1, Probed(connection, ""))
            case CheckLink():
                pass
            case _:
                raise AssertionError(f"the publisher's core ordered {effect!r}")
        return ()


class World:
    """A gateway with its lines and its platform."""

    def __init__(self, scenario: Scenario) -> None:
        self.clock = Clock(scenario.seed)
        self.ids = count(1)
        self.link = Link(self.clock)
        self.platform = FakePlatform(self.clock)
        self.platform.speaks_mqtt_5 = scenario.speaks_mqtt_5
        self.platform.limits = scenario.session_limits
        if scenario.rates is not None:
            self.platform.limits = {**scenario.session_limits, "rateLimits": {}, "gatewayRateLimits": scenario.rates}
            self.platform.rates = ServerRates(scenario.rates, self.clock.now_s)
        self.client_replies: list[Message] = []
        self.harms: dict[bytes, Harm] = {}
        """Frame -> what it does to users' code."""
        self.user_frame_s = scenario.user_frame_s
        self.has_states = bool(scenario.strategies)
        """True if devices say a state beside their numbers."""
        self.died_in: Counter[bytes] = Counter()
        """Frame -> how many converters died while users' code had it."""
        self.strikes: list[tuple[SourceProcess, int]] = []
        """(source, number) of each entry that a source was told to suspect."""
        self._folder = tempfile.TemporaryDirectory() if any(plan.is_users for plan in scenario.devices) else None
        self.folder = Path(self._folder.name) if self._folder else None
        """Where converters keep their poison files; None where nobody has users' code."""
        self.readers = [
            self._make_reader(number, plan.is_users, plan.limits) for number, plan in enumerate(scenario.devices)
        ]
        self.hosts = [HostProcess(self, number, plan) for number, plan in enumerate(scenario.hosts)]
        self.asked = [AskedProcess(self, number, plan) for number, plan in enumerate(scenario.asked)]
        self.strategies: dict[str, Strategies] | None = None
        """Of the devices on lines; what hosted devices say brings its own."""
        if scenario.strategies:
            self._give_strategies(scenario.strategies)
        self.broker = BrokerProcess(self)
        self.converters = [ConverterProcess(self, slot) for slot in range(scenario.converters)]
        types = {reader.device.name: reader.device.type for reader in self.readers}
        types |= {device.name: device.type for asked in self.asked for device in asked.devices}
        self.platform.keyed = {device.name: [] for asked in self.asked for device in asked.devices}
        connectors = {host.stream: host.connector_name for host in self.hosts}
        self.publisher = PublisherProcess(self, types, connectors)
        self.monitor = MonitorProcess(self, list(types), list(connectors.values()))
        self.sources: list[SourceProcess] = [*self.readers, *self.hosts, *self.asked]
        everyone: list[Process] = [self.broker, self.publisher, self.monitor, *self.converters, *self.sources]
        self.processes: dict[str, Process] = {process.name: process for process in everyone}
        self._listeners = {
            kind: [process for process in everyone if kind in _HEARS[process.name.split(":")[0]]] for kind in _HEARS
        }
        self._by_journal = {disk.journal: source for source in self.sources for disk in source.disks}
        self.returning: set[Process] = set()
        """Who is dead and will be started again."""
        self._waiting: list[tuple[Process, int, Process, Any]] = []
        """(who, in which life, waits for whom, to hear what)."""

    def _make_reader(self, number: int, is_users: bool, limits: Limits) -> ReaderProcess:
        device = counting_device(f"press{number}", is_users, self.has_states)
        section = section_name(section_of(device))
        return ReaderProcess(self, device, section, limits, SerialLine(self.clock, number))

    def _give_strategies(self, types: tuple[str, ...]) -> None:
        """Each device gets its strategy, for the state that it says beside its number."""
        drawn = iter(types)
        self.strategies = {
            reader.device.name: Strategies(None, {"s": strategy_of(next(drawn))}, {}) for reader in self.readers
        }
        for host in self.hosts:
            for device in host.devices:
                device.strategy = b'{"type":"%b","reportPeriod":%d}' % (next(drawn).encode(), PERIOD_MS)

    def close(self) -> None:
        """Ends everyone and removes what is on the real disk."""
        for process in self.processes.values():
            process.kill()
        if self._folder is not None:
            self._folder.cleanup()

    def start(self) -> None:
        """Everything starts, in any order."""
        everyone = list(self.processes.values())
        self.clock.random.shuffle(everyone)
        for process in everyone:
            self.clock.after(self.clock.random.random() * 0.5, self.revive, process)

    def revive(self, process: Process) -> None:
        """Starts a process, and tells those who were blocked on it."""
        self.returning.discard(process)
        process.start()
        if process is self.broker:
            # Its sockets are there again, which wakes up also those who listen to no beats.
            for source in self.sources:
                source.later(self.clock.random.random() * RECONNECT_S, Reconnected())
        due = [entry for entry in self._waiting if entry[2] is process]
        self._waiting = [entry for entry in self._waiting if entry[2] is not process]
        for sender, life, _, event in due:
            if sender.life == life:
                sender.later(0.001, event)

    def kill(self, process: Process, back_after_s: float) -> None:
        """kill -9 now, and a supervisor that starts it again."""
        process.kill()
        self.bring_back(process, back_after_s)

    def bring_back(self, process: Process, after_s: float) -> None:
        """What the supervisor does."""
        self.returning.add(process)
        self.clock.after(after_s, self.revive, process)

    def carry(self, sender: Process, receiver: Process, event: Any, plane: Plane, when_back: Any) -> bool:
        """Takes an event to a process; True if that is not there, and `when_back` is then said when it is."""
        if receiver.core is None:
            entry = (sender, sender.life, receiver, when_back)
            # Once is enough: the poller tells once that a socket takes messages again.
            if when_back is not None and not any(_same(entry, other) for other in self._waiting):
                self._waiting.append(entry)
            return True
        self.link.carry((sender.name, sender.life, receiver.name, plane), receiver, event)
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
        if self.broker.core is None:
            return
        event = arrived(Plane.EVENTS, message)
        if isinstance(message, StreamReport):
            if self.link.report_loss and self.clock.random.random() < self.link.report_loss:
                return
            self.carry(sender, self._by_journal[message.journal], event, Plane.EVENTS, None)
        elif isinstance(message, Heartbeat):
            for process in self._listeners[message.kind]:
                self.carry(sender, process, event, Plane.EVENTS, None)

    def client_heard(self, message: Message) -> None:
        """A reply to somebody outside."""
        self.client_replies.append(message)

    # What a test asks.

    def accepted(self, device: str) -> list[int]:
        """What the platform accepted of a device on the platform: values, first occurrences, in order."""
        return list(dict.fromkeys(value for _, value in self.platform.telemetry.get(device, [])))

    @property
    def is_settled(self) -> bool:
        """True when no journal holds anything that is to be delivered, and no line has anything to say."""
        return all(source.is_settled for source in self.sources) and not any(
            reader.line.waiting for reader in self.readers
        )


def platform_names(reader: ReaderProcess) -> list[str]:
    """The devices on the platform that this reader's frames speak for."""
    name = reader.device.name
    return [name, name + BESIDE] if reader.device.has_user_converter else [name]


def _same(entry: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return entry[:3] == other[:3] and type(entry[3]) is type(other[3]) and entry[3] == other[3]


def strategy_of(kind: str) -> ReportStrategy:
    """A report strategy of this type."""
    return ReportStrategy(type=kind, report_period_ms=PERIOD_MS)  # type: ignore[arg-type]


def counting_device(name: str, is_users: bool, has_states: bool) -> Device:
    """A device that says a number a line, with its first digits as its state if `has_states`; it answers questions."""
    state = (DataPoint(key="s", type="int", from_byte=0, to_byte=STATE_DIGITS),) if has_states else ()
    return Device(
        name=name,
        type="counter",
        framing=Framing(max_frame_bytes=MAX_FRAME_BYTES, timeout_s=TIMEOUT_S),
        converter="Users" if is_users else "SerialUplinkConverter",
        telemetry=(DataPoint(key="n", type="int"), *state),
        attributes=(DataPoint(key="last", type="int"),),
        rpcs=(
            Rpc(
                method="ask",
                template="?${params}\n",
                with_response=True,
                response_type="int",
                response_pattern="^-",
                response_timeout_s=RPC_TIMEOUT_S,
            ),
            Rpc(method="set", template="=${params}\n"),
            Rpc(method="tell", template="!${deviceName} ${params}\n"),
        ),
        attribute_updates=(AttributeUpdate(attribute="level", string_to_device="level=${level}\n"),),
        downlink_converter="SerialDownlinkConverter",
    )
