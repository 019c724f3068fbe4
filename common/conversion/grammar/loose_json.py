"""JSON as devices print it: one member that is none takes no other with it. Pure.

Firmware writes JSON with its print function: a sensor that is not there is `nan`, a number has a plus or zeros in front
of it, a name came in another encoding. What can't be taken for a value is bad by itself, and says so where it is wanted
(`member`); a text whose brackets, names or quotes are wrong stays no JSON at all.
"""

from __future__ import annotations

import re
from typing import Any, Final

import simplejson

from common.conversion.printed import parse_float
from common.conversion.values import plain_value
from common.core.blanks import BLANKS

_BAD: Final = "\ud800"
"""Stands before what is no value. No text of a device begins with it: alone it is no character."""
_WORD: Final = re.compile(
    r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|(?<![^\s"{}\[\]:,])[^\s"{}\[\]:,]++(?=\s*+[,}\]])', re.DOTALL
)
"""A text, which stays as it is, also where it has no end; or a word where a value may stand. Nothing is tried twice: a
long frame that is no JSON costs no more than reading it once."""
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NO_NUMBER: Final = re.compile(
    r"[+-]?(?:nan(?:\([a-z0-9]*\))?|inf(?:inity)?|1\.#(?:inf|qnan|snan|ind)0*)", re.IGNORECASE
)
"""What C and its relatives print for no number and for infinity."""
_KNOWN: Final = frozenset({"true", "false", "null"})
_DECODER: Final = simplejson.JSONDecoder(strict=False)
"""Texts may hold control characters."""
_SHOWN_CHARS: Final = 60


def loads(data: bytes, encoding: str) -> Any:
    """What JSON text says, members that are bad included: `member` finds them. NaN and infinity are null.

    Raises ValueError for what is no JSON.
    """
    text = data.decode(encoding or "utf-8", "surrogateescape").strip(BLANKS)
    try:
        return _DECODER.decode(_WORD.sub(_rewritten, text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def member(value: Any) -> Any:
    """A member as it can be sent on. Raises ValueError, a whole sentence, for a bad one, and for one with a bad one in
    it."""
    for text in _texts(value):
        if text.startswith(_BAD):
            raise ValueError(f"found {text[1:][:_SHOWN_CHARS]}, expected a value of JSON")
        if not _is_whole(text):
            raise ValueError(f'found {ascii(text)[:_SHOWN_CHARS]}, expected text in UTF-8, or "encoding" names another')
    try:
        return plain_value(value)
    except ValueError as error:
        raise ValueError(f"found {error}") from None


def _rewritten(found: re.Match[str]) -> str:
    """A word as JSON has it."""
    word = found[0]
    if word[0] == '"' or word in _KNOWN or _NUMBER.fullmatch(word):
        return word
    if _NO_NUMBER.fullmatch(word):
        return "null"
    if _WHOLE.fullmatch(word):
        sign = "-" if word[0] == "-" else ""
        return sign + (word.lstrip("+-").lstrip("0") or "0")
    try:
        return repr(parse_float(word.encode("ascii")))
    except ValueError:
        return simplejson.dumps(_BAD + word)


def _texts(value: Any) -> list[str]:
    """All texts in a value, names of members included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
