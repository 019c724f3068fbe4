"""Bytes of the line that are no frame: dead letters, and one line in the log a minute, however noisy the line is."""

from __future__ import annotations

from typing import Final

from common.core.events import Note
from common.stream.counters import SourceCounts
from common.stream.events import Bury, DeadLetter
from services.port_reader.core.framers.base import DeadPiece

NOTE_AGAIN_S: Final = 60.0
"""Dead pieces of one reason are logged again after this; the counter has them all."""


class DeadPieces:
    """The dead pieces of one line."""

    def __init__(self, device: str, counters: SourceCounts) -> None:
        self._device = device
        self._counters = counters
        self._noted_s: dict[str, float] = {}
        """Kind of reason → the time before which it is not logged again. Kinds are few, the framer's and the line's
        own; what stands behind a colon is of one piece only."""

    def bury(self, pieces: list[DeadPiece], arrival_ms: int, now_s: float) -> list[Bury | Note]:
        """What is to be done with these pieces, which came at `arrival_ms`."""
        if not pieces:
            return []
        self._counters["dead_letters"] += len(pieces)
        reason = pieces[-1].reason
        letters = [DeadLetter(0, arrival_ms, piece.reason, piece.data) for piece in pieces]
        kind = reason.partition(":")[0]
        if now_s < self._noted_s.get(kind, 0.0):
            return [Bury(letters)]
        self._noted_s[kind] = now_s + NOTE_AGAIN_S
        facts = {"device": self._device, "reason": reason, "bytes": sum(len(piece.data) for piece in pieces)}
        return [Bury(letters), Note("info", "frame.dead", facts)]
