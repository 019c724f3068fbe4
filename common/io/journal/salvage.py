"""What of a damaged journal holds: rows of its pages whose checksums say that they are ours, and as they were written.

Which table a row was in is not known any more. Its number of columns says it, as no two tables have the same, but for
sections of schema 2 and strikes, which differ in their types; and the checksum of one never fits another.

Blocks are not kept in memory: a journal may have 256 MiB of them. Pure; the files are read through `pages.Source`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from common.io.journal.mark import Mark
from common.io.journal.older import (
    BLOCK_COLUMNS,
    FIRST_WITH_MARK,
    LETTER_COLUMNS,
    block_values,
    is_meta,
    letter_values,
    meta_of,
)
from common.io.journal.pages import Row
from common.io.journal.recovery import Recovery
from common.io.journal.seals import (
    MOST,
    SCHEMA_VERSION,
    Meta,
    Seals,
    is_kept_letter,
    kept_block,
)
from common.io.journal.sections import section_name
from common.stream.blocks import Block
from common.stream.events import DeadLetter


class Salvage(NamedTuple):
    """What is known beside blocks and dead letters."""

    recovery: Recovery
    """What the journal remembered, or else what its mark does."""
    sections: dict[int, tuple[str, bytes]]
    """(hash, section) by the number under which blocks name it."""
    strikes: dict[int, int]
    """The highest count that was found of each number: counts only rise."""


def survey(
    rows: Iterator[Row],
    device: str,
    mark: Mark | None,
    new_id: str,
    configured: tuple[str, bytes] | None = None,
) -> Salvage:
    """A first look at everything but blocks and dead letters. `configured` is the device's section, which may have been
    lost with its row: blocks that name it say so by their checksums."""
    seals = Seals(device)
    metas: list[Meta] = []
    sections: dict[int, tuple[str, bytes]] = {}
    strikes: dict[int, int] = {}
    for row_id, values in rows:
        match len(values):
            case _ if is_meta(values):
                if (meta := meta_of(values)) is not None and meta.device == device:
                    metas.append(meta)
            case 4 | 3 if (section := _section_of(values, seals)) is not None:
                sections[row_id] = section
            case 3 if type(values[1]) is int and values[2] == seals.strike(row_id, values[1]):
                strikes[row_id] = max(values[1], strikes.get(row_id, 0))
    if configured is not None and configured not in sections.values():
        sections[max(sections, default=0) + 1] = configured
    recovery = _recovery_of(metas, device, mark if mark is not None and mark.salt == seals.salt else None, new_id)
    return Salvage(recovery, sections, strikes)


def device_of(rows: Iterator[Row]) -> str:
    """The device that a journal says it belongs to; "" if it says nothing."""
    metas = [meta for _, values in rows if (meta := meta_of(values)) is not None]
    return max(metas, key=lambda meta: (meta.generation, meta.next_number)).device if metas else ""


def _recovery_of(metas: list[Meta], device: str, mark: Mark | None, new_id: str) -> Recovery:
    """How far the journal had come. Of several rows of `meta`, which are states of one, the latest counts; if none
    holds, the mark's word does. Where there is no mark either it is taken for a journal of schema 2, which had none,
    and whose blocks have plain checksums."""
    if metas:
        meta = max(metas, key=lambda meta: (meta.generation, meta.next_number))
        if mark is not None and mark.journal == meta.journal:
            return Recovery(meta, mark, meta.journal)
        # Without its mark nobody knows whether its generation was its last.
        return Recovery(meta, None, new_id if meta.schema_version >= FIRST_WITH_MARK else meta.journal)
    plain = 0 if mark is not None else MOST
    meta = Meta(SCHEMA_VERSION, mark.journal if mark else new_id, device, plain_below=plain)
    return Recovery(meta, mark, meta.journal)


def _section_of(values: tuple[Any, ...], seals: Seals) -> tuple[str, bytes] | None:
    """(hash, section) of a row that holds. Schema 2 had no checksum for it, but its hash says the same."""
    name, section = values[1:3]
    if type(name) is not str or type(section) is not bytes:
        return None
    holds = values[3] == seals.section(name, section) if len(values) == 4 else name == section_name(section)
    return (name, section) if holds else None


class FoundBlock(NamedTuple):
    """A block that holds, and the id of its section."""

    block: Block
    section_id: int
    checksum: int

    @property
    def row(self) -> tuple[int, int, int, int, int, int, int, bytes, str]:
        """What `tables.BLOCK` takes."""
        block = self.block
        size = len(block.body)
        head = (block.first, block.length, block.kind, self.section_id, size, block.at_ms)
        return *head, self.checksum, block.body, block.origin


def blocks_of(rows: Iterator[Row], salvage: Salvage, seals: Seals) -> Iterator[FoundBlock]:
    """The unsettled blocks that hold, in any order, some of them more than once."""
    recovery = salvage.recovery
    settled, plain_below = recovery.settled, recovery.meta.plain_below
    # A block's checksum covers the name of its section, while its row has only the section's number.
    names = {section_id: name for section_id, (name, _) in salvage.sections.items()}
    ids = {name: section_id for section_id, name in names.items()}
    for first, values in rows:
        if (
            len(values) not in BLOCK_COLUMNS
            or type(values[1]) is not int
            or first + values[1] <= settled
            or first >= MOST
        ):
            continue
        _, length, kind, section, size, at_ms, checksum, body, origin, form = block_values(values)
        row = (first, length, kind, at_ms, checksum, body, origin, form)
        # The row of its section may be lost, where another one, or what is configured, says the same.
        for name in dict.fromkeys([names.get(section), *names.values()]):
            block = kept_block(row, name, seals, plain_below)
            if block is not None and size == len(block.body):
                yield FoundBlock(block, ids[block.section], checksum)
                break


def letters_of(rows: Iterator[Row], seals: Seals) -> Iterator[tuple[int, DeadLetter]]:
    """(id, dead letter) of those that hold, some of them more than once."""
    for row_id, values in rows:
        if len(values) in LETTER_COLUMNS and is_kept_letter(letter := letter_values(values), seals):
            yield row_id, DeadLetter(*letter[:5])
