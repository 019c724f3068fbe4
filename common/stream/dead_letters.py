"""Dead letters as people ask for them: pages of a list, and the way back into the stream. Pure.

A page has at most PAGE_LETTERS and about PAGE_BYTES; a list goes from the newest back. A retry takes frames only:
pieces of the line that never were frames have no number, and what the journal has lost has no bytes.
"""

from __future__ import annotations

from typing import Final

from common.core.events import Note, Send
from common.stream.blocks import BATCH_BYTES, BATCH_FRAMES
from common.stream.events import FindLetters, KeptLetter, LettersFound, StreamEffect
from common.stream.uplink import Uplink
from common.wire.calls import MOST_ID, ListDeadLetters, RetryDeadLetters, body_of, refuse, reply
from common.wire.messages import Plane, Request

PAGE_LETTERS: Final = 256
PAGE_BYTES: Final = 256 * 1024


class Letters:
    """The answers of one reader."""

    def __init__(self, device: str, uplink: Uplink, has_port: bool) -> None:
        self._device = device
        self._uplink = uplink
        self._has_port = has_port

    def find_page(self, request: Request, asked: ListDeadLetters) -> list[StreamEffect]:
        """Looks the page up."""
        most = min(max(1, asked.most), PAGE_LETTERS)
        return [FindLetters(request, 0, asked.before or MOST_ID, most, PAGE_BYTES, newest_first=True)]

    def find_retried(self, request: Request, asked: RetryDeadLetters) -> list[StreamEffect]:
        """Looks up what is to be sent through again."""
        if not self._has_port:
            text = f"device {self._device} is no longer configured: there is nothing to retry with"
            return [Send(Plane.CALLS, refuse(request, text))]
        before = min(asked.until + 1, MOST_ID)
        return [FindLetters(request, asked.after, before, BATCH_FRAMES, BATCH_BYTES, newest_first=False)]

    def found(self, event: LettersFound, now_s: float) -> list[StreamEffect]:
        """Answers with the page, or sends it through again."""
        if body_of(event.request, RetryDeadLetters):
            return self._revive(event, now_s)
        # Who lists dead letters is told all but the origin, which the message has no place for.
        letters = [list(letter[:5]) for letter in event.letters]
        page = {"count": event.total, "bytes": event.total_bytes, "letters": letters}
        return [Send(Plane.CALLS, reply(event.request, page))]

    def _revive(self, event: LettersFound, now_s: float) -> list[StreamEffect]:
        frames = [letter for letter in event.letters if _was_frame(letter)]
        effects: list[StreamEffect] = []
        if frames:
            if refusal := self._uplink.refusal(frames):
                return [Send(Plane.CALLS, refuse(event.request, refusal))]
            facts = {"device": self._device, "count": len(frames), "first": frames[0].id, "last": frames[-1].id}
            effects = [Note("info", "dead_letters.retried", facts), *self._uplink.revive(frames, now_s)]
        last = event.letters[-1].id if event.letters else 0
        result = {"retried": len(frames), "kept": len(event.letters) - len(frames), "last": last}
        return [*effects, Send(Plane.CALLS, reply(event.request, result))]


def _was_frame(letter: KeptLetter) -> bool:
    return letter.number > 0 and bool(letter.data)
