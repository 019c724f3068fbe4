"""What everybody who keeps a journal for a core has to do alike, the real one and those that stand in for it in tests.

So each stand-in answers what the disk would, and a core that is tested on one of them meets no surprise on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from common.stream.events import JournalFailed
from tests.conformance.journal_cases import CASES, Does, Fills, Keeps, Opens, Step
from tests.conformance.journal_keepers import KEEPERS, Keeper


@contextmanager
def at(number: int, step: Step) -> Iterator[None]:
    """Says which step of a case it is that does not hold."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"step {number}: {step}")
        raise


def take(keeper: Keeper, step: Step) -> None:
    """Takes one step, and sees that what follows is what has to."""
    match step:
        case Does(effect, events):
            found = [
                msgspec.structs.replace(event, reason="") if isinstance(event, JournalFailed) else event
                for event in keeper.perform(effect)
            ]
            assert found == list(events)
        case Opens(state):
            opened = keeper.open()
            assert {name: getattr(opened, name) for name in state} == state
        case Keeps(section_hash, section):
            keeper.put_section(section_hash, section)
        case Fills(is_full):
            keeper.set_full(is_full)


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
@pytest.mark.parametrize("keeper", KEEPERS)
def test_everybody_keeps_a_journal_alike(keeper: str, steps: list[Step], tmp_path: Path) -> None:
    """Each effect is followed by the same events, and each opening finds the same state."""
    journal = KEEPERS[keeper](tmp_path)
    journal.open()
    journal.put_section("s", b"{}")
    for number, step in enumerate(steps, 1):
        with at(number, step):
            take(journal, step)
