"""SML (Smart Message Language, BSI TR-03109-1, annex IV): the values of a file by their OBIS codes. Pure.

A file is a run of messages; a message is a tree of lists, each element with a type and a length in its first bytes. The
values that a meter sends stand in lists of seven: name (6 bytes of OBIS code), status, time, unit, scaler, value,
signature.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

from common.conversion.grammar.obis import Code

START: Final = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
_ESCAPE: Final = b"\x1b\x1b\x1b\x1b"
_DEEPEST: Final = 16
"""Lists within lists; real messages have 6."""
MOST_ELEMENTS: Final = 16_384
"""Elements of a file at most: a list may claim any number, and each has at least one byte."""
_ENTRY: Final = 7
_NAME_BYTES: Final = 6
_ENTRY_HEAD: Final = b"\x77\x07"
"""A list of seven, and a name of six bytes in it."""
_BEFORE_VALUE: Final = 5
"""Name, status, time, unit, scaler."""
UNITS: Final = {
    **{3: "d", 4: "h", 5: "min", 7: "s", 8: "°", 9: "°C", 13: "m³", 14: "m³", 23: "Pa", 24: "bar", 25: "J"},
    **{27: "W", 28: "VA", 29: "var", 30: "Wh", 31: "VAh", 32: "varh", 33: "A", 35: "V", 44: "Hz"},
}
"""Codes of units (DLMS, IEC 62056-62, 4.3.2)."""

Element = bytes | int | bool | list["Element"] | None


class SmlValue(NamedTuple):
    """What an entry of a list says."""

    code: Code
    value: bytes | int | bool
    factor: Fraction
    """What a number is multiplied by."""
    unit: str
    """"" for none, or one that is not known here."""


def is_sml(frame: bytes) -> bool:
    """True for a frame that begins as an SML file does."""
    return frame.startswith(START)


def values_of(frame: bytes) -> list[SmlValue]:
    """All values of a file, in order. Raises ValueError for a file whose elements don't fit its bytes."""
    content = frame[len(START) :] if is_sml(frame) else frame
    # What comes in the data is doubled on the line.
    content = content.replace(_ESCAPE + _ESCAPE, _ESCAPE)
    end = content.rfind(_ESCAPE + b"\x1a")
    reader = _Reader(content if end < 0 else content[:end])
    found: list[SmlValue] = []
    while (message := reader.message()) is not None:
        _collect(message, found)
    return found


def place_of(frame: bytes, code: Code) -> tuple[int, int] | None:
    """Where the value of the first entry with a code that fits stands in a file as it came, [start, end); None where
    there is none."""
    at = frame.find(_ENTRY_HEAD)
    while at >= 0:
        name = frame[at + len(_ENTRY_HEAD) :][:_NAME_BYTES]
        if len(name) == _NAME_BYTES and code.fits(Code(*map(str, name))):
            try:
                return _Reader(frame, at + 1).skip(_BEFORE_VALUE)
            except ValueError:
                # It only looked like an entry.
                pass
        at = frame.find(_ENTRY_HEAD, at + 1)
    return None


class _Reader:
    """A walk through the elements of a file, from a place on."""

    def __init__(self, content: bytes, at: int = 0) -> None:
        self._content = content
        self._at = at
        self._left = MOST_ELEMENTS

    def skip(self, count: int) -> tuple[int, int]:
        """Where the content of the element behind so many stands. Raises ValueError."""
        for _ in range(count):
            self._element(0)
        _, length = self._head()
        if length < 0 or self._at + length > len(self._content):
            raise ValueError("an SML element that is longer than its file")
        return self._at, self._at + length

    def message(self) -> Element | None:
        """The next message; None at the end. Zeros between them end the one before, or fill up."""
        content, at = self._content, self._at
        while at < len(content) and content[at] == 0:
            at += 1
        self._at = at
        return self._element(0) if at < len(content) else None

    def _element(self, depth: int) -> Element:
        kind, length = self._head()
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise ValueError("an SML file with more elements, or deeper lists, than a file has")
        if kind == 0x70:
            return [self._element(depth + 1) for _ in range(length)]
        start, self._at = self._at, self._at + length
        data = self._content[start : self._at]
        if length < 0 or len(data) < length:
            raise ValueError("an SML element that is longer than its file")
        match kind:
            case 0x00:
                return data
            case 0x40:
                return data != b"\0" * length
            case 0x50:
                return int.from_bytes(data, "big", signed=True)
            case 0x60:
                return int.from_bytes(data, "big")
        raise ValueError(f"an SML element of type {kind >> 4}, which there is not")

    def _head(self) -> tuple[int, int]:
        """(type, bytes of the element behind its head, or elements of a list)."""
        first = self._byte()
        kind, length, head = first & 0x70, first & 0x0F, 1
        more = first & 0x80
        while more:
            byte = self._byte()
            length, head, more = length << 4 | byte & 0x0F, head + 1, byte & 0x80
            if length > len(self._content):
                raise ValueError("an SML element that is longer than its file")
        if first == 0:
            # The end of a message, where an element was due: as if it were not there.
            return 0, 0
        return kind, length if kind == 0x70 else length - head

    def _byte(self) -> int:
        if self._at >= len(self._content):
            raise ValueError("an SML file that ends in the middle of an element")
        self._at += 1
        return self._content[self._at - 1]


def _collect(element: Element, found: list[SmlValue]) -> None:
    """Adds the values of an element and of all within it."""
    if not isinstance(element, list):
        return
    value = _value_of(element) if len(element) == _ENTRY else None
    if value is not None:
        found.append(value)
        return
    for inner in element:
        _collect(inner, found)


def _value_of(entry: list[Element]) -> SmlValue | None:
    """What a list of seven says; None for one that is no entry of a meter."""
    name, _, _, unit, scaler, value, _ = entry
    if not isinstance(name, bytes) or len(name) != _NAME_BYTES or not isinstance(value, bytes | int):
        return None
    power = scaler if isinstance(scaler, int) and -32 <= scaler <= 32 else 0
    factor = Fraction(10) ** power
    known = UNITS.get(unit, "") if isinstance(unit, int) else ""
    return SmlValue(Code(*map(str, name)), value, factor, known)
