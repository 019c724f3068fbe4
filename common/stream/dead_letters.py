"""Dead letters as people ask for them: pages of a list, and which of them can go back into the stream.

A page has at most PAGE_LETTERS and about PAGE_BYTES; a list goes from the newest back. A retry takes frames only:
pieces of the line that never were frames have no number, and what the journal has lost has no bytes.
"""

from __future__ import annotations

from typing import Any, Final

from common.stream.blocks import BATCH_BYTES, BATCH_FRAMES
from common.stream.events import FindLetters, KeptLetter, LettersFound
from common.wire.calls import MOST_ID, ListDeadLetters, RetryDeadLetters
from common.wire.messages import Request

PAGE_LETTERS: Final = 256
"""Letters of one answer: more would not fit a screen, and the next page is a call away."""
PAGE_BYTES: Final = 256 * 1024
"""Bytes of one answer: a letter may hold a frame of 64 KiB."""


def find_page(request: Request, asked: ListDeadLetters) -> FindLetters:
    """Looks up one page of the list."""
    most = min(max(1, asked.most), PAGE_LETTERS)
    return FindLetters(request, 0, asked.before or MOST_ID, most, PAGE_BYTES, newest_first=True)


def find_retried(request: Request, asked: RetryDeadLetters) -> FindLetters:
    """Looks up what is to be sent through again: as much as one batch takes."""
    before = min(asked.until + 1, MOST_ID)
    return FindLetters(request, asked.after, before, BATCH_FRAMES, BATCH_BYTES, newest_first=False)


def page_of(event: LettersFound) -> dict[str, Any]:
    """The answer to `list-dead-letters`: each letter without its origin, for which the message has no field."""
    letters = [list(letter[:5]) for letter in event.letters]
    return {"count": event.total, "bytes": event.total_bytes, "letters": letters}


def frames_among(letters: list[KeptLetter]) -> list[KeptLetter]:
    """Those that were whole frames and have their bytes."""
    return [letter for letter in letters if letter.number > 0 and letter.data]
