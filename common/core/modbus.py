"""Modbus over serial line: what is asked, what answers it, and what a refusal says. Pure.

Sources: Modbus application protocol 1.1b3 (function codes, exceptions), Modbus over serial line 1.02 (RTU and ASCII).
A register is 16 bits, a coil or discrete input is one; addresses count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from common.core.checksum import calculator
from common.core.frame_shape import Checksum

Table = Literal["coil", "discrete", "input", "holding"]
Protocol = Literal["modbus-rtu", "modbus-ascii"]

TABLES: Final[tuple[Table, ...]] = ("coil", "discrete", "input", "holding")
READS: Final[dict[Table, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Table → the function that reads it."""
WRITES_ONE: Final[dict[Table, int]] = {"coil": 5, "holding": 6}
"""Table → the function that writes one of it; the others can only be read."""
WRITES_MANY: Final[dict[Table, int]] = {"coil": 15, "holding": 16}
BIT_TABLES: Final = frozenset({"coil", "discrete"})
MOST_REGISTERS: Final = 125
"""One read has at most so many registers (6.3, 6.4)."""
MOST_BITS: Final = 2000
MOST_WRITTEN: Final = 123
"""One write has at most so many registers (6.12)."""
MOST_UNIT: Final = 247
"""Addresses 248 to 255 are reserved, and 0 means all."""
LAST_ADDRESS: Final = 65_535
HOLE: Final = 4
"""Registers between two that are wanted, which are read along: an exchange costs more than eight bytes."""
HOLE_BITS: Final = 64
EXCEPTION: Final = 0x80
ILLEGAL_ADDRESS: Final = 2
WORDS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge: it takes its time",
    6: "server device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "the target device behind a gateway did not respond",
}
_NAME: Final = re.compile(r"(coil|discrete|input|holding):(\d{1,5})\+(\d{1,4})")
_PLACE: Final = re.compile(r"(coil|discrete|input|holding):(0[xX][0-9A-Fa-f]{1,4}|\d{1,5})")
_NUMBERED: Final = re.compile(r"([0134])(\d{4,5})")
_BY_DIGIT: Final[dict[str, Table]] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_CRC: Final = calculator(Checksum(type="crc16-modbus"))
_ON: Final = 0xFF00


