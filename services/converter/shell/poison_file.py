"""A slot's poison file: which frames are in users' code now, readable after the process that ran it has died.

Users' code may end its process in a frame, and would do so again at each resend. So each host writes down the frame
before users' code gets it; who finds such a record without its host knows which frame to suspect.

The file guards against the death of processes, not of the machine, so nothing is flushed. First come the deaths that no
reader has answered yet, then from CURRENTS_AT on one record for each host: what it is converting. Hosts write theirs
themselves. A record is its length and checksum, then msgpack; in a host's record the index of the frame stands between
them and is written alone, four bytes a frame.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from common.core.errors import WireError
from common.wire import codec
from services.converter.core.events import Death
from services.converter.core.lanes import HOSTS

CURRENTS_AT: Final = 65_536
"""Where the hosts' records begin; before it is room for the deaths."""
RECORD_BYTES: Final = 8_192
"""Room for one host's record; a device's name has at most 4 KiB of it."""
REPORTS_KEPT: Final = HOSTS
"""Deaths that are remembered while no reader answers, as many as may come at once; the oldest are forgotten first."""
_HEADER: Final = struct.Struct("<III")
"""Length and checksum of the record behind it, index of the frame."""
_INDEX_AT: Final = 8
_NOTHING: Final = _HEADER.pack(0, 0, 0)


class HostRecord:
    """One host's place in the poison file of its converter's slot. Methods raise OSError if the disk fails."""

    def __init__(self, descriptor: int, host: int, life: str) -> None:
        """`life` names this start of the host; no other has its name, so one death is never counted twice."""
        self._fd = descriptor
        self._at = CURRENTS_AT + host * RECORD_BYTES
        self._life = life

    def begin(self, device: str, journal: str, generation: int, first: int, length: int) -> None:
        """Users' code is about to touch `length` numbers from `first` on, the first one first.

        Nothing is written where it does not fit: then nobody can say which frame it was.
        """
        record = codec.pack([self._life, device, journal, generation, first, length])
        if _HEADER.size + len(record) <= RECORD_BYTES:
            os.pwrite(self._fd, _HEADER.pack(len(record), zlib.crc32(record), 0) + record, self._at)

    def mark(self, index: int) -> None:
        """Users' code is about to touch the frame at this index of the batch."""
        os.pwrite(self._fd, index.to_bytes(4, "little"), self._at + _INDEX_AT)

    def clear(self) -> None:
        """Users' code has returned, and what it made has been said."""
        os.pwrite(self._fd, _NOTHING, self._at)


class PoisonFile:
    """The poison file of one slot; the slot's lock keeps others out. Raises OSError if it can't be opened or made."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # Room is taken now, so that a disk that fills up later can't stop the writing of records.
        os.posix_fallocate(self._fd, 0, CURRENTS_AT + HOSTS * RECORD_BYTES)
        self._reports = self._read_reports()
        for host in range(HOSTS):
            self.take(host)

    @property
    def reports(self) -> list[Death]:
        """Deaths to be reported, oldest first; those of the process before this one are among them."""
        return list(self._reports)

    @property
    def descriptor(self) -> int:
        """The open file, which hosts inherit: they write their records themselves."""
        return self._fd

    def take(self, host: int) -> Death | None:
        """What a host was at that is gone now; it is kept as a death to be reported. None if it was at nothing."""
        found = self._read_current(host)
        if found is None:
            return None
        if found.id not in {death.id for death in self._reports}:
            self._reports = [*self._reports, found][-REPORTS_KEPT:]
            self._write_reports()
        self.clear(host)
        return found

    def clear(self, host: int) -> None:
        """What a host was at is not to blame for its end."""
        os.pwrite(self._fd, _NOTHING, CURRENTS_AT + host * RECORD_BYTES)

    def forget(self, death_id: str) -> None:
        """The reader knows of this death, and counts it."""
        self._reports = [death for death in self._reports if death.id != death_id]
        self._write_reports()

    def close(self) -> None:
        os.close(self._fd)

    def _read_current(self, host: int) -> Death | None:
        match self._read_record(CURRENTS_AT + host * RECORD_BYTES, RECORD_BYTES):
            case [str(life), str(device), str(journal), int(generation), int(first), int(length)], index:
                # A damaged index may point anywhere; the batch's first frame is as good a suspect as any.
                numbers = [first + index] if index < length else [first]
                return Death(f"note-{life}", device, journal, generation, numbers)
        return None

    def _read_reports(self) -> list[Death]:
        found = self._read_record(0, CURRENTS_AT)[0]
        reports = []
        for item in found if isinstance(found, list) else []:
            match item:
                case [str(death_id), str(device), str(journal), int(generation), [int(), *_] as numbers]:
                    reports.append(Death(death_id, device, journal, generation, numbers))
        return reports

    def _write_reports(self) -> None:
        """Writes the deaths, the oldest left out until the rest fits."""
        record = codec.pack([list(death) for death in self._reports])
        while _HEADER.size + len(record) > CURRENTS_AT:
            del self._reports[0]
            record = codec.pack([list(death) for death in self._reports])
        os.pwrite(self._fd, _HEADER.pack(len(record), zlib.crc32(record), 0) + record, 0)

    def _read_record(self, offset: int, room: int) -> tuple[object, int]:
        """(the record or None if there is none that is whole, the index)."""
        header = os.pread(self._fd, _HEADER.size, offset)
        if len(header) < _HEADER.size:
            return None, 0
        length, checksum, index = _HEADER.unpack(header)
        record = os.pread(self._fd, min(length, room - _HEADER.size), offset + _HEADER.size)
        if not record or zlib.crc32(record) != checksum:
            return None, index
        try:
            return codec.unpack(record), index
        except WireError:
            return None, index
