"""A connector host in the simulated world: its core, its disk, and a user's connector that ends with its process."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from common.config.models import Device, section_of
from common.config.names import BUILTIN_ENTRIES
from common.core.events import Arrived, Tick
from common.stream.device_stream import KeptDevice as KeptStream
from common.stream.events import Append
from common.wire import codec
from common.wire.calls import hosted_stream
from common.wire.entries import pack_entry, unpack_entry
from common.wire.messages import Identity, Plane
from services.connector_host.core.core import ConnectorFacts, ConnectorHostCore
from services.connector_host.core.devices import decode_devices
from services.connector_host.core.events import (
    CallConnectorCode,
    CloseConnector,
    Committed,
    ConnectorClosed,
    ConnectorFailed,
    ConnectorOpened,
    DevicesKept,
    KeepDevices,
    Replied,
    Returned,
    Said,
    Settle,
    ShowLink,
    Submission,
    Submitted,
)
from tests.simulation.frames import answer_of, frame_of, state_of, value_of
from tests.simulation.source import SourceProcess

if TYPE_CHECKING:
    from tests.simulation.scenario import HostPlan
    from tests.simulation.world import World

TYPE = "pumps"
"""The type of all connectors here: the platform calls them as `pumps_METHOD`."""
FIRST_NUMBER = 4
"""The first of the numbers by which what hosted devices say is told from what is said on lines."""
OPEN_S = 0.05
CLOSE_S = 0.1


class HostedDevice:
    """One device of a connector, over all lives of its host: what it said, and what became of it."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.count = 0
        self.handed: dict[int, float] = {}
        """Value → when it was handed over, in order."""
        self.stored: set[int] = set()
        """Those for which the connector was told SUCCESS."""
        self.is_there: bool | None = False
        """What the connector was told is stored of that; None while it may be so or not."""
        self.strategy = b""
        """The report strategy that its values bring, as JSON; b"" for none."""

    def says(self, now_s: float) -> tuple[int, Said]:
        """The next value, and the entry of it."""
        self.count += 1
        value = value_of(frame_of(self.number, self.count))
        self.handed[value] = now_s
        values = {"n": value, "s": state_of(value)} if self.strategy else {"n": value}
        entry = pack_entry(
            self.name,
            TYPE,
            telemetry=[(None, json.dumps(values).encode())],
            attributes=b'{"last":%d}' % value,
            strategies=b'{"s":%b}' % self.strategy if self.strategy else b"",
        )
        return value, Said(self.name, TYPE, entry)


class Handled(NamedTuple):
    """A handler of the connector was called."""

    at_s: float
    kind: str
    content: Any
    life: int


