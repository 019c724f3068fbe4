"""Texts that stand for bytes and look as if other bytes were meant: `0x0D`, `<CR>`, `"\\\\r"`, `"\\u00ff"`.

The reference takes them letter by letter, so nothing here is refused: the reader of a file gets a sentence with the
spelling that says what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from common.core.byte_text import HEX, Parts, Placeholder, bytes_of, pairs_of, parts_of, spell, spell_hex
from common.core.quoting import quoted

Use = Literal["plain", "template", "pattern"]
"""What a text is for: as it is, with placeholders, or a regular expression."""

_NAMES: Final = {
    name: bytes([code])
    for code, names in {
        0: "NUL",
        1: "SOH",
        2: "STX",
        3: "ETX",
        4: "EOT",
        5: "ENQ",
        6: "ACK",
        7: "BEL",
        8: "BS",
        9: "TAB HT",
        10: "LF NL",
        11: "VT",
        12: "FF",
        13: "CR",
        16: "DLE",
        17: "XON DC1",
        19: "XOFF DC3",
        21: "NAK",
        22: "SYN",
        23: "ETB",
        24: "CAN",
        26: "SUB",
        27: "ESC",
        28: "FS",
        29: "GS",
        30: "RS",
        31: "US",
        127: "DEL",
    }.items()
    for name in names.split()
} | {"CRLF": b"\r\n", "LFCR": b"\n\r", "NEWLINE": b"\n"}
_BARE: Final = "CRLF|LFCR|CR|LF|NEWLINE|TAB|NUL|STX|ETX|EOT"
"""Names that nobody means as letters where bytes are expected. (FF is two digits as well, US a word.)"""
_ESCAPES: Final = {
    **{"r": b"\r", "n": b"\n", "t": b"\t", "f": b"\f", "v": b"\v", "a": b"\a", "b": b"\b"},
    **{"e": b"\x1b", "0": b"\0"},
}
_PAIRED: Final = {"rn": b"\r\n", "nr": b"\n\r"}

_BRACKETED: Final = rf"<(?P<named>{'|'.join(_NAMES)})>"
_ESCAPE: Final = (
    r"\\+(?P<pair>r\\+n|n\\+r)"
    r"|\\+(?:x\{?(?P<x>[0-9A-Fa-f]{2})\}?|x(?P<short>[0-9A-Fa-f])(?![A-Za-z0-9])|u\{?00(?P<u>[0-9A-Fa-f]{2})\}?"
    r"|(?P<octal>[0-3][0-7]{2})(?![0-9])|(?P<escape>[rntfvabe0])(?![A-Za-z0-9]))"
)
"""However many backslashes are before it: each reader of a file may have taken half of them away."""
_SLASHES: Final = r"/(?P<slash>r/n|n/r)(?![A-Za-z0-9/])"
_DIGITS: Final = r"(?:0[xX]|&[hH])(?P<digits>(?:[0-9A-Fa-f]{2})+)|U\+00(?P<point>[0-9A-Fa-f]{2})"
_OTHERS: Final = (
    rf"\[(?P<square>{'|'.join(_NAMES)})\]|\{{(?P<curly>{'|'.join(_NAMES)})\}}|\^(?P<caret>[@-Z\[\]\\_])"
    r"|[%$#](?P<percent>0[AaDd])|(?P<suffix>[0-9A-Fa-f]{2})[hH](?![A-Za-z0-9])|&?#(?P<decimal>10|13)(?:;|(?=#)|$)"
    r"|#?x(?P<bare_x>0[AaDd])(?![0-9A-Fa-f])|&#x(?P<entity>[0-9A-Fa-f]{1,2});"
    r"|(?:chr|char)\((?P<code>\d{1,2}|1[01]\d|12[0-7])\)|ctrl[ +-]?(?P<ctrl>[@-Z\[\]\\_])(?![A-Za-z0-9])"
)
_WHOLE: Final[dict[Use, re.Pattern[str]]] = {
    "plain": re.compile(
        rf"{_BRACKETED}|{_ESCAPE}|{_SLASHES}|/(?P<one_slash>[rn])$|{_DIGITS}|{_OTHERS}|(?P<bare>{_BARE})", re.IGNORECASE
    ),
    # In these, brackets, backslashes and carets have meanings of their own.
    "pattern": re.compile(rf"{_BRACKETED}|{_DIGITS}", re.IGNORECASE),
    "template": re.compile(rf"{_BRACKETED}|{_ESCAPE}|{_SLASHES}|{_DIGITS}|{_OTHERS}", re.IGNORECASE),
}
"""Other notations of bytes, where a whole text is made of them."""
_BETWEEN: Final = re.compile(r"[\s,;+/&-]*(?!$)")
"""What may stand between two of them; behind the last one it is part of the text."""
_PYTHON: Final = re.compile(r"""b?(?P<quote>["'])(?P<inner>(?:(?!(?P=quote)).)+)(?P=quote)""", re.DOTALL)
"""A text in quotes of another language."""
_AT_END: Final = rf"{_SLASHES}$|(?P<run>0[xX]0[AaDd](?:[\s,]*0[xX]0[AaDd])*)(?=[;,]?$)"
"""Those that are hardly letters where a text ends."""
_BETWEEN_DIGITS: Final = re.compile(r"0[xX]|[\s,]+")
_INSIDE: Final[dict[Use, re.Pattern[str]]] = {
    "plain": re.compile(rf"{_ESCAPE}|{_BRACKETED}|{_AT_END}"),
    "template": re.compile(rf"{_ESCAPE}|{_BRACKETED}|{_AT_END}|\^(?P<caret>[MJ])(?=(?:\^[MJ])*$)|(?P<bare>CRLF)$"),
}
"""Those that are no accident in the midst of other letters either."""
_PAIRS: Final = re.compile(r"[0-9A-F]{2}(?: [0-9A-F]{2})+|0D|0A|0D0A|0A0D", re.IGNORECASE)
_IN_WORDS: Final = re.compile(r"[A-Za-z0-9]")
_LATIN: Final = re.compile(r"[\x80-\xff]")
_UNLIKELY: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x80-\xa1\xa4\xa6\xa8-\xae\xb4\xb6-\xbb\xbf\xff]")
"""Characters that no device's text has: control characters, and signs that keyboards don't."""


