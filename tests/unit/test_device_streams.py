"""What devices of 34 families say, read by configurations in our grammar."""

from __future__ import annotations

import pytest

from common.core.frame_body import body_of
from common.core.frame_words import words_of
from tests.support.framing import FRAMINGS, STREAMS, cut, frames_of, framing_of, read

BY_FAMILY = pytest.mark.parametrize("stream", STREAMS, ids=[stream["family"] for stream in STREAMS])


@BY_FAMILY
@pytest.mark.parametrize("size", [100_000, 7, 1], ids=["whole", "by 7", "byte by byte"])
def test_its_frames_are_found(stream, size):
    """All that are right, as they are right, and no other; those that are damaged are dead, with their checksum's
    words."""
    chunks = cut(bytes.fromhex(stream["stream_hex"]), size)
    frames, dead = frames_of(framing_of(FRAMINGS[stream["family"]]), chunks)
    assert [frame.hex() for frame in frames] == stream["frames_hex"]
    damaged = [piece.data.hex() for piece in dead if piece.reason.startswith("checksum: ")]
    assert [data for data in stream.get("bad_frames_hex", []) if data not in damaged] == []


@BY_FAMILY
def test_its_framing_needs_no_word_of_warning(stream):
    """What is right is silent."""
    _, findings = read(FRAMINGS[stream["family"]])
    assert findings.warnings == []


BODIES = {
    "dsmr-p1": b"ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)",
    "ve-direct": b"PID\t0xA042\r\nFW\t123",
    "voltronic-pi30": b"000.0 00.0 230.0 49.9",
    "sds011": bytes.fromhex("0600060058d9"),
    "nmea0183": b"GPGGA,184353.07,1929.045,S",
    "gill-windsonic": b"Q,229,002.74,M,00,",
    "omron-hostlink": b"00RD00000A270F00000000",
    "rdm6300": b"0000A1B2C3",
    "kamstrup-kmp": bytes.fromhex("3f100080160411012af024"),
    "sdi-12": b"0+3.14",
    "mt-sics": b"S S     100.00 g",
    "slip": bytes.fromhex("070083ffdbc0dbdbc0c0"),
    "daly-bms": bytes.fromhex("9008021400007545 0378"),
}


@pytest.mark.parametrize("family", BODIES)
def test_its_body_has_no_start_no_end_and_no_checksum(family):
    """What fields and patterns are looked for in."""
    stream = next(stream for stream in STREAMS if stream["family"] == family)
    body = body_of(framing_of(FRAMINGS[family]).shapes)(bytes.fromhex(stream["frames_hex"][0]))
    assert body.startswith(BODIES[family])
    if len(BODIES[family]) < 25 and family not in ("ve-direct", "voltronic-pi30"):
        assert body == BODIES[family]


WORDS = {
    "sds011": "begins with AA C0, 10 bytes, ends with AB, byte 8 = sum of bytes 2 to 7",
    "pms5003": 'begins with "BM", as long as bytes 2 to 3 (high byte first) + 4 bytes,'
    " the last 2 bytes (high byte first) = sum in 16 bits of all before it",
    "mt-sics": "ends with CR LF",
    "ve-direct": '(1) begins with CR LF, ends with "\\r\\nChecksum\\t" and 1 more byte, sum of all is 0;'
    ' or (2) begins with ":" (3A), ends with LF (0A), sum of all from byte 1 up to byte -2,'
    " two hexadecimal digits a byte is 55",
    "kamstrup-kmp": 'begins with "@" (40), ends with CR (0D), a byte behind 1B is meant XOR FF,'
    " crc16-xmodem of all from byte 1 up to byte -2 is 0, the first byte cut off, the last byte cut off;"
    " ACK (06) between frames means nothing",
    "enocean-esp3": 'begins with "U" (55), as long as bytes 1 to 2 (high byte first) + byte 3 + 7 bytes,'
    " byte 5 = crc8 of bytes 1 to 4, the last byte = crc8 of all before it from byte 6",
}


@pytest.mark.parametrize("family", WORDS)
def test_its_framing_is_said_in_words(family):
    """As `serialgw check` prints it."""
    framing = framing_of(FRAMINGS[family])
    assert words_of(framing.shapes, skip=framing.skip, mask=framing.mask) == WORDS[family]
