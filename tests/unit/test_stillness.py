"""`serialgw reload --watch` waits until an editor is done."""

from __future__ import annotations

from services.cli.supervise.stillness import HOLD_STILL_S, Stamps, Stillness

A: Stamps = {"a": (1, 1, 1), "b": (1, 1, 1)}


def test_a_change_counts_when_it_holds_still() -> None:
    """Once; each further write begins the wait anew, and a file that is new is no change."""
    still = Stillness(A, is_due=False)
    assert not still.look(A, 0)
    assert not still.look(A, 100)
    changed = {**A, "a": (2, 1, 1)}
    assert not still.look(changed, 101)
    again = {**changed, "b": (2, 2, 2)}
    assert not still.look(again, 101 + HOLD_STILL_S - 0.1)
    assert not still.look(again, 101 + HOLD_STILL_S)
    assert still.look(again, 101 + 2 * HOLD_STILL_S)
    assert not still.look(again, 200)
    assert not still.look({**again, "c": (1, 1, 1)}, 201)
    assert not still.look({**again, "c": (1, 1, 1)}, 300)


def test_what_was_edited_before_is_taken_at_first() -> None:
    """After the same wait."""
    still = Stillness(A, is_due=True)
    assert not still.look(A, 0)
    assert still.look(A, HOLD_STILL_S)
