"""What bytes look like, and what is said of bytes that end no frame."""

from __future__ import annotations

import random

import pytest

from common.config.framing import Framing
from common.core.frame_shape import Shape
from common.core.looks import NO_TEXT, end_in, looks_of
from common.core.quoting import shown
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


@pytest.mark.parametrize("seed", range(40))
def test_noise_has_no_delimiter(seed: int) -> None:
    """Each byte stands in it now and then, those that end messages too."""
    noise = bytes(random.Random(seed).choices([byte for byte in range(256) if byte != 10], k=200))
    assert NO_TEXT in why_unframed(Framing(), noise)


def misread(text: bytes, sent_baud: int, read_baud: int) -> bytes:
    """What a port at another rate reads: each bit is sampled in its middle."""
    bits = [1] * 20
    for byte in text:
        bits += [0, *(byte >> place & 1 for place in range(8)), 1]
    bits += [1] * 20
    level = [
        bits[min(len(bits) - 1, int(at * sent_baud / read_baud))] for at in range(len(bits) * read_baud // sent_baud)
    ]
    found, at = bytearray(), 0
    wave = [bits[min(len(bits) - 1, int((at + 0.5) * sent_baud / read_baud))] for at in range(len(level))]
    while at + 10 <= len(wave):
        if wave[at] == 0:
            found.append(sum(wave[at + 1 + place] << place for place in range(8)))
            at += 10
        else:
            at += 1
    return bytes(found)


@pytest.mark.parametrize(("sent", "read"), [(9600, 19200), (9600, 38400), (9600, 115200), (4800, 9600), (19200, 9600)])
def test_another_rate_is_told_as_such(sent: int, read: int) -> None:
    """And not as another delimiter, though there may be one in it."""
    data = misread(b"T=23.5 H=40\r\nT=23.6 H=41\r\n" * 6, sent, read).replace(b"\n", b"")
    assert NO_TEXT in why_unframed(Framing(), data), data
    assert 'set "delimiter"' not in why_unframed(Framing(), data)


@pytest.mark.parametrize("text", ["Температура 23,5\r", "温度 23.5 度\r", "23.5 °C\r"])
def test_text_in_utf_8_is_text(text: str) -> None:
    """Also where the first character is cut."""
    assert looks_of(text.encode() * 5) == looks_of((text.encode() * 5)[1:]) == ""


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
        (b'{"t":1}{"t":2}', b"}"),
        (b'{"t":{"x":1}}{"t":{"x":2}}', b""),
        (b"a}b}", b""),
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
        (b"\r\n", b"1\n2\n", r'awaits "\r\n"; the data has "\n" instead: set "delimiter": "\n"'),
        (b"\n\n", b"23.0\n23.1\n", r'set "delimiter": "\n"'),
        (b"\n", b"23.0\x0023.1\x0023.2\x00", 'set "delimiter": '),
        (b"\n", b"23.5 \xb0C\r23.6 \xb0C\r", r'set "delimiter": "\r"'),
        (b"\xff\xff\xff", b"1\n2\n", r'awaits "hex:FF FF FF"; the data has "\n"'),
        (b"CRLF", b"1\r\n2\r\n", r'set "delimiter": "\r\n"'),
        (b"\n", with_parity(TEXT, 0), "7 data bits"),
        (b"end", b"23.5END23.6END", 'awaits "end"; the data has "END" instead: set "delimiter": "END"'),
        (b"\n", b'{"t":1}{"t":2}', 'set "delimiter": "}"'),
        (b"\n", b"4012345678900", "nothing in the data ends a frame"),
    ],
)
def test_a_delimiter_that_does_not_come_is_told_with_what_comes(delimiter: bytes, data: bytes, said: str) -> None:
    """And with the newest bytes, as they would be written in a configuration."""
    found = why_unframed(Framing(delimiter=delimiter), data)
    assert said in found
    assert found.startswith("bytes come, and no frame ends: the configuration awaits ")
    newest = data[-20:].hex(" ").upper() if looks_of(data) else shown(data[-40:])
    assert found.endswith(f"newest bytes: {newest}")


@pytest.mark.parametrize(
    ("shapes", "data", "said"),
    [
        ([Shape(ends=(b"\r\n",))], b"23.0\r23.1\r", r'the data has "\r" instead: say "end": "\r" in "framing"'),
        ([Shape(ends=(b"\r", b"\n"))], b"\x0223.0\x03\x0223.1\x03", 'has "hex:03" instead: say "end": "hex:03"'),
        ([Shape(starts=(b"#",), ends=(b"END",))], b"#1end#2end", 'has "end" instead: say "end": "end"'),
        ([Shape(starts=(b"#",), ends=(b"\r",))], b"$1\n$2\n", "none of the newest bytes begins a frame"),
        ([Shape(starts=(b"#",), length=4)], b"#1\n#2\n#3\n", "newest bytes: 23 31 0A"),
    ],
)
def test_another_end_than_that_of_a_framing_is_told_too(shapes: list[Shape], data: bytes, said: str) -> None:
    """Where nothing but their end tells frames of text."""
    assert said in why_unframed(Framing(shapes=tuple(shapes)), data)
