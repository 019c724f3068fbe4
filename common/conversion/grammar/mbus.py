"""M-Bus records (EN 13757-3): the values of a meter by what they are. Pure.

A long frame `68 L L 68 C A CI … checksum 16` carries a header and then records: a DIF says the form of a value, which
storage, tariff and subunit it is of; a VIF says what it is, and by which power of ten it counts.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple

FUNCTIONS: Final = ("", "maximum", "minimum", "error")
"""What a value is of its period, by two bits of the DIF; "" is the value now."""
_HEADERS: Final = {0x72: 12, 0x76: 12, 0x7A: 4, 0x78: 0}
"""CI field of an answer with records → bytes of its header."""
_EXTENDED: Final = 0x80
_MOST_EXTENSIONS: Final = 10
"""DIFEs, and VIFEs, of one record (6.3.4)."""
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
_BCD: Final = {9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_TEN: Final = Fraction(10)
_DURATIONS: Final = ("s", "min", "h", "d")


class Kind(NamedTuple):
    """What a VIF says."""

    name: str
    unit: str
    factor: Fraction
    form: str = "number"
    """`number`, `date`, `datetime` or `text`."""


class Record(NamedTuple):
    """One value of a meter."""

    kind: Kind
    function: str
    storage: int
    tariff: int
    subunit: int
    value: int | float | str | None
    """None: the meter says that it has none."""
    span: tuple[int, int]
    """Where the bytes of the value stand in the frame, [start, end)."""


class Wanted(NamedTuple):
    """A record by what it is, as the configuration names it: `energy`, `energy maximum storage 1 tariff 2`."""

    name: str
    function: str = ""
    storage: int = 0
    tariff: int = 0
    subunit: int = 0

    def is_in(self, record: Record) -> bool:
        return record.kind.name == self.name and record[1:5] == self[1:5]


def _powers(first: int, name: str, unit: str, lowest: int, count: int = 8) -> dict[int, Kind]:
    """`count` codes from `first` on, of the same thing at rising powers of ten."""
    return {first + n: Kind(name, unit, _TEN ** (lowest + n)) for n in range(count)}


def _durations(first: int, name: str) -> dict[int, Kind]:
    return {first + n: Kind(name, unit, Fraction(1)) for n, unit in enumerate(_DURATIONS)}


_PRIMARY: Final = {
    **_powers(0x00, "energy", "Wh", -3),
    **_powers(0x08, "energy", "J", 0),
    **_powers(0x10, "volume", "m³", -6),
    **_powers(0x18, "mass", "kg", -3),
    **_durations(0x20, "on time"),
    **_durations(0x24, "operating time"),
    **_powers(0x28, "power", "W", -3),
    **_powers(0x30, "power", "J/h", 0),
    **_powers(0x38, "volume flow", "m³/h", -6),
    **_powers(0x40, "volume flow", "m³/min", -7),
    **_powers(0x48, "volume flow", "m³/s", -9),
    **_powers(0x50, "mass flow", "kg/h", -3),
    **_powers(0x58, "flow temperature", "°C", -3, 4),
    **_powers(0x5C, "return temperature", "°C", -3, 4),
    **_powers(0x60, "temperature difference", "K", -3, 4),
    **_powers(0x64, "external temperature", "°C", -3, 4),
    **_powers(0x68, "pressure", "bar", -3, 4),
    0x6C: Kind("date", "", Fraction(1), "date"),
    0x6D: Kind("time", "", Fraction(1), "datetime"),
    0x6E: Kind("heat cost", "", Fraction(1)),
    **_durations(0x70, "averaging duration"),
    **_durations(0x74, "actuality duration"),
    0x78: Kind("fabrication number", "", Fraction(1)),
    0x79: Kind("identification", "", Fraction(1)),
    0x7A: Kind("bus address", "", Fraction(1)),
}
"""VIF without its highest bit → what it is (table 10)."""
_FB: Final = {
    **_powers(0x00, "energy", "MWh", -1, 2),
    **_powers(0x08, "energy", "GJ", -1, 2),
    **_powers(0x10, "volume", "m³", 2, 2),
    **_powers(0x18, "mass", "t", 2, 2),
    **_powers(0x28, "power", "MW", -1, 2),
    **_powers(0x74, "cold temperature limit", "°C", -3, 4),
}
"""The same behind FB (table 14)."""
_FD: Final = {
    0x08: Kind("access number", "", Fraction(1)),
    0x0B: Kind("parameter set", "", Fraction(1)),
    0x0C: Kind("model version", "", Fraction(1)),
    0x0D: Kind("hardware version", "", Fraction(1)),
    0x0E: Kind("firmware version", "", Fraction(1)),
    0x0F: Kind("software version", "", Fraction(1)),
    0x10: Kind("customer location", "", Fraction(1)),
    0x11: Kind("customer", "", Fraction(1)),
    0x17: Kind("error flags", "", Fraction(1)),
    0x1A: Kind("digital output", "", Fraction(1)),
    0x1B: Kind("digital input", "", Fraction(1)),
    0x3A: Kind("number", "", Fraction(1)),
    **_powers(0x40, "voltage", "V", -9, 16),
    **_powers(0x50, "current", "A", -12, 16),
    0x61: Kind("cumulation counter", "", Fraction(1)),
    0x74: Kind("remaining battery", "d", Fraction(1)),
}
"""The same behind FD (table 12)."""
NAMES: Final = tuple(sorted({kind.name for table in (_PRIMARY, _FB, _FD) for kind in table.values()}))
"""All that a record can be, for the configuration and its messages."""
UNITS_OF: Final = {
    name: frozenset(kind.unit for table in (_PRIMARY, _FB, _FD) for kind in table.values() if kind.name == name)
    for name in NAMES
}
_QUALIFIER: Final = re.compile(r"(storage|tariff|unit) (\d{1,9})|(maximum|minimum|error)")


def wanted_of(text: str) -> Wanted:
    """What the configuration asks for. Raises ValueError, with what is wrong, for what no record can be."""
    words = " ".join(text.replace(",", " ").split())
    name = max((one for one in NAMES if words == one or words.startswith(one + " ")), key=len, default=None)
    if name is None:
        raise ValueError(f"no record of that name; the names are {', '.join(NAMES)}")
    rest = words[len(name) :].strip()
    said: dict[str, int] = {}
    function = ""
    while rest:
        found = _QUALIFIER.match(rest)
        if found is None:
            raise ValueError(
                f"{rest!r} behind the name, where storage N, tariff N, unit N, maximum, minimum or error may stand"
            )
        if found[1]:
            said[found[1]] = int(found[2])
        else:
            function = found[3]
        rest = rest[found.end() :].strip()
    return Wanted(name, function, said.get("storage", 0), said.get("tariff", 0), said.get("unit", 0))


def records_of(frame: bytes) -> list[Record]:
    """The records of a frame, in order; [] for one that carries none (an acknowledgement, a request, another answer).

    Records of kinds that are not known here are left out. Raises ValueError for records that don't fit their frame.
    """
    if len(frame) < 9 or frame[0] != 0x68 or frame[3] != 0x68 or frame[6] not in _HEADERS:
        return []
    end = min(4 + frame[1], len(frame) - 2)
    walk = _Walk(frame[:end], 7 + _HEADERS[frame[6]])
    found = []
    while not walk.is_over:
        record = _record(walk)
        if record is not None:
            found.append(record)
    return found


class _Walk:
    """A walk through the bytes of the records, from a place on."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    @property
    def is_over(self) -> bool:
        return self.at >= len(self._data)

    def end(self) -> None:
        """What follows is the maker's own."""
        self.at = len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("an M-Bus record that is longer than its frame")
        self.at += count
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def extensions(self, first: int) -> list[int]:
        """The bytes that follow one whose highest bit is set, without that bit."""
        found: list[int] = []
        byte = first
        while byte & _EXTENDED:
            byte = self.byte()
            found.append(byte & 0x7F)
            if len(found) > _MOST_EXTENSIONS:
                raise ValueError(f"an M-Bus record with more than {_MOST_EXTENSIONS} extensions")
        return found


