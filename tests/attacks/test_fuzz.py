"""Each kind of fuzzing for a moment; `make fuzz` does it for as long as one likes."""

from __future__ import annotations

import importlib

import pytest

from tests.attacks.conftest import FULL
from tests.fuzz.__main__ import KINDS

SECONDS = 10.0 if FULL else 3.0
SEED = 11


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes_grows_or_lies(kind: str) -> None:
    assert importlib.import_module(f"tests.fuzz.{kind}").fuzz(SECONDS, SEED)
