"""How the commands show things to people: bytes, times, texts, tables; and how they read bytes that people type."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from common.core.byte_text import HEX, Parts, parts_of, spell, spell_hex
from common.core.quoting import quoted
from common.io.clock import iso_time

_TYPED: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([rnt0\\])|(.?))", re.DOTALL)
_TYPED_CHARACTERS: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_BYTE_ESCAPES: Final = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}


def escape(data: bytes) -> str:
    r"""Bytes in printable ASCII, with `\r \n \t \" \\ \xNN` for the rest, so that nothing steers a terminal.

    What comes out can be typed again behind `serialgw try --text`.
    """
    return "".join(_BYTE_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in data)


def unescape(text: str) -> bytes:
    r"""The bytes of typed text: `\r \n \t \0 \\ \xNN` replaced, the rest as UTF-8.

    Raises ValueError for any other escape, with a sentence for the person who typed it.
    """

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return _as_character(int(found[1], 16))
        if found[2]:
            return _TYPED_CHARACTERS[found[2]]
        raise ValueError(rf"found {found[0]}, expected \r, \n, \t, \0, \\ or \xNN")

    return _TYPED.sub(replace, text).encode(errors="surrogateescape")


def _as_character(byte: int) -> str:
    """The character that surrogateescape writes as exactly this byte."""
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)


def spelled_out(text: str | bytes) -> str:
    """Bytes, or a text with placeholders that stands for some, as a configuration would say them, in quotes; behind
    what is not ASCII stand its bytes."""
    parts: Parts = [text] if isinstance(text, bytes) else parts_of(text)
    said = quoted(spell(parts))
    return said if said.isascii() else f"{said} ({spell_hex(parts).removeprefix(HEX)})"


def clock(ts_ms: int) -> str:
    """A timestamp as the local time of day, HH:MM:SS.mmm, for what the demo shows of a few seconds; the number itself
    where it is no time. Raises nothing."""
    try:
        return f"{datetime.fromtimestamp(ts_ms // 1000):%H:%M:%S}.{ts_ms % 1000:03d}"
    except (OverflowError, OSError, ValueError):
        return str(ts_ms)


def moment(ts_ms: int) -> str:
    """A timestamp as `common.io.clock.iso_time` shows it; "-" for 0, which means none, and the number itself where no
    calendar has it. Raises nothing."""
    try:
        return iso_time(ts_ms) if ts_ms else "-"
    except (OverflowError, OSError, ValueError):
        return str(ts_ms)


def compact(value: object) -> str:
    """A value as JSON on one line, as all commands print it: no blanks between its parts, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def counted(count: int, noun: str) -> str:
    """`1 dead letter`, `2 dead letters`, `2 processes`."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of one length as lines with their columns aligned, two spaces between them; [] for no rows.

    No line ends in spaces: they would wrap in a narrow terminal.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