def _record(walk: _Walk) -> Record | None:
    """The next record; None for a filler, and for one of a kind that is not known here."""
    dif = walk.byte()
    if dif == 0x2F:
        return None
    if dif & 0x0F == 0x0F:
        walk.end()
        return None
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    for place, byte in enumerate(walk.extensions(dif)):
        storage |= (byte & 0x0F) << 1 + 4 * place
        tariff |= (byte >> 4 & 3) << 2 * place
        subunit |= (byte >> 6 & 1) << place
    kind = _kind(walk)
    start = walk.at
    value = _value(walk, dif & 0x0F, kind)
    if kind is None:
        return None
    return Record(kind, FUNCTIONS[dif >> 4 & 3], storage, tariff, subunit, value, (start, walk.at))


def _kind(walk: _Walk) -> Kind | None:
    """What a record is; None where something is said of it that would make it another thing."""
    vif = walk.byte()
    if vif & 0x7F == 0x7C:
        # Its unit is text, behind its length.
        extensions = walk.extensions(vif)
        walk.take(walk.byte())
        return None
    extensions = walk.extensions(vif)
    table = {0xFB: _FB, 0xFD: _FD}.get(vif)
    if table is not None:
        kind = table.get(extensions[0]) if extensions else None
        extensions = extensions[1:]
    else:
        kind = _PRIMARY.get(vif & 0x7F)
    for extension in extensions:
        if kind is None:
            break
        if 0x70 <= extension <= 0x77:
            kind = kind._replace(factor=kind.factor * _TEN ** (extension - 0x76))
        elif extension == 0x7D:
            kind = kind._replace(factor=kind.factor * 1000)
        else:
            kind = None
    return kind


