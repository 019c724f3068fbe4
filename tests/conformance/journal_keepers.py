"""Keepers of a journal: the real one, and what stands in for it in tests, all to be asked in one way.

The real journal is here twice: closed by its process, and left behind by one that was killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from common.io.journal.files import JournalFile
from common.io.journal.opening import open_journal
from common.io.journal.store import Store
from common.stream.numbers import StreamState
from tests.simulation.source import Disk
from tests.support.fake_journal import FakeJournal
from tests.support.journals import QUIET


class Keeper(Protocol):
    """One journal, whatever it is made of."""

    def open(self) -> StreamState:
        """A process opens it; the one before is gone."""

    def perform(self, effect: Any) -> list[Any]:
        """Carries out one effect; the events that follow."""

    def put_section(self, section_hash: str, section: bytes) -> None:
        """Keeps a section."""

    def set_full(self, is_full: bool) -> None:
        """Whether nothing can be written."""


class OnDisk:
    """The real journal, in a folder."""

    def __init__(self, folder: Path, is_killed: bool) -> None:
        self._file = JournalFile(folder / "j", "press 1", "j")
        self._is_killed = is_killed
        self._store: Store | None = None

    def open(self) -> StreamState:
        if self._store is not None:
            if self._is_killed:
                self._journal.abandon()
            else:
                self._journal.close()
        opening = open_journal(self._file, "x")
        assert (opening.aside, opening.damage, opening.journal.faults) == (None, "", [])
        self._journal = opening.journal
        self._store = Store("press 1", self._journal, QUIET)
        return self._journal.state

    def perform(self, effect: Any) -> list[Any]:
        assert self._store is not None
        return list(self._store.perform(effect))

    def put_section(self, section_hash: str, section: bytes) -> None:
        self._journal.put_section(section_hash, section)

    def set_full(self, is_full: bool) -> None:
        connection: sqlite3.Connection = self._journal._database.connection
        connection.execute(f"PRAGMA query_only = {int(is_full)}")


class InMemory:
    """A stand-in, with a disk of its own."""

    def __init__(self, journal: FakeJournal) -> None:
        self._journal = journal

    def open(self) -> StreamState:
        return self._journal.open()

    def perform(self, effect: Any) -> list[Any]:
        events = self._journal.perform(effect)
        assert events is not None, f"{effect} is for the journal"
        return events

    def put_section(self, section_hash: str, section: bytes) -> None:
        self._journal.put_section(section_hash, section)

    def set_full(self, is_full: bool) -> None:
        self._journal.is_full = is_full


KEEPERS: Final[dict[str, Callable[[Path], Keeper]]] = {
    "on disk, closed": lambda folder: OnDisk(folder, is_killed=False),
    "on disk, killed": lambda folder: OnDisk(folder, is_killed=True),
    "under one core": lambda _: InMemory(FakeJournal()),
    "in the simulation": lambda _: InMemory(Disk("j")),
}
