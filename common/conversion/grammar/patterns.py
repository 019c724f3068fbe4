"""`pattern`: a text that looks like what the device says, with a name in braces where a value stands. Pure.

    S {stable} {weight} {unit}

A blank stands for one or more of them. `{name}` takes what is there up to the next text of the pattern, `{}` the same
without keeping it; next to a blank neither is empty. Nothing is tried twice: each takes up to the first place where the
pattern can go on, so a long frame costs no more than reading it once.
"""

from __future__ import annotations

import re
from typing import Final

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS: Final = re.compile(r"[ \t]+")


def names_of(pattern: str) -> list[str]:
    """The names in a pattern, in order. Raises ValueError for one that is no name, that comes twice, or that follows
    another without a text between them."""
    pieces = _PLACE.split(pattern)
    names = [name for name in pieces[1::2] if name]
    if re.search(r"[{}]", "".join(pieces[::2])):
        raise ValueError("a brace without its other half")
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{{{name}}}, which is no name: letters, digits and _ only")
        if names.count(name) > 1:
            raise ValueError(f"{{{name}}} twice")
    if any(not text for text in pieces[2:-1:2]):
        raise ValueError("two names with no text between them")
    return names


def compiled(pattern: str) -> re.Pattern[bytes]:
    """The pattern for the bytes of a body, to be matched from its start to its end. Raises ValueError as `names_of`."""
    names_of(pattern)
    pieces = _PLACE.split(pattern.strip(" \t"))
    written = [r"[ \t\r\n]*+", _literal(pieces[0])]
    for index in range(1, len(pieces), 2):
        name, behind = pieces[index], pieces[index + 1]
        is_last = index + 2 == len(pieces)
        before = pieces[index - 1]
        least = "+" if before[-1:].isspace() or behind[:1].isspace() else "*"
        opening = f"(?P<{name}>" if name else "(?:"
        text = f"{opening}.{least}?){_literal(behind)}"
        # Atomic: what was taken stays taken. The last one may have to look for the end.
        written.append(text if is_last else f"(?>{text})")
    return re.compile("".join([*written, r"[ \t\r\n]*\Z"]).encode(), re.DOTALL)


def _literal(text: str) -> str:
    """A text of the pattern as a regular expression, its blanks as runs of them."""
    return r"[ \t]++".join(re.escape(piece) for piece in _BLANKS.split(text))
