"""Listens at one setting after the other, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.core.errors import LinkError
from services.cli.identifying.candidates import Candidate, candidates
from services.cli.identifying.port import Port
from services.cli.probing.guessing import ENOUGH_BYTES, SETTINGS, SURE, Guess, Heard, guess

MOST_S: Final = 120.0
"""A person does not wait longer."""
MOST_BYTES: Final = 64 * 1024
"""Of one setting: a line at full speed says the same again and again."""
FRAMES_S: Final = 2.0
"""Behind the first bytes it goes on for so long, for a few frames to look at."""


def listen(port: Port, each_s: float, tell: Callable[[str], None], folder: Path) -> list[Guess]:
    """What was heard at each setting, until one is sure. Raises LinkError where the port goes away."""
    known = candidates(asks=False, folder=folder)
    settings = list(dict.fromkeys([SETTINGS[0], *known, *SETTINGS]))
    until_s = time.monotonic() + MOST_S
    found: list[Guess] = []
    for number, setting in enumerate(settings, start=1):
        if time.monotonic() > until_s:
            tell(f"{MOST_S:g} s are over")
            break
        try:
            port.set(setting)
        except LinkError as error:
            tell(str(error))
            continue
        tell(f"{number}/{len(settings)}: listening at {setting} ...")
        some = known.get(setting, [])
        heard = _hear(port, setting, each_s, some)
        found.append(guess(heard, some))
        if found[-1].score >= SURE:
            break
        if number == len(known) + 1 and not any(one.sample for one in found):
            # A silent line is silent at every speed.
            break
    return found


def _hear(port: Port, setting: str, each_s: float, some: list[Candidate]) -> Heard:
    chunks: list[bytes] = []
    size = 0
    for chunk in port.hear(each_s):
        size = _take(chunk, chunks, some, size)
        if any(one.is_found and one.is_checked for one in some) or size >= MOST_BYTES:
            return Heard(setting, tuple(chunks))
    if size > 0:
        # Something talks here: a little longer, so that there are frames to look at.
        for chunk in port.hear(FRAMES_S if size < 4 * ENOUGH_BYTES else 0.05):
            size = _take(chunk, chunks, some, size)
            if size >= MOST_BYTES:
                break
    return Heard(setting, tuple(chunks))


def _take(chunk: bytes, chunks: list[bytes], some: list[Candidate], size: int) -> int:
    chunks.append(chunk)
    for one in some:
        one.listen(chunk) if chunk else one.fall_silent()
    return size + len(chunk)
