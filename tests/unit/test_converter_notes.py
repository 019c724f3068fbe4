"""The slot's note file: what the next process reads after a death."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.converter.core.events import PoisonNote
from services.converter.core.lanes import HOSTS
from services.converter.shell.notes import CURRENTS_AT, NOTE_BYTES, REPORTS_KEPT, HostNote, NoteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "converter-0.notes"


def die(path: Path, life: str, first: int, index: int | None = None, host: int = 0) -> None:
    """A host ends while users' code is at a frame, and its converter with it."""
    notes = NoteFile(path)
    note = HostNote(notes.descriptor, host, life)
    note.begin("press", "journal", 3, first, 10)
    if index is not None:
        note.mark(index)
    notes.close()


def test_a_death_names_the_frame(path: Path) -> None:
    """The number at which users' code was, under an id that is the dead host's own."""
    die(path, "a", 100)
    die(path, "b", 200, 4, host=63)
    assert NoteFile(path).reports == [
        PoisonNote("note-a", "press", "journal", 3, [100]),
        PoisonNote("note-b", "press", "journal", 3, [204]),
    ]


def test_reports_last_until_they_are_forgotten(path: Path) -> None:
    """A process that dies before a reader has answered leaves them to the next, once each."""
    die(path, "a", 100)
    NoteFile(path).close()
    notes = NoteFile(path)
    assert [note.id for note in notes.reports] == ["note-a"]
    notes.forget("note-a")
    notes.close()
    assert NoteFile(path).reports == []


def test_a_cleared_note_is_no_death(path: Path) -> None:
    """Users' code has returned."""
    notes = NoteFile(path)
    note = HostNote(notes.descriptor, 0, "a")
    note.begin("press", "journal", 3, 1, 10)
    note.clear()
    notes.close()
    assert NoteFile(path).reports == []


def test_reports_are_bounded(path: Path) -> None:
    """The oldest go first."""
    for number in range(REPORTS_KEPT + 2):
        die(path, f"p{number}", 1)
    reports = NoteFile(path).reports
    assert [note.id for note in reports] == [f"note-p{number}" for number in range(2, REPORTS_KEPT + 2)]


@pytest.mark.parametrize("offset", [0, 3, 5, 12, 15, 30])
def test_a_damaged_note_is_no_note(path: Path, offset: int) -> None:
    """A checksum that fails means that nothing is known, and the process starts all the same."""
    die(path, "a", 100)
    with path.open("r+b") as file:
        file.seek(CURRENTS_AT + offset)
        byte = file.read(1)
        file.seek(CURRENTS_AT + offset)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert NoteFile(path).reports == []


def test_random_bytes_are_no_note(path: Path) -> None:
    """Whatever stands in the file, opening it works."""
    path.write_bytes(os.urandom(CURRENTS_AT + HOSTS * NOTE_BYTES))
    assert NoteFile(path).reports == []


def test_a_name_that_does_not_fit_is_not_noted(path: Path) -> None:
    """It must not run into the next host's."""
    notes = NoteFile(path)
    HostNote(notes.descriptor, 0, "a").begin("x" * 20_000, "journal", 3, 1, 10)
    notes.close()
    assert NoteFile(path).reports == []


def test_a_note_is_taken_once_while_its_converter_lives(path: Path) -> None:
    """It is kept for the next process until the reader has answered."""
    notes = NoteFile(path)
    HostNote(notes.descriptor, 5, "a").begin("press", "journal", 3, 7, 10)
    found = notes.take(5)
    assert found == PoisonNote("note-a", "press", "journal", 3, [7])
    assert notes.take(5) is None
    notes.close()
    assert NoteFile(path).reports == [found]
