"""`serialgw replay` as a process: a recorded device at a pseudo-terminal, which any program opens as a port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "tests" / "cases" / "captures"
DEADLINE_S = 20.0


def serialgw(*arguments: str) -> list[str]:
    """The command line of a process of ours."""
    return [sys.executable, "-m", "services.cli", *arguments]


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


@contextmanager
def replayed(file: Path, *more: str) -> Iterator[str]:
    """The path of a port at which this capture is played; ended by Ctrl-C, which is its good end."""
    command = serialgw("replay", str(file), *more)
    with subprocess.Popen(
        command, cwd=ROOT, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(DEADLINE_S) == 0, process.stderr and process.stderr.read()
            finally:
                process.kill()
