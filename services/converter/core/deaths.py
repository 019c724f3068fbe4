"""Telling readers of the frames in which users' code ended its process, until they have answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from common.core.events import Note, Send
from common.wire.calls import DiedIn, pack_body, reader_of, verb_of
from common.wire.messages import FrameBatch, Plane, Reply, Request
from services.converter.core.counters import ConverterCounts
from services.converter.core.events import Death, ForgetDeath

REPORT_AGAIN_S: Final = 1.0


class Deaths:
    """Deaths that no reader has answered yet."""

    def __init__(self, address: str, deaths: Sequence[Death], counters: ConverterCounts) -> None:
        self._address = address
        self._counters = counters
        self._deaths = {death.id: death for death in deaths}
        self._report_s = 0.0

    def add(self, death: Death) -> None:
        """Takes one more, to be reported at once."""
        self._deaths[death.id] = death
        self._report_s = 0.0

    def report(self, now_s: float) -> list[Send]:
        """The question `DiedIn` for each unanswered death, once in REPORT_AGAIN_S; [] in between.

        A death keeps its id over all repeats, so that its reader counts it once.
        """
        if not self._deaths or now_s < self._report_s:
            return []
        self._report_s = now_s + REPORT_AGAIN_S
        return [Send(Plane.CALLS, self._request(death)) for death in self._deaths.values()]

    def answer(self, reply: Reply) -> list[ForgetDeath | Note]:
        """Strikes out the death that this reply answers. [] if it answers none, or with an error: then we ask again."""
        death = self._deaths.get(reply.id)
        if death is None or reply.error:
            return []
        del self._deaths[reply.id]
        self._counters["notes_reported"] += 1
        facts = {"device": death.device, "numbers": ",".join(map(str, death.numbers)), "id": death.id}
        return [ForgetDeath(death.id), Note("info", "note.reported", facts)]

    def concerns(self, batch: FrameBatch) -> bool:
        """True if the batch holds a frame in which a process died, and its reader doesn't know yet.

        Such a frame is not touched, even if it comes alone: it may be a copy that was on its way when the reader made
        up its mind, and another death in it would be one too many.
        """
        if not self._deaths:
            return False
        last = batch.first + batch.length - 1
        return any(
            death.journal == batch.journal and any(batch.first <= number <= last for number in death.numbers)
            for death in self._deaths.values()
        )

    @property
    def next_deadline_s(self) -> float | None:
        return self._report_s if self._deaths else None

    def _request(self, death: Death) -> Request:
        body = pack_body(DiedIn(death.journal, death.generation, death.numbers))
        target = reader_of(death.device)
        return Request(death.id, self._address, target, verb_of(DiedIn), death.device, "", REPORT_AGAIN_S, body)
