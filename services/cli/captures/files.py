"""Reads the file of a capture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from services.cli.captures.form import FIRST_LINE, LONGEST_LINE, CaptureError, Chunk, End, read_lines
from services.cli.usage import UsageError

_BEGINNING: Final = FIRST_LINE.rpartition(" ")[0].encode()
"""Without the number of the form: a later one is a capture too, which we can't read."""


def is_capture(first_bytes: bytes) -> bool:
    """True if a file that begins so is a capture."""
    return first_bytes.startswith(_BEGINNING)


def chunks_in(file: IO[bytes], name: str) -> Iterator[Chunk | End]:
    """The chunks of an open file, as they are read. Raises UsageError, which says where in the file, and OSError."""
    first = file.readline(LONGEST_LINE).decode("utf-8", "backslashreplace").strip()
    if first != FIRST_LINE:
        raise UsageError(f'{name}: line 1: found {first[:60]!a}, expected "{FIRST_LINE}", which captures begin with')
    try:
        yield from read_lines(_text_lines(file))
    except CaptureError as error:
        raise UsageError(f"{name}: {error}") from None


def _text_lines(file: IO[bytes]) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        yield line.decode("utf-8", "backslashreplace")


MOST_CHUNKS: Final = 1_000_000
"""Of a file that is kept in memory, where each takes about 200 bytes: more than a day of a chunk each 100 ms."""


def read_capture(path: Path, most_bytes: int, most_chunks: int = MOST_CHUNKS) -> list[Chunk | End]:
    """All chunks of a file. Raises UsageError: it can't be read, is no capture, or has more than so many chunks, or
    bytes of the line."""
    found: list[Chunk | End] = []
    size = 0
    try:
        with path.open("rb") as file:
            for entry in chunks_in(file, str(path)):
                size += len(entry.data) if isinstance(entry, Chunk) else 0
                for count, most, what in ((size, most_bytes, "bytes of a line"), (len(found), most_chunks, "chunks")):
                    if count > most:
                        raise UsageError(f"{path}: found more than {most} {what}, expected at most so many")
                found.append(entry)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    return found
