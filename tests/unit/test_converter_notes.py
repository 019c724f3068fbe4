"""The slot's note file: what the next process reads after a death."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.converter.events import PoisonNote
from services.converter.notes import REPORTS_KEPT, NoteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "converter-0.note"


def die(path: Path, instance: str, first: int, index: int | None = None) -> None:
    """A process that ends while users' code is at a frame."""
    notes = NoteFile(path, instance)
    notes.begin("press", "journal", 3, first, 10)
    if index is not None:
        notes.mark(index)
    notes.close()


def test_a_death_names_the_frame(path: Path) -> None:
    """The number at which users' code was, under an id that is the dead process's own."""
    die(path, "a", 100)
    die(path, "b", 200, 4)
    assert NoteFile(path, "c").reports == [
        PoisonNote("note-a", "press", "journal", 3, [100]),
        PoisonNote("note-b", "press", "journal", 3, [204]),
    ]


def test_reports_last_until_they_are_forgotten(path: Path) -> None:
    """A process that dies before a reader has answered leaves them to the next, once each."""
    die(path, "a", 100)
    NoteFile(path, "b").close()
    notes = NoteFile(path, "c")
    assert [note.id for note in notes.reports] == ["note-a"]
    notes.forget("note-a")
    notes.close()
    assert NoteFile(path, "d").reports == []


def test_a_cleared_note_is_no_death(path: Path) -> None:
    """Users' code has returned."""
    notes = NoteFile(path, "a")
    notes.begin("press", "journal", 3, 1, 10)
    notes.clear()
    notes.close()
    assert NoteFile(path, "b").reports == []


def test_reports_are_bounded(path: Path) -> None:
    """The oldest go first."""
    for number in range(REPORTS_KEPT + 2):
        die(path, f"p{number}", 1)
    reports = NoteFile(path, "last").reports
    assert [note.id for note in reports] == [f"note-p{number}" for number in range(2, REPORTS_KEPT + 2)]


@pytest.mark.parametrize("offset", [0, 3, 5, 12, 15, 30])
def test_a_damaged_note_is_no_note(path: Path, offset: int) -> None:
    """A checksum that fails means that nothing is known, and the process starts all the same."""
    die(path, "a", 100)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert NoteFile(path, "b").reports == []


def test_random_bytes_are_no_note(path: Path) -> None:
    """Whatever stands in the file, opening it works."""
    path.write_bytes(os.urandom(40_000))
    assert NoteFile(path, "b").reports == []


def test_a_name_that_does_not_fit_is_not_noted(path: Path) -> None:
    """It must not run into the reports."""
    notes = NoteFile(path, "a")
    notes.begin("x" * 20_000, "journal", 3, 1, 10)
    notes.close()
    assert NoteFile(path, "b").reports == []