class Span(NamedTuple):
    """Neighbouring registers, coils or inputs of one table."""

    table: Table
    first: int
    size: int
    """How many of them."""

    @property
    def end(self) -> int:
        """The address behind the last."""
        return self.first + self.size

    @property
    def name(self) -> str:
        """What a read of them is called: the origin of its answer."""
        return f"{self.table}:{self.first}+{self.size}"

    @property
    def answer_bytes(self) -> int:
        """So many bytes of values stand in its answer."""
        return -(-self.size // 8) if self.table in BIT_TABLES else 2 * self.size


def span_of(name: str) -> Span | None:
    """What a read of this name reads; None for a name that is none of `Span.name`."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    table: Table = next(one for one in TABLES if one == found[1])
    return Span(table, int(found[2]), int(found[3]))


def place_of(text: str) -> tuple[Table, int]:
    """The table and address that a text names: `input:12`, `holding:0x1C`, or the five and six digits of manuals, which
    count from 1 (`40001` is `holding:0`). Raises ValueError for anything else."""
    if found := _PLACE.fullmatch(text):
        address = int(found[2], 0) if found[2][:2].lower() == "0x" else int(found[2])
        table: Table = next(one for one in TABLES if one == found[1])
    elif found := _NUMBERED.fullmatch(text):
        table, address = _BY_DIGIT[found[1]], int(found[2]) - 1
    else:
        raise ValueError("no table and address")
    if not 0 <= address <= LAST_ADDRESS:
        raise ValueError(f"addresses go from 0 to {LAST_ADDRESS}")
    return table, address


def merged(spans: Iterable[Span], *, merges: bool = True) -> list[tuple[Span, tuple[Span, ...]]]:
    """(what is read at once, the spans that it reads), in the order of tables and addresses. Neighbours are one read,
    with small holes between them, as long as one read may be; `merges` False: only what overlaps or is the same."""
    found: list[tuple[Span, tuple[Span, ...]]] = []
    for span in sorted(set(spans), key=lambda one: (TABLES.index(one.table), one.first, one.size)):
        if found and _fits(found[-1][0], span, merges=merges):
            whole, parts = found[-1]
            end = max(whole.end, span.end)
            found[-1] = Span(whole.table, whole.first, end - whole.first), (*parts, span)
        else:
            found.append((span, (span,)))
    return found


def _fits(whole: Span, span: Span, *, merges: bool) -> bool:
    is_bits = span.table in BIT_TABLES
    hole, most = (HOLE_BITS, MOST_BITS) if is_bits else (HOLE, MOST_REGISTERS)
    # Without merging one that begins inside another is still read with it: it is the same register.
    gap = span.first - whole.end
    return (
        whole.table == span.table
        and max(whole.end, span.end) - whole.first <= most
        and (gap <= hole if merges else gap < 0)
    )


# What is sent


def read_pdu(span: Span) -> bytes:
    """The request that reads them."""
    return bytes((READS[span.table],)) + span.first.to_bytes(2, "big") + span.size.to_bytes(2, "big")


def write_registers(address: int, data: bytes, *, as_many: bool = False) -> bytes:
    """The request that writes these bytes into holding registers: function 6 for one, unless `as_many`, else 16.

    `data`: two bytes a register, 1 to 123 of them.
    """
    if len(data) == 2 and not as_many:
        return bytes((6,)) + address.to_bytes(2, "big") + data
    count = len(data) // 2
    return bytes((16,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big") + bytes((len(data),)) + data


def write_coils(address: int, values: Sequence[bool], *, as_many: bool = False) -> bytes:
    """The request that switches coils: function 5 for one, unless `as_many`, else 15."""
    if len(values) == 1 and not as_many:
        return bytes((5,)) + address.to_bytes(2, "big") + (_ON if values[0] else 0).to_bytes(2, "big")
    data = bytearray(-(-len(values) // 8))
    for place, value in enumerate(values):
        data[place // 8] |= bool(value) << place % 8
    head = bytes((15,)) + address.to_bytes(2, "big") + len(values).to_bytes(2, "big")
    return head + bytes((len(data),)) + bytes(data)


def frame_of(protocol: Protocol, unit: int, pdu: bytes) -> bytes:
    """A request or answer as it stands on the line."""
    data = bytes((unit,)) + pdu
    if protocol == "modbus-rtu":
        return data + _CRC(data).to_bytes(2, "little")
    return b":" + (data + bytes((-sum(data) & 0xFF,))).hex().upper().encode() + b"\r\n"


# What comes


def pdu_of(protocol: Protocol, frame: bytes) -> tuple[int, bytes]:
    """(unit, what it says) of a frame whose checksum is right. Raises ValueError for what is none."""
    data = frame[:-2]
    if protocol == "modbus-ascii":
        data = bytes.fromhex(frame.strip(b":\r\n").decode("ascii"))[:-1]
    if len(data) < 2:
        raise ValueError("too short")
    return data[0], data[1:]


def exception_of(pdu: bytes) -> str:
    """What a refusal says, in words; "" for an answer that is none."""
    if not pdu or not pdu[0] & EXCEPTION:
        return ""
    code = pdu[1] if len(pdu) > 1 else 0
    return f"exception {code}: {WORDS.get(code, 'unknown')}"


def bytes_of_answer(span: Span, pdu: bytes) -> bytes:
    """The values of an answer to a read: two bytes a register; of coils and inputs one byte each, 0 or 1.

    Raises ValueError with what is wrong, a refusal in words.
    """
    if refusal := exception_of(pdu):
        raise ValueError(refusal)
    if len(pdu) < 2 or pdu[0] != READS[span.table] or pdu[1] != span.answer_bytes or len(pdu) != 2 + pdu[1]:
        raise ValueError(f"this is no answer to a read of {span.size} at {span.table}:{span.first}")
    data = pdu[2:]
    if span.table not in BIT_TABLES:
        return data
    return bytes(data[place // 8] >> place % 8 & 1 for place in range(span.size))


def answer_regex(protocol: Protocol, unit: int, request: bytes) -> str:
    """What the answer to a request looks like: unit, function, and what of it repeats the request; it fits only frames
    of just that length."""
    function = request[0]
    if function in (1, 2, 3, 4):
        count = int.from_bytes(request[3:5], "big")
        size = -(-count // 8) if function in (1, 2) else 2 * count
        return _regex(protocol, bytes((unit, function, size)), size)
    # Writes are answered by their beginning: function, address, and the value or the count.
    return _regex(protocol, bytes((unit,)) + request[:5], 0)


def refusal_regex(protocol: Protocol, unit: int, request: bytes) -> str:
    """What a refusal of a request looks like."""
    return _regex(protocol, bytes((unit, request[0] | EXCEPTION)), 1)


def code_place(protocol: Protocol) -> int:
    """Where a refusal's code stands in its frame."""
    return 2 if protocol == "modbus-rtu" else 5


def code_bytes(protocol: Protocol, code: int) -> bytes:
    """How it stands there."""
    return bytes((code,)) if protocol == "modbus-rtu" else b"%02X" % code


def _regex(protocol: Protocol, begin: bytes, more: int) -> str:
    """A frame that begins so, and has so many bytes more before its checksum."""
    if protocol == "modbus-rtu":
        head = "".join(f"\\x{byte:02x}" for byte in begin)
        return rf"(?s:\A{head}.{{{more + 2}}}\Z)"
    return rf"(?i:\A:{begin.hex()}[0-9a-f]{{{2 * more + 2}}}\r\n\Z)"
