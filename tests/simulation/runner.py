"""Many seeds on all cores, and what they amount to."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tests.simulation.run import Outcome, run_seed

CHUNK = 8


def run_seeds(seeds: Sequence[int], jobs: int | None = None) -> Iterator[Outcome]:
    """The outcome of each seed, as they come in. Processes are spawned, since whoever calls this may have threads."""
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_seed, seeds, CHUNK)


class Report:
    """What many runs showed."""

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self.runs = self.frames = self.exchanges = self.calls = self.without_faults = 0
        self.simulated_s = 0.0
        self.faults: Counter[str] = Counter()
        self.seeds_with: Counter[str] = Counter()
        self.failed: list[Outcome] = []
        self._began_s = time.monotonic()
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """One more run."""
        self.runs += 1
        self.frames += outcome.frames
        self.exchanges += outcome.exchanges
        self.calls += outcome.calls
        self.simulated_s += outcome.simulated_s
        self.faults += outcome.faults
        self.seeds_with.update(outcome.faults.keys())
        self.without_faults += not outcome.faults
        if outcome.problems:
            self.failed.append(outcome)

    def __str__(self) -> str:
        took_s = time.monotonic() - self._began_s
        lines = [f"  {self.faults[kind]:6} {kind} ({count / self.runs:.0%} of seeds)" for kind, count in self._by_name]
        head = (
            f"{self.runs} seeds ({self.without_faults} without faults), {self.simulated_s / 3600:.1f} simulated hours, "
            f"{self.frames} frames, {self.exchanges} exchanges, {self.calls} calls, {self.faults.total()} faults; "
            f"{took_s:.0f} s"
        )
        failed = ", ".join(str(outcome.seed) for outcome in sorted(self.failed, key=lambda outcome: outcome.seed))
        return "\n".join([head, *lines, f"failed: {failed or 'none'}"])

    @property
    def _by_name(self) -> list[tuple[str, int]]:
        return sorted(self.seeds_with.items())
