"""Entries of connector hosts to readings: they are readings already, and only change their form. Pure."""

from __future__ import annotations

from common.core.errors import WireError
from common.wire.entries import unpack_entry
from common.wire.messages import Faults, FrameBody, ReadingBody, UserReading
from services.converter.core.counters import ConverterCounts


def read_entries(body: FrameBody, counters: ConverterCounts) -> tuple[ReadingBody, str]:
    """The readings of a batch, and the first error or "". What is no entry is a dead letter."""
    user: dict[int, list[UserReading]] = {}
    dead: dict[int, str] = {}
    for index, entry in enumerate(body.frames):
        try:
            user[index] = [unpack_entry(entry)]
        except WireError as error:
            dead[index] = str(error)
    counters["readings_made"] += len(user)
    counters["conversion_errors"] += len(dead)
    sample = next(iter(dead.values()), "")
    faults = Faults(len(dead), sample) if dead else None
    return ReadingBody(body.ts_ms, [b""] * len(body.frames), b"", dead, user, faults=faults), sample
