"""How far a journal has come, noted beside it: what SQLite can't know of its own log, which it ends at the first frame
that is damaged, it is told from here.

The file has two slots of one sector each, written in turn, so that one that is torn leaves the other. It is written
after each commit and never flushed: it lies in the same cache as the commit before it, and a mark that is ahead of its
journal is a loss in any case. `parse_mark` and `Mark` are pure; `MarkFile` is the file.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

SUFFIX: Final = ".mark"
SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all, at least."""
ID_BYTES: Final = 32
"""Room for a journal's id in a slot."""
# A slot: magic, journal, turn, salt, generation, next number, settled, last timestamp, checksum of all before it.
_MAGIC: Final = b"sgwmark1"
_SLOT: Final = struct.Struct(f"<8s{ID_BYTES}sQQQQQqI")
_SUM: Final = struct.Struct("<I")


class Mark(NamedTuple):
    """What a journal had come to: all that is needed to know what of it is missing, and to go on behind that."""

    journal: str
    """The journal's id, ID_BYTES at most: a mark of another journal says nothing of this one."""
    salt: int
    """Short for the device; see `Seals`."""
    generation: int
    next_number: int
    settled: int
    last_ts_ms: int


def pack_mark(mark: Mark, turn: int) -> bytes:
    """One slot; of two the one with the higher `turn` counts."""
    journal, *numbers = mark
    head = _SLOT.pack(_MAGIC, journal.encode(), turn, *numbers, 0)[: -_SUM.size]
    return head + _SUM.pack(zlib.crc32(head))


def parse_mark(data: bytes) -> tuple[Mark, int] | None:
    """(the newer mark of a file's content, its turn); None if no slot is as it was written."""
    found: list[tuple[int, Mark]] = []
    for place in (0, SECTOR_BYTES):
        slot = data[place : place + _SLOT.size]
        if len(slot) < _SLOT.size or not slot.startswith(_MAGIC):
            continue
        _, journal, turn, salt, generation, next_number, settled, last_ts_ms, checksum = _SLOT.unpack(slot)
        if checksum == zlib.crc32(slot[: -_SUM.size]):
            name = journal.rstrip(b"\0").decode("utf-8", "replace")
            found.append((turn, Mark(name, salt, generation, next_number, settled, last_ts_ms)))
    if not found:
        return None
    turn, mark = max(found)
    return mark, turn


class MarkFile:
    """The mark of one open journal."""

    def __init__(self, journal: Path) -> None:
        """Reads it; makes nothing."""
        self.path = journal.with_name(journal.name + SUFFIX)
        self.mark: Mark | None = None
        """What stands there, as far as it could be read; then what was written last."""
        self.fault = ""
        """Why nothing could be read; "" too where there is no file."""
        self.is_there = False
        self._turn = 0
        self._descriptor = -1
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.is_there, self.fault = True, str(error)
            return
        self.is_there = True
        if (found := parse_mark(data)) is None:
            self.fault = f"{self.path.name} is damaged"
        else:
            self.mark, self._turn = found

    def write(self, mark: Mark) -> None:
        """One slot. A mark that can't be written now falls behind, which says less and nothing wrong."""
        self.mark = mark
        self._turn += 1
        if self._descriptor >= 0:
            try:
                os.pwrite(self._descriptor, pack_mark(mark, self._turn), (self._turn & 1) * SECTOR_BYTES)
            except OSError:
                pass

    def renew(self, mark: Mark) -> bool:
        """Both slots, in the file that stands under our name; it is made if it is missing. False if that failed."""
        self.mark = mark
        try:
            if not self._is_in_place():
                self.close()
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(self.path, flags, 0o600)
            for _ in range(2):
                self._turn += 1
                slot = pack_mark(mark, self._turn).ljust(SECTOR_BYTES, b"\0")
                os.pwrite(self._descriptor, slot, (self._turn & 1) * SECTOR_BYTES)
        except OSError:
            return False
        return True

    def check(self) -> bool:
        """True if the file is where it was; one that is not is made anew."""
        if self.mark is None or (self._is_in_place() and parse_mark(self._content()) is not None):
            return True
        self.renew(self.mark)
        return False

    def close(self) -> None:
        """Closes the file; it can be renewed again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Closes and deletes it."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _content(self) -> bytes:
        """What stands there now; b"" where that can't be read."""
        try:
            return os.pread(self._descriptor, 2 * SECTOR_BYTES, 0)
        except OSError:
            return b""

    def _is_in_place(self) -> bool:
        """True if the file that we have open is the one under our name: neither deleted nor replaced."""
        if self._descriptor < 0:
            return False
        try:
            mine, there = os.fstat(self._descriptor), os.lstat(self.path)
        except OSError:
            return False
        return (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev)
