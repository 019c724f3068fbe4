"""Regular expressions that never come to an end are refused; the others are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.config.device.regex_cost import cost_of
from common.core.errors import ConfigError
from tests.devices.families import SECTIONS
from tests.field.reading import read_device

ENDLESS = (r"^(a+)+$", r"(\d+)*x", r"(\s*\w*)*;", r"^(\w+\s?)*$", r"T=(0|00)*;", r"([a-z]+)*=\d")
QUICK = (r"^\$..RMC,", r"T=(?P<t>[0-9.]+)", r"(\d+)\.(\d+)", r"^(?:OK|ERR)", r".*;(\d+);", r"(?s)\x01(....)", r"a{3}b*")


@pytest.mark.parametrize("pattern", ENDLESS)
def test_an_expression_that_never_ends_is_refused(pattern: str, tmp_path: Path) -> None:
    """With the place, and what makes it so."""
    with pytest.raises(ConfigError, match="takes longer with each byte than with all before it"):
        read_device(tmp_path, telemetry=[{"key": "v", "regex": pattern}])


@pytest.mark.parametrize("pattern", QUICK)
def test_others_are_read_without_a_word(pattern: str) -> None:
    """Those that people write."""
    assert cost_of(re.compile(pattern.encode())) == ""


def test_none_of_the_families_has_one(tmp_path: Path) -> None:
    """All their configurations are read without a word about expressions."""
    for section in SECTIONS.values():
        assert not [text for text in read_device(tmp_path, **section)[1] if "frames" in text]
