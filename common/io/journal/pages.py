"""What can still be read of a SQLite file and its write-ahead log, page by page, without the tree that joins them.

A row is found where its page is a leaf of a table; nobody but its own checksum says whether it is one of ours, and
whether it is whole. So it matters neither what of the tree is broken, nor that SQLite ends the log at its first damaged
frame, nor whose page it was. See https://sqlite.org/fileformat2.html.

Nothing here decides what is true, and nothing raises for what it finds; a file that can't be read raises OSError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from common.io.journal.breath import BREATH_PAGES, Breathe, hold_breath
from common.io.journal.files import LARGE_PAGE_BYTES, PAGE_BYTES, PageSource, Read

PAGE_SIZES: Final = (PAGE_BYTES, LARGE_PAGE_BYTES)
"""Which sizes the pages of our journals have, or have had."""
LOG_HEAD_BYTES: Final = 32
FRAME_HEAD_BYTES: Final = 24
HEAD_BYTES: Final = 100
"""What stands before the tree on the first page."""
VERSION_PLACE: Final = 60
"""Where that has `user_version`."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""No row of ours is larger; one that says so is damaged."""
_LEAF: Final = 0x0D
"""The first byte of a page that is a leaf of a table."""

Row = tuple[int, tuple[Any, ...]]
"""(row id, values). The column that is a table's INTEGER PRIMARY KEY is None among them: it is the row id."""


class Pages:
    """All pages of a file and its log, older states of them too."""

    def __init__(self, source: PageSource, breathe: Breathe = hold_breath) -> None:
        self._readings = [_SizedPages(source, size, breathe) for size in page_sizes(source)]

    def rows(self) -> Iterator[Row]:
        """(row id, values) of whatever looks like a row; the same one several times if it stands in several places."""
        for pages in self._readings:
            yield from pages.rows()

    def log_rows(self) -> Iterator[Row]:
        """The rows in the log alone, older states of them too."""
        for pages in self._readings:
            yield from pages.log_rows()

    @property
    def version(self) -> int:
        """The highest `user_version` on any first page: the newest schema it ever had; 0 where there is none."""
        return max(pages.version for pages in self._readings)


def page_sizes(source: PageSource) -> Sequence[int]:
    """Which sizes the pages may have: file and log say it at their beginnings. Where neither says one that ours have
    had, each is tried: what makes no sense is left out anyway."""
    said = (_number_at(source.read_file, 16, 2), _number_at(source.read_log, 8, 4))
    return [size for size in PAGE_SIZES if size in said] or PAGE_SIZES


def _number_at(read: Read, place: int, size: int) -> int:
    return int.from_bytes(read(size, place), "big")


