"""Tests that measure time run while no other does, however many workers there are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TESTS = """
import time
from pathlib import Path

import pytest

NOTES = Path("PLACE")


def note(name):
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + 0.05:
        pass
    with (NOTES / f"{name}.txt").open("w") as notes:
        notes.write(f"{begun_s} {time.monotonic()}")


@pytest.mark.parametrize("number", range(8))
def test_beside(number):
    note(f"beside-{number}-{Path(__file__).stem}")


@pytest.mark.alone
@pytest.mark.parametrize("number", range(4))
def test_alone(number):
    note(f"alone-{number}-{Path(__file__).stem}")
"""


class Ran(NamedTuple):
    name: str
    begun_s: float
    over_s: float


def test_who_is_marked_runs_alone(tmp_path: Path) -> None:
    """Two workers with a file each: all tests run, and none overlaps with one that is marked."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TESTS.replace("PLACE", str(notes)))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=100,
    )
    ran = [Ran(path.stem, *map(float, path.read_text().split())) for path in notes.iterdir()]
    assert len(ran) == 24
    for alone in (each for each in ran if each.name.startswith("alone")):
        beside = [each for each in ran if each.begun_s < alone.over_s and alone.begun_s < each.over_s]
        assert beside == [alone]
