"""`python -m tests.chaos [--seconds N] [--seed N]`: chaos on real processes. Exit 0 only if everything held."""

# ruff: noqa: T201 (it is a command)
from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.run import run_chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=run_chaos.__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long faults go on (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--rate", type=float, default=50, help="frames a second on each line (default: %(default)g)")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="an empty folder for logs and journals, which are kept"
    )
    arguments = parser.parse_args()
    print(f"chaos: seed {arguments.seed}, {arguments.seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        start_s = time.monotonic()
        verdict = run_chaos(folder, arguments.seconds, arguments.seed, arguments.rate)
        print(verdict.text)
        print(f"took {time.monotonic() - start_s:.0f} s; replay with --seed {arguments.seed}")
    for problem in verdict.problems:
        print(f"FAILED: {problem}")
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
