"""The blocks that wait in a journal, one row each, and the deaths that are counted against single numbers.

Part of the journal's commits: nothing here begins or ends one. Numbers rise without end, and each is in one block at
most; what is settled goes by whole blocks, so the first one may be settled in part.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from common.io.journal.files import SQLITE_FAULTS, failure_of
from common.io.journal.seals import Seals, kept_block
from common.io.journal.sections import StoredSections
from common.io.journal.tables import BLOCK, STRIKE, find_blocks, row_of
from common.stream.blocks import Block

_TRIM: Final = "DELETE FROM blocks WHERE first < ? AND first + length <= ?"


class StoredBlocks:
    """The queue of one open journal."""

    def __init__(
        self, connection: sqlite3.Connection, seals: Seals, sections: StoredSections, plain_below: int
    ) -> None:
        """`plain_below`: blocks below it have the plain checksums of schema 2."""
        self._connection = connection
        self._seals = seals
        self._sections = sections
        self._plain_below = plain_below
        # Nearly no journal ever has strikes, and then no trim has to look for them.
        self._has_strikes = row_of(connection, "SELECT count(*) FROM strikes")[0] > 0
        self.damaged = 0
        """Blocks that were to be fetched, and were not as they were written."""

    def append(self, blocks: list[Block]) -> None:
        """Adds blocks. One whose first number is there already replaces it: it is the same one, tried again."""
        ids, seals, plain = self._sections.ids, self._seals, self._plain_below
        self._connection.executemany(
            BLOCK,
            [
                (
                    b.first,
                    b.length,
                    b.kind,
                    ids[b.section],
                    len(b.body),
                    b.at_ms,
                    seals.block(b, plain),
                    b.body,
                    b.origin,
                )
                for b in blocks
            ],
        )

    def trim(self, base: int) -> None:
        """Deletes the blocks all of whose numbers are below `base`, and the strikes of such numbers."""
        self._connection.execute(_TRIM, (base, base))
        if self._has_strikes:
            self._connection.execute("DELETE FROM strikes WHERE number < ?", (base,))

    def strike(self, counts: dict[int, int]) -> None:
        """Keeps how many deaths each of these numbers was alone in, in place of what was kept of it."""
        self._has_strikes = True
        seal = self._seals.strike
        self._connection.executemany(
            STRIKE, [(number, deaths, seal(number, deaths)) for number, deaths in counts.items()]
        )

    def fetch(self, first: int, max_frames: int, max_bytes: int) -> list[Block]:
        """Blocks from the one that holds `first` on: at least one, and no more once they have so many frames or bytes;
        [] if there is none from there. One that is not as it was written is left out, and counted. Raises JournalError,
        JournalDamageError."""
        blocks: list[Block] = []
        frames = size = 0
        names, seals, plain = self._sections.names, self._seals, self._plain_below
        try:
            for row in find_blocks(self._connection, first):
                block = kept_block((*row[:3], *row[4:]), names.get(row[3]), seals, plain)
                if block is None:
                    self.damaged += 1
                    continue
                if block.end <= first:
                    continue  # the one before, where a gap is asked for
                blocks.append(block)
                frames, size = frames + block.length, size + len(block.body)
                if frames >= max_frames or size >= max_bytes:
                    break
        except SQLITE_FAULTS as error:
            raise failure_of(error) from None
        return blocks

    @property
    def is_empty(self) -> bool:
        """True if no block waits."""
        return not row_of(self._connection, "SELECT count(*) FROM (SELECT 1 FROM blocks LIMIT 1)")[0]
