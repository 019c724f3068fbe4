"""How the user's files were taken last: written by whoever takes them, read by whoever shows it.

A file beside the active snapshot says what they were, so that it can be seen that somebody has edited them since.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from common.core.hashes import short_hash
from common.io.clock import wall_ms
from common.io.private import write_private

TAKEN_NAME: Final = "reload.json"
"""The file's name in the data directory."""
DIGITS: Final = 16
GONE: Final = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The last try. A later version may have more fields, with defaults."""

    successful: bool = True
    at_ms: int = 0
    success_ms: int = 0
    """When the files were taken last, at a start or by a reload; 0 for never."""
    reason: str = ""
    """Why they were not at the last try."""
    files: dict[str, str] = {}
    """Each file → what its content was when they were taken last, as a hash; "" for one that could not be read."""
    changes: int = 0
    """How often other files were taken, ever: the number of the newest entry of the history."""

    @property
    def is_pending(self) -> bool:
        """True if a file is another by now. Reads them all: some kilobytes each."""
        return hashes_of(self.files) != self.files


def read_taken(data_dir: Path) -> Taken:
    """The record; an empty one where there is none that can be read."""
    try:
        return msgspec.json.decode((data_dir / TAKEN_NAME).read_bytes(), type=Taken)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Taken()


def write_taken(data_dir: Path, files: Mapping[str, str], changes: int | None = None) -> None:
    """Files of these contents (`hashes_of`, as they were when they were read) were taken now. `changes`: how often by
    now; None: as often as before. Raises nothing: on a full disk nobody hears of it."""
    now_ms = wall_ms()
    changes = read_taken(data_dir).changes if changes is None else changes
    _write(data_dir, Taken(at_ms=now_ms, success_ms=now_ms, files=dict(files), changes=changes))


def write_refused(data_dir: Path, reason: str) -> None:
    """The files were not taken now. Raises nothing."""
    before = read_taken(data_dir)
    _write(data_dir, msgspec.structs.replace(before, successful=False, at_ms=wall_ms(), reason=reason))


def _write(data_dir: Path, taken: Taken) -> None:
    try:
        write_private(data_dir / TAKEN_NAME, msgspec.json.encode(taken).decode())
    except OSError:
        pass  # What was done is done.


def hashes_of(files: Iterable[str]) -> dict[str, str]:
    """Each file → its content as a hash; "" for one that can't be read."""
    return {path: _hash_of(path) for path in files if path}


def _hash_of(path: str) -> str:
    try:
        with open(os.fspath(path), "rb") as file:
            return content_hash(file.read())
    except (OSError, ValueError):
        return GONE


def content_hash(content: bytes) -> str:
    """As `hashes_of` has it of a file with this content."""
    return short_hash(content, DIGITS)
