"""What comes from the line before it has a number."""

from __future__ import annotations

from typing import NamedTuple

from common.stream.blocks import BATCH_FRAMES
from common.wire.messages import Entry


class Item(NamedTuple):
    """Entries of one kind that came at one time and have no number yet."""

    kind: int
    frames: list[bytes]
    extra: list[str] = []
    origin: str = ""
    """The name of what was asked for them; "" if they came unasked."""


def items_of(frames: list[bytes]) -> list[Item]:
    """Frames as items that are small enough for one batch each."""
    if len(frames) <= BATCH_FRAMES:
        return [Item(Entry.FRAMES, frames)] if frames else []
    return [Item(Entry.FRAMES, frames[at : at + BATCH_FRAMES]) for at in range(0, len(frames), BATCH_FRAMES)]
