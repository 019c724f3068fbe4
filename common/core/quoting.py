"""How text and bytes stand in messages: `"text"`, `"hex:03"` as a configuration has it, `'48\\r'` as it came. Pure.

Not for a port reader's start: it is needed where something has to be told.
"""

from __future__ import annotations

import json
from typing import Final

from common.core.byte_text import bytes_of, spell

SHOWN_BYTES: Final = 60
"""Bytes of data at most that are shown whole: about a line of a terminal."""
_HEAD_BYTES: Final = 40


def quoted(text: str) -> str:
    """A text in double quotes, escaped as JSON does it: so it can be copied into a configuration."""
    return json.dumps(text, ensure_ascii=False)


def spelled(data: bytes | str) -> str:
    """Bytes, or a text that stands for some, as a configuration would say them, in quotes: `"\\r\\n"`,
    `"hex:FF 0D"`."""
    return quoted(spell([data if isinstance(data, bytes) else bytes_of(data)]))


def shown(data: bytes) -> str:
    """Bytes that came or go, as a short text: `'48\\r'`. Letters stay letters beside bytes that are none, with Python's
    escapes; what is long is cut."""
    if len(data) > SHOWN_BYTES:
        return f"{repr(data[:_HEAD_BYTES])[1:]}… ({len(data)} bytes)"
    return repr(data)[1:]
