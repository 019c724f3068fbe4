"""Numbers, and words for true and false, as instruments print them. Pure.

Good numbers are read by Python's own `int` and `float`; what is here begins where those fail. Blanks of every kind and
NULs stand around a number, between its sign and its digits too; a comma may stand before the fraction, where the
configuration says so. Words are those that everybody knows, and a device's own. Nothing is guessed: what is read by no
rule here is refused, and `doubt_of` says what stands there. An underscore between digits, which Python takes, is no
part of a number: a device that prints `1_20` means two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from common.config.models import Decimal
from common.core.blanks import BLANK_BYTES, BLANKS
from common.core.byte_text import HEX, bytes_of

_SIGNED: Final = re.compile(rf"[+-][{BLANKS}]+(?=[0-9.,])")
_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(?:([.,' _\xa0\u202f\u2009])[0-9]{3})(?:\1[0-9]{3})*(?:[.,][0-9]+)?")
_WITH_MORE: Final = re.compile(
    r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?(?=[^0-9.,]|(?<![.,])[.,](?![0-9]))"
)
_EXPONENT: Final = re.compile(r"\s*(?:[dDeE]\s*[+-]?|[x*]\s*10\s*\^\s*[+-]?)\s*[0-9]+(?![0-9A-Za-z])")
"""A power of ten in a notation that is not read; cut off it would make another number."""
_LARGE: Final = re.compile(r"[eE]\+?[0-9]{3,}")
_UNTIL: Final = "untilDelimiter"
_LONGEST_LOOKED_AT: Final = 64
"""Bytes of a field at most for which a reason is looked for: no number is longer, and noise must cost little."""
_MINUS: Final = "\u2212"
"""The sign that typesetters have for minus."""

TRUE_WORDS: Final = ("true", "yes", "on", "y", "t", "enabled")
FALSE_WORDS: Final = ("false", "no", "off", "n", "f", "disabled")
"""In any case. Open and closed, high and low, run and stop are not among them: which of them is true only the
configuration can say."""
_KNOWN: Final[dict[str, bool]] = dict.fromkeys(TRUE_WORDS, True) | dict.fromkeys(FALSE_WORDS, False)
EXPECTED_BOOL: Final = (
    f"a number, or a word for true ({', '.join(TRUE_WORDS)}) or false ({', '.join(FALSE_WORDS)});"
    ' other words are named by "trueText" and "falseText"'
)


def is_blank(frame: bytes, delimiter: bytes) -> bool:
    """True for a frame that says nothing to whoever reads text: a blank line, a keepalive of NULs, the delimiter alone.

    Only bytes of ASCII count, since nobody knows yet in which encoding the others are.
    """
    return not frame.removesuffix(delimiter).strip(BLANK_BYTES)


def plain_number(field: bytes) -> str:
    """The text of a number without what is odd about it: blanks at its ends and behind its sign. Raises nothing: what
    is no number stays none."""
    try:
        text = field.decode()
    except UnicodeDecodeError:
        # A blank that does not break is one byte there, and digits are the same.
        text = field.decode("latin-1")
    text = text.strip(BLANKS).replace(_MINUS, "-", 1)
    signed = _SIGNED.match(text)
    return text[0] + text[signed.end() :] if signed else text


def parse_float(field: bytes) -> float:
    """A decimal number with a point before its fraction, blanks around it allowed; neither NaN nor infinite."""
    _refuse_underscores(field)
    try:
        value = float(field)
    except ValueError:
        # As ASCII: text may hold digits of other scripts, which Python would take.
        value = float(plain_number(field).encode("ascii"))
    if math.isfinite(value):
        return value
    raise ValueError("not finite")


def parse_float_with_comma(field: bytes) -> float:
    """The same with a comma before the fraction. A point is refused: it could only separate thousands."""
    text = plain_number(field)
    if "." in text:
        raise ValueError("a point where the fraction begins with a comma")
    return parse_float(text.replace(",", ".", 1).encode("ascii"))


def read_whole(field: bytes) -> int:
    """A whole number of any length, blanks around it allowed. Raises ValueError."""
    _refuse_underscores(field)
    try:
        return int(field)
    except ValueError:
        return int(plain_number(field).encode("ascii"))


def _refuse_underscores(field: bytes) -> None:
    if b"_" in field:
        raise ValueError("an underscore")


def doubt_of(field: bytes, *, whole: bool, decimal: Decimal, cut: str = _UNTIL) -> str:
    """What stands in a field that is no number, as a clause for a person; "" where there is nothing to say of it. `cut`
    is the key that cuts off what stands behind a number."""
    if len(field) > _LONGEST_LOOKED_AT:
        return ""
    text = plain_number(field)
    if decimal == "," and "." in text and "," not in text:
        return 'with "decimal": "," a point can only separate thousands, which is not read'
    grouped = _GROUPED.fullmatch(text)
    separators = len(re.findall(r"[.,]", text))
    if grouped and (grouped[1] not in ".," or separators > 1):
        return "separators of thousands are not read"
    if not whole and not decimal and text.count(",") == 1 and "." not in text:
        return 'a comma before the fraction is named by "decimal": ","'
    if whole and _is_number(text.replace(",", ".")):
        return 'it has a fraction, which "float" reads'
    if text[:2].lower() == "0x":
        return "hexadecimal digits are not read as a number"
    more = _WITH_MORE.match(text)
    return _doubt_of_rest(text[more.end() :], field, cut) if more else ""


def _doubt_of_rest(rest: str, field: bytes, cut: str) -> str:
    """The same of what stands behind a number. What is a part of it is not to be cut off."""
    if rest.strip(BLANKS) in ("-", "+", _MINUS):
        return "a sign behind the number is not read"
    if _LARGE.fullmatch(rest):
        return "it is larger than numbers can be"
    if _EXPONENT.match(rest):
        return "a power of ten is read as e3 or E-3, without blanks"
    if not rest.isascii() and not _is_utf_8(field):
        code = rest.strip(BLANKS).encode("latin-1", "replace")[:20].hex(" ").upper()
        spelled = f' as "hex:{code}"' if cut == _UNTIL else ""
        return f"behind the number stands {rest[:20]!r} in bytes that are no UTF-8, which {cut} can cut off{spelled}"
    return f"behind the number stands {rest[:20]!r}, which {cut} can cut off"


def _is_utf_8(field: bytes) -> bool:
    try:
        field.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(parse_float(text.encode("ascii")))
    except ValueError:
        return False


def parse_bool(field: bytes) -> bool:
    """A number that is not 0, or a word that everybody knows, in any case. Raises ValueError for all else."""
    try:
        return read_whole(field) != 0
    except ValueError:
        found = _KNOWN.get(field.decode().strip(BLANKS).casefold())
    if found is not None:
        return found
    return parse_float(field) != 0


def bool_parser(true_text: Sequence[str], false_text: Sequence[str]) -> tuple[Callable[[bytes], bool], str]:
    """(a parser that knows a device's own words too, what it expects). Its own words come first: where 0 is the word
    for true, 0 is true. Words are compared in any case, those in `hex:` byte by byte."""
    texts: dict[str, bool] = {}
    codes: dict[bytes, bool] = {}
    for words, value in ((true_text, True), (false_text, False)):
        for word in words:
            if word.startswith(HEX):
                codes[bytes_of(word)] = value
            else:
                texts[word.strip(BLANKS).casefold()] = value

    def parse(field: bytes) -> bool:
        # A code may begin or end with what looks like a blank, and may have a line's end behind it.
        found = codes.get(field)
        if found is None:
            found = codes.get(field.strip())
        if found is None:
            found = texts.get(field.decode(errors="replace").strip(BLANKS).casefold())
        return parse_bool(field) if found is None else found

    own = [f"{', '.join(words)} for {value}" for words, value in ((true_text, "true"), (false_text, "false")) if words]
    return parse, f"{' or '.join(own)}, {EXPECTED_BOOL}"
