"""OBIS codes in text: `1-0:1.8.0(000123.4*kWh)`, as P1 telegrams and IEC 62056-21 readouts have them. Pure.

A code is A-B:C.D.E*F (EN 62056-61). Meters leave parts out, and so may the configuration: parts that both name must be
equal.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MOST_CODES: Final = 4096
"""Lines of a frame that are looked at: more than a frame of `maxFrameBytes` has of real ones."""
_PART: Final = r"[0-9A-Za-z]{1,4}"
_CODE: Final = re.compile(rf"(?:({_PART})-({_PART}):)?({_PART})\.({_PART})(?:\.({_PART}))?(?:[*&]({_PART}))?")
_LINE: Final = re.compile(rb"([0-9A-Za-z.:*&-]{3,30}+)((?:\([^()]*+\)(?:\r?\n)?(?=[(\r\n!\x03]|\Z))++)")
_GROUP: Final = re.compile(rb"\(([^()]*)\)")


class Code(NamedTuple):
    """The parts of a code; None for one that is not said."""

    a: str | None
    b: str | None
    c: str
    d: str
    e: str | None
    f: str | None

    def fits(self, other: Code) -> bool:
        """True if what both say is the same; 255 in the last part means nothing in particular."""
        return all(
            mine is None or its is None or mine == its or (place == 5 and "255" in (mine, its))
            for place, (mine, its) in enumerate(zip(self, other, strict=True))
        )


def code_of(text: str) -> Code:
    """The parts of a code as the configuration or a meter writes it. Raises ValueError for what is none."""
    found = _CODE.fullmatch(text)
    if found is None:
        raise ValueError("no OBIS code")
    a, b, c, d, e, f = (part and (part.lstrip("0") or "0") for part in found.groups())
    return Code(a, b, c or "", d or "", e, f)


Entries = list[tuple[Code, list[bytes]]]
"""Each code of a frame, and what stands in the brackets behind it."""


def entries_of(frame: bytes) -> Entries:
    """All codes of a frame in order. Lines that have none are passed over."""
    entries: Entries = []
    for found in _LINE.finditer(frame):
        try:
            code = code_of(found[1].decode())
        except ValueError:
            continue
        entries.append((code, _GROUP.findall(found[2])))
        if len(entries) == MOST_CODES:
            break
    return entries


def place_of(frame: bytes, code: Code, group: int) -> tuple[int, int] | None:
    """Where the content of a bracket stands behind the first code that fits, [start, end); None where there is none."""
    for found in _LINE.finditer(frame):
        try:
            is_wanted = code.fits(code_of(found[1].decode()))
        except ValueError:
            continue
        if is_wanted:
            groups = list(_GROUP.finditer(frame, found.start(2), found.end(2)))
            return groups[group].span(1) if group < len(groups) else None
    return None


def number_and_unit(content: bytes) -> tuple[bytes, str]:
    """(the value, the unit behind `*` or ""): `00.244*kW`."""
    value, star, unit = content.rpartition(b"*")
    return (value, unit.decode("latin-1").strip()) if star else (content, "")
