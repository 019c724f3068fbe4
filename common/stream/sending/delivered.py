"""How long entries take from the line to the platform's acceptance, and how old the oldest is that waits. Pure.

Both are looked at by the block, never by the entry: once a report settles blocks, and once a heartbeat.
"""

from __future__ import annotations

from common.core.durations import Durations
from common.stream.sending.flights import Flights
from common.stream.sending.ready import Ready
from common.wire.messages import Entry


class Delivered:
    """One stream's."""

    def __init__(self) -> None:
        self.durations = Durations()

    def note(self, flights: Flights, settled: int, wall_ms: int | None) -> None:
        """The platform has accepted everything below number `settled`; `flights` still has it. A block counts when all
        of it is accepted, each of its entries with the age of the first one."""
        if wall_ms is None:
            return
        for block in flights.queue.blocks:
            if block.end > settled:
                return
            if block.kind != Entry.DEAD and block.at_ms:
                self.durations.add((wall_ms - block.at_ms) / 1000, block.length)


def oldest_ms(flights: Flights, ready: Ready, kept_ms: int | None) -> int | None:
    """When the oldest entry was numbered that waits, in ms since 1970; None where none does. `kept_ms`: of the oldest
    ones in the journal, to within a minute, for the moment in which nothing of them is in memory."""
    for queue in (flights.queue, ready.queue):
        if queue.blocks and queue.blocks[0].at_ms:
            return queue.blocks[0].at_ms
    return kept_ms
