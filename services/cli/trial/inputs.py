"""What a person types behind `serialgw try`, as bytes and values."""

from __future__ import annotations

import re
from typing import Final

import simplejson

from common.conversion.values import shorten
from services.cli.text import unescape
from services.cli.usage import UsageError

_BETWEEN: Final = re.compile(r"\s*(?:0x|\\x|[\s:,;-])\s*", re.IGNORECASE)
"""What people and programs write between, and before, the pairs of hexadecimal digits."""


def bytes_of_text(option: str, text: str) -> bytes:
    r"""The bytes of text with escapes such as `\r`. Raises UsageError, which names the option."""
    try:
        return unescape(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def bytes_of_hex(text: str) -> bytes:
    """The bytes of pairs of hexadecimal digits: `54 3a`, `543a`, `54:3A`, `0x54,0x3a`, `\\x54\\x3a`. Raises
    UsageError."""
    try:
        return bytes.fromhex(_BETWEEN.sub(" ", text))
    except ValueError:
        raise UsageError(f"--hex: found {shorten(text)}, expected pairs of hexadecimal digits, such as 54 3a") from None


def params_of(text: str | None) -> object:
    """The value of a call's params; None, as JSON's null, where none are given. Raises UsageError."""
    if text is None:
        return None
    try:
        return simplejson.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'--params: found {shorten(text)}, expected JSON such as 5 or "on" ({error})') from None
