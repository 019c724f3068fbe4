"""The line as one of the loop's sources: it is opened, read, written and left alone, and what happens on it is told.

    closed -> connecting -> open     a TCP connection is made in the background
    connecting -> negotiating -> open  the server that has the port has to apply its settings
    closed -> listening -> open      the device connects, at some time
    closed -> open                   a serial port is there at once
    open -> resting -> open          the core lets a busy line collect: one wake-up for many bytes
    any -> closed                    ClosePort, or it is lost

Reading is bounded, so that a line that never stops talking leaves the others their turn. What others have said is heard
beside it, in an order in which nobody waits for something unneeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from common.config.models import Line
from common.core.errors import LinkError
from common.core.events import Arrived, Junk
from common.io.clock import monotonic_s, suspended_s, wall_ms
from common.io.sources import Pollable, Sources
from services.port_reader.core.events import (
    NO_ERRORS,
    AdjustLine,
    CancelWrite,
    CheckWrite,
    Chunk,
    ClosePort,
    Event,
    LineDamaged,
    LineGap,
    LineRead,
    LineRefused,
    Opened,
    OpenFailed,
    OpenPort,
    PortLost,
    ReadOut,
    Rest,
    WriteDrained,
    WriteFailed,
    WritePending,
    WritePort,
)
from services.port_reader.shell.opening import open_line
from services.port_reader.shell.serial_line import LISTEN_SCHEME, READ_BYTES, SerialLine

if TYPE_CHECKING:
    from services.port_reader.shell.listening import Listener

READS: Final = 4
"""Full reads in a row before other sources get their turn."""
READS_BEFORE_WRITE: Final = 16
"""Full reads in a row before a write: more, because what is left unread may be taken for the write's answer."""
SUSPENDED_S: Final = 0.1
"""The two clocks that tell of it are not read at the same moment."""
CONTINUED_S: Final = 1.0
"""What comes so long after this process was continued has come after it: a line rests for less."""
LATE_S: Final = 0.1
"""What comes so long after the end of a rest did not come during it."""


class Tapped(Protocol):
    """Who may want to see what passes on the line."""

    @property
    def is_wanted(self) -> bool: ...
    def show(self, data: bytes, at_ms: int, *, is_written: bool) -> None: ...


