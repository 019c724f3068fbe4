"""`python -m tests.attacks [PYTEST ARGUMENTS]`: all attacks, those that mostly wait beside the others.

A host that hangs is ended after 12 s, three times; a process that stands still is replaced after 20 s: nobody has to
watch that alone. Exit code 0 only if all held.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ALONE: Final = "tests/attacks/test_bounds.py::test_a_flood_of_calls_delays_no_data_and_fills_no_log"
"""It measures how late others are."""
WAITING: Final = (("test_converters.py", "test_bounds.py"), ("test_hangs.py", "test_starts.py"))
"""The others keep a processor busy."""
REPORT: Final = "--junitxml="


def main(arguments: list[str]) -> int:
    """First what measures, then the rest at once; what they said, one after the other."""
    waiting = [[str(HERE / name) for name in names] for names in WAITING]
    others = sorted({str(path) for path in HERE.glob("test_*.py")}.difference(*waiting))
    start_s = time.monotonic()
    codes = [_finished(_start([ALONE], arguments, 0))]
    runs = [
        _start([*files, f"--deselect={ALONE}"], arguments, number) for number, files in enumerate((*waiting, others), 1)
    ]
    codes += map(_finished, runs)
    sys.stdout.write(f"attacks: {time.monotonic() - start_s:.0f} s\n")
    return max(codes)


def _finished(run: subprocess.Popen[bytes]) -> int:
    said, _ = run.communicate()
    sys.stdout.buffer.write(said)
    sys.stdout.flush()
    return run.returncode


def _start(what: list[str], arguments: list[str], number: int) -> subprocess.Popen[bytes]:
    own = [word.replace(".xml", f"-{number}.xml") if word.startswith(REPORT) else word for word in arguments]
    command = [sys.executable, "-m", "pytest", *what, *own]
    return subprocess.Popen(command, cwd=HERE.parents[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
