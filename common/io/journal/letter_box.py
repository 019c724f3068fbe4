"""The journal's dead letters: a table that drops its oldest above its limits.

They are looked at by people, and may be sent through again. Nobody has to, so they need bounds of their own: a device
that sends nothing but junk must not fill the disk with it. Part of the journal's commits.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from common.io.journal.seals import Seals, is_kept_letter
from common.stream.events import DeadLetter, FindLetters, KeptLetter

DEAD_LETTERS: Final = 10_000
"""So many are kept of one device."""
DEAD_BYTES: Final = 64 * 1024 * 1024
"""So many bytes of their data are kept, if they are long."""
PUT: Final = "INSERT INTO dead_letters (number, ts_ms, reason, data, origin, checksum) VALUES (?, ?, ?, ?, ?, ?)"

PUT_WITH_ID: Final = (
    "INSERT OR REPLACE INTO dead_letters (number, ts_ms, reason, data, origin, checksum, id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class LetterBox:
    """The dead letters of one open journal. Nothing here begins or ends a commit."""

    def __init__(self, database: sqlite3.Connection, seals: Seals) -> None:
        self._database = database
        self._seals = seals
        self.shed = 0
        """Dropped under the limits, oldest first, since the opening."""
        self.damaged: set[int] = set()
        """Ids of those that somebody asked for, and that are not as they were written."""
        # Counted as they come and go: to ask the table at each commit would read all of it.
        self.count = self.bytes = 0
        self.recount()

    def recount(self) -> None:
        """What is kept, after a commit that failed."""
        self.count, self.bytes = self._database.execute(
            "SELECT count(*), coalesce(sum(length(data)), 0) FROM dead_letters"
        ).fetchone()

    def put(self, dead: list[DeadLetter]) -> None:
        """Adds them, and drops the oldest above the limits."""
        if not dead:
            return
        self._database.executemany(PUT, [(*letter, self._seals.letter(*letter)) for letter in dead])
        self.count += len(dead)
        self.bytes += sum(len(letter.data) for letter in dead)
        if self.count <= DEAD_LETTERS and self.bytes <= DEAD_BYTES:
            return
        # The ids of those that go are found in one pass from the oldest on, and deleted in one statement.
        last, before = 0, self.count
        for number, size in self._database.execute("SELECT id, length(data) FROM dead_letters ORDER BY id"):
            if self.count <= DEAD_LETTERS and self.bytes <= DEAD_BYTES:
                break
            last = number
            self.count -= 1
            self.bytes -= size
        self.shed += before - self.count
        self._database.execute("DELETE FROM dead_letters WHERE id <= ?", (last,))

    def forget(self, ids: tuple[int, ...]) -> None:
        """Removes those that are in the queue again."""
        for letter_id in ids:
            # One that is gone already was dropped meanwhile, and is not counted a second time.
            size = self._database.execute("SELECT length(data) FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()
            if size is not None:
                self.count -= 1
                self.bytes -= size[0]
        self._database.executemany("DELETE FROM dead_letters WHERE id = ?", [(letter_id,) for letter_id in ids])

    def find(self, effect: FindLetters) -> list[KeptLetter]:
        """The page that is asked for, without those that are not as they were written."""
        order = "DESC" if effect.newest_first else "ASC"
        found: list[KeptLetter] = []
        size = 0
        for row in self._database.execute(
            "SELECT id, number, ts_ms, reason, data, origin, checksum FROM dead_letters"
            f" WHERE id > ? AND id < ? ORDER BY id {order} LIMIT ?",
            (effect.after, effect.before, effect.most),
        ):
            if not self._holds(row[1:]):
                self.damaged.add(row[0])
                continue
            # The first one is found however large it is: else nobody could ever see it.
            size += len(row[4])
            if found and size > effect.most_bytes:
                break
            found.append(KeptLetter(*row[:6]))
        return found

    def _holds(self, row: tuple[int, int, str, bytes, str, int]) -> bool:
        """True if (number, ts_ms, reason, data, origin, checksum) is as it was written."""
        return is_kept_letter(row, self._seals)
