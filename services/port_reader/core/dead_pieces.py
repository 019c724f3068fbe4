"""Bytes of the line that are no frame: dead letters, and one line in the log a minute, however noisy the line is."""

from __future__ import annotations

from collections import Counter
from typing import Final

from common.core.dead_kinds import DeadKind
from common.core.events import Note
from common.stream.counters import SourceCounts
from common.stream.events import Bury, DeadLetter
from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.incoming.joining import JOINED

NOTE_AGAIN_S: Final = 60.0
"""Dead pieces of one reason are logged again after this; the counter has them all."""
_FAULTS: Final[tuple[tuple[str, str, DeadKind], ...]] = (
    (JOINED, "", "joined"),
    ("no frame in ", "", "no_frame"),
    ("no ", " bytes", "too_long"),
    ("no ", "", "incomplete"),
    ("port lost ", "", "incomplete"),
    ("shut down ", "", "incomplete"),
    ("silence after ", "", "incomplete"),
    ("checksum: ", "", "checksum"),
    ("these bytes are no COBS", "", "checksum"),
    ("an escape ", "", "checksum"),
    ("the escape ", "", "checksum"),
    ("", " is no escape that is known", "checksum"),
    ("an answer of unit ", "", "stray"),
    ("nobody could read ", "", "missing_bytes"),
    ("the driver lost ", "", "missing_bytes"),
    ("the machine was suspended", "", "missing_bytes"),
    ("bytes are missing ", "", "missing_bytes"),
)
"""How a reason begins and ends → its kind, the first that fits."""


def kind_of_piece(reason: str) -> DeadKind:
    """The kind of a piece of the line."""
    for beginning, end, kind in _FAULTS:
        if reason.startswith(beginning) and reason.endswith(end):
            return kind
    return "other"


class DeadPieces:
    """The dead pieces of one line."""

    def __init__(self, device: str, counters: SourceCounts, kinds: Counter[str]) -> None:
        """`kinds`: where they are counted by their kind."""
        self._device = device
        self._counters = counters
        self._kinds = kinds
        self._noted_s: dict[str, float] = {}
        """Kind of reason → the time before which it is not logged again. Kinds are few, the framer's and the line's
        own; what stands behind a colon is of one piece only."""

    def bury(self, pieces: list[DeadPiece], arrival_ms: int, now_s: float) -> list[Bury | Note]:
        """What is to be done with these pieces, which came at `arrival_ms`."""
        if not pieces:
            return []
        self._counters["dead_letters"] += len(pieces)
        for piece in pieces:
            self._kinds[kind_of_piece(piece.reason)] += 1
        reason = pieces[-1].reason
        letters = [DeadLetter(0, arrival_ms, piece.reason, piece.data) for piece in pieces]
        kind = reason.partition(":")[0]
        if now_s < self._noted_s.get(kind, 0.0):
            return [Bury(letters)]
        self._noted_s[kind] = now_s + NOTE_AGAIN_S
        facts = {"device": self._device, "reason": reason, "bytes": sum(len(piece.data) for piece in pieces)}
        return [Bury(letters), Note("info", "frame.dead", facts)]
