"""docs/devices.md: each file of it is right, and each command prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "devices.md").read_text("utf-8")
STEPS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if "```console" in part}
FILE = re.compile(r"`(\w+\.(?:json|txt))`[^`\n]*:\n\n```(?:json|text)\n(.*?)```", re.DOTALL)
SHOWN = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_runs_as_it_stands(tmp_path: Path, step: str) -> None:
    """A reader copies the file and the commands, and sees the same."""
    files = FILE.findall(STEPS[step])
    assert files
    for name, text in files:
        (tmp_path / name).write_text(text, "utf-8")
    for shown in SHOWN.findall(STEPS[step]):
        commands = [line for line in shown.splitlines() if line.startswith("$ ")]
        assert shown.splitlines() == [line for command in commands for line in (command, *_said(tmp_path, command))]


def test_all_steps_are_there() -> None:
    """From lines of text to a bus, to what was recorded, and to calls."""
    assert len(STEPS) == 10


def _said(folder: Path, command: str) -> list[str]:
    """What a command of the page prints, without blanks at the ends of lines."""
    serialgw = "$ serialgw "
    assert command.startswith(serialgw)
    line = f'"{sys.executable}" -m services.cli {command.removeprefix(serialgw)}'
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    answer = subprocess.run(
        line, shell=True, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return [one.rstrip() for one in (answer.stdout + answer.stderr).rstrip("\n").split("\n")]
