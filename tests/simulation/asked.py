"""A line whose devices must be asked, and its port reader, in the simulated world: several devices, or one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from common.config.models import section_of
from common.stream.events import Append, ForMember, JournalFailed, OfMember
from common.stream.limits import Limits
from common.wire import codec
from common.wire.messages import Entry, Identity
from services.port_reader.core.core import LineMember, PortReaderCore
from services.port_reader.core.events import Confirm, Confirmed, WritePort
from tests.simulation.asked_devices import devices_of
from tests.simulation.instruments import ACK, IN_TIME_S, Analyser, Instrument, instrument_of
from tests.simulation.kernel import Clock, Stall
from tests.simulation.line import SerialLine, Written
from tests.simulation.reader import ReaderProcess
from tests.simulation.source import Disk

if TYPE_CHECKING:
    from tests.simulation.scenario import AskedPlan
    from tests.simulation.world import World


def _do_nothing() -> None:
    """Nobody waits for what the instrument hears."""


class AskedLine(SerialLine):
    """A line with an instrument at its end, which loses bytes and flips bits in bad times."""

    def __init__(self, clock: Clock, instrument: Instrument) -> None:
        super().__init__(clock, 0)
        self.instrument = instrument
        instrument.line = self
        self.loss = 0.0
        """How likely what is said lacks a byte."""
        self.loss_heard = 0.0
        """The same of what is written."""
        self.flips = 0.0
        """How likely a bit of what is said is another."""
        self.on_heard: Callable[[], None] = _do_nothing
        """To be done once, when the instrument hears something next."""
        self._readers = 0
        """How many readers have died on it."""

    @property
    def is_heard(self) -> bool:
        """True if the gateway runs and has read all that was said."""
        reader = self.reader
        return reader.alive and not reader.is_busy and not self.waiting

    def open(self) -> bool:
        if not super().open():
            return False
        self.instrument.opened()
        return True

    def reader_died(self) -> None:
        super().reader_died()
        self._readers += 1

    def say(self, after_s: float, data: bytes) -> None:
        """The instrument says this after a while, if nobody pulls it out."""
        self.clock.after(after_s, self._say, data, self._plug, self._readers)

    def say_garbage(self, data: bytes) -> None:
        """Bytes of nobody's."""
        if self.is_plugged and self._room >= len(data):
            self._utter(data)

    def _say(self, data: bytes, plug: int, readers: int) -> None:
        is_gone = self.instrument.dies_with_reader and readers != self._readers
        if is_gone or self._plug != plug or not self.is_plugged or self._room < len(data):
            return
        data = self._spoilt(data, self.loss)
        if self.flips and self.clock.random.random() < self.flips:
            place = self.clock.random.randrange(len(data))
            data = data[:place] + bytes((data[place] ^ 1 << self.clock.random.randrange(8),)) + data[place + 1 :]
        if len(data) > 1 and self.clock.random.random() < 0.1:
            # In two reads.
            cut = self.clock.random.randrange(1, len(data))
            self._utter(data[:cut])
            self.clock.after(0.002, self._go_on_saying, data[cut:], plug)
        else:
            self._utter(data)

    def _go_on_saying(self, data: bytes, plug: int) -> None:
        if self._plug == plug:
            self._utter(data)

    def _spoilt(self, data: bytes, likelihood: float) -> bytes:
        draw = self.clock.random
        if not likelihood or draw.random() >= likelihood:
            return data
        place = draw.randrange(len(data))
        return data[:place] + data[place + 1 :]

    def _hear(self, data: bytes, plug: int, cancelled: int) -> None:
        if self._plug != plug or self._cancelled != cancelled:
            return
        self.heard.append(Written(self.clock.now_s, data, self.reader.life))
        if data := self._spoilt(data, self.loss_heard):
            self.instrument.hear(data)
        on_heard, self.on_heard = self.on_heard, _do_nothing
        if on_heard is not _do_nothing:
            self.clock.after(0.001, on_heard)


