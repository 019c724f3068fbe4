"""Rows as older schemas wrote them, read as this one has them.

A journal outlives an upgrade, and pages of older states lie about in its file long after it was migrated. A row of
`meta` says its schema itself; any other row is known by the number of its columns, which each schema that changed a
table made another one. Pure.

The row of `meta`, its id included, had 11 columns in schema 2 and 13 in schema 3, where what the line wanted to be
remembered stood in two columns of numbers, 0 or 1. A line's state is those two as a byte each.
"""

from __future__ import annotations

from typing import Any, Final

from common.io.journal.seals import Meta, seal_row

OLDEST: Final = 2
"""The oldest schema that is read."""
FIRST_WITH_MARK: Final = 3
"""A journal of an older schema has no mark beside it, and none is missed."""
FIRST_WITH_LINE_STATE: Final = 4
"""Since then a line says itself, in bytes, what is to be remembered of it."""
META_COLUMNS: Final = {
    2: "id schema_version journal device generation next_number last_ts_ms settled mid_frame seen_delimiter closed",
    3: "id schema_version journal device generation next_number last_ts_ms settled mid_frame seen_delimiter closed"
    " plain_below checksum",
    4: "id schema_version journal device generation next_number last_ts_ms settled line_state closed plain_below"
    " checksum",
}
"""The columns of `meta` by schema."""
BLOCK_COLUMNS: Final = (8, 10)
"""How many columns a row of `blocks` has: it has had its origin and the form of its body since schema 4."""
LETTER_COLUMNS: Final = (6, 7)
"""How many columns a dead letter has: it has had its origin since schema 4."""
_META_WIDTHS: Final = {schema: len(columns.split()) for schema, columns in META_COLUMNS.items()}


def is_meta(values: tuple[Any, ...]) -> bool:
    """True if a row has as many columns as `meta` has, or had once."""
    return len(values) in _META_WIDTHS.values()


def meta_of(values: tuple[Any, ...]) -> Meta | None:
    """What a row of `meta` says, its id first, in whichever schema; None if it is not as it was written. The result
    says the schema that it came from."""
    schema = values[1] if len(values) > 1 and type(values[1]) is int else 0
    if _META_WIDTHS.get(schema) != len(values):
        return None
    if schema != OLDEST and values[-1] != seal_row(values[1:-1]):
        return None
    if schema >= FIRST_WITH_LINE_STATE:
        meta = Meta(*values[1:-1])
    else:
        head, flags, rest = values[1:8], values[8:10], values[10:12]
        if not all(type(flag) is int for flag in flags):
            return None
        # Schema 2 had plain checksums for all blocks that it wrote, and did not say where they end.
        rest = rest if schema > OLDEST else (*rest, head[4])
        meta = Meta._make((*head, bytes(map(bool, flags)), *rest))
    return meta if meta.makes_sense else None


def block_values(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `blocks` with all its columns: one that ends early came unasked, and has a body of the first form."""
    return values if len(values) == BLOCK_COLUMNS[-1] else (*values, "", 1)


def letter_values(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """(number, ts_ms, reason, data, origin, checksum) of a row of `dead_letters`."""
    origin = values[6] if len(values) == LETTER_COLUMNS[-1] else ""
    return (*values[1:5], origin, values[5])
