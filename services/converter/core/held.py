"""Batches that wait for the section of their device, which its port reader was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from common.wire.messages import FrameBatch, FrameBody
from services.converter.core.sections import WAIT_FOR_SECTION_S

BATCHES_HELD: Final = 256
"""How many may wait: credit allows two, and two of each device with users' code, so more is a fault."""


class HeldBatch(NamedTuple):
    """A batch that waits for its section, until the deadline: then it is given back."""

    batch: FrameBatch
    body: FrameBody
    deadline_s: float


class HeldBatches:
    """The batches that wait, in the order in which they came."""

    def __init__(self) -> None:
        self.batches: list[HeldBatch] = []

    def __len__(self) -> int:
        return len(self.batches)

    def put(self, batch: FrameBatch, body: FrameBody, now_s: float) -> bool:
        """Takes a batch; False if too many wait already."""
        if len(self.batches) >= BATCHES_HELD:
            return False
        self.batches.append(HeldBatch(batch, body, now_s + WAIT_FOR_SECTION_S))
        return True

    def take(self, section: str) -> list[HeldBatch]:
        """Takes out the batches that waited for this section, which is here."""
        ready = [held for held in self.batches if held.batch.section == section]
        self.batches = [held for held in self.batches if held.batch.section != section]
        return ready

    def take_late(self, now_s: float) -> list[HeldBatch]:
        """Takes out the batches whose section did not come in time."""
        late = [held for held in self.batches if now_s >= held.deadline_s]
        if late:
            self.batches = [held for held in self.batches if now_s < held.deadline_s]
        return late

    def clear(self) -> None:
        """Drops everything; the readers send it again."""
        self.batches.clear()

    @property
    def sections(self) -> Iterable[str]:
        """The hashes of the sections that somebody waits for."""
        return (held.batch.section for held in self.batches)
