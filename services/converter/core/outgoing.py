"""Reading batches on their way out, one or more for each frame batch, in the order in which they were made. Pure."""

from __future__ import annotations

from collections import deque

from common.core.events import Send
from common.wire.messages import FrameBatch, Identity, Plane, ReadingBatch, ReadingBody
from services.converter.core.batches import NEEDS_SECTION, empty_batch, reading_batches
from services.converter.core.counters import ConverterCounts


class OutgoingReadings:
    """Makes reading batches of what was converted, and keeps those that the socket did not take.

    While any are kept, new ones go behind them. Nothing bounds them but the broker's credit, which comes back only with
    a batch that has arrived.
    """

    def __init__(self, identity: Identity, counters: ConverterCounts) -> None:
        self._name, self._instance = identity.name, identity.instance
        self._counters = counters
        self.unsent: deque[ReadingBatch] = deque()

    def put_out(self, batch: FrameBatch, readings: ReadingBody) -> list[Send]:
        """Sends the readings of a batch, in parts where they are large, and counts them."""
        self._counters["frames_converted"] += batch.length if batch.kind in NEEDS_SECTION else 0
        self._counters["dead_letters"] += len(readings.dead)
        parts = reading_batches(batch, readings, self._name, self._instance)
        return [effect for part in parts for effect in self._send(part)]

    def give_back(self, batch: FrameBatch) -> list[Send]:
        """Answers a batch with nothing: the credit returns, and the reader sends the frames again."""
        self._counters["credit_returned_empty"] += 1
        return self._send(empty_batch(batch, self._name, self._instance))

    def send_again(self) -> list[Send]:
        """Sends everything that was kept: the socket takes readings again."""
        unsent, self.unsent = self.unsent, deque()
        return [Send(Plane.READINGS, batch) for batch in unsent]

    def _send(self, batch: ReadingBatch) -> list[Send]:
        if self.unsent:
            self.unsent.append(batch)
            return []
        return [Send(Plane.READINGS, batch)]
