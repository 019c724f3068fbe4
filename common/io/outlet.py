"""Telling never holds doing: lines for people go out without waiting, or wait in a bounded place, or are dropped and
counted.

    nothing waits -> something waits    whoever reads has no room at the moment
    something waits -> lines are dropped    what waits has reached its limit, or nobody reads any more
    lines are dropped -> nothing waits    somebody reads again, and is told first how many lines are missing
"""

from __future__ import annotations

import io
import os
import select
import stat
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TextIO

from common.core.shown import harmless_lines

STANDARD_ERROR: Final = 2
WAITING_BYTES: Final = 64 * 1024
"""What may wait for a reader that is slow for a moment: as much as a pipe holds."""
LONGEST_TEXT: Final = 256 * 1024
"""What is said at once may have so many characters; the rest is left out, and how much that is, is said."""
_PIPE_BYTES: Final = 4096
"""What a pipe takes at once when it says that it takes something (PIPE_BUF)."""


def shortened(text: str) -> str:
    """The text, cut where nobody would read on: it would else be copied for each bit of it that a pipe takes."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}... ({len(text) - LONGEST_TEXT} more characters)\n"


class Sink(NamedTuple):
    """Where an outlet writes."""

    put: Callable[[bytes], int]
    """Writes what can be written at once; how much that was. Raises BlockingIOError where it is nothing, or OSError."""
    descriptor: int | None = None
    """What to poll for writing while something waits; None where that would tell nothing."""


class LogOutlet:
    """A descriptor to which lines are written, whatever is behind it: a pipe that nobody reads, a terminal that was
    stopped, a full disk. No method waits, and none raises."""

    def __init__(self, sink: Sink, tell_dropped: Callable[[int], bytes], waiting_bytes: int = WAITING_BYTES) -> None:
        """`tell_dropped` makes the line that says how many lines were dropped, when lines are taken again."""
        self._put_now = sink.put
        self.descriptor = sink.descriptor
        self._tell_dropped = tell_dropped
        self._most_bytes = waiting_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._untold = 0
        """Lines that were dropped and of which nobody knows yet. While there are any, no other line goes out."""
        self.dropped = 0
        """Lines that were dropped so far."""
        self.wants_room = False
        """True while somebody is there who has no room: `descriptor` tells when there is."""
        self.also: Callable[[bytes], None] | None = None
        """Who else is told each line that is written. It must not raise, nor write here."""

    @property
    def is_behind(self) -> bool:
        """True while something waits, or is to be told."""
        return bool(self._waiting) or self._untold > 0

    def write(self, lines: bytes) -> None:
        """One or more whole lines: now, later, or never."""
        if self.also is not None:
            self.also(lines)
        if self._waiting or self._untold:
            self.catch_up()
        if self._waiting or self._untold:
            self._keep(lines)
            return
        rest = self._put(lines)
        if rest:
            self._wait(rest, first=True)

    def catch_up(self) -> None:
        """Writes what waits, as far as it is taken."""
        while self._waiting:
            # One at a time, for a pipe may take a part of it: the rest goes back to the front.
            head = self._waiting.popleft()
            self._waiting_bytes -= len(head)
            rest = self._put(head)
            if rest:
                self._wait(rest, first=True)
                return
        if self._untold:
            line = self._tell_dropped(self._untold)
            try:
                rest = line[self._put_now(line) :]
            except OSError as error:
                self.wants_room = isinstance(error, BlockingIOError)
                return
            self._untold, self.wants_room = 0, bool(rest)
            if rest:
                self._wait(rest, first=True)

    def _put(self, data: bytes) -> bytes:
        """What could not be written; b"" also for what never will be."""
        try:
            while data:
                data = data[self._put_now(data) :]
        except BlockingIOError:
            self.wants_room = True
            return data
        except OSError:
            # Nobody reads any more, or the disk is full.
            self._drop(data)
        self.wants_room = False
        return b""

    def _keep(self, lines: bytes) -> None:
        # Once lines are dropped the next are too: what waits then is a whole piece, and what is missing follows it.
        if self._untold or self._waiting_bytes + len(lines) > self._most_bytes:
            self._drop(lines)
        else:
            self._wait(lines)

    def _wait(self, data: bytes, first: bool = False) -> None:
        (self._waiting.appendleft if first else self._waiting.append)(data)
        self._waiting_bytes += len(data)

    def _drop(self, data: bytes) -> None:
        lines = max(1, data.count(b"\n"))
        self.dropped += lines
        self._untold += lines


class LineStream(io.TextIOBase):
    """A text stream whose whole lines go somewhere else: `sys.stdout` and `sys.stderr` for code that takes them for a
    program's own. It is never closed."""

    encoding = "utf-8"
    errors = "backslashreplace"
    name = "<log>"
    mode = "w"
    line_buffering = True
    LONGEST: int = 65_536
    """Characters of a line that has no end yet."""

    def __init__(self) -> None:
        super().__init__()
        self._partial = ""
        self.buffer = _BytesStream(self)
        """As a text stream has it: takes bytes."""

    def tell_lines(self, whole: str) -> None:
        """Takes one or more lines, each with its end."""
        raise NotImplementedError

    def cut(self, rest: str) -> tuple[str, str]:
        """Of what has no end yet: (what is told all the same, what waits)."""
        return "", rest[: self.LONGEST]

    def write(self, text: str) -> int:
        whole, newline, rest = (self._partial + text).rpartition("\n")
        if len(rest) > self.LONGEST:
            cut, rest = self.cut(rest)
            whole, newline = whole + newline + cut, "\n" if cut else newline
        self._partial = rest
        if newline:
            self.tell_lines(whole + newline)
        return len(text)

    def flush(self) -> None:
        """The rest of a line waits on: others write here too."""

    def close(self) -> None:
        """Others go on to write here."""

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return STANDARD_ERROR

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_: Any) -> None:
        """It has no other way to write."""


