"""Bytes as people type them on a command line."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([rnt0\\])|(.?))", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def unescape(text: str) -> bytes:
    r"""The bytes of typed text: `\r \n \t \0 \\ \xNN` replaced, the rest as UTF-8.

    Raises ValueError for any other escape, with a sentence for the person who typed it.
    """

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return _as_character(int(found[1], 16))
        if found[2]:
            return _ESCAPED[found[2]]
        raise ValueError(rf"found {found[0]}, expected \r, \n, \t, \0, \\ or \xNN")

    return _ESCAPE.sub(replace, text).encode(errors="surrogateescape")


def _as_character(byte: int) -> str:
    """The character that surrogateescape writes as exactly this byte."""
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
