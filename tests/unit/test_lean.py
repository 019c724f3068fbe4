"""Modules that are not found, or not loaded, for a while."""

from __future__ import annotations

import importlib
import sys

import pytest

from common.io.lean import put_off, without


def test_a_module_is_not_found_meanwhile():
    """Afterwards it is there again; one that is loaded stays as it is."""
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    importlib.import_module("colorsys")
    with without("colorsys"):
        assert importlib.import_module("colorsys")


def test_a_module_that_is_put_off_loads_at_its_first_use():
    """Imported meanwhile it is there, but empty; imported afterwards it is as always."""
    sys.modules.pop("colorsys", None)
    with put_off("colorsys"):
        module = importlib.import_module("colorsys")
    assert type(module) is not type(sys)
    assert module.rgb_to_hsv(1, 1, 1) == (0, 0, 1)
    assert type(module) is type(sys)
    sys.modules.pop("colorsys")
    assert type(importlib.import_module("colorsys")) is type(sys)
