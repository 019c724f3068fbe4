"""Telling readers of the frames in which users' code ended its process, until they have answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from common.core.events import Note, Send
from common.wire.calls import DiedIn, pack_body, reader_of, verb_of
from common.wire.messages import FrameBatch, Plane, Reply, Request
from services.converter.core.counters import ConverterCounts
from services.converter.core.events import ForgetNote, PoisonNote

REPORT_AGAIN_S: Final = 1.0


class Deaths:
    """Notes that no reader has answered yet."""

    def __init__(self, address: str, notes: Sequence[PoisonNote], counters: ConverterCounts) -> None:
        self._address = address
        self._counters = counters
        self._notes = {note.id: note for note in notes}
        self._report_s = 0.0

    def add(self, note: PoisonNote) -> None:
        """One more, to be reported at once."""
        self._notes[note.id] = note
        self._report_s = 0.0

    def report(self, now_s: float) -> list[Send]:
        """One `DiedIn` per unanswered note, when they are due. A note keeps its id over all repeats."""
        if not self._notes or now_s < self._report_s:
            return []
        self._report_s = now_s + REPORT_AGAIN_S
        return [Send(Plane.CALLS, self._request(note)) for note in self._notes.values()]

    def answer(self, reply: Reply) -> list[ForgetNote | Note]:
        """[] if the reply is no reader's answer to a note."""
        note = self._notes.get(reply.id)
        if note is None or reply.error:
            return []
        del self._notes[reply.id]
        self._counters["notes_reported"] += 1
        facts = {"device": note.device, "numbers": ",".join(map(str, note.numbers)), "id": note.id}
        return [ForgetNote(note.id), Note("info", "note.reported", facts)]

    def concerns(self, batch: FrameBatch) -> bool:
        """True if the batch holds a frame in which a process died and its reader doesn't know yet: even alone it may be
        a copy that was on its way when the reader made up its mind."""
        if not self._notes:
            return False
        last = batch.first + batch.length - 1
        return any(
            note.journal == batch.journal and any(batch.first <= number <= last for number in note.numbers)
            for note in self._notes.values()
        )

    @property
    def next_deadline_s(self) -> float | None:
        return self._report_s if self._notes else None

    def _request(self, note: PoisonNote) -> Request:
        body = pack_body(DiedIn(note.journal, note.generation, note.numbers))
        target = reader_of(note.device)
        return Request(note.id, self._address, target, verb_of(DiedIn), note.device, "", REPORT_AGAIN_S, body)
