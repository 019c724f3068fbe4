"""What a configuration makes of frames: pieces of the input, outcomes of their conversion, and both as text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import simplejson
from msgspec.structs import replace

from common.config.asking import Asking
from common.config.models import Device, Gateway
from common.conversion.grammar.times import iso_text
from common.conversion.outcomes import PointResult
from common.conversion.slices.rows import compile_device
from common.conversion.values import encode_json
from common.core.errors import ConversionError
from common.core.quoting import shown
from common.wire.messages import UserReading
from services.cli.text import table
from services.cli.trial.users import users_converter
from services.cli.usage import UsageError

BLANK: Final = "blank      the frame says nothing: no reading, and no dead letter"
_READ_BYTES: Final = 4096
"""Bytes that are read at once, as many as a port reader takes; how chunks are cut changes nothing, here as there."""


class Piece(NamedTuple):
    """A frame to try. `partial` is what a file ends with behind its last delimiter; `note` says what else is odd.

    `dead` is why the framer makes it a dead letter instead of a frame, or "".
    """

    frame: bytes
    partial: bool = False
    note: str = ""
    """What a line would have done otherwise, or ""."""
    dead: str = ""


class Outcome(NamedTuple):
    """What the configuration makes of one frame for one device name, ready for either form of output."""

    device_name: str
    device_type: str
    telemetry: dict[str, object]
    attributes: dict[str, object]
    errors: list[tuple[str, str]]
    """(key of the data point, or "" for the whole frame; what is wrong)."""
    failed: bool
    """True if an error makes the command's exit code 1; a data point that is absent does not."""
    lines: list[str]
    """The outcome for a person."""


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
    if answer := _answer_in(frame, device):
        return Piece(answer[1], note=f"as the answer to {answer[0]} is framed")
    if frames:
        found = f"{len(frames)} frames of it" if len(frames) > 1 else "only a part of it a frame"
        return Piece(frame, note=f"taken whole; a line would make {found}")
    return Piece(frame, dead=dead[0].reason if dead else "this is no frame")


def _answer_in(frame: bytes, device: Device) -> tuple[str, bytes] | None:
    """(the first message whose own framing makes one frame of these bytes, that frame); None if none does."""
    from services.port_reader.core.framers import shaped

    for message in device.messages:
        if message.framing is not None:
            framer = shaped(message.framing)
            frames = [*framer.feed(frame), *framer.rest()]
            if len(frames) == 1 and not framer.take_dead():
                return message.name, frames[0]
    return None


STANDARD_INPUT: Final = Path("-")
"""In place of a file: what is piped in, as other programs have it."""


def pieces_of(path: Path, device: Device) -> Iterator[Piece]:
    """The frames of a file of raw bytes, or of standard input (`-`), cut as on the line. Raises UsageError if it can't
    be read."""
    from services.port_reader.core.framers import framer_of, shaped

    ending = shaped(device.framing) if device.framing.shapes else None
    framer = ending or framer_of(device.framing)
    try:
        with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                frames = framer.feed(chunk)
                yield from (Piece(piece.data, dead=piece.reason) for piece in framer.take_dead())
                yield from (Piece(frame) for frame in frames)
    except OSError as error:
        raise UsageError(f"--file {path}: {error.strerror or error}") from None
    if ending is not None:
        yield from map(Piece, ending.rest())
        yield from (Piece(piece.data, dead=piece.reason) for piece in ending.take_dead())
    elif framer.partial:
        yield Piece(bytes(framer.partial), partial=True, note="partial: the delimiter has not come")


def converter_of(gateway: Gateway, device: Device) -> Callable[[bytes], list[Outcome]]:
    """A function from a frame to its outcomes: one, or one per reading of a user's converter.

    A user's converter that can't be loaded gives a function too, which says so of each frame.
    """
    if not device.has_user_uplink:
        if device.messages:
            return _by_messages(device)
        converter = compile_device(device)
        return lambda frame: [_outcome_of(device, converter.explain(frame))]
    try:
        user = users_converter(gateway, device, device.converter)
    except ConversionError as error:
        reason = str(error)
        return lambda frame: [failure_of(device, reason)]

    def convert(frame: bytes) -> list[Outcome]:
        try:
            readings = user.convert_frame(frame)
        except ConversionError as error:
            return [failure_of(device, str(error))]
        nothing = UserReading(device.name, device.type, [], b"")
        return [_outcome_of_reading(reading) for reading in readings or [nothing]]

    return convert


def _by_messages(device: Device) -> Callable[[bytes], list[Outcome]]:
    """The same for a device with messages: which of them took a frame stands in front."""
    from common.conversion.grammar.messages import MessageConverter

    if device.asking is not None and device.asking.protocol:
        return _by_registers(device, device.asking)
    converter = MessageConverter(device)

    def convert(frame: bytes) -> list[Outcome]:
        found = converter.explain(frame)
        if found.dead and (answer := _answer_in(frame, device)):
            found = converter.explain(frame, origin=answer[0])
        is_taken = len(device.messages) > 1 and not (found.dead or found.is_blank)
        head = [f"message    {found.message or 'without a name'}"] if is_taken else []
        if found.ts_ms is not None:
            head.append(f"time       {iso_text(found.ts_ms)}, the device's own")
        if found.is_blank:
            return [Outcome(device.name, device.type, {}, {}, [], False, [*head, BLANK])]
        if found.dead:
            failed = failure_of(device, found.dead)
            rows = table([_row_of(point) for point in found.points])
            return [failed._replace(lines=[*head, *rows, *failed.lines])]
        renamed = replace(device, name=found.device_name, type=found.device_type)
        outcome = _outcome_of(renamed, found.points)
        if not found.points:
            outcome = outcome._replace(lines=["the message has no data points"])
        return [outcome._replace(lines=[*head, *outcome.lines])]

    return convert


