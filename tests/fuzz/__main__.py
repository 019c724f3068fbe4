"""`python -m tests.fuzz [--kind K] [--seconds N] [--seed N]`: exit 0 if nothing crashed, grew or lied."""

# ruff: noqa: T201 (it is a command)
from __future__ import annotations

import argparse
import importlib
import random
import sys
import time

KINDS = ("lines", "shapes", "mqtt", "planes", "configurations", "journals")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append", help="one of them; all where none is named")
    parser.add_argument("--seconds", type=float, default=60, help="for each kind (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments = parser.parse_args()
    for kind in arguments.kind or KINDS:
        start_s = time.monotonic()
        try:
            summary = importlib.import_module(f"tests.fuzz.{kind}").fuzz(arguments.seconds, arguments.seed)
        except Exception as error:
            print(f"{kind}: FAILED with seed {arguments.seed} after {time.monotonic() - start_s:.0f} s: {error!r}")
            raise
        print(f"{kind}: {summary}; {time.monotonic() - start_s:.0f} s, seed {arguments.seed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
