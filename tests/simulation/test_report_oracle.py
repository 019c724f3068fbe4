"""The oracle of report strategies excuses what was on its way when a change was refused, and nothing else."""

from __future__ import annotations

import pytest

from tests.simulation.frames import STATE_DIGITS, state_of
from tests.simulation.platform import Item
from tests.simulation.report_oracle import REFUSAL_S, judge_changes

CHANGE = 2 * 10**STATE_DIGITS
"""The number that says another state than the one before it; the platform refuses it."""
LATER = CHANGE + 1
SAID_S = {number: float(number - CHANGE + 10) for number in range(CHANGE - 1, CHANGE + 3)}


def accepted(number: int, *, state: bool) -> Item:
    return Item(0, SAID_S[number], 0, number, state_of(number) if state else None)


@pytest.mark.parametrize(
    ("refused_s", "is_wrong"),
    [({CHANGE: SAID_S[LATER] - REFUSAL_S / 2}, False), ({CHANGE: SAID_S[LATER] - REFUSAL_S - 0.5}, True), ({}, True)],
    ids=["it was on its way", "the refusal was known", "nothing was refused"],
)
def test_a_state_that_was_refused_is_said_by_what_comes_after(refused_s: dict[int, float], is_wrong: bool) -> None:
    """The number behind the refused one is accepted without the state."""
    items = [accepted(CHANGE - 1, state=True), accepted(LATER, state=False)]
    said_s = {number: SAID_S[number] for number in (CHANGE - 1, CHANGE, LATER)}
    assert bool(list(judge_changes("press1", items, said_s, refused_s))) is is_wrong


def test_a_state_that_is_said_again_is_known() -> None:
    """Whatever was refused before."""
    items = [accepted(CHANGE - 1, state=True), accepted(LATER, state=True), accepted(LATER + 1, state=False)]
    said_s = {number: SAID_S[number] for number in range(CHANGE - 1, LATER + 2)}
    assert not list(judge_changes("press1", items, said_s, {CHANGE: 0.0}))
