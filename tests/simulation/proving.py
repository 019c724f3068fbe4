"""Does the simulation notice each deliberate fault, and after how many seeds.

`python -m tests.simulation.proving` writes the answer into the table of docs/reliability.md.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.simulation.deliberate import ALL, Deliberate, applied
from tests.simulation.run import run_seed

MOST_SEEDS: Final = 200
PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- deliberate faults: written by `make mutations` -->\n"
END: Final = "<!-- end of deliberate faults -->\n"


class Verdict(NamedTuple):
    """`seeds` is how many it took; None: it was not noticed. `problem` is the first that was seen."""

    name: str
    seeds: int | None
    problem: str


def prove(fault: Deliberate, most: int = MOST_SEEDS) -> Verdict:
    """Runs seeds 1, 2, … with the fault in the code until one of them shows a problem."""
    with applied(fault):
        for seed in range(1, most + 1):
            if problems := run_seed(seed).problems:
                return Verdict(fault.name, seed, problems[0])
    return Verdict(fault.name, None, "")


def prove_all(faults: Sequence[Deliberate] = ALL, jobs: int | None = None) -> Iterator[Verdict]:
    """The verdict on each, in their order, several at a time."""
    with multiprocessing.get_context("spawn").Pool(min(jobs or os.cpu_count() or 1, len(faults))) as pool:
        yield from pool.imap(prove, faults, 1)


def main() -> int:
    """0 if every fault was noticed."""
    verdicts = []
    for verdict in prove_all():
        verdicts.append(verdict)
        sys.stdout.write(f"{verdict.name}: {verdict.seeds or 'MISSED'}\n")
        sys.stdout.flush()
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_table(verdicts)}\n{END}{after}")
    return int(any(verdict.seeds is None for verdict in verdicts))


def _table(verdicts: Sequence[Verdict]) -> str:
    rows = ["| rule broken | seeds | what was seen first |", "|---|---|---|"]
    for verdict in verdicts:
        seen = verdict.problem.split(": [")[0].split("{")[0].rstrip(" :")
        rows.append(f"| {verdict.name} | {verdict.seeds or 'not noticed'} | {seen} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
