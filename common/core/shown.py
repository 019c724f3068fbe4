"""One way for text to reach a terminal or a log: nothing that devices, platforms or files say may steer it. Pure."""

from __future__ import annotations

import re
from typing import Final

_STEERING: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line and paragraph separators, and those that turn the direction of writing."""
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def harmless(text: str) -> str:
    r"""The text on one line, each character that is not simply shown as an escape: control characters of both sets (C0,
    C1), those that turn the direction of writing, line and paragraph separators, lone surrogates, what is invisible.

    Escapes are `\n`, `\r`, `\t` and `\uXXXX`, as JSON has them (two where a character is beyond U+FFFF), so JSON stays
    the same JSON. A backslash of the text stays as it is.
    """
    if text.isprintable():
        return text
    return "".join([letter if letter.isprintable() else _escape(letter) for letter in text])


def is_steering(text: str) -> bool:
    """True if the text holds a character that would steer a terminal or break a line: no name has any business with
    one. (What is merely invisible, such as the joiners that some scripts need, is none of them.)"""
    return not text.isprintable() and _STEERING.search(text) is not None


def harmless_lines(text: str) -> str:
    """Makes each line of a text harmless, and keeps its line feeds."""
    if text.isprintable():
        return text
    return "\n".join(map(harmless, text.split("\n")))


def _escape(letter: str) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    number = ord(letter)
    if number > 0xFFFF:
        number -= 0x10000
        return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
    return f"\\u{number:04x}"
