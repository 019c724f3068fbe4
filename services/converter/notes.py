"""A slot's note file: which frame is in users' code now, readable after this process has died.

It guards against the death of the process, not of the machine, so nothing is flushed. Two records: the current note at
offset 0 (what is being converted), and from REPORTS_AT on the deaths that no reader has answered yet. A record is its
length and checksum, then msgpack; the current note's index of the frame stands between them and is written alone.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any, Final

from common import codec
from common.errors import WireError
from services.converter.events import PoisonNote

REPORTS_AT: Final = 16_384
REPORTS_KEPT: Final = 16
"""Deaths that are remembered while no reader answers; the oldest are forgotten first."""
_HEADER: Final = struct.Struct("<III")
"""Length and checksum of the record behind it, index of the frame."""
_INDEX_AT: Final = 8
_NOTHING: Final = _HEADER.pack(0, 0, 0)


class NoteFile:
    """The note file of one slot; the slot's lock keeps others out. Raises OSError if it can't be opened or made."""

    def __init__(self, path: Path, instance: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Room is taken now, so that a disk that fills up later can't stop the writing of notes.
        os.posix_fallocate(self._fd, 0, REPORTS_AT + 4096)
        self._instance = instance
        self._reports = self._read_reports()
        found = self._read_current()
        if found is not None and found.id not in {note.id for note in self._reports}:
            self._reports = [*self._reports, found][-REPORTS_KEPT:]
            self._write_reports()
        self.clear()

    @property
    def reports(self) -> list[PoisonNote]:
        """Deaths to be reported, oldest first."""
        return list(self._reports)

    def begin(self, device: str, journal: str, generation: int, first: int, length: int) -> None:
        """Users' code is about to touch these numbers, the first one first."""
        record = codec.pack([self._instance, device, journal, generation, first, length])
        if _HEADER.size + len(record) <= REPORTS_AT:
            os.pwrite(self._fd, _HEADER.pack(len(record), zlib.crc32(record), 0) + record, 0)

    def mark(self, index: int) -> None:
        """It is at this frame now."""
        os.pwrite(self._fd, index.to_bytes(4, "little"), _INDEX_AT)

    def clear(self) -> None:
        """Users' code has returned."""
        os.pwrite(self._fd, _NOTHING, 0)

    def forget(self, note_id: str) -> None:
        """The reader knows of this death."""
        self._reports = [note for note in self._reports if note.id != note_id]
        self._write_reports()

    def close(self) -> None:
        os.close(self._fd)

    def _read_current(self) -> PoisonNote | None:
        match self._read_record(0):
            case [str(instance), str(device), str(journal), int(generation), int(first), int(length)], index:
                numbers = [first + index] if index < length else [first]
                return PoisonNote(f"note-{instance}", device, journal, generation, numbers)
        return None

    def _read_reports(self) -> list[PoisonNote]:
        found = self._read_record(REPORTS_AT)[0]
        reports = []
        for item in found if isinstance(found, list) else []:
            match item:
                case [str(note_id), str(device), str(journal), int(generation), [int(), *_] as numbers]:
                    reports.append(PoisonNote(note_id, device, journal, generation, numbers))
        return reports

    def _write_reports(self) -> None:
        record = codec.pack([list(note) for note in self._reports])
        os.pwrite(self._fd, _HEADER.pack(len(record), zlib.crc32(record), 0) + record, REPORTS_AT)

    def _read_record(self, offset: int) -> tuple[Any, int]:
        """(the record or None if there is none that is whole, the index)."""
        header = os.pread(self._fd, _HEADER.size, offset)
        if len(header) < _HEADER.size:
            return None, 0
        length, checksum, index = _HEADER.unpack(header)
        record = os.pread(self._fd, min(length, 1 << 20), offset + _HEADER.size)
        if not record or zlib.crc32(record) != checksum:
            return None, index
        try:
            return codec.unpack(record), index
        except WireError:
            return None, index
