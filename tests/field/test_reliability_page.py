"""docs/reliability.md: what people ran into stands there with the tests that show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PART = (ROOT / "docs" / "reliability.md").read_text("utf-8").partition("## What people with serial devices ran into")[2]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (`[^|]+) \|$", PART.partition("\n## ")[0], re.MULTILINE)


def test_all_rows_are_read() -> None:
    assert len(ROWS) == 13


@pytest.mark.parametrize(("happened", "does", "tests"), ROWS)
def test_each_kind_names_tests_that_there_are(happened: str, does: str, tests: str) -> None:
    """A file that is renamed is renamed there, and one that has no cases of its own shows nothing."""
    files = re.findall(r"`([^`]+\.py)`", tests)
    assert files, (happened, does)
    for name in files:
        path = ROOT / name if "/" in name else ROOT / "tests" / "field" / name
        assert path.read_text("utf-8").count("\ndef test_") >= 1, name
