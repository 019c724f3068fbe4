"""Facts of a log line as `key=value`. Pure."""

from __future__ import annotations

from typing import Any, Final

from common.core.shown import harmless

LONGEST: Final = 300
"""Characters of a value, beyond which it is cut: a frame of 64 KiB is no log line."""
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,%#")


def fact_text(key: str, value: Any) -> str:
    """`key=value`, in quotes only where a plain word would be ambiguous; long values are cut at 300 characters."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if not text or not _PLAIN.issuperset(text):
        text = '"' + "".join(map(_quoted, text[:LONGEST])) + '"'
    return f"{key}={text if len(text) <= LONGEST else text[: LONGEST - 3] + '...'}"


def _quoted(character: str) -> str:
    """Within quotes: nothing may end them."""
    return "\\" + character if character in '"\\' else harmless(character)
