"""A minute of chaos; `make chaos SECONDS=600` is the long form."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.counting import Account
from tests.chaos.run import run_chaos
from tests.e2e.harness import needs_mosquitto


@needs_mosquitto
@pytest.mark.timeout(240)
def test_a_minute_of_chaos_loses_nothing(tmp_path: Path) -> None:
    """Kills, stops, unplugs, restarts, cuts and junk: every frame accepted, in order, only the poisoned ones dead."""
    seed = random.SystemRandom().randrange(1_000_000)
    verdict = run_chaos(tmp_path, 60, seed)
    assert not verdict.problems, f"seed {seed}\n{verdict.text}"


@pytest.mark.parametrize(
    ("came", "accepted", "faults"),
    [
        ([(1, 10), (2, 11), (3, 12)], 3, 0),
        ([(1, 10), (2, 11), (1, 10), (2, 11), (3, 12)], 3, 0),
        ([(1, 10), (3, 12), (2, 11)], 2, 1),
        ([(1, 10), (2, 11), (2, 12)], 2, 1),
        ([(1, 10), (2, 10)], 2, 1),
        ([(0, 10)], 0, 1),
    ],
    ids=["in order", "repeated", "out of order", "repeated with another time", "two at one time", "never said"],
)
def test_what_the_count_calls_a_fault(came: list[tuple[int, int]], accepted: int, faults: int) -> None:
    """Holes, changed timestamps and numbers that nobody said are faults; exact repeats are not."""
    account = Account("press1")
    for number, ts_ms in came:
        account.take(number, ts_ms)
    assert (account.accepted, len(account.faults)) == (accepted, faults)
