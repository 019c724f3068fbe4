"""The input of `serialgw try` in pieces: frames, bytes that are none, and, of a capture, what the device was told."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from common.config.asking import Ask
from common.config.framing import Framing
from common.config.models import Device
from common.core.quoting import shown
from services.cli.captures.files import chunks_in, is_capture
from services.cli.captures.form import FIRST_LINE, Chunk, End
from services.cli.usage import UsageError

if TYPE_CHECKING:
    from services.port_reader.core.incoming.by_shape import ShapedIncoming

_READ_BYTES: Final = 4096
"""Bytes that are read at once, as many as a port reader takes; how chunks are cut changes nothing, here as there."""
STANDARD_INPUT: Final = Path("-")
"""In place of a file: what is piped in, as other programs have it."""


class Piece(NamedTuple):
    """A piece of the input. `partial` is what a file ends with behind its last delimiter; `note` says what else is odd.

    `dead` is why the framer makes it a dead letter instead of a frame, or "".
    """

    frame: bytes
    partial: bool = False
    note: str = ""
    """What a line would have done otherwise, or ""."""
    dead: str = ""
    at_s: float | None = None
    """When it came, in seconds of its capture; None where that is not known."""
    origin: str = ""
    """The question that it answers, or asks; "" for none that is known."""
    is_written: bool = False
    """True for what the device was told: it is shown, and nothing is made of it."""
    is_foreign: bool = False
    """True for what stands behind a request that is none to this device: another on its bus has answered."""


def whole_frame(frame: bytes, device: Device) -> Piece:
    """A frame that was typed: taken as one frame all the same, with a note where a line would cut it otherwise."""
    if device.framing.shapes:
        return _whole_shaped(frame, device)
    delimiter = device.framing.delimiter
    at = frame.find(delimiter)
    if at < 0:
        return Piece(frame, note=f"without the delimiter {shown(delimiter)} at its end")
    if at + len(delimiter) < len(frame):
        return Piece(frame, note=f"taken whole; a line would end the frame at the first {shown(delimiter)}")
    return Piece(frame)


def _whole_shaped(frame: bytes, device: Device) -> Piece:
    """The same where frames have shapes: escapes are undone, and what the configuration cuts off is cut off."""
    from services.port_reader.core.framers import shaped

    framer = shaped(device.framing)
    frames = [*framer.feed(frame), *framer.rest()]
    dead = framer.take_dead()
    if len(frames) == 1 and not dead:
        return Piece(frames[0])
    if answer := answer_in(frame, device):
        return Piece(answer[1], note=f"as the answer to {answer[0]} is framed")
    if frames:
        found = f"{len(frames)} frames of it" if len(frames) > 1 else "only a part of it a frame"
        return Piece(frame, note=f"taken whole; a line would make {found}")
    reason = dead[0].reason if dead else "this is no frame"
    # Of bytes that look like a frame up to their checksum a line says no more than that they are none.
    fault = framer.last_fault
    return Piece(frame, dead=reason if not fault or fault in reason else f"{reason}; {fault}")


def answer_in(frame: bytes, device: Device) -> tuple[str, bytes] | None:
    """(the first message whose own framing makes one frame of these bytes, that frame); None if none does."""
    from services.port_reader.core.framers import shaped

    for message in device.messages:
        if message.framing is not None:
            framer = shaped(message.framing)
            frames = [*framer.feed(frame), *framer.rest()]
            if len(frames) == 1 and not framer.take_dead():
                return message.name, frames[0]
    return None


def pieces_of(path: Path, device: Device) -> Iterator[Piece]:
    """The pieces of a capture, or of a file of raw bytes, or of either on standard input (`-`), cut as on the line.
    Raises UsageError if it can't be read."""
    name = f"--file {path}"
    try:
        # In a reader of our own: whether it is a capture is seen before anything is taken.
        source = sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb")
        with io.BufferedReader(cast(io.RawIOBase, source)) as file:
            if is_capture(file.peek(len(FIRST_LINE))):
                yield from pieces_of_capture(chunks_in(file, name), device)
            else:
                yield from _pieces_of_bytes(file, device)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None


def _pieces_of_bytes(file: IO[bytes], device: Device) -> Iterator[Piece]:
    from services.port_reader.core.framers import framer_of, shaped

    ending = shaped(device.framing) if device.framing.shapes else None
    framer = ending or framer_of(device.framing)
    while chunk := file.read(_READ_BYTES):
        frames = framer.feed(chunk)
        yield from (Piece(piece.data, dead=piece.reason) for piece in framer.take_dead())
        yield from (Piece(frame) for frame in frames)
    if ending is not None:
        yield from map(Piece, ending.rest())
        yield from (Piece(piece.data, dead=piece.reason) for piece in ending.take_dead())
    elif framer.partial:
        yield Piece(bytes(framer.partial), partial=True, note=_PARTIAL)


_PARTIAL: Final = "partial: the delimiter has not come"


def pieces_of_capture(entries: Iterable[Chunk | End], device: Device) -> Iterator[Piece]:
    """What a port reader would make of a line that said this at these times: silence ends what it ends there."""
    line = _Line(device)
    for entry in entries:
        yield from line.fall_silent(entry.at_s)
        if isinstance(entry, Chunk):
            yield from line.ask(entry) if entry.is_written else line.feed(entry)
    yield from line.end()


