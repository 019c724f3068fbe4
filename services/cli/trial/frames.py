"""What a configuration makes of frames: the outcomes of their conversion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import simplejson
from msgspec.structs import replace

from common.config.asking import Asking
from common.config.models import Device, Gateway
from common.conversion.grammar.times import iso_text
from common.conversion.outcomes import PointResult
from common.conversion.slices.rows import compile_device
from common.core.errors import ConversionError
from common.wire.messages import UserReading
from services.cli.trial.pieces import answer_in
from services.cli.trial.users import users_converter

BLANK: Final = "blank      the frame says nothing: no reading, and no dead letter"
Convert: TypeAlias = "Callable[[bytes, str], list[Outcome]]"
"""(a frame, the question that it answers or "") to its outcomes: one, or one per reading of a user's converter."""


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
    """The outcome for a person, but for its points."""
    points: Sequence[PointResult] = ()
    """What each data point found; () of a user's converter."""
    message: str = ""
    """The name of the message that took the frame, where it has one."""
    decoded: bytes = b""
    """What the frame was decoded to, where the places of points count in that."""


def converter_of(gateway: Gateway, device: Device) -> Convert:
    """What makes outcomes of frames.

    A user's converter that can't be loaded gives a function too, which says so of each frame.
    """
    if not device.has_user_uplink:
        if device.messages:
            return _by_messages(device)
        converter = compile_device(device)
        return lambda frame, _: [_outcome_of(device, converter.explain(frame))]
    try:
        user = users_converter(gateway, device, device.converter)
    except ConversionError as error:
        reason = str(error)
        return lambda _frame, _origin: [failure_of(device, reason)]

    def convert(frame: bytes, _: str) -> list[Outcome]:
        try:
            readings = user.convert_frame(frame)
        except ConversionError as error:
            return [failure_of(device, str(error))]
        nothing = UserReading(device.name, device.type, [], b"")
        return [_outcome_of_reading(reading) for reading in readings or [nothing]]

    return convert


def _by_messages(device: Device) -> Convert:
    """The same for a device with messages: which of them took a frame stands in front."""
    from common.conversion.grammar.messages import MessageConverter

    if device.asking is not None and device.asking.protocol:
        return _by_registers(device, device.asking)
    converter = MessageConverter(device)

    def convert(frame: bytes, origin: str) -> list[Outcome]:
        found = converter.explain(frame, origin=origin)
        if found.dead and not origin and (answer := answer_in(frame, device)):
            found = converter.explain(frame, origin=answer[0])
        is_taken = len(device.messages) > 1 and not (found.dead or found.is_blank)
        head = [f"message    {found.message or 'without a name'}"] if is_taken else []
        if found.ts_ms is not None:
            head.append(f"time       {iso_text(found.ts_ms)}, the device's own")
        if found.is_blank:
            return [Outcome(device.name, device.type, {}, {}, [], False, [*head, BLANK])]
        if found.dead:
            failed = failure_of(device, found.dead)
            return [failed._replace(lines=[*head, *failed.lines], points=found.points, decoded=found.decoded)]
        renamed = replace(device, name=found.device_name, type=found.device_type)
        outcome = _outcome_of(renamed, found.points, message=found.message, decoded=found.decoded)
        if not found.points:
            outcome = outcome._replace(lines=["the message has no data points"])
        return [outcome._replace(lines=[*head, *outcome.lines])]

    return convert


def _by_registers(device: Device, asking: Asking) -> Convert:
    """The same for a Modbus device: an answer does not say which registers it holds, so one of which nobody knows the
    question is taken for that of the first that it could answer."""
    from common.conversion.grammar.patterns_of_bytes import compile_bytes
    from common.conversion.grammar.registers import RegisterConverter

    converter = RegisterConverter(device, asking)
    answers = [(ask.name, compile_bytes(ask.answer.regex)) for ask in asking.asks if ask.answer is not None]

    def convert(frame: bytes, origin: str) -> list[Outcome]:
        if refusal := converter.refusal_of(frame):
            return [failure_of(device, refusal)]
        fitting = [origin] if origin else [name for name, answer in answers if answer.search(frame)]
        if not fitting:
            return [failure_of(device, "it answers none of the questions to this device")]
        try:
            points = converter.explain(frame, fitting[0])
        except ValueError as error:
            return [failure_of(device, f"{fitting[0]}: {error}")]
        answered = f"answers    {fitting[0]}" + (f", or {', '.join(fitting[1:])}" if fitting[1:] else "")
        return [_outcome_of(device, points, message=fitting[0])._replace(lines=[answered])]

    return convert


def failure_of(device: Device, reason: str) -> Outcome:
    """The outcome of a frame that gives no reading at all."""
    return Outcome(device.name, device.type, {}, {}, [("", reason)], True, [f"error      {reason}"])


def _outcome_of(device: Device, points: list[PointResult], *, message: str = "", decoded: bytes = b"") -> Outcome:
    """The outcome of built-in conversion, point by point."""
    telemetry = {p.key: p.value for p in points if p.status == "value" and p.kind == "telemetry"}
    attributes = {p.key: p.value for p in points if p.status == "value" and p.kind == "attribute"}
    errors = [(p.key, p.why if p.status == "error" else f"absent: {p.why}") for p in points if not _is_quiet(p)]
    failed = any(point.status == "error" for point in points)
    lines = [] if points else ["no data points are configured"]
    if points and all(point.status == "blank" for point in points):
        points, lines = [], [BLANK]
    return Outcome(device.name, device.type, telemetry, attributes, errors, failed, lines, points, message, decoded)


def _is_quiet(point: PointResult) -> bool:
    """True where there is nothing to complain of: a value, or a frame that says nothing."""
    return point.status in ("value", "blank", "none")


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
