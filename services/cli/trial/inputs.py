"""What a person types behind `serialgw try`, as bytes and values."""

from __future__ import annotations

import re
from typing import Final

import simplejson

from common.conversion.values import shorten
from common.core.byte_text import HEX
from services.cli.text import unescape
from services.cli.usage import UsageError

_BETWEEN: Final = re.compile(r"0[xX]|\\x|[\s:,;-]+")
"""What stands before a byte, or between two."""


def bytes_of_text(option: str, text: str) -> bytes:
    r"""The bytes of text with escapes such as `\r`. Raises UsageError, which names the option."""
    try:
        return unescape(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def bytes_of_answer(text: str) -> bytes:
    """The bytes of an answer, which may have no letters: text with escapes, or `hex:06 0D`, as a configuration spells
    bytes. Raises UsageError."""
    return bytes_of_hex(text, "--answer") if text.startswith(HEX) else bytes_of_text("--answer", text)


def bytes_of_hex(text: str, option: str = "--hex") -> bytes:
    """The bytes of pairs of hexadecimal digits as people copy them: `0d0a`, `0D 0A`, `0d:0a`, `0x0d, 0x0a`, `hex:0D`.

    Raises UsageError.
    """
    digits = _BETWEEN.sub(" ", text.strip().removeprefix(HEX))
    try:
        data = bytes.fromhex(digits)
        if data or not text.strip():
            return data
        raise ValueError("no digits")
    except ValueError:
        expected = 'pairs of hexadecimal digits, such as "34 0d", 34:0d or "0x34 0x0d"'
        raise UsageError(f"{option}: found {shorten(text)}, expected {expected}") from None


def params_of(text: str | None) -> object:
    """The value of a call's params; None, as JSON's null, where none are given. Raises UsageError."""
    if text is None:
        return None
    try:
        return simplejson.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'--params: found {shorten(text)}, expected JSON such as 5 or "on" ({error})') from None
