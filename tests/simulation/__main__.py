"""`python -m tests.simulation --seed N [--steps]` replays one seed; `--seeds N [--first M]` runs many and reports."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.run import run_seed
from tests.simulation.runner import Report, run_seeds
from tests.simulation.scenario import draw_scenario


def main() -> int:
    """0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this seed")
    parser.add_argument("--steps", action="store_true", help="and print every event and effect")
    parser.add_argument("--seeds", type=int, default=300, help="run so many seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="beginning with this one")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.steps)
    report = Report()
    for outcome in run_seeds(range(options.first, options.first + options.seeds), options.jobs):
        report.add(outcome)
        if outcome.problems:
            say(outcome)
    say(report)
    return 1 if report.failed else 0


def replay(seed: int, has_steps: bool) -> int:
    """Runs one seed again, exactly as it was."""
    for fault in sorted(draw_scenario(seed).faults, key=lambda fault: fault.at_s):
        say(f"{fault.at_s:10.4f} {fault.kind}, for {fault.for_s:.1f} s where it lasts")
    outcome = run_seed(seed, say if has_steps else None)
    say(outcome if outcome.problems else f"{outcome}\nall held")
    return 1 if outcome.problems else 0


def say(what: object) -> None:
    """One line, or some, at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
