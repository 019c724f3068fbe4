"""The sections that the blocks of a journal name: the configuration under which each was read.

A block says its section by a number, as a section has kilobytes and thousands of blocks have the same one. Part of the
journal's commits: nothing here begins or ends one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from common.core.hashes import short_hash
from common.io.journal.seals import Seals

SECTION: Final = "INSERT OR REPLACE INTO sections (id, hash, section, checksum) VALUES (?, ?, ?, ?)"
_PRUNE: Final = (
    "DELETE FROM sections WHERE id NOT IN (SELECT section FROM blocks) AND id < (SELECT max(id) FROM sections)"
)


class StoredSections:
    """The sections of one open journal, all of them in memory. What is in the table, and what could not be written yet,
    are two things: `by_name` has both, `ids` and `names` only the former."""

    def __init__(self, connection: sqlite3.Connection, seals: Seals, by_name: dict[str, bytes]) -> None:
        self._connection = connection
        self._seals = seals
        self.by_name = by_name
        """Section by its hash, oldest first."""
        self.ids: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.index()

    def index(self) -> None:
        """Looks up which sections the table has, after something about it has changed."""
        self.names = dict(self._connection.execute("SELECT id, hash FROM sections").fetchall())
        self.ids = {name: number for number, name in self.names.items()}

    def prune(self) -> None:
        """Removes those that no block names from the table, but for the newest, which is the journal's word on its
        device: a configuration that changes each day must not fill the disk."""
        self._connection.execute(_PRUNE)

    def reload(self) -> None:
        """Forgets those that are not in the table: they have to be kept anew before a block names them."""
        self.by_name = read_sections(self._connection, self._seals)
        self.index()

    def adopt(self, others: dict[str, bytes]) -> bool:
        """Takes in the sections of a journal that this one replaces; True if there are any that it does not have."""
        missing = {name: section for name, section in others.items() if name not in self.by_name}
        self.by_name |= missing
        return bool(missing)

    def write_missing(self) -> None:
        """Writes those that could not be written so far."""
        for name, section in self.by_name.items():
            if name not in self.ids:
                self._connection.execute(SECTION, (None, name, section, self._seals.section(name, section)))
        self.index()


def read_sections(database: sqlite3.Connection, seals: Seals) -> dict[str, bytes]:
    """Section by its hash, oldest first. Raises sqlite3.DatabaseError if one is not as it was written."""
    rows = database.execute("SELECT hash, section, checksum FROM sections ORDER BY id").fetchall()
    for name, section, seal in rows:
        if type(name) is not str or type(section) is not bytes or seal != seals.section(name, section):
            raise sqlite3.DatabaseError("damaged: a section is not as it was written")
    return {name: section for name, section, _ in rows}


SECTION_DIGITS: Final = 16
"""How long the name of a section is, which says whether one of schema 2 is as it was written."""


def section_name(section: bytes) -> str:
    """The name of a section, SECTION_DIGITS of its hash: who has the section can see that the name is its own."""
    return short_hash(section, SECTION_DIGITS)
