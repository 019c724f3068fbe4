"""Dead letters as people ask for them: pages of a list, and the way back into the stream. Pure.

    dead_letters {"before": id or 0, "most": n}   → {"count", "bytes", "letters": [[id, number, ts_ms, reason, data]]}
    retry {"after": id, "until": id}              → {"retried", "kept", "last": id or 0 when there are no more}

A page has at most PAGE_LETTERS and about PAGE_BYTES; a list goes from the newest back. `retry` takes frames only:
pieces of the line that never were frames have no number, and what the journal has lost has no bytes.
"""

from __future__ import annotations

from typing import Any, Final

from common.core.errors import WireError
from common.core.events import Note, Send
from common.stream.blocks import BATCH_BYTES, BATCH_FRAMES
from common.stream.events import FindLetters, KeptLetter, LettersFound, StreamEffect
from common.stream.uplink import Uplink
from common.wire import codec
from common.wire.messages import Plane, Reply, Request

PAGE_LETTERS: Final = 256
PAGE_BYTES: Final = 256 * 1024
MOST_ID: Final = 2**63 - 1
"""SQLite's largest integer."""
VERBS: Final = frozenset({"dead_letters", "retry"})


class Letters:
    """The two verbs of one reader."""

    def __init__(self, device: str, uplink: Uplink, has_port: bool) -> None:
        self._device = device
        self._uplink = uplink
        self._has_port = has_port

    def serve(self, request: Request) -> list[StreamEffect]:
        """Looks the page up. Raises WireError for arguments that are no ids and counts."""
        arguments = codec.unpack_map(request.body)
        if request.verb == "dead_letters":
            before = _id(arguments, "before") or MOST_ID
            most = min(max(1, _id(arguments, "most")), PAGE_LETTERS)
            return [FindLetters(request, 0, before, most, PAGE_BYTES, newest_first=True)]
        if not self._has_port:
            return [_refuse(request, f"device {self._device} is no longer configured: there is nothing to retry with")]
        after, until = _id(arguments, "after"), _id(arguments, "until")
        before = min(until + 1, MOST_ID)
        return [FindLetters(request, after, before, BATCH_FRAMES, BATCH_BYTES, newest_first=False)]

    def found(self, event: LettersFound, now_s: float) -> list[StreamEffect]:
        """Answers with the page, or sends it through again."""
        if event.request.verb == "retry":
            return self._retry(event, now_s)
        letters = [list(letter) for letter in event.letters]
        return [_answer(event.request, {"count": event.total, "bytes": event.total_bytes, "letters": letters})]

    def _retry(self, event: LettersFound, now_s: float) -> list[StreamEffect]:
        frames = [letter for letter in event.letters if _was_frame(letter)]
        effects: list[StreamEffect] = []
        if frames:
            if refusal := self._uplink.refusal(frames):
                return [_refuse(event.request, refusal)]
            facts = {"device": self._device, "count": len(frames), "first": frames[0].id, "last": frames[-1].id}
            effects = [Note("info", "dead_letters.retried", facts), *self._uplink.revive(frames, now_s)]
        last = event.letters[-1].id if event.letters else 0
        result = {"retried": len(frames), "kept": len(event.letters) - len(frames), "last": last}
        return [*effects, _answer(event.request, result)]


def _was_frame(letter: KeptLetter) -> bool:
    return letter.number > 0 and bool(letter.data)


def _id(arguments: dict[str, Any], name: str) -> int:
    value = arguments.get(name)
    if type(value) is not int or not 0 <= value <= MOST_ID:
        raise WireError(f"{name}: expected a whole number from 0 to 2^63 - 1")
    return value


def _answer(request: Request, value: dict[str, Any]) -> Send:
    return Send(Plane.CALLS, Reply(request.id, request.reply_to, "", codec.pack(value)))


def _refuse(request: Request, error: str) -> Send:
    return Send(Plane.CALLS, Reply(request.id, request.reply_to, error, b""))
