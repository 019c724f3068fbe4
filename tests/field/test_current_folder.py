"""Files of the current folder, or of PYTHONPATH, that have the names of modules which the gateway loads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.io.users_path import ROOT
from services.cli.demo.processes import end_process, own_environment, start_module

TRAPS = ("serial.py", "zmq.py", "json.py", "common/__init__.py", "services/__init__.py")


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder in which each import of ours could find something else."""
    folder = tmp_path / "project"
    for name in TRAPS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('a trap was run')\n")
    return folder


def run_version(environ: dict[str, str], log: Path) -> str:
    process = start_module(["services.cli", "--version"], environ, log)
    try:
        assert process.wait(60) == 0, log.read_text()
    finally:
        end_process(process)
    return log.read_text()


def test_what_the_demo_starts_is_ours_in_any_folder(
    trapped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's first script is often called serial.py, and stands where the demo is tried."""
    monkeypatch.chdir(trapped)
    environ = own_environment({**os.environ, "PYTHONPATH": ROOT})
    assert run_version(environ, tmp_path / "log").startswith("serialgw ")


def test_what_the_demo_starts_is_ours_beside_other_packages(trapped: Path, tmp_path: Path) -> None:
    """PYTHONPATH of another system, with packages called as ours are, first in the line."""
    environ = own_environment({**os.environ, "PYTHONPATH": f"{trapped}{os.pathsep}{ROOT}"})
    assert environ["PYTHONPATH"] == ROOT
    assert run_version(environ, tmp_path / "log").startswith("serialgw ")
