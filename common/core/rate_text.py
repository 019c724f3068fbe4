"""Limits of a rate as ThingsBoard writes them: `10:1,100:60` is ten in a second and a hundred in a minute. Pure."""

from __future__ import annotations

import re
from typing import Final

Pairs = tuple[tuple[int, int], ...]
"""(how many, in how many seconds), each of which holds; () is no limit."""
_SEPARATORS: Final = re.compile("[,;]")
_PAIR: Final = re.compile(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*", re.ASCII)


def read_rates(text: str) -> Pairs:
    """The limits in a text. `0`, `0:0` and an empty text are no limit; pairs are parted by `,` or `;`, and one may end
    the text. Raises ValueError for anything else."""
    pairs = []
    for part in _SEPARATORS.split(text):
        if part.strip() in ("", "0"):
            continue
        found = _PAIR.fullmatch(part)
        if found is None:
            raise ValueError(f"{part!r} is no pair of a number and seconds")
        count, seconds = int(found[1]), int(found[2])
        if count and seconds:
            pairs.append((count, seconds))
    return tuple(pairs)