class Connector:
    """The user's code in one life of its host: its threads wait for the journal, and its handlers answer calls."""

    def __init__(self, host: HostProcess) -> None:
        self._host = host
        self._clock = host.clock
        self.is_open = False
        self.pending: dict[int, tuple[HostedDevice, tuple[int, ...], bool]] = {}
        """Ticket → of which device, with which values (a mark has none), and whether it is there then."""
        self._inbox: list[Submission] = []
        self._turns: dict[str, deque[CallConnectorCode]] = {"rpc": deque(), "attributes": deque()}
        self._busy: set[str] = set()
        """Threads that are in a handler."""

    def open(self) -> None:
        """Its `open` returns; it names its devices."""
        self.is_open = True
        self._host.hear(ConnectorOpened())
        for device in self._host.devices if self._host.plan.names else ():
            self.mark(device, "connect")

    def close(self) -> None:
        """Its `close` returns."""
        self._host.hear(ConnectorClosed())

    def store(self, device: HostedDevice, values: int) -> None:
        """`send_to_storage` of so many values of one device; nothing while its thread waits for an earlier call."""
        if not self.is_open or any(waiting is device and said for waiting, said, _ in self.pending.values()):
            return
        said = [device.says(self._clock.now_s) for _ in range(values)]
        self._submit(tuple(entry for _, entry in said), device, tuple(value for value, _ in said), is_there=True)

    def mark(self, device: HostedDevice, mark: Any) -> None:
        """`add_device` or `del_device`, which do not wait."""
        if self.is_open:
            self._submit((Said(device.name, TYPE, b"", mark),), device, (), is_there=mark == "connect")

    def settled(self, tickets: list[int], error: str) -> None:
        """The core says what has become of calls."""
        for ticket in tickets:
            if ticket not in self.pending:
                self._host.problems.append(f"{self._host.name}: a call is answered twice")
                continue
            device, values, is_there = self.pending.pop(ticket)
            if error:
                continue
            device.is_there = is_there
            unkept = [value for value in values if not self._host.is_kept(device, value)]
            if unkept:
                self._host.problems.append(f"{device.name}: {unkept[0]} is called stored, and is not on the disk")
            device.stored.update(values)

    def call(self, order: CallConnectorCode) -> None:
        """A handler is to be called, when its thread is free."""
        thread = "attributes" if order.kind == "attributes" else "rpc"
        self._turns[thread].append(order)
        if thread not in self._busy:
            self._next(thread)

    def _submit(self, said: tuple[Said, ...], device: HostedDevice, values: tuple[int, ...], *, is_there: bool) -> None:
        host = self._host
        host.tickets += 1
        self.pending[host.tickets] = device, values, is_there
        if device.is_there is not is_there:
            device.is_there = None
        self._inbox.append(Submission(host.tickets, said))
        if len(self._inbox) == 1:
            # What is handed over until the gateway's thread looks comes as one.
            self._clock.after(self._clock.random.random() * 0.002, self._hand_over)

    def _hand_over(self) -> None:
        if self._host.connector is self:
            submissions, self._inbox = self._inbox, []
            self._host.hear(Submitted(submissions, self._clock.wall_ms))

    def _next(self, thread: str) -> None:
        turns = self._turns[thread]
        if not turns:
            self._busy.discard(thread)
            return
        self._busy.add(thread)
        order = turns.popleft()
        if self._clock.now_s >= order.deadline_s:
            self._end(thread, Returned(order.number, order.kind, is_skipped=True))
            return
        content = json.loads(order.content)
        self._host.handled.append(Handled(self._clock.now_s, order.kind, content, self._host.life))
        delay_s = self._clock.random.choice(self._host.plan.answers_after_s)
        if delay_s is not None:
            self._clock.after(delay_s, self._answer, thread, order, content)

    def _answer(self, thread: str, order: CallConnectorCode, content: Any) -> None:
        if self._host.connector is not self:
            return
        match order.kind:
            case "rpc":
                number = next(device.number for device in self._host.devices if device.name == content["device"])
                answer = b'{"result":%d}' % value_of(answer_of(number, content["data"]["params"]))
                self._host.hear(Replied(content["device"], str(content["data"]["id"]), answer))
                self._end(thread, Returned(order.number, order.kind, shown="None"))
            case "connector":
                data = b'{"result":%d}' % content["params"]
                self._end(thread, Returned(order.number, order.kind, data=data))
            case _:
                self._end(thread, Returned(order.number, order.kind))

    def _end(self, thread: str, returned: Returned) -> None:
        self._host.hear(returned)
        if self._host.connector is self:
            self._next(thread)


