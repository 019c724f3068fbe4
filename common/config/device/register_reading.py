"""Reads the register that a call or an attribute update of a Modbus device names."""

from __future__ import annotations

from typing import Any, Final

from common.config.asking import Register
from common.config.findings import show
from common.config.json_object import JsonObject
from common.config.point_models import FLOATS, INTEGERS, Order
from common.conversion.grammar.registers import count_of
from common.core import modbus

EXPECTED: Final = 'a table and an address, such as "input:0", "holding:0x1C" or "coil:3"'
TYPES: Final = (*INTEGERS, *FLOATS, "string", "hex")
"""What a call or an update may write."""
_ORDERS: Final[dict[str, Order]] = {
    **{"big": "big", "little": "little", "ABCD": "big", "DCBA": "little", "CDAB": "CDAB", "BADC": "BADC"}
}


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
        byteorder=_ORDERS[entry.choice("byteorder", "big", tuple(_ORDERS))],
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