class AskedProcess(ReaderProcess):
    """The port reader of such a line."""

    def __init__(self, world: World, number: int, plan: AskedPlan) -> None:
        self.plan = plan
        self.devices = devices_of(plan.kind, number, plan.every_s)
        self.sections = [hashlib.sha256(section_of(device)).hexdigest()[:32] for device in self.devices]
        instrument = instrument_of(plan.kind, world.clock, self.devices, number, starts_over=plan.starts_over)
        self.asked_line = AskedLine(world.clock, instrument)
        super().__init__(world, self.devices[0], self.sections[0], Limits(), self.asked_line)
        self._others = [Disk(f"journal-{device.name}") for device in self.devices[1:]]
        self.kept: list[dict[int, tuple[int, ...]]] = [{} for _ in self.devices]
        """Of each device: number → the values of what was committed under it."""
        self._on_disk: set[int] = set()
        """All values that were ever committed."""
        self._marks: list[int] = []
        self.silent = "" if plan.silent is None else self.devices[plan.silent].name
        """The device that never answers; "" where all do."""
        if self.silent:
            instrument.silent.add(self.silent)
        self.disturbed = (-1, 0.0)
        """(life, when it was last seen that something is wrong with its line, its disks or itself)."""

    @property
    def is_disturbed(self) -> bool:
        """True while there is a reason not to ask, or not to be answered."""
        line, instrument = self.asked_line, self.instrument
        is_line_bad = not line.is_open or line.loss or line.flips or line.write_slow_s
        is_device_bad = instrument.answers_after_s is not IN_TIME_S or instrument.silent - {self.silent}
        is_disk_bad = any(disk.is_full or disk.slow_s for disk in self.disks)
        return bool(self.is_busy or is_line_bad or is_device_bad or is_disk_bad)

    def silent_for(self, seconds: float) -> list[str]:
        """Devices that may not have answered so long ago, or since then."""
        was_disturbed = self.clock.now_s - self.disturbed[1] < seconds
        return self.streams if was_disturbed else [self.silent] if self.silent else []

    @property
    def instrument(self) -> Instrument:
        return self.asked_line.instrument

    @property
    def disks(self) -> list[Disk]:
        return [self.disk, *self._others]

    @property
    def streams(self) -> list[str]:
        return [device.name for device in self.devices]

    def stop_load(self) -> None:
        """Questions go on for ever: what was committed by now is to be delivered."""
        self._marks = [disk.state.next_number for disk in self.disks]
        if isinstance(self.instrument, Analyser):
            self.instrument.stops = True

    @property
    def marks(self) -> list[int]:
        """The first number of each device that need not be delivered at the end."""
        return self._marks or [disk.state.next_number for disk in self.disks]

    @property
    def is_settled(self) -> bool:
        return all(disk.state.settled >= mark for disk, mark in zip(self.disks, self.marks, strict=True))

    def make_core(self) -> PortReaderCore:
        name = self.device.name
        identity = Identity("port_reader", name, f"{self.name}#{self.life}", 1, "host", f"lock {name}")
        members = []
        for place, (device, section, disk) in enumerate(zip(self.devices, self.sections, self.disks, strict=True)):
            disk.put_section(section, section_of(device))
            members.append(LineMember(device, section, disk.open(), f"lock {device.name}" if place else ""))
        return PortReaderCore(identity, members, limits=self.limits, draw=self.clock.random.random)

    def perform(self, effect: Any) -> Iterable[Any] | Stall:
        if not isinstance(effect, ForMember):
            return super().perform(effect)
        slow_s = self.disks[effect.member].slow_s
        if slow_s:
            return Stall(slow_s * self.clock.random.random(), lambda: self._perform_of(effect))
        return self._perform_of(effect)

    def _perform_of(self, effect: ForMember) -> Iterable[Any]:
        """What one of the further devices' journals is to do."""
        order = effect.effect
        events = self.disks[effect.member].perform(order) or []
        if isinstance(order, Append) and not any(isinstance(event, JournalFailed) for event in events):
            self._keep(effect.member, order)
        return [OfMember(effect.member, event) for event in events]

    def committed(self, effect: Append) -> Iterable[Any]:
        self._keep(0, effect)
        return super().committed(effect)

    def _keep(self, member: int, effect: Append) -> None:
        for block in effect.blocks:
            if block.kind == Entry.FRAMES:
                frames = codec.unpack_frames(block.body, block.length).frames
                for number, frame in enumerate(frames, block.first):
                    values = tuple(value for value in self.instrument.values_of(frame) if value in self.instrument.said)
                    self.kept[member][number] = values
                    self._on_disk.update(values)

    def is_kept(self, device: str, value: int) -> bool:
        """True if a value was ever on the disk, or, as happens while that is full, is on the platform."""
        if value in self._on_disk:
            return True
        return any(accepted == value for _, _, accepted in self.world.platform.keyed[device])

    def perform_elsewhere(self, effect: Any) -> Iterable[Any]:
        match effect:
            case Confirm(member, reply):
                return [Confirmed(member, reply)]
            case WritePort(data) if data == ACK and isinstance(self.instrument, Analyser):
                value = self.instrument.said_now
                if value and not self.is_kept(self.stream, value):
                    self.instrument.problems.append(f"{self.stream}: {value} is acknowledged, and is not on the disk")
        return super().perform_elsewhere(effect)
