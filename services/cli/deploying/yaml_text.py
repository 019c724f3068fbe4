"""Texts for a Compose file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NO_SERVICE: Final = re.compile(r"[^a-zA-Z0-9._-]+")
"""What the name of a service can't have in it."""


def quoted(text: str) -> str:
    """A text in double quotes, as YAML and Compose take it: what can't be seen is escaped, and a dollar is no
    variable."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter == "$":
        return "$$"
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08x}"


def words(arguments: Iterable[str]) -> str:
    """A command as a list of its words."""
    return f"[{', '.join(map(quoted, arguments))}]"


def service_names(prefix: str, names: Iterable[str]) -> list[str]:
    """A name for the service of each, distinct, and readable as far as a service's name allows."""
    found: list[str] = []
    for name in names:
        plain = f"{prefix}-{_NO_SERVICE.sub('-', name).strip('-.') or 'x'}"
        wanted, number = plain, 2
        while wanted in found:
            wanted, number = f"{plain}-{number}", number + 1
        found.append(wanted)
    return found
