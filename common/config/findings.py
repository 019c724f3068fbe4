"""What is wrong, or worth a word, in configuration files: collected, one finished sentence each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from common.core.shown import harmless

SHOWN_CHARS = 200
"""A message shows so much of a value at most; a line of a terminal is not much longer."""


class Findings:
    """Problems stop the gateway, warnings do not. Both in the order in which the files say them, each on one line,
    whatever stands in the names that it quotes."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def problem(self, file: str, path: str, found: str, expected: str) -> None:
        """Notes a problem at `path` of `file`; `found` and `expected` are noun phrases."""
        self.problems.append(harmless(f"{file}: {path}: found {found}, expected {expected}"))

    def warning(self, file: str, path: str, sentence: str) -> None:
        """Notes something at `path` of `file` that stops nothing, as one sentence."""
        self.warnings.append(harmless(f"{file}: {path}: {sentence}"))


def show(value: Any) -> str:
    """A value as a message shows it: JSON on one line for what is short, the kind for lists and objects."""
    if isinstance(value, list | dict):
        return kind_of(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else f'{text[:SHOWN_CHARS]}…"'


def kind_of(value: Any) -> str:
    """What a value is, without the value: the only thing a message may say of a secret."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    if isinstance(value, str):
        return "a text" if value else "an empty text"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else "a number"


def join_path(path: str, key: str) -> str:
    """The path of `key` inside the object at `path`; a key that is no plain word is shown quoted."""
    if not key.replace("_", "").replace("-", "").isalnum() or not key.isascii():
        key = json.dumps(key[:SHOWN_CHARS])
    return f"{path}.{key[:SHOWN_CHARS]}" if path else key[:SHOWN_CHARS]


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is most like `word`, case ignored; None if none is like it."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(word[:SHOWN_CHARS].lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def choices(values: Iterable[object]) -> str:
    """`one of "a", "b", "c"`."""
    return "one of " + ", ".join(show(value) for value in values)
