"""How long a regular expression takes on frames that nearly fit it: some try every way to cut a text, and never end.

A converter that is in such a search hears nothing any more, so a configuration with one must not start. It is tried on
short texts of few letters, which cost nothing where it is harmless and show quickly where each byte more doubles the
time.
"""

from __future__ import annotations

import re
from time import thread_time
from typing import Final, Literal

SHORT_BYTES: Final = 28
"""A search that takes long on so few bytes takes for ever on a line."""
SLOW_S: Final = 0.02
"""Longer than a search of SHORT_BYTES ever takes that does not multiply, on a machine that has other work too."""
LONG_BYTES: Final = 1024
"""A search that multiplies with the square of the length is seen on so many bytes, and harmless on lines of text."""
LONG_S: Final = 0.1
_BEHIND: Final = b"\x00!"
"""What hardly any expression awaits behind letters that it repeats."""
_HEAD: Final = re.compile(rb"\^?([A-Za-z0-9=:,; ]*)(?![*+?{])")
"""The text that an expression begins with."""
_MOST_LETTERS: Final = 6
_TRIES: Final = 3
"""A busy machine can make a search slow once; what is slow each time is the search itself."""


def cost_of(pattern: re.Pattern[bytes]) -> Literal["", "long", "endless"]:
    """What a search may cost: "" for nothing to speak of, "long" where it takes long on long frames, "endless" where a
    short one is enough. Takes some milliseconds, and a tenth of a second for what is slow."""
    letters = _letters_of(pattern)
    head = _HEAD.match(pattern.pattern)
    heads = list(dict.fromkeys([b"", head[1] if head is not None else b""]))
    for size in range(8, SHORT_BYTES + 1, 2):
        # From short to long, so that nothing is begun that would not end.
        if any(_is_slow(pattern, head + letter * size + _BEHIND, SLOW_S) for letter in letters for head in heads):
            return "endless"
    for size in (128, 512, LONG_BYTES):
        if any(_is_slow(pattern, letter * size + _BEHIND, LONG_S) for letter in letters):
            return "long"
    return ""


def _is_slow(pattern: re.Pattern[bytes], text: bytes, limit_s: float) -> bool:
    return all(_takes_s(pattern, text) > limit_s for _ in range(_TRIES))


def _takes_s(pattern: re.Pattern[bytes], text: bytes) -> float:
    start_s = thread_time()
    pattern.search(text)
    return thread_time() - start_s


def _letters_of(pattern: re.Pattern[bytes]) -> list[bytes]:
    """Letters that the expression is likely to repeat: those of the usual classes, and its own."""
    own = [bytes([byte]) for byte in pattern.pattern if chr(byte).isalnum() or byte in b" ,;:=._-"]
    return list(dict.fromkeys([b"0", b"a", b" ", *own]))[:_MOST_LETTERS]