class _SizedPages:
    """The pages of a file and its log, if they have a size."""

    def __init__(self, source: PageSource, size: int, breathe: Breathe) -> None:
        self._source = source
        self._size = size
        self._breathe = breathe
        # A row of up to `_inline` bytes stands in its cell. Of a longer one between `_least` and `_inline` do, so many
        # that the rest fills its own pages, `_chained` bytes on each behind the number of the next.
        self._inline = size - 35
        self._least = (size - 12) * 32 // 255 - 23
        self._chained = size - 4
        self._most_bytes = min(MOST_BYTES, source.file_bytes + source.log_bytes)
        self._latest: dict[int, int] | None = None

    def rows(self) -> Iterator[Row]:
        """See `Pages`."""
        yield from self.log_rows()
        for place in self._places(0, self._source.file_bytes, self._size):
            yield from self._rows_of(self._source.read_file(self._size, place), place == 0)

    def log_rows(self) -> Iterator[Row]:
        """See `Pages`."""
        source = self._source
        for place in self._frames():
            head = source.read_log(4, place)
            page = source.read_log(self._size, place + FRAME_HEAD_BYTES)
            yield from self._rows_of(page, int.from_bytes(head, "big") == 1)

    @property
    def version(self) -> int:
        """See `Pages`."""
        source = self._source
        found = [source.read_file(4, VERSION_PLACE)]
        for place in self._frames():
            if source.read_log(4, place) == b"\0\0\0\1":
                found.append(source.read_log(4, place + FRAME_HEAD_BYTES + VERSION_PLACE))
        return max(int.from_bytes(data, "big") for data in found)

    def _index_log(self) -> dict[int, int]:
        """Page number -> where the log has it last. Frames of an earlier log, left behind the present one, have
        another salt, and are older."""
        source = self._source
        latest: dict[int, int] = {}
        salt = source.read_log(8, LOG_HEAD_BYTES + 8)
        for place in self._frames():
            head = source.read_log(16, place)
            number = int.from_bytes(head[:4], "big")
            if head[8:] == salt:
                latest[number] = place + FRAME_HEAD_BYTES
            else:
                latest.setdefault(number, place + FRAME_HEAD_BYTES)
        return latest

    def _frames(self) -> Iterator[int]:
        """Where the frames of the log begin: each has a head and a page."""
        return self._places(LOG_HEAD_BYTES, self._source.log_bytes - FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + self._size)

    def _places(self, first: int, end: int, step: int) -> Iterator[int]:
        """Where the pages begin, with breaths between."""
        for number, place in enumerate(range(first, end, step)):
            if number % BREATH_PAGES == BREATH_PAGES - 1:
                self._breathe()
            yield place

    def _page(self, number: int) -> bytes:
        """A page as it was last."""
        if self._latest is None:
            self._latest = self._index_log()
        place = self._latest.get(number)
        if place is not None:
            return self._source.read_log(self._size, place)
        return self._source.read_file(self._size, (number - 1) * self._size) if number > 0 else b""

    def _rows_of(self, page: bytes, is_first: bool) -> Iterator[Row]:
        """What looks like a row on one page, which may be any: each cell is tried, and what makes no sense left out."""
        base = HEAD_BYTES if is_first else 0
        if len(page) < self._size or page[base] != _LEAF:
            return
        cells = min(int.from_bytes(page[base + 3 : base + 5], "big"), self._size // 4)
        for number in range(cells):
            pointer = base + 8 + 2 * number
            place = int.from_bytes(page[pointer : pointer + 2], "big")
            try:
                size, place = _varint(page, place)
                row_id, place = _varint(page, place)
                if 0 < size <= self._most_bytes and (values := _values(self._payload(page, place, size))) is not None:
                    yield _signed(row_id), values
            except (IndexError, struct.error, UnicodeDecodeError):
                continue

    def _payload(self, page: bytes, place: int, size: int) -> bytes:
        """What a cell holds, with what of it stands on pages of its own."""
        local = size
        if size > self._inline:
            local = self._least + (size - self._least) % self._chained
            local = local if local <= self._inline else self._least
        parts, left = [page[place : place + local]], size - local
        following = int.from_bytes(page[place + local : place + local + 4], "big")
        while left > 0:
            more = self._page(following)
            if len(more) < self._size:
                raise IndexError("a chain of pages that ends early")
            parts.append(more[4 : 4 + left])
            left -= self._chained
            following = int.from_bytes(more[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """(the number, where it ends)."""
    value = 0
    for count in range(9):
        byte = data[place + count]
        if count == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    raise IndexError


def _signed(value: int) -> int:
    """A row id as SQLite means it, of 64 bits."""
    return value - 2**64 if value >= 2**63 else value


def _values(payload: bytes) -> tuple[Any, ...] | None:
    """The columns of a record; None if it is none."""
    head_end, place = _varint(payload, 0)
    if not place <= head_end <= len(payload):
        return None
    at, values = head_end, []
    while place < head_end:
        kind = payload[place]
        if kind < 0x80:
            place += 1  # nearly all of them, and this is where most of the time goes
        else:
            kind, place = _varint(payload, place)
        size = _SIZES[kind] if kind < len(_SIZES) else (kind - 12) // 2
        data = payload[at : at + size]
        if size < 0 or len(data) < size:
            return None
        values.append(_value(kind, data))
        at += size
    return tuple(values)


_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, -1, -1)
"""How many bytes a value of each kind has; -1 for kinds that stand in no file, and larger kinds say their size."""


def _value(kind: int, data: bytes) -> Any:
    """A value of the kinds of the record format: nothing, a whole number, a real one, 0 or 1, bytes or a text."""
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, "big", signed=True)
    if kind == 7:
        return struct.unpack(">d", data)[0]
    if kind <= 9:
        return kind - 8
    return data.decode() if kind & 1 else data