class _BytesStream(io.RawIOBase):
    """The `buffer` of a text stream: bytes are text there."""

    def __init__(self, stream: LineStream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode(errors="backslashreplace"))
        return len(data)

    def close(self) -> None:
        """Others go on to write here."""

    def writable(self) -> bool:
        return True


class OutletStream(LineStream):
    """An outlet as `sys.stdout` and `sys.stderr`: for `print`, for tracebacks, for whoever writes there. Whole lines go
    on, without what would steer a terminal; the rest waits for its end, and a longer line is cut."""

    def __init__(self, outlet: LogOutlet, shape: Callable[[str], bytes] | None = None) -> None:
        """`shape`: makes of whole lines what is told; without it they are told as they are, made harmless."""
        super().__init__()
        self._outlet = outlet
        self._shape = shape or _harmless_bytes

    def write(self, text: str) -> int:
        super().write(shortened(text))
        return len(text)

    def cut(self, rest: str) -> tuple[str, str]:
        return rest, ""

    def tell_lines(self, whole: str) -> None:
        self._outlet.write(self._shape(whole))


def _harmless_bytes(whole: str) -> bytes:
    return harmless_lines(whole).encode(errors="backslashreplace")


def open_sink(stream: TextIO | None, descriptor: int = STANDARD_ERROR) -> Sink:
    """A way to write to where `stream` writes, or to the descriptor where that has none, that never waits.

    The descriptor's own flags stay as they are: others share them, such as the shell that started us.
    """
    try:
        if stream is not None:
            descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return _sink_of_stream(stream)
    if stat.S_ISSOCK(mode):
        # systemd's journal, for one.
        return _sink_of_socket(descriptor)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        # A file takes everything at once, or raises.
        return Sink(lambda data: os.write(descriptor, data))
    try:
        # Opened anew it has flags of its own, and does not wait; the one that others share is left alone.
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return _sink_that_asks(descriptor)
    return Sink(lambda data: os.write(again, data), again)


def _sink_of_stream(stream: TextIO | None) -> Sink:
    """Makes a sink of a stream in memory, as tests have it."""

    def put(data: bytes) -> int:
        if stream is not None:
            stream.write(data.decode(errors="backslashreplace"))
        return len(data)

    return Sink(put)


def _sink_of_socket(descriptor: int) -> Sink:
    import socket  # Here: it is large, and most processes have a pipe.

    connection = socket.socket(fileno=os.dup(descriptor))
    return Sink(lambda data: connection.send(data, socket.MSG_DONTWAIT), connection.fileno())


def _sink_that_asks(descriptor: int) -> Sink:
    """Makes a sink of a descriptor that this user may not open anew, such as another user's terminal: asked before each
    write whether it takes something, it takes as much as a pipe must, and no write waits."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)

    def put(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(descriptor, data[:_PIPE_BYTES])

    return Sink(put, descriptor)