def _value(walk: _Walk, form: int, kind: Kind | None) -> int | float | str | None:
    """The value in the form that the DIF says."""
    if form in _INTEGERS:
        data = walk.take(_INTEGERS[form])
        if kind is not None and kind.form in _TIMES:
            return _TIMES[kind.form](data)
        number = int.from_bytes(data, "little", signed=True)
        # The lowest number is the one for "no value".
        return None if number == -(1 << 8 * len(data) - 1) else number
    if form in _BCD:
        return _bcd(walk.take(_BCD[form]))
    if form == 5:
        real: float = struct.unpack("<f", walk.take(4))[0]
        return real if math.isfinite(real) else None
    if form == 13:
        return _variable(walk)
    return None


def _bcd(data: bytes) -> int | None:
    """Decimal digits, the lowest byte first; an F in front is a minus sign, other letters are an error of the meter."""
    digits = data[::-1].hex()
    negative = digits[:1] == "f"
    digits = "0" + digits[1:] if negative else digits
    return None if not digits.isdecimal() else -int(digits) if negative else int(digits)


def _variable(walk: _Walk) -> int | str | None:
    """A value that says its length itself: text, or digits, or a binary number."""
    length = walk.byte()
    if length < 0xC0:
        return walk.take(length)[::-1].decode("latin-1")
    if length < 0xE0:
        number = _bcd(walk.take(length & 0x0F))
        return -number if number is not None and length >= 0xD0 else number
    if length < 0xF0:
        return int.from_bytes(walk.take(length - 0xE0), "little", signed=True)
    walk.take(4 * (length - 0xEC) if length <= 0xF4 else 0)
    return None


def _date(data: bytes) -> str | None:
    """Type G: a date of two bytes."""
    if len(data) < 2:
        return None
    day, month = data[0] & 0x1F, data[1] & 0x0F
    year = data[0] >> 5 | (data[1] & 0xF0) >> 1
    if not (1 <= day <= 31 and 1 <= month <= 12 and year <= 99):
        return None
    return f"{1900 + year if year > 80 else 2000 + year:04}-{month:02}-{day:02}"


def _datetime(data: bytes) -> str | None:
    """Type F: a time of four bytes, in the meter's own zone."""
    if len(data) != 4 or data[0] & 0x80:
        return None
    date = _date(data[2:])
    hour, minute = data[1] & 0x1F, data[0] & 0x3F
    return None if date is None or hour > 23 or minute > 59 else f"{date}T{hour:02}:{minute:02}"


_TIMES: Final[dict[str, Callable[[bytes], str | None]]] = {"date": _date, "datetime": _datetime}
