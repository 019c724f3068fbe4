"""Checksums that say what a row of the journal is and whose: one that holds is as it was written, wherever it is found.

They begin with the device's name, so that no row of another device's journal passes for one of ours; blocks of schema 2
have plain ones. Pure.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

from common.stream.blocks import BODY_FORM, Block
from common.stream.numbers import LINE_STATE_BYTES

SCHEMA_VERSION: Final = 4
_FIRST_FORM: Final = 1
"""The form of the bodies whose rows did not say one."""
MOST: Final = 2**62
"""No number, generation or time comes so far; what says more is damage."""


class JournalNewerError(Exception):
    """A newer serialgw wrote what stands in the journal, and only that can read it. It is left as it is."""


class Meta(NamedTuple):
    """What the journal remembers beside its queue, as its row has it."""

    schema_version: int
    journal: str
    device: str
    generation: int = 0
    next_number: int = 1
    last_ts_ms: int = 0
    settled: int = 1
    line_state: bytes = b""
    """The line's own, which nobody else reads."""
    closed: int = 1
    plain_below: int = 0
    """Blocks below this were written under schema 2, with plain checksums."""

    @property
    def makes_sense(self) -> bool:
        """True if the types and ranges are those of a journal."""
        texts = type(self.journal) is str and type(self.device) is str and self.journal != ""
        line = type(self.line_state) is bytes and len(self.line_state) <= LINE_STATE_BYTES
        numbers = (self.schema_version, *self[3:7], self.closed, self.plain_below)
        are_numbers = all(type(number) is int and 0 <= number < MOST for number in numbers)
        return texts and line and are_numbers and self.settled > 0


class Seals:
    """The checksums of one device's rows."""

    def __init__(self, device: str) -> None:
        self.salt = zlib.crc32(device.encode())
        """Short for the device."""

    def block(self, block: Block, plain_below: int = 0, form: int = BODY_FORM) -> int:
        """Covers everything that a block's row says. An origin and another form than the first are said only where
        there are any: so blocks of older schemas, which had neither, need no new checksum."""
        head = f"{block.first} {block.length} {block.kind} {block.section} {block.at_ms} "
        if block.origin or form != _FIRST_FORM:
            head += f"{form} {block.origin} "
        salt = 0 if block.first < plain_below else self.salt
        return zlib.crc32(block.body, zlib.crc32(head.encode(), salt))

    def section(self, section_hash: str, section: bytes) -> int:
        """Covers a section and its name."""
        return zlib.crc32(section, zlib.crc32(f"section {section_hash} ".encode(), self.salt))

    def letter(self, number: int, ts_ms: int, reason: str, data: bytes, origin: str = "") -> int:
        """Covers a dead letter; its origin is said where it has one, as in `block`."""
        head = f"letter {number} {ts_ms} {reason} "
        if origin:
            head += f"{origin} "
        return zlib.crc32(data, zlib.crc32(head.encode(), self.salt))

    def strike(self, number: int, count: int) -> int:
        """Covers a number and the deaths that it was alone in."""
        return zlib.crc32(f"strike {number} {count}".encode(), self.salt)


def seal_meta(meta: Meta) -> int:
    """The checksum of what the row of `meta` says. It needs no salt: the row names its device itself."""
    return zlib.crc32(repr(tuple(meta)).encode())


def seal_row(values: tuple[object, ...]) -> int:
    """The checksum of a row of `meta` in any schema, given without its id and its checksum."""
    return zlib.crc32(repr(values).encode())


def kept_block(row: tuple[Any, ...], section: str | None, seals: Seals, plain_below: int) -> Block | None:
    """The block of (first, length, kind, at_ms, checksum, body, origin, form); None if it is not as it was written:
    flash cards forget bits. Raises JournalNewerError for one that is, and whose body has a form that is not known
    here: nobody may take it for something else, or for lost."""
    first, length, kind, at_ms, checksum, body, origin, form = row
    numbers = (first, length, kind, at_ms, checksum, form)
    if section is None or type(body) is not bytes or type(origin) is not str:
        return None
    if not all(type(number) is int for number in numbers) or length < 1:
        return None
    block = Block(first, length, kind, section, body, at_ms, origin)
    if checksum != seals.block(block, plain_below, form):
        return None
    if form != BODY_FORM:
        raise JournalNewerError(f"its entry {first} has a body of form {form}, expected {BODY_FORM}")
    return block


def is_kept_letter(row: tuple[Any, ...], seals: Seals) -> bool:
    """True if the dead letter of (number, ts_ms, reason, data, origin, checksum) is as it was written."""
    is_letter = all(map(isinstance, row, (int, int, str, bytes, str, int)))
    return is_letter and bool(row[5] == seals.letter(*row[:5]))
