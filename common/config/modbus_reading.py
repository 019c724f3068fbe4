"""Reads what is asked of a Modbus device: its points' registers become reads, calls and updates name registers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from common.config.asking import Ask, Register, Step, Told
from common.config.findings import show
from common.config.json_object import JsonObject
from common.config.models import DataPoint
from common.config.places_reading import read_order
from common.config.point_models import FLOATS, INTEGERS
from common.conversion.registers import count_of, spanned
from common.core import modbus
from common.core.modbus import Protocol, Span

EXPECTED: Final = 'a table and an address, such as "input:0", "holding:0x1C" or "coil:3"'
TYPES: Final = (*INTEGERS, *FLOATS, "string", "hex")
"""What a call or an update may write."""
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


def read_register(entry: JsonObject) -> Register | None:
    """The register that a call or an update names; None where a problem was noted."""
    text = entry.maybe_text("register", nullable=False) or ""
    try:
        table, first = modbus.place_of(text)
    except ValueError as error:
        if text:
            entry.problem("register", f"{show(text)} ({error})", EXPECTED)
        return None
    is_bits = table in modbus.BIT_TABLES
    kind = "bool" if is_bits else entry.choice("type", "uint16", TYPES)
    entry.knows("type")
    least = 1 if is_bits else count_of(table, kind)
    count = entry.whole("count", least, least, modbus.MOST_WRITTEN)
    if kind in INTEGERS and INTEGERS[kind][0] in (1, 3):
        entry.problem("type", show(kind), "a number of whole registers, such as uint16 or uint32")
    return Register(
        table=table,
        first=first,
        count=count,
        type=kind,
        byteorder=read_order(entry, "big"),
        offset=entry.number("offset", 0, -1e12, 1e12),
        scale=_read_scale(entry),
        function=_read_function(entry, table),
    )


def _read_scale(entry: JsonObject) -> float:
    scale = entry.number("scale", 1, -1e12, 1e12)
    if scale == 0:
        entry.problem("scale", "0", "a number that is not 0")
        return 1
    return scale


def _read_function(entry: JsonObject, table: Any) -> int:
    """The function code, where it is said, which has to be one of the table."""
    function = entry.maybe_whole("function", 1, 16)
    if function is None:
        return 0
    known = {modbus.READS[table], modbus.WRITES_ONE.get(table), modbus.WRITES_MANY.get(table)} - {None}
    if function not in known:
        entry.problem("function", str(function), f"one of {', '.join(str(one) for one in sorted(known, key=str))}")
        return 0
    return function


def check_writable(entry: JsonObject, register: Register) -> None:
    """An update writes: not everything can be written."""
    if register.table not in modbus.WRITES_ONE or register.function in (1, 2, 3, 4):
        entry.problem(
            "register", f"{register.table}:{register.first}, which can only be read", "a coil or a holding register"
        )
