"""Text that stands for bytes, as configurations write it: `"\\r\\n"`, or `hex:FF FF FF` for any bytes at all. Pure.

A text is its UTF-8 bytes, unless it begins with `hex:`: then pairs of hexadecimal digits follow, blanks, `:` and `-`
between them as one likes. A template may have placeholders in both forms: `hex:02 ${params} 03`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

HEX: Final = "hex:"
EXPECTED_HEX: Final = (
    'pairs of hexadecimal digits behind "hex:", such as "hex:0D FF"'
    ' (a text that begins with hex: itself is "hex:68 65 78 3A" and its other bytes)'
)
"""What is right behind `hex:`, for messages."""
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
_PAIRS: Final = re.compile(r"[ \t:-]*(?:[0-9A-Fa-f]{2}[ \t:-]*)*")
_BETWEEN: Final = re.compile(r"[ \t:-]+")
_PLAIN: Final = "\r\n\t"
"""Control characters that everybody knows how to write in JSON."""


class Placeholder(NamedTuple):
    """`${name}` in a template."""

    name: str


Parts = list[bytes | Placeholder]
"""A template in order: bytes as they are, and places to fill in."""


def bytes_of(text: str) -> bytes:
    """The bytes that a text without placeholders stands for.

    Raises ValueError for `hex:` without digits or with something else behind it, and for lone surrogates.
    """
    if not text.startswith(HEX):
        return text.encode()
    data = _read_pairs(text[len(HEX) :])
    if not data:
        raise ValueError("no digits")
    return data


def parts_of(template: str) -> Parts:
    """The parts of a text with placeholders. Raises ValueError as `bytes_of` does; `hex:` with only placeholders is
    right."""
    is_hex = template.startswith(HEX)
    pieces = _PLACEHOLDER.split(template[len(HEX) :] if is_hex else template)
    if is_hex and len(pieces) == 1:
        return [bytes_of(template)]
    parts: Parts = []
    for index, piece in enumerate(pieces):
        # The pattern has one group: every second piece is a name.
        if index % 2:
            parts.append(Placeholder(piece))
        elif piece:
            parts.append(_read_pairs(piece) if is_hex else piece.encode())
    return parts


def _read_pairs(digits: str) -> bytes:
    if not _PAIRS.fullmatch(digits):
        raise ValueError("no pairs of hexadecimal digits")
    return bytes.fromhex(_BETWEEN.sub("", digits))


def pairs_of(data: bytes) -> str:
    """`FF 0D`: bytes as people write them behind `hex:`."""
    return data.hex(" ").upper()


def spell(parts: Iterable[bytes | Placeholder]) -> str:
    """The text that a configuration would say for these parts: plain where every byte is part of a printable text,
    else `hex:`. Reading it again gives the same bytes."""
    known = list(parts)
    plain = "".join(f"${{{part.name}}}" if isinstance(part, Placeholder) else _plain_text(part) for part in known)
    return plain if "\0" not in plain and not plain.startswith(HEX) else spell_hex(known)


def spell_hex(parts: Iterable[bytes | Placeholder]) -> str:
    """The same in digits, whatever the bytes are."""
    pieces = [f"${{{part.name}}}" if isinstance(part, Placeholder) else pairs_of(part) for part in parts]
    return HEX + " ".join(piece for piece in pieces if piece)


def _plain_text(data: bytes) -> str:
    """The text of bytes; "\\0" for bytes that are better shown as digits."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "\0"
    return text if all(letter.isprintable() or letter in _PLAIN for letter in text) else "\0"


def pattern_of(pattern: str) -> str:
    """A regular expression in its usual notation; `hex:FF` finds just these bytes. Raises ValueError as `bytes_of`."""
    if not pattern.startswith(HEX):
        return pattern
    return "".join(f"\\x{byte:02x}" for byte in bytes_of(pattern))