class LineSource:
    """Performs the effects that concern the line, and reads it when it has something."""

    def __init__(
        self,
        settings: Line,
        sources: Sources[Event],
        reports: Pollable,
        hear: Callable[[], Iterable[Arrived | Junk]],
        tap: Tapped | None = None,
    ) -> None:
        """`settings`: all devices on the line have the same. `reports` is the socket by which others are heard,
        which rests as the line does; `hear` takes what is in it. `tap` is shown what passes, while it wants that."""
        self._settings = settings
        self._sources = sources
        self._reports = reports
        self._hear = hear
        self._tap = tap
        self._line: SerialLine | None = None
        self._listener: Listener | None = None
        self._is_resting = False
        """True after a read that was followed by a rest, until there is something again."""
        self._rests_until_s = 0.0
        self._gap = Gaps(sources).find

    def open_port(self, _: OpenPort) -> Iterable[Event]:
        """Opens the port, or begins to connect; `Opened` or `OpenFailed` follows."""
        if self._settings.port.startswith(LISTEN_SCHEME):
            return self._listen()
        try:
            line = open_line(self._settings)
        except LinkError as error:
            return (OpenFailed(str(error)),)
        self._line = line
        if line.is_connecting:
            self._sources.add_writer(line.fd, self._connected)
            return ()
        self._sources.add_reader(line.fd, self._readable)
        return (*self._refused(line), Opened(wall_ms()))

    def _listen(self) -> Iterable[Event]:
        """Waits for the device to connect, or takes it if it has."""
        # Here: who has no such port needs none of it, and a port reader keeps what it has loaded.
        from services.port_reader.shell.listening import Listener

        if self._listener is None:
            try:
                self._listener = Listener(self._settings.port)
            except LinkError as error:
                return (OpenFailed(str(error)),)
        self._sources.add_reader(self._listener.fd, self._accept)
        return self._accept()

    def _accept(self) -> Iterable[Event]:
        """A device has connected. In place of another: that is the same one, most probably, which has lost its
        connection without a word."""
        listener = self._listener
        if listener is None:
            return ()
        if self._line is not None:
            return (PortLost("a device has connected in its place", wall_ms()),) if listener.has_another() else ()
        line = self._line = listener.take()
        if line is None:
            return ()
        self._sources.add_reader(line.fd, self._readable)
        return (Opened(wall_ms()),)

    def _connected(self) -> Iterable[Event]:
        """A connection that was begun has succeeded or failed."""
        line = self._open_line
        self._sources.remove_writer(line.fd)
        try:
            line.finish_connecting()
        except LinkError as error:
            self.close_port(ClosePort())
            return (OpenFailed(str(error)),)
        if not line.is_ready:
            self._sources.add_reader(line.fd, self._negotiate)
            return ()
        self._sources.add_reader(line.fd, self._readable)
        return (Opened(wall_ms()),)

    def _negotiate(self) -> Iterable[Event]:
        """A server that has the port has said something about it."""
        line = self._open_line
        try:
            line.negotiate()
        except LinkError as error:
            self.close_port(ClosePort())
            return (OpenFailed(str(error)),)
        if not line.is_ready:
            return ()
        self._sources.add_reader(line.fd, self._readable)
        return (*self._refused(line), Opened(wall_ms()))

    @staticmethod
    def _refused(line: SerialLine) -> Iterable[Event]:
        """What a server, or a driver, does not do of what the port is to be."""
        if refused := line.take_refused():
            yield LineRefused(refused)

    def close_port(self, _: ClosePort) -> Iterable[Event]:
        """Closes the port, if it is open; nothing is heard of it any more."""
        line, self._line = self._line, None
        if self._listener is not None:
            self._sources.remove_reader(self._listener.fd)
        if line is not None:
            # Before it is closed: its number may be another's descriptor next.
            self._sources.remove_reader(line.fd)
            self._sources.remove_writer(line.fd)
            line.close()
        return ()

    # Reading

    def _readable(self) -> Iterable[Event]:
        """What is there, in chunks. A write that has drained meanwhile is reported first. What others have said comes
        before what a line said while it rested, but no frame that has just come waits for it."""
        has_rested = self._is_resting and monotonic_s() < self._rests_until_s + LATE_S
        if has_rested:
            yield from self._hear()
        if self._line is not None and self._line.is_writing:
            self._line.look_for_answer()
            yield from (event for event in self._progress() if not isinstance(event, WritePending))
        yield from self._read(READS)
        if not has_rested:
            yield from self._hear()

    def _read(self, reads: int) -> Iterable[Event]:
        """Up to so many reads, each one event that the core handles before the next: it may order a rest, or close the
        port, while this generator is suspended. So each read looks at the line and the rest anew."""
        for _ in range(reads):
            line = self._line
            if line is None:
                return
            try:
                data = line.read()
            except LinkError as error:
                yield PortLost(str(error), wall_ms())
                return
            if line.is_remote:
                yield from self._refused(line)
                if line.errors is not NO_ERRORS:
                    yield LineDamaged(line.take_errors())
            if data:
                self._is_resting = False
                gap = self._gap(line) if line.is_serial else None
                if line.errors is not NO_ERRORS:
                    yield LineDamaged(line.take_errors())
                if gap:
                    yield gap
                at_ms = wall_ms()
                if self._tap is not None and self._tap.is_wanted:
                    self._tap.show(data, at_ms, is_written=False)
                yield Chunk(data, at_ms)
            # Less than half: there was no more. A rest that was just ordered holds for the next read too.
            if len(data) < READ_BYTES // 2 or self._is_resting:
                return

    def read_out(self, _: ReadOut) -> Iterable[Event]:
        """Reads what is there now; `LineRead` says that this was all."""
        return (*self._read(READS_BEFORE_WRITE), LineRead())

    # Resting

    def rest(self, effect: Rest) -> Iterable[Event]:
        """Leaves reports unread until their time, and the line too where it is to rest. Nothing is lost: the kernel
        keeps it."""
        self._sources.rest(self._reports, effect.reports_until_s)
        if effect.line_until_s is not None and self._line is not None:
            self._is_resting, self._rests_until_s = True, effect.line_until_s
            self._sources.rest(self._line.fd, effect.line_until_s, deep=True)
        return ()

    # Writing

    def write_port(self, effect: WritePort) -> Iterable[Event]:
        """Begins to write; how far it is, or why it failed, follows."""
        if self._line is None:
            return (WriteFailed("the port is closed"),)
        # What has come before the write is no answer to it.
        events = list(self._read(READS_BEFORE_WRITE))
        if any(isinstance(event, PortLost) for event in events):
            return events
        self._line.begin_write(effect.data)
        if self._tap is not None and self._tap.is_wanted:
            self._tap.show(effect.data, wall_ms(), is_written=True)
        # From now on its answer may come.
        self._is_resting = False
        self._sources.rest(self._line.fd, monotonic_s())
        return [*events, *self._progress()]

    def check_write(self, _: CheckWrite) -> Iterable[Event]:
        """Says how far a write is. The core asks, because nothing tells when a serial port has sent its last byte."""
        return self._progress()

    def cancel_write(self, _: CancelWrite) -> Iterable[Event]:
        """Forgets what the kernel has not taken of a write."""
        if self._line is not None:
            self._line.cancel_write()
            self._sources.remove_writer(self._line.fd)
        return ()

    def adjust(self, effect: AdjustLine) -> Iterable[Event]:
        """Changes the open line: its speed, its pins, or all that it is to be from now on. A line that does not take
        that is of no use any more."""
        if effect.settings is not None:
            self._settings = effect.settings
        if self._line is None:
            return ()
        try:
            if effect.settings is not None:
                self._line.apply(effect.settings)
            self._line.adjust(effect.baudrate, effect.dtr, effect.rts)
        except LinkError as error:
            return (PortLost(str(error), wall_ms()),)
        return ()

    def _progress(self) -> Iterable[Event]:
        """Writes what the line takes, and says how far it is."""
        line = self._line
        if line is None or not line.is_writing:
            return ()
        try:
            unwritten, left_bytes = line.write_more()
        except LinkError as error:
            line.cancel_write()
            self._sources.remove_writer(line.fd)
            return (WriteFailed(str(error)),)
        if unwritten:
            self._sources.add_writer(line.fd, self._progress)
        else:
            self._sources.remove_writer(line.fd)
        return (WritePending(left_bytes),) if left_bytes else (WriteDrained(),)

    @property
    def _open_line(self) -> SerialLine:
        if self._line is None:
            raise RuntimeError("no port is open")
        return self._line


class Gaps:
    """Finds why bytes may be missing on the line: the driver's count, and two clocks that say when nobody read it."""

    def __init__(self, sources: Sources[Event]) -> None:
        self._sources = sources
        self._suspended_s = suspended_s()
        """Seconds for which the machine had been suspended when this was last looked at."""
        self._continued_s = float("-inf")
        """When this process was continued, as of the last stop that the core was told of."""

    def find(self, line: SerialLine) -> LineGap | None:
        """Why bytes may be missing before or among those that were just read; None for no reason. Each reason is found
        once."""
        if line.has_overrun():
            return LineGap("the driver lost bytes of the line")
        before_s, self._suspended_s = self._suspended_s, suspended_s()
        if self._suspended_s > before_s + SUSPENDED_S:
            return LineGap("the machine was suspended")
        continued_s = self._sources.continued_s
        if continued_s > self._continued_s and monotonic_s() < continued_s + CONTINUED_S:
            self._continued_s = continued_s
            return LineGap("nobody could read the line for too long", is_anywhere=False)
        return None
