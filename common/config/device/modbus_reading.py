"""Reads what is asked of a Modbus device: its points' registers become reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from common.config.asking import Ask, Step, Told
from common.config.device.register_reading import EXPECTED
from common.config.findings import show
from common.config.json_object import JsonObject
from common.config.models import DataPoint
from common.config.point_models import INTEGERS
from common.conversion.grammar.registers import spanned
from common.core import modbus
from common.core.modbus import Protocol, Span

_MOST_EVERY_S: Final = 366 * 86_400
_LEAST_EVERY_S: Final = 0.01


class Reads:
    """The reads of one device, put together of its points."""

    def __init__(self, protocol: Protocol, unit: int, *, merges: bool, timeout_s: float, retries: int) -> None:
        self._protocol = protocol
        self._unit = unit
        self._merges = merges
        self._timeout_s = timeout_s
        self._retries = retries

    def asks(self, wanted: Mapping[float, list[Span]]) -> Iterator[Ask]:
        """A question for each read. `wanted`: what is to be read, by how often."""
        for every_s, spans in wanted.items():
            for whole, parts in modbus.merged(spans, merges=self._merges):
                yield self._ask(whole, every_s, parts if len(set(parts)) > 1 else ())

    def _ask(self, span: Span, every_s: float, parts: tuple[Span, ...]) -> Ask:
        protocol, unit, request = self._protocol, self._unit, modbus.read_pdu(span)
        return Ask(
            name=span.name,
            steps=(Step(kind="send", data=modbus.frame_of(protocol, unit, request)),),
            every_s=every_s,
            answer=Told(regex=modbus.answer_regex(protocol, unit, request)),
            refusal=Told(regex=modbus.refusal_regex(protocol, unit, request)),
            timeout_s=self._timeout_s,
            retries=self._retries,
            parts=tuple(self._ask(part, every_s, ()) for part in parts),
            whole_refused=Told(at=modbus.code_place(protocol), same=modbus.code_bytes(protocol, modbus.ILLEGAL_ADDRESS))
            if parts
            else None,
        )


def has_registers(entry: JsonObject) -> bool:
    """True if a data point of the device in this object is in a register."""
    lists = [entry.values.get(key) for key in ("telemetry", "timeseries", "attributes")]
    return any(
        isinstance(point, dict) and point.get("register") is not None
        for points in lists
        if isinstance(points, list)
        for point in points
    )


def wanted_of(
    device: JsonObject, telemetry: tuple[DataPoint, ...], attributes: tuple[DataPoint, ...], every_s: float | None
) -> dict[float, list[Span]]:
    """How often → what is to be read so often. The points are those that were read from the lists of this object, in
    order."""
    wanted: dict[float, list[Span]] = {}
    keys = ["telemetry", "timeseries"], ["attributes"]
    for names, points in zip(keys, (telemetry, attributes), strict=True):
        objects = [one for name in names for one in device.items(name)]
        for entry, point in zip(objects, points, strict=False):
            span = _span_of(entry, point)
            own_s = entry.maybe_number("every", _LEAST_EVERY_S, _MOST_EVERY_S)
            period_s = own_s if own_s is not None else every_s
            if span is None:
                continue
            if period_s is None:
                entry.problem("every", "nothing", 'how often it is read, in seconds, here or beside "framing"')
                continue
            wanted.setdefault(period_s, []).append(span)
    return wanted


def _span_of(entry: JsonObject, point: DataPoint) -> Span | None:
    """What a point reads; None where a problem was noted."""
    if point.place is None or point.place.by != "register":
        entry.problem("register", "nothing", f"{EXPECTED}: a Modbus device is read by registers")
        return None
    try:
        span = spanned(point).span
    except ValueError as error:
        entry.problem("register", f"{show(point.place.text)} ({error})", EXPECTED)
        return None
    if point.type in INTEGERS and INTEGERS[point.type][0] == 3:
        entry.problem("type", show(point.type), "a number of whole registers, such as uint16 or uint32")
    if span.table in modbus.BIT_TABLES and point.type not in ("", "bool"):
        entry.problem("type", f"{show(point.type)} of a {span.table}", 'no type, or "bool": it is true or false')
    if span.end > modbus.LAST_ADDRESS + 1 or span.size > modbus.MOST_REGISTERS:
        entry.problem("register", f"{span.size} registers at {show(point.place.text)}", "registers that there are")
        return None
    return span
