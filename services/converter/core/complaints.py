"""Warnings about batches, at most one of a kind a minute and device: a bad line must not fill the log."""

from __future__ import annotations

from typing import Final

from common.core.events import Note
from common.wire.messages import FrameBatch

AGAIN_S: Final = 60.0
"""What is still wrong after this is worth another line."""


class Complaints:
    """Remembers who was complained about, for what, and when."""

    def __init__(self) -> None:
        self._said_s: dict[tuple[str, str], float] = {}

    def say(self, batch: FrameBatch, event: str, reason: str, now_s: float) -> list[Note]:
        """The warning about this batch; [] if the same was said of its device within AGAIN_S."""
        said_s = self._said_s.get((batch.device, event))
        if said_s is not None and now_s < said_s + AGAIN_S:
            return []
        self._said_s[batch.device, event] = now_s
        facts = {"device": batch.device, "first": batch.first, "length": batch.length, "reason": reason}
        return [Note("warning", event, facts)]
