"""Log lines as JSON, for programs that collect them. Loaded only where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from common.core.facts import LONGEST
from common.core.shown import harmless


def json_line(head: Mapping[str, str], event: str, facts: Mapping[str, Any], message: str, exception: str) -> bytes:
    """One line: `head` is time, level, process and device; of the rest, what there is. Whatever stands in it, the line
    is JSON, and steers no terminal."""
    found: dict[str, Any] = {key: _text(value) for key, value in head.items() if value}
    if event:
        found["event"] = _text(event)
        found["facts"] = {_text(key): _value(value) for key, value in facts.items()}
    if message:
        found["message"] = _text(message)
    if exception:
        found["exception"] = _text(exception)
    return harmless(msgspec.json.encode(found).decode()).encode() + b"\n"


def _value(value: Any) -> Any:
    """Numbers and truth as they are; all else as text, cut where nobody reads on."""
    if isinstance(value, float):
        return round(value, 6)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    text = _text(str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _text(text: str) -> str:
    """Text that UTF-8 can say: lone surrogates as escapes."""
    return text.encode(errors="backslashreplace").decode()
