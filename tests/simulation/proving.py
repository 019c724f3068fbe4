"""Does the simulation notice each deliberate fault, and after how many seeds.

`python -m tests.simulation.proving` writes the answer into the table of docs/reliability.md.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.simulation.deliberate import ALL, Deliberate, applied
from tests.simulation.run import run_seed

MOST_SEEDS: Final = 200
_NOTHING: Final[Mapping[str, int]] = {}
PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- deliberate faults: written by `make mutations` -->\n"
END: Final = "<!-- end of deliberate faults -->\n"


class Verdict(NamedTuple):
    """`seeds` is how many it took; None: it was not noticed. `problem` is the first that was seen."""

    name: str
    seeds: int | None
    problem: str


def prove(fault: Deliberate, begin: int = 1) -> Verdict:
    """Runs the seed `begin`, then 1, 2, … with the fault in the code until one of them shows a problem."""
    with applied(fault):
        for seed in dict.fromkeys((begin, *range(1, MOST_SEEDS + 1))):
            if problems := run_seed(seed).problems:
                return Verdict(fault.name, seed, problems[0])
    return Verdict(fault.name, None, "")


def prove_all(known: Mapping[str, int] = _NOTHING) -> Iterator[Verdict]:
    """The verdict on each, in their order, several at a time. `known`: the seed that a fault is tried with first."""
    tried = [(fault, known.get(fault.name, 1)) for fault in ALL]
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, len(tried))) as pool:
        yield from pool.imap(_prove_pair, tried, 1)


def _prove_pair(pair: tuple[Deliberate, int]) -> Verdict:
    return prove(*pair)


def known_seeds() -> dict[str, int]:
    """The seeds in the table of docs/reliability.md: who only wants to know that each fault is still noticed need not
    search for them."""
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    return {name: int(seed) for name, seed in re.findall(r"^\| (.+?) \| (\d+) \|", table, re.MULTILINE)}


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
