"""The dead ones among what a report of the publisher settles: they become dead letters, bytes and all."""

from __future__ import annotations

from common.core.dead_kinds import NOWHERE, DeadKind, kind_of_entry
from common.core.sequence import joined, named
from common.stream.events import DeadLetter
from common.stream.sending.flights import Flights
from common.wire.messages import StreamReport


def dead_among(report: StreamReport, flights: Flights, *, is_users: bool) -> tuple[list[DeadLetter], list[DeadKind]]:
    """(dead letters, the kind of each entry that they stand for) among what a report settles. What the journal has lost
    has no bytes, and one letter for each run of numbers. `is_users`: users' code converts the entries."""
    reasons = {number: reason for number, reason in report.dead if flights.floor <= number < report.settled}
    if not reasons:
        return [], []
    entries = flights.entries(reasons)
    lost = [number for number in entries if reasons[number] == NOWHERE]
    letters = [DeadLetter(low, 0, f"{NOWHERE}: {named((low, high))}", b"") for low, high in joined(lost)]
    for number, (ts_ms, data, origin) in entries.items():
        if reasons[number] != NOWHERE:
            letters.append(DeadLetter(number, ts_ms, reasons[number], data, origin))
    return letters, [kind_of_entry(reasons[number], is_users=is_users) for number in entries]
