"""Regular expressions on the bytes of a frame, as the configuration writes them: text, or `hex:` and bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from common.core.byte_text import pattern_of


def compile_bytes(pattern: str) -> re.Pattern[bytes]:
    """The expression for bytes: \\x82 is that byte, a letter above 0x7F its UTF-8; a dot is any byte but a line feed.

    Raises re.error, and ValueError, for what is none.
    """
    return re.compile(pattern_of(pattern).encode())


def searcher(pattern: str) -> Callable[[bytes], re.Match[bytes] | None]:
    """The search for an expression."""
    return compile_bytes(pattern).search
