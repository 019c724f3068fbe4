"""Which publishers are gone for good: frames that are meant for them need no conversion."""

from __future__ import annotations

from collections import deque
from typing import Final

from common.wire.messages import Heartbeat
from common.wire.states import PublisherState, state_of

REMEMBERED: Final = 64
"""Epochs kept: a publisher that restarts each second is then known for a minute, longer than a batch waits here."""


class Epochs:
    """The publisher's epoch and those before it. One never heard of is not old: a reader may have heard it first."""

    def __init__(self) -> None:
        self._current = ""
        self._old: deque[str] = deque(maxlen=REMEMBERED)

    def hear(self, epoch: str) -> bool:
        """Takes the epoch of a publisher's heartbeat; True if it replaces another."""
        if not epoch or epoch == self._current:
            return False
        before, self._current = self._current, epoch
        if before:
            self._old.append(before)
        return bool(before)

    def is_old(self, epoch: str) -> bool:
        """True if a later publisher has been heard than the one that this epoch names."""
        return epoch in self._old


def epoch_of(beat: Heartbeat) -> str:
    """The publisher's epoch; "" where it says none."""
    state = state_of(beat, PublisherState)
    return state.epoch if state else ""
