"""Work in a child, and modules that are not found, or not loaded, for a while."""

from __future__ import annotations

import importlib
import sys

import pytest

from common.io.apart import Apart, give_back_memory, put_off, without


def test_only_the_result_comes_back():
    """What the child imports is not here afterwards."""
    sys.modules.pop("this_is_nowhere", None)

    def work() -> bytes:
        sys.modules["this_is_nowhere"] = sys
        return b"x" * 200_000

    assert Apart(work).wait() == (0, b"x" * 200_000)
    assert "this_is_nowhere" not in sys.modules


def test_an_exit_gives_its_code_and_no_result(capfd: pytest.CaptureFixture[str]):
    """As `argparse` and our own refusals end; what they said is seen."""

    def work() -> bytes:
        sys.stdout.write("not like that\n")
        raise SystemExit(78)

    assert Apart(work).wait() == (78, b"")
    assert capfd.readouterr().out == "not like that\n"


def test_a_bug_is_shown(capfd: pytest.CaptureFixture[str]):
    """Code 1 and a traceback."""

    def work() -> bytes:
        raise ZeroDivisionError("a bug")

    assert Apart(work).wait() == (1, b"")
    assert "ZeroDivisionError: a bug" in capfd.readouterr().err


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


def test_giving_memory_back_harms_nothing():
    """Whatever the C library is."""
    give_back_memory()