def doubt_of(text: str, use: Use) -> str | None:
    """A sentence on a text that looks as if other bytes were meant, with the right spelling; None for one that
    doesn't."""
    if text.startswith(HEX):
        return None
    if text[: len(HEX)].lower() == HEX:
        return _wrong_case(text)
    literals = "".join(part.decode() for part in _parts(text, use) if isinstance(part, bytes))
    whole, meant = _meant_by(text, use)
    bare = _PYTHON.fullmatch(text) if meant is None or not whole else None
    if bare is not None:
        in_quotes = _meant_by(bare["inner"], use)
        whole, meant = in_quotes if in_quotes[1] is not None else (whole, meant)
    if meant is not None:
        # In a regular expression the signs of a plain spelling could mean something else.
        right = HEX + pairs_of(_joined(meant)) if use == "pattern" else spell(meant)
        why = f"for {_named(_joined(meant))} write" if whole else "what was probably meant is"
        return f"{quoted(text)} is taken letter by letter; {why} {quoted(right)}"
    return _latin(text, literals, use)


def _meant_by(text: str, use: Use) -> tuple[bool, Parts | None]:
    """(whether a text is nothing but other notations, the parts that were probably meant or None)."""
    literals = "".join(part.decode() for part in _parts(text, use) if isinstance(part, bytes))
    if _as_whole(literals, use) is not None:
        return True, _each_part(text, use, lambda literal: _as_whole(literal, use) or literal.encode())
    return False, _inside(text, use) if use in _INSIDE else None


def _wrong_case(text: str) -> str | None:
    right = HEX + text[len(HEX) :]
    try:
        parts_of(right)
    except ValueError:
        return None
    return f"{quoted(text)} is taken letter by letter; bytes are written {quoted(right)}, with a small hex:"


def _latin(text: str, literals: str, use: Use) -> str | None:
    """On characters above 0x7F that are hardly part of a word."""
    if not _LATIN.search(literals) or max(literals) > "\xff":
        return None
    if _IN_WORDS.search(literals) and not _UNLIKELY.search(literals):
        return None
    high = "".join(_LATIN.findall(literals))
    written = f"{quoted(high)} becomes UTF-8, {_named(high.encode())}"
    if use == "pattern":
        right = _LATIN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        return f"{written}; for {_named(high.encode('latin-1'))} write {quoted(right)}"
    meant = _each_part(text, use, lambda literal: literal.encode("latin-1"))
    return (
        f"{written}; for {_named(high.encode('latin-1'))} write {quoted(spell(meant))},"
        f" and {quoted(spell_hex(_parts(text, use)))} where UTF-8 is meant"
    )


def _as_whole(text: str, use: Use) -> bytes | None:
    """The bytes of a text that is nothing but other notations; None for all others."""
    if _PAIRS.fullmatch(text):
        return bytes_of(HEX + text)
    at, data = 0, b""
    while at < len(text):
        found = _WHOLE[use].match(text, at)
        if found is None:
            return None
        data += _byte_of(found)
        between = _BETWEEN.match(text, found.end())
        at = between.end() if between else found.end()
    return data or None


def _inside(text: str, use: Use) -> Parts | None:
    """The parts of a text that has other notations between its letters; None for one without."""
    meant: Parts = []
    found_any = False
    for part in _parts(text, use):
        if isinstance(part, Placeholder):
            meant.append(part)
            continue
        literal, at, data = part.decode(), 0, b""
        for found in _INSIDE[use].finditer(literal):
            data += literal[at : found.start()].encode() + _byte_of(found)
            at, found_any = found.end(), True
        meant.append(data + literal[at:].encode())
    return meant if found_any else None


def _byte_of(found: re.Match[str]) -> bytes:
    """The bytes that one piece of another notation stands for."""
    kind = found.lastgroup or ""
    said = found[kind]
    if kind in ("named", "square", "curly", "bare"):
        return _NAMES[said.upper()]
    if kind in ("escape", "one_slash"):
        return _ESCAPES[said.lower()]
    if kind in ("pair", "slash"):
        return _PAIRED[said.replace("\\", "").replace("/", "").lower()]
    if kind == "run":
        return bytes.fromhex(_BETWEEN_DIGITS.sub("", said))
    if kind in ("caret", "ctrl"):
        return bytes([ord(said.upper()) & 0x1F])
    if kind in ("decimal", "code", "octal"):
        return bytes([int(said, 8 if kind == "octal" else 10)])
    return bytes([int(said, 16)]) if len(said) < 2 else bytes.fromhex(said)


def _parts(text: str, use: Use) -> Parts:
    """The parts of a text that is not in hexadecimal digits; only templates have more than one."""
    return parts_of(text) if use == "template" else [text.encode()]


def _each_part(text: str, use: Use, change: Callable[[str], bytes]) -> Parts:
    return [change(part.decode()) if isinstance(part, bytes) else part for part in _parts(text, use)]


def _joined(parts: Parts) -> bytes:
    return b"".join(part for part in parts if isinstance(part, bytes))


def _named(data: bytes) -> str:
    return f"the byte{'s' if len(data) > 1 else ''} {pairs_of(data)}"