class _Line:
    """A line in the times of a capture."""

    def __init__(self, device: Device) -> None:
        from services.port_reader.core.incoming.choice import incoming_of
        from services.port_reader.core.port import byte_seconds

        self._incoming = incoming_of(device.framing, b"", byte_seconds(device.line))
        self._questions = _Questions(device)
        self._has_delimiter = not device.framing.shapes
        self._framing_now: Framing | None = None
        """What frames look like while an answer is awaited that looks otherwise than all else."""
        self._last_s = 0.0

    def feed(self, chunk: Chunk) -> Iterator[Piece]:
        """What came."""
        self._last_s = chunk.at_s
        data = chunk.data
        while data:
            yield from self._pieces(self._incoming.feed(data, chunk.at_s), chunk.at_s)
            yield from self._follow_framing()
            data = self._shaped.take_behind() if self._framing_now is not None else b""

    @property
    def _shaped(self) -> ShapedIncoming:
        """The line, where a question may have a framing of its own."""
        from services.port_reader.core.incoming.by_shape import ShapedIncoming

        assert isinstance(self._incoming, ShapedIncoming)
        return self._incoming

    def _follow_framing(self) -> Iterator[Piece]:
        """As a port reader does: an answer's own framing is in force while it is awaited."""
        framing = self._questions.framing
        if framing is not self._framing_now:
            self._framing_now = framing
            yield from self._pieces([piece.data for piece in self._shaped.use(framing)], self._last_s)

    def ask(self, chunk: Chunk) -> Iterator[Piece]:
        """What was written."""
        self._incoming.ask()
        yield Piece(chunk.data, at_s=chunk.at_s, origin=self._questions.ask(chunk), is_written=True)
        yield from self._follow_framing()

    def fall_silent(self, until_s: float) -> Iterator[Piece]:
        """Nothing came until now."""
        if self._questions.gives_up_s < until_s:
            yield from self._expire(self._questions.gives_up_s)
            self._questions.give_up()
            yield from self._follow_framing()
        yield from self._expire(until_s)

    def _expire(self, until_s: float) -> Iterator[Piece]:
        before_s = -1.0
        while (due_s := self._incoming.next_deadline_s) is not None and before_s < due_s <= until_s:
            before_s = due_s
            found = self._incoming.expire(due_s)
            yield from self._pieces([piece.data for piece in found], self._last_s)

    def end(self) -> Iterator[Piece]:
        """The capture is over."""
        if self._has_delimiter:
            if waiting := bytes(self._incoming.newest):
                yield Piece(waiting, partial=True, note=_PARTIAL, at_s=self._last_s)
            return
        found = self._incoming.abort("the capture ends here")
        yield from self._pieces([piece.data for piece in found], self._last_s)

    def _pieces(self, frames: list[bytes], at_s: float) -> Iterator[Piece]:
        yield from (Piece(piece.data, dead=piece.reason, at_s=at_s) for piece in self._incoming.take_dead())
        for frame in frames:
            origin, is_foreign = self._questions.answer(frame)
            yield Piece(frame, at_s=at_s, origin=origin, is_foreign=is_foreign)


class _Questions:
    """What a device is asked, and which frames answer it, as far as it is configured."""

    def __init__(self, device: Device) -> None:
        from common.core.frame_body import body_of
        from services.port_reader.core.asking.matching import Messages

        asking = device.asking
        asks = asking.asks if asking is not None else ()
        every = [*asks, *(part for ask in asks for part in ask.parts)]
        self._asks = {step.data: ask for ask in reversed(every) for step in ask.steps if step.kind == "send"}
        self._framings = {one.name: one.framing for one in device.messages if one.framing is not None}
        body = body_of(device.framing.shapes) if device.framing.shapes else bytes
        self._messages = (
            None
            if asking is None
            else Messages(asking, lambda found, data: bool(found.search(data)), body, self._framings)
        )
        self._is_on_bus = asking is not None and asking.address is not None
        self._open: Ask | None = None
        self._is_foreign = False
        self.framing: Framing | None = None
        """What frames look like now, where the answer that is awaited looks otherwise than all else."""
        self.gives_up_s = inf
        """When it is awaited no more."""

    def ask(self, chunk: Chunk) -> str:
        """Something was written: the question that it is, or ""."""
        self.give_up()
        self._open = ask = self._asks.get(chunk.data)
        if ask is not None and [step.data for step in ask.steps if step.kind == "send"][-1] == chunk.data:
            self.framing = self._framings.get(ask.name)
        if ask is not None and self.framing is not None:
            # A late answer is waited for as long again, but not on a bus: there others are asked meanwhile.
            self.gives_up_s = chunk.at_s + ask.timeout_s * (1 if self._is_on_bus else 2)
        self._is_foreign = self._is_on_bus and self._open is None
        return self._open.name if self._open is not None else ""

    def give_up(self) -> None:
        """No answer is awaited."""
        self._open, self.framing, self.gives_up_s = None, None, inf

    def answer(self, frame: bytes) -> tuple[str, bool]:
        """(the question that a frame answers, or ""; whether another device has answered)."""
        ask, messages = self._open, self._messages
        if ask is None or messages is None:
            return "", self._is_foreign
        if not (messages.is_answer(ask, frame) or messages.is_refusal(ask, frame)):
            return "", False
        self.give_up()
        return ask.name, False