def _by_registers(device: Device, asking: Asking) -> Callable[[bytes], list[Outcome]]:
    """The same for a Modbus device: an answer does not say which registers it holds, so it is taken for that of the
    first question that it could answer."""
    from common.conversion.grammar.patterns_of_bytes import compile_bytes
    from common.conversion.grammar.registers import RegisterConverter

    converter = RegisterConverter(device, asking)
    answers = [(ask.name, compile_bytes(ask.answer.regex)) for ask in asking.asks if ask.answer is not None]

    def convert(frame: bytes) -> list[Outcome]:
        if refusal := converter.refusal_of(frame):
            return [failure_of(device, refusal)]
        fitting = [name for name, answer in answers if answer.search(frame)]
        if not fitting:
            return [failure_of(device, "it answers none of the questions to this device")]
        result = converter.convert_batch([frame], (), fitting[0])
        if result.dead:
            return [failure_of(device, result.dead[0])]
        telemetry, attributes = (
            simplejson.loads(text[0]) if text[0] else {} for text in (result.telemetry, result.attributes)
        )
        lines = [f"answers    {fitting[0]}" + (f", or {', '.join(fitting[1:])}" if fitting[1:] else "")]
        for kind, values in (("telemetry", telemetry), ("attribute", attributes)):
            lines += table([(kind, key, f"= {encode_json(value).decode()}") for key, value in values.items()])
        return [Outcome(device.name, device.type, telemetry, attributes, [], False, lines)]

    return convert


def failure_of(device: Device, reason: str) -> Outcome:
    """The outcome of a frame that gives no reading at all."""
    return Outcome(device.name, device.type, {}, {}, [("", reason)], True, [f"error      {reason}"])


def as_json(outcome: Outcome, piece: Piece) -> str:
    """An outcome on one line, for a program."""
    shape: dict[str, object] = {
        "deviceName": outcome.device_name,
        "deviceType": outcome.device_type,
        "telemetry": outcome.telemetry,
        "attributes": outcome.attributes,
        "errors": [{"key": key, "error": error} for key, error in outcome.errors],
    }
    if piece.partial:
        shape["partial"] = True
    return encode_json(shape).decode()


def as_text(outcome: Outcome, piece: Piece, number: int) -> str:
    """An outcome for a person: the frame with its number in the input, whose reading it is, and its lines."""
    note = f" ({piece.note})" if piece.note else ""
    head = f"frame {number}, {len(piece.frame)} bytes: {shown(piece.frame)}{note}"
    who = f"  {outcome.device_name} ({outcome.device_type})"
    return "\n".join([head, who, *(f"    {line}" for line in outcome.lines)])


def _outcome_of(device: Device, points: list[PointResult]) -> Outcome:
    """The outcome of built-in conversion, point by point."""
    telemetry = {p.key: p.value for p in points if p.status == "value" and p.kind == "telemetry"}
    attributes = {p.key: p.value for p in points if p.status == "value" and p.kind == "attribute"}
    errors = [(p.key, p.why if p.status == "error" else f"absent: {p.why}") for p in points if not _is_quiet(p)]
    failed = any(point.status == "error" for point in points)
    lines = table([_row_of(point) for point in points]) or ["no data points are configured"]
    if points and all(point.status == "blank" for point in points):
        lines = [BLANK]
    return Outcome(device.name, device.type, telemetry, attributes, errors, failed, lines)


def _is_quiet(point: PointResult) -> bool:
    """True where there is nothing to complain of: a value, or a frame that says nothing."""
    return point.status in ("value", "blank", "none")


def _row_of(point: PointResult) -> tuple[str, ...]:
    """What a data point found: kind, key, type, slice, bytes taken, value or why not."""
    return (
        point.kind,
        point.key,
        point.type,
        f"[{point.span[0]}:{point.span[1]}]" if point.span else "-",
        shown(point.field) if point.span else "-",
        _found_by(point),
    )


def _found_by(point: PointResult) -> str:
    """The value, or why there is none."""
    if point.status == "value":
        return f"= {encode_json(point.value).decode()}"
    return f"{'no value' if point.status == 'none' else point.status}: {point.why}"


def _outcome_of_reading(reading: UserReading) -> Outcome:
    """The outcome of a user's converter, which may name another device, and return several readings for one frame."""
    telemetry: dict[str, object] = {}
    lines = []
    for ts_ms, values in reading.telemetry:
        telemetry.update(simplejson.loads(values))
        lines.append(f"telemetry  {values.decode()}" + (f"  at {ts_ms} ms" if ts_ms is not None else ""))
    attributes = simplejson.loads(reading.attributes) if reading.attributes else {}
    if attributes:
        lines.append(f"attributes {reading.attributes.decode()}")
    lines = lines or ["the converter returned no values"]
    return Outcome(reading.device, reading.device_type, telemetry, attributes, [], False, lines)
