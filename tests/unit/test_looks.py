"""What bytes look like, and what is said of bytes that end no frame."""

from __future__ import annotations

import random

import pytest

from common.config.framing import Framing
from common.core.looks import NO_TEXT, end_in, looks_of
from common.core.quoting import spelled
from services.port_reader.core.unframed import why_unframed

TEXT = b"weight 12.5 kg, tare 0.0 kg "


def with_parity(data: bytes, odd: int) -> bytes:
    """Text as a port with eight data bits reads what a device with seven and a parity sends."""
    return bytes(byte | 0x80 * ((byte.bit_count() + odd) % 2) for byte in data)


@pytest.mark.parametrize("data", [b"", b"\xff\x80", TEXT, TEXT + b"\xb0C " + TEXT, b"a\r\n" * 9])
def test_text_and_too_few_bytes_look_like_nothing(data: bytes) -> None:
    """A disturbed byte in a text is no reason to doubt the settings."""
    assert looks_of(data) == ""


@pytest.mark.parametrize(("odd", "letter"), [(0, "E"), (1, "O")])
def test_a_parity_bit_that_is_read_as_data_is_seen(odd: int, letter: str) -> None:
    """By its own rule: each byte's count of ones is even, or odd."""
    assert f'"bytesize": 7, "parity": "{letter}"' in looks_of(with_parity(TEXT, odd))


def test_a_mark_bit_is_seen() -> None:
    """All bytes have it."""
    assert '"parity": "M"' in looks_of(bytes(byte | 0x80 for byte in TEXT))


def test_everything_else_is_no_text() -> None:
    """Another rate, or a binary protocol: that can't be told apart."""
    draw = random.Random(7)
    assert looks_of(bytes(draw.choices(range(256), k=60))) == NO_TEXT
    assert looks_of(b"\x00\xf8\x80" * 20) == NO_TEXT


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"1\r\n2\r\n", b"\r\n"),
        (b"1\n\r2\n\r", b"\n\r"),
        (b"1\r2\r", b"\r"),
        (b"\x021\x03", b"\x03"),
        (b"1;2;3", b";"),
        (b"1\x002\x00", b"\x00"),
        (b"4012345678900", b""),
        (b"a;b", b""),
    ],
)
def test_what_ends_messages_is_found(data: bytes, end: bytes) -> None:
    """One that stands there once may be anything, unless it is the last byte."""
    assert end_in(data) == end


@pytest.mark.parametrize(
    ("delimiter", "data", "said"),
    [
        (b"\n", b"1\r2\r", r'set "delimiter": "\r"'),
        (b"\r", b"1\n2\n", r'set "delimiter": "\n"'),
        (b"\r\n", b"1\n2\n", r"nothing in the data ends a frame"),
        (b"\xff\xff\xff", b"1\n2\n", r'awaits "hex:FF FF FF"; the data has "\n"'),
        (b"CRLF", b"1\r\n2\r\n", r'set "delimiter": "\r\n"'),
        (b"\n", with_parity(TEXT, 0), "7 data bits"),
        (b"\n", b"4012345678900", "nothing in the data ends a frame"),
    ],
)
def test_a_delimiter_that_does_not_come_is_told_with_what_comes(delimiter: bytes, data: bytes, said: str) -> None:
    """And with the newest bytes, as they would be written in a configuration."""
    found = why_unframed(Framing(delimiter=delimiter), data)
    assert said in found
    assert found.startswith("bytes come, and no frame ends: the configuration awaits ")
    assert f"newest bytes: {spelled(data[-40:])}" in found