class HostProcess(SourceProcess):
    """One connector host."""

    def __init__(self, world: World, number: int, plan: HostPlan) -> None:
        self.connector_name = f"Pumps{number}"
        stream = hosted_stream(self.connector_name)
        super().__init__(world, f"connector_host:{self.connector_name}", stream, plan.limits)
        self.plan = plan
        self.section = section_of(
            Device(name=stream, converter=BUILTIN_ENTRIES, connector_name=self.connector_name, uplink_queue_size=1)
        )
        self.section_name = hashlib.sha256(self.section).hexdigest()[:32]
        first = FIRST_NUMBER + 2 * number
        self.devices = [HostedDevice(f"pump{first + index}", first + index) for index in range(plan.devices)]
        self.connector: Connector | None = None
        self.tickets = 0
        self.handled: list[Handled] = []
        self.problems: list[str] = []
        """What the connector has seen that must not be."""
        self.started_s = 0.0
        self.ends = 0
        """How often its process has ended without being told to."""
        self._kept = b""
        """What the file of its devices says; it outlives the process."""
        self._on_disk: set[int] = set()
        """All values that were ever committed."""

    def make_core(self) -> ConnectorHostCore:
        clock, name = self.clock, self.connector_name
        identity = Identity("connector_host", name, f"{self.name}#{self.life}", 1, "host", f"lock {self.name}")
        self.disk.put_section(self.section_name, self.section)
        self.connector, self.started_s = Connector(self), clock.now_s
        clock.after(OPEN_S, self._open, self.connector)
        return ConnectorHostCore(
            identity,
            ConnectorFacts(name, TYPE, "Pumps", "/extensions/pumps.py"),
            KeptStream(self.stream, self.section_name, lambda: self.section, self.disk.open()),
            devices=decode_devices(self._kept) if self._kept else None,
            limits=self.limits,
            draw=clock.random.random,
            wall_offset_ms=clock.wall_ms - clock.now_s * 1000,
        )

    def _open(self, connector: Connector) -> None:
        if self.connector is connector:
            connector.open()

    def cut(self, core: Any) -> None:
        super().cut(core)
        self.connector = None
        self.ends += self.exit_code != 0
        kept = decode_devices(self._kept) if self._kept else {}
        for device in self.devices:
            if self.exit_code == 0:
                device.is_there = False
            if device.is_there is not (device.name in kept):
                # The file is written a second later at most, not at all while the disk is full, and not even removed
                # while it fails.
                device.is_there = None
        if self.exit_code is not None:
            # Whatever ends by itself the supervisor starts again.
            self.world.bring_back(self, self.clock.random.random())

    def wakes(self, event: Any) -> bool:
        return isinstance(event, Tick) or not (isinstance(event, Arrived) and event.plane is Plane.EVENTS)

    @property
    def names(self) -> list[str]:
        """Its devices."""
        return [device.name for device in self.devices]

    def fail(self) -> None:
        """A thread of the connector has raised."""
        self.hear(ConnectorFailed("its thread has raised", is_final=False))

    def is_kept(self, device: HostedDevice, value: int) -> bool:
        """True if a value has ever been on the disk, or was accepted by the platform."""
        return value in self._on_disk or value in self.world.accepted(device.name)

    def committed(self, effect: Append) -> Iterable[Any]:
        for block in effect.blocks:
            self._on_disk.update(_values_of(codec.unpack_frames(block.body, block.length).frames))
        return [Committed(effect.next_number)]

    def perform_elsewhere(self, effect: Any) -> Iterable[Any]:
        connector = self.connector
        assert connector is not None
        match effect:
            case Settle(tickets, error):
                connector.settled(tickets, error)
            case CallConnectorCode():
                connector.call(effect)
            case CloseConnector():
                connector.is_open = False
                if self.plan.closes:
                    self.clock.after(CLOSE_S, self._close, connector)
            case KeepDevices(content):
                # To remove it takes no room.
                if self.disk.is_failing or (self.disk.is_full and content):
                    return [DevicesKept("the disk is full")]
                self._kept = content
                return [DevicesKept("")]
            case ShowLink():
                pass
            case _:
                raise AssertionError(f"the connector host's core ordered {effect!r}, which this world does not know")
        return ()

    def _close(self, connector: Connector) -> None:
        if self.connector is connector:
            connector.close()


def _values_of(entries: list[bytes]) -> Iterable[int]:
    """The values that entries say; marks say none."""
    for entry in entries:
        if entry.startswith(b"{"):
            for _, values in unpack_entry(entry).telemetry:
                yield json.loads(values)["n"]
