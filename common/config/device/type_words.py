"""The words that a `type` may be, and a sentence for each other one: what it means here, and which word says what was
meant.

The reference takes any word, and an unknown one for hexadecimal text (in what is written: for text). So it stays; but
nobody should learn that from values on a dashboard.
"""

from __future__ import annotations

import re
from typing import Final

from common.config.findings import nearest, show
from common.config.point_models import OTHER_TYPES

POINT_TYPES: Final = ("string", "int", "float", "double", "bool", "json")
"""Types of data points and answers that are converted; any other word, and none, means hexadecimal text."""
HEX_TYPES: Final = ("bytes", "byte", "hex", "raw", "hexadecimal", "hexstring", "binary", "bytearray")
"""What people write on purpose to get hexadecimal text; a warning would be wrong."""
PARAM_TYPES: Final = ("string", "int", "float", "double", "hex")
"""Types of an RPC's params that are written as such; any other word means text."""
TEXT_TYPES: Final = ("text", "str")
"""What people write on purpose to get text."""

_SIZED: Final = re.compile(
    r"u?(?:int|short|long)_?(?:8|16|32|64)(?:_?[bl]e)?|[us](?:8|16|32|64)|d?word|u(?:int|short|long)"
)
_SIZED_FLOAT: Final = re.compile(r"(?:float|real|f)_?(?:16|32|64)(?:_?[bl]e)?|single")
_SIZES: Final = 'and a type such as "uint16" or "float32"'
_INT: Final = ("integer", "long", "short", "bigint", "whole", "signed", "unsigned", "counter")
_FLOAT: Final = ("number", "numeric", "decimal", "real", "num")
_BOOL: Final = ("boolean", "bit", "flag", "switch", "logical", "onoff")
_STRING: Final = ("str", "text", "char", "chars", "ascii", "utf8", "utf-8", "varchar", "str8")
_JSON: Final = ("object", "dict", "array", "list", "map")


def doubt_of_point_type(word: str, *, users: bool = False) -> str | None:
    """A sentence on the type of a data point or an answer; None for one that is known or meant as hexadecimal.

    `users`: a user's converter may know types of its own, so only what looks like a slip is worth a word.
    """
    if not word or word in (*POINT_TYPES, *HEX_TYPES):
        return None
    if word in OTHER_TYPES:
        return f'{show(word)} is read only at a place, as "field", "regex" or "at", and means hexadecimal text here'
    start = f"{show(word)} is no type of ours and means hexadecimal text"
    near = nearest(word, (*POINT_TYPES, *HEX_TYPES))
    if users:
        return None if near is None else f'{start}, did you mean "{near}"?'
    return f"{start}{_point_advice(word.strip().lower(), near)}"


def doubt_of_param_type(word: str, *, users: bool = False) -> str | None:
    """The same of the type of an RPC's params, where an unknown word means text."""
    if not word or word in (*PARAM_TYPES, *TEXT_TYPES):
        return None
    start = f"{show(word)} is no type of ours and means text"
    near = nearest(word, (*PARAM_TYPES, *TEXT_TYPES))
    if users:
        return None if near is None else f'{start}, did you mean "{near}"?'
    return f"{start}{_param_advice(word.strip().lower(), near)}"


def read_as(word: str) -> str:
    """What a data point or an answer of this type is read as, in a listing."""
    return word if word in POINT_TYPES else "hexadecimal"


def written_as(word: str) -> str:
    """What an RPC's params of this type are written as, in a listing."""
    return word if word in PARAM_TYPES and word != "string" else "text"


def _point_advice(word: str, near: str | None) -> str:
    """What to write instead, for the meaning that the word most likely has."""
    if _SIZED.fullmatch(word):
        return f'; "int" reads decimal digits: a number in binary is read with "at", its first byte, {_SIZES}'
    if _SIZED_FLOAT.fullmatch(word):
        return f'; "float" reads decimal digits: a number in binary is read with "at", its first byte, {_SIZES}'
    if word in _INT:
        return '; write "int" for a whole number in decimal digits'
    if word in _FLOAT:
        return '; write "float" for a number in decimal digits, "int" for a whole one'
    return _common_advice(word, near) or (
        f'; the types are {", ".join(POINT_TYPES)}, and "hex" says hexadecimal text on purpose'
    )


def _param_advice(word: str, near: str | None) -> str:
    if word in HEX_TYPES:
        return '; write "hex" for bytes that params give in hexadecimal digits'
    if _SIZED.fullmatch(word):
        return '; write "int" with a "length" for so many bytes of a whole number'
    if _SIZED_FLOAT.fullmatch(word) or word in _FLOAT:
        return '; write "float" or "int" for the bytes of a number'
    if word in _INT:
        return '; write "int" for the bytes of a whole number'
    if word == "bool" or word in _BOOL:
        return ', in which true and false are written as "trueText" and "falseText" say'
    if word == "json" or word in _JSON:
        return ", in which objects and lists are written as JSON"
    return _common_advice(word, near) or f"; the types are {', '.join(PARAM_TYPES)}"


def _common_advice(word: str, near: str | None) -> str:
    for words, right in ((_BOOL, "bool"), (_STRING, "string"), (_JSON, "json")):
        if word in words:
            return f'; write "{right}"'
    return "" if near is None else f', did you mean "{near}"?'
