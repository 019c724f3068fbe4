"""Control characters by their names (ASCII, ISO 646): `<STX>` in a configuration is the byte 02. Pure.

This is the notation of all texts that stand for bytes of a protocol: ASCII text with JSON's escapes, `<STX>`, or
`hex:AA C0`. What stands in angle brackets and is no name is the text itself.
"""

from __future__ import annotations

import re
from typing import Final

from common.core.byte_text import HEX, bytes_of

_WORDS: Final = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
)
_LOW: Final = dict(enumerate(_WORDS.split(" ")))
CODES: Final = {name: code for code, name in _LOW.items()} | {"TAB": 0x09, "XON": 0x11, "XOFF": 0x13, "DEL": 0x7F}
"""Name → byte."""
_NAMES: Final = _LOW | {0x7F: "DEL"}
_NAME: Final = re.compile(r"<([A-Z][A-Z0-9]{1,3})>")


def protocol_bytes(text: str) -> bytes:
    """The bytes that a text stands for. Raises ValueError for `hex:` with something else than pairs of digits behind
    it, and for characters that are not ASCII."""
    if text.startswith(HEX):
        return bytes_of(text)
    return _NAME.sub(lambda found: _one(found.group(0), found.group(1)), text).encode("ascii")


def protocol_text(text: str) -> str:
    """The same text with the control characters themselves in place of their names: for texts that are filled in before
    they become bytes. What begins with `hex:` has no names."""
    return text if text.startswith(HEX) else _NAME.sub(lambda found: _one(found.group(0), found.group(1)), text)


def _one(text: str, name: str) -> str:
    return chr(CODES[name]) if name in CODES else text


def no_names_in(text: str) -> list[str]:
    """What stands in angle brackets like the name of a control character, and is none."""
    if text.startswith(HEX):
        return []
    return [found for found in _NAME.findall(text) if found not in CODES]


def named(data: bytes) -> str:
    """Bytes in words for a person: `STX (02)`, `CR LF`, `"!" (21)`, `"\\r\\nChecksum\\t"`, `AA C0`."""
    if len(data) == 1:
        digits = data.hex().upper()
        word = _NAMES.get(data[0]) or (f'"{chr(data[0])}"' if 0x20 <= data[0] < 0x7F else "")
        return f"{word} ({digits})" if word else digits
    if all(byte in _NAMES for byte in data):
        return " ".join(_NAMES[byte] for byte in data)
    if data.isascii() and sum(0x20 <= byte < 0x7F for byte in data) > len(data) / 2:
        from common.core.quoting import quoted

        plain = b"\r\n\t"
        return quoted(
            "".join(f"<{_NAMES[byte]}>" if byte in _NAMES and byte not in plain else chr(byte) for byte in data)
        )
    return data.hex(" ").upper()
