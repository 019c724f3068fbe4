"""The slot's poison file: what the next process reads after a death."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.converter.core.events import Death
from services.converter.core.lanes import HOSTS
from services.converter.shell.poison_file import CURRENTS_AT, RECORD_BYTES, REPORTS_KEPT, HostRecord, PoisonFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "converter-0.notes"


def die(path: Path, life: str, first: int, index: int | None = None, host: int = 0) -> None:
    """A host ends while users' code is at a frame, and its converter with it."""
    poison = PoisonFile(path)
    record = HostRecord(poison.descriptor, host, life)
    record.begin("press", "journal", 3, first, 10)
    if index is not None:
        record.mark(index)
    poison.close()


def test_a_death_names_the_frame(path: Path) -> None:
    """The number at which users' code was, under an id that is the dead host's own."""
    die(path, "a", 100)
    die(path, "b", 200, 4, host=63)
    assert PoisonFile(path).reports == [
        Death("note-a", "press", "journal", 3, [100]),
        Death("note-b", "press", "journal", 3, [204]),
    ]


def test_reports_last_until_they_are_forgotten(path: Path) -> None:
    """A process that dies before a reader has answered leaves them to the next, once each."""
    die(path, "a", 100)
    PoisonFile(path).close()
    poison = PoisonFile(path)
    assert [death.id for death in poison.reports] == ["note-a"]
    poison.forget("note-a")
    poison.close()
    assert PoisonFile(path).reports == []


def test_a_cleared_record_is_no_death(path: Path) -> None:
    """Users' code has returned."""
    poison = PoisonFile(path)
    record = HostRecord(poison.descriptor, 0, "a")
    record.begin("press", "journal", 3, 1, 10)
    record.clear()
    poison.close()
    assert PoisonFile(path).reports == []


def test_reports_are_bounded(path: Path) -> None:
    """The oldest go first."""
    for number in range(REPORTS_KEPT + 2):
        die(path, f"p{number}", 1)
    reports = PoisonFile(path).reports
    assert [death.id for death in reports] == [f"note-p{number}" for number in range(2, REPORTS_KEPT + 2)]


@pytest.mark.parametrize("offset", [0, 3, 5, 12, 15, 30])
def test_a_damaged_record_is_none(path: Path, offset: int) -> None:
    """A checksum that fails means that nothing is known, and the process starts all the same."""
    die(path, "a", 100)
    with path.open("r+b") as file:
        file.seek(CURRENTS_AT + offset)
        byte = file.read(1)
        file.seek(CURRENTS_AT + offset)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert PoisonFile(path).reports == []


def test_random_bytes_are_no_record(path: Path) -> None:
    """Whatever stands in the file, opening it works."""
    path.write_bytes(os.urandom(CURRENTS_AT + HOSTS * RECORD_BYTES))
    assert PoisonFile(path).reports == []


def test_a_name_that_does_not_fit_is_not_written(path: Path) -> None:
    """It must not run into the next host's."""
    poison = PoisonFile(path)
    HostRecord(poison.descriptor, 0, "a").begin("x" * 20_000, "journal", 3, 1, 10)
    poison.close()
    assert PoisonFile(path).reports == []


def test_a_record_is_taken_once_while_its_converter_lives(path: Path) -> None:
    """It is kept for the next process until the reader has answered."""
    poison = PoisonFile(path)
    HostRecord(poison.descriptor, 5, "a").begin("press", "journal", 3, 7, 10)
    found = poison.take(5)
    assert found == Death("note-a", "press", "journal", 3, [7])
    assert poison.take(5) is None
    poison.close()
    assert PoisonFile(path).reports == [found]
