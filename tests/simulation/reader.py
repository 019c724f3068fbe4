"""A port reader in the simulated world: its core and its line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.config.models import Device, section_of
from common.core.events import Send
from common.stream.events import Append
from common.stream.limits import Limits
from common.wire.messages import Identity, Reply
from services.port_reader.core.core import LineMember, PortReaderCore
from services.port_reader.core.events import (
    AdjustLine,
    CancelWrite,
    CheckWrite,
    Chunk,
    ClosePort,
    LineRead,
    Opened,
    OpenFailed,
    OpenPort,
    ReadOut,
    Rest,
    WriteDrained,
    WriteFailed,
    WritePending,
    WritePort,
)
from tests.simulation.kernel import Stall
from tests.simulation.line import SerialLine
from tests.simulation.source import SourceProcess
from tests.simulation.swaps import Book, section_asked

if TYPE_CHECKING:
    from tests.simulation.world import World


class ReaderProcess(SourceProcess):
    """One port reader."""

    def __init__(self, world: World, device: Device, section: str, limits: Limits, line: SerialLine) -> None:
        super().__init__(world, f"port_reader:{device.name}", device.name, limits)
        self.device = device
        self.section = section
        self.line = line
        self.book = Book(section)
        self.swaps = 0
        """How often its device was configured otherwise."""
        line.reader = self

    @property
    def lost_values(self) -> set[int]:
        """What the device said that damage took, as far as that was told."""
        told = self.told
        frames = [frame for number, frame in self.disk.taken.items() if number in told]
        return {int(frame) for frame in frames if frame.strip().lstrip(b"-").isdigit()}

    def make_core(self) -> PortReaderCore:
        identity = Identity("port_reader", self.device.name, f"{self.name}#{self.life}", 1, "host", f"lock {self.name}")
        draw = self.clock.random.random
        self.disk.put_section(self.section, section_of(self.device))
        self.book.began(self.section)
        member = LineMember(self.device, self.section, self.disk.open())
        return PortReaderCore(identity, [member], limits=self.limits, draw=draw)

    def cut(self, core: PortReaderCore) -> None:
        super().cut(core)
        self.line.reader_died()

    def is_late(self, event: Any) -> bool:
        return super().is_late(event) or (isinstance(event, Chunk) and self.line.has_rested)

    def wakes(self, event: Any) -> bool:
        return isinstance(event, Chunk) or super().wakes(event)

    def idle(self) -> None:
        if self.line.waiting:
            self.line.pump()

    def committed(self, effect: Append) -> Iterable[Any]:
        self.line.committed()
        self.book.committed(effect)
        return ()

    def perform(self, effect: Any) -> Iterable[Any] | Stall:
        if isinstance(effect, Send) and isinstance(effect.message, Reply) and (name := section_asked(effect.message)):
            self.book.replied(effect.message, name)
            return ()
        return super().perform(effect)

    def perform_elsewhere(self, effect: Any) -> Iterable[Any]:
        line = self.line
        match effect:
            case OpenPort():
                return [Opened(self.clock.wall_ms)] if line.open() else [OpenFailed("no such device")]
            case ClosePort():
                line.close()
            case Rest(line_until_s=until_s, reports_until_s=reports_until_s):
                self.ears.rest(reports_until_s)
                if until_s is not None:
                    line.rest(until_s - self.clock.now_s)
            case ReadOut():
                return [*line.take_chunk(), LineRead()]
            case WritePort(data=data):
                # As the shell does: what has come before the write is no answer to it.
                before = line.take_chunk()
                return [*before, *self._write(line.write(data))]
            case CheckWrite():
                return self._write(line.write(b""))
            case CancelWrite():
                line.cancel_write()
            case AdjustLine():
                pass
            case _:
                raise AssertionError(f"the port reader's core ordered {effect!r}, which this world does not know")
        return ()

    @staticmethod
    def _write(left_bytes: int | None) -> Iterable[Any]:
        if left_bytes is None:
            return [WriteFailed("EIO")]
        return [WritePending(left_bytes)] if left_bytes else [WriteDrained()]
