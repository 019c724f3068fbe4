"""Reads texts and numbers as people write them of a protocol: `<STX>`, `hex:AA C0`, `0x7F`."""

from __future__ import annotations

import re
from typing import Final

from common.config.findings import show
from common.config.json_object import JsonObject
from common.core.byte_text import EXPECTED_HEX, HEX
from common.core.control_names import no_names_in, protocol_bytes

_NUMBER: Final = re.compile(r"0[xX][0-9A-Fa-f]{1,16}|[0-9]{1,20}")


def read_bytes(entry: JsonObject, key: str) -> bytes:
    """The bytes that a text stands for; b"" where there is none, or a wrong one, which is noted."""
    text = entry.maybe_text(key, nullable=False)
    return b"" if text is None else text_bytes(entry, key, text)


def read_texts(entry: JsonObject, key: str) -> tuple[bytes, ...]:
    """The same for one text or several; () where there is none, or a wrong one."""
    value = entry.values.get(key)
    if not isinstance(value, list):
        data = read_bytes(entry, key)
        return (data,) if data else ()
    entry.knows(key)
    if not value or not all(isinstance(text, str) and text for text in value):
        entry.problem(key, show(value), "a text, or a list of texts that are not empty")
        return ()
    found = [text_bytes(entry, key, text) for text in value]
    return tuple(dict.fromkeys(found)) if all(found) else ()


def read_byte(entry: JsonObject, key: str) -> int | None:
    """One byte: a number, `0x7D`, or a text that stands for one; None where there is none, or a wrong one."""
    value = entry.values.get(key)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        data = read_bytes(entry, key)
        if len(data) > 1:
            entry.problem(key, show(value), "a text that stands for one byte")
        return data[0] if len(data) == 1 else None
    return read_number(entry, key, 0, 0xFF)


def read_number(entry: JsonObject, key: str, low: int, high: int) -> int | None:
    """A whole number, also as a text in hexadecimal (`"0x1021"`); None where there is none, or a wrong one."""
    entry.knows(key)
    if key not in entry.values:
        return None
    value = entry.values[key]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value, 0) if value[:2].lower() == "0x" else int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        entry.problem(
            key, show(entry.values[key]), f'a whole number from {low} to 0x{high:X}, or a text such as "0x1F"'
        )
        return None
    return value


def text_bytes(entry: JsonObject, key: str, text: str) -> bytes:
    """The bytes that this text stands for, which is the value of the key, or a part of it; b"" for a wrong one."""
    try:
        data = protocol_bytes(text)
    except UnicodeEncodeError:
        hint = f'"{HEX}{text.encode(errors="replace").hex(" ").upper()}" if the device speaks UTF-8'
        entry.problem(key, show(text), f"ASCII text, control names such as <STX>, or bytes in digits: {hint}")
        return b""
    except ValueError:
        entry.problem(key, show(text), EXPECTED_HEX)
        return b""
    for name in no_names_in(text):
        entry.warning(key, f"no control character is called {name}: the text <{name}> itself is meant")
    return data
