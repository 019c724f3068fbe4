"""What bytes look like to somebody who knows serial lines: a hint where nothing can be made of them. Pure.

Imported only where something is wrong already.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Final

SAMPLE_BYTES: Final = 256
"""So many of the newest bytes are looked at: a few lines of text, or some binary frames."""
SURE_BYTES: Final = 8
"""Fewer bytes than this have a certain parity, or a certain bit, by chance."""
MOSTLY: Final = 0.9
"""So much of it has to fit before another parity is named: a disturbed byte here and there is allowed."""
TEXT: Final = 0.75
"""What has so much of printable text is text: a degree sign in a short line is one byte of seven."""
MOST_CUT: Final = 4
"""Bytes of the longest character in UTF-8."""
_TEXT: Final = frozenset(b"\t\r\n\x02\x03") | frozenset(range(0x20, 0x7F))
_ENDS: Final = (b"\r\n", b"\n\r", b"\n", b"\r", b"\x03", b"\x04", b"\x00", b";")
"""What ends the messages of most devices, the longer ones first: LF CR is no LF."""
_BRACE: Final = b"}"
_SEVEN_BITS: Final = 'the bytes look like text of 7 data bits and {} parity: try "bytesize": 7, "parity": "{}"'
NO_TEXT: Final = (
    'the bytes are no text: the device uses another "baudrate" or "parity" than the configuration, or it speaks binary'
)


def looks_of(data: bytes) -> str:
    """What is probably wrong with the line's settings, in words; "" for text as it should be, and for too few bytes."""
    sample = data[-SAMPLE_BYTES:]
    if len(sample) < SURE_BYTES or _is_text(sample):
        return ""
    if _share_of_text(bytes(byte & 0x7F for byte in sample)) >= MOSTLY:
        ones = [byte.bit_count() % 2 for byte in sample]
        if all(byte & 0x80 for byte in sample):
            return _SEVEN_BITS.format("mark", "M")
        if _share(ones.count(0), sample) >= MOSTLY:
            return _SEVEN_BITS.format("even", "E")
        if _share(ones.count(1), sample) >= MOSTLY:
            return _SEVEN_BITS.format("odd", "O")
    return NO_TEXT


def end_in(data: bytes) -> bytes:
    """What seems to end the messages in this text: the first of the usual ends that stands in it at least twice, or
    once at its end; b"" if none does. Of what is no text (`looks_of`) nothing can be said: noise has any byte."""
    sample = data[-SAMPLE_BYTES:]
    found = next((end for end in _ENDS if sample.count(end) > 1 or sample.endswith(end)), b"")
    return found or (_BRACE if _is_json_in_a_row(sample) else b"")


def _is_json_in_a_row(sample: bytes) -> bool:
    """True for objects with nothing between them, and no other objects in them."""
    braces = sample.count(_BRACE)
    return braces > 1 and braces == sample.count(_BRACE + b"{") + sample.endswith(_BRACE)


def cased_in(data: bytes, awaited: bytes) -> bytes:
    """What is awaited, as it stands in the data in another case; b"" if it does not."""
    sample = data[-SAMPLE_BYTES:]
    place = sample.lower().find(awaited.lower())
    return sample[place : place + len(awaited)] if place >= 0 else b""


def _is_text(sample: bytes) -> bool:
    """True for printable text, in UTF-8 too, also where each message ends with a NUL."""
    if _share(sample.count(0), sample) <= 1 - TEXT:
        sample = sample.replace(b"\0", b"")
    if _share_of_text(sample) >= TEXT:
        return True
    for cut in range(MOST_CUT):
        # The first character may have been cut, and the last one may not be whole yet.
        try:
            text = getincrementaldecoder("utf-8")().decode(sample[cut:])
        except UnicodeDecodeError:
            continue
        return bool(text) and sum(letter.isprintable() or letter in "\r\n\t" for letter in text) >= MOSTLY * len(text)
    return False


def _share_of_text(sample: bytes) -> float:
    return _share(sum(byte in _TEXT for byte in sample), sample)


def _share(count: int, sample: bytes) -> float:
    return count / len(sample)
