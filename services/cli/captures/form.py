"""The file of a capture: a first line that says what it is, then a line for each chunk, made to be read and edited by
people. Touches no file.

    serialgw capture 1
    # /dev/ttyUSB0, 9600 8N1, begun 2026-11-30T10:00:00.000+01:00
    0.000 > 01 04 00 00 00 02 71 CB          # \\x01\\x04\\x00\\x00\\x00\\x02q\\xcb
    0.032 < 01 04 04 43 66 33 34 1B 38       # \\x01\\x04\\x04Cf34\\x1b8
    1.000 < "T=21.5\\r\\n"
    60.000 end

A line has the seconds since the beginning, who speaks (`<` the device, `>` whoever asks it), and the bytes: in
hexadecimal, or as text in quotes. What stands behind `#`, and an empty line, is for people. Lines of one moment and one
direction are one chunk. `end` is when the recording ended; it may be missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from services.cli.text import compact, escape, unescape

FIRST_LINE: Final = "serialgw capture 1"
"""What a capture begins with, and nothing else does. The number is that of the form."""
BYTES_A_LINE: Final = 32
"""A chunk of more bytes has several lines: about 140 columns with the text beside them."""
LONGEST_LINE: Final = 1_048_576
"""Characters of one line of a file; longer ones are no line of a capture."""
LONGEST_S: Final = 10_000_000.0
"""About four months: the largest time in a file."""
_LINE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:\s*([<>])\s*(.*)|\s+(end)\s*(?:#.*)?)", re.DOTALL)
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.DOTALL)
_EXPECTED: Final = 'SECONDS, < or >, and bytes such as "AA C0" in hexadecimal or "\\"T=1\\\\r\\"" as text'


class Chunk(NamedTuple):
    """Bytes of one moment."""

    at_s: float
    """Seconds since the beginning of the recording."""
    is_written: bool
    """True for what the device was told, False for what it said."""
    data: bytes


class End(NamedTuple):
    """The recording ended here."""

    at_s: float


class CaptureError(ValueError):
    """A line of a file that is none of a capture."""

    def __init__(self, number: int, found: str, expected: str = _EXPECTED) -> None:
        """`number` counts from 1."""
        super().__init__(f"line {number}: found {compact(found[:60])}, expected {expected}")


def head_of(comments: Iterable[str]) -> str:
    """The first lines of a file."""
    texts = [
        *comments,
        "seconds since then; < is what the device says, > what it is told; behind # the same bytes as text",
    ]
    return "\n".join([FIRST_LINE, *(f"# {' '.join(text.split())}" for text in texts)])


def lines_of(chunk: Chunk) -> Iterator[str]:
    """A chunk as lines of a file."""
    for start in range(0, len(chunk.data), BYTES_A_LINE):
        part = chunk.data[start : start + BYTES_A_LINE]
        mark = ">" if chunk.is_written else "<"
        yield f"{chunk.at_s:.3f} {mark} {part.hex(' ').upper():<{_WIDTH}}  # {escape(part)}"


_WIDTH: Final = 16 * 3 - 1
"""Text stands below text as far as most chunks are no longer than this."""


def end_line(at_s: float) -> str:
    """The last line of a file."""
    return f"{at_s:.3f} end"


def read_lines(lines: Iterable[str]) -> Iterator[Chunk | End]:
    """The chunks of a file, behind its first line; lines of one moment are put together. Raises CaptureError."""
    waiting: Chunk | None = None
    last_s = 0.0
    try:
        for number, line in enumerate(lines, start=2):
            entry = _entry_of(line, number)
            if entry is None:
                continue
            if entry.at_s < last_s:
                raise CaptureError(
                    number, line.strip(), f"a time that is not before {last_s:g} s, that of a line above"
                )
            last_s = entry.at_s
            if isinstance(entry, Chunk) and waiting and waiting[:2] == entry[:2]:
                waiting = waiting._replace(data=waiting.data + entry.data)
                continue
            before, waiting = waiting, None
            if before:
                yield before
            if isinstance(entry, End):
                yield entry
                return
            waiting = entry
    except CaptureError:
        # What stands above it is right.
        if waiting:
            yield waiting
        raise
    if waiting:
        yield waiting


def _entry_of(line: str, number: int) -> Chunk | End | None:
    """What a line says; None for one that is for people only. Raises CaptureError."""
    if not (text := line.strip()) or text.startswith("#"):
        return None
    found = _LINE.fullmatch(text)
    if found is None or len(line) > LONGEST_LINE:
        raise CaptureError(number, text)
    at_s = float(found[1])
    if not math.isfinite(at_s) or at_s > LONGEST_S:
        raise CaptureError(number, text, f"a time of at most {LONGEST_S:g} s")
    if found[4]:
        return End(at_s)
    data = _bytes_of(found[3], number, text)
    return Chunk(at_s, found[2] == ">", data) if data else None


def _bytes_of(text: str, number: int, line: str) -> bytes:
    if text.startswith('"'):
        quoted = _TEXT.fullmatch(text)
        if quoted is None:
            raise CaptureError(number, line, "text in quotes, with nothing but a comment behind it")
        try:
            return unescape(quoted[1].replace('\\"', '"'))
        except ValueError as error:
            raise CaptureError(
                number, line, f"text with escapes as `serialgw try --text` takes them ({error})"
            ) from None
    try:
        return bytes.fromhex(text.partition("#")[0])
    except ValueError:
        raise CaptureError(number, line) from None
