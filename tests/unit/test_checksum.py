"""Checksums of serial protocols: their numbers, where they stand in frames, and how they are written."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from common.core.checksum import NAMES, Check, calculator, sealed, size_of, speller, width_of
from common.core.frame_shape import Checksum, Crc, Spelling

CHECK = b"123456789"
VALUES = {
    "crc16-modbus": 0x4B37,
    "crc16-arc": 0xBB3D,
    "crc16-xmodem": 0x31C3,
    "crc16-ccitt-false": 0x29B1,
    "crc16-x25": 0x906E,
    "crc16-kermit": 0x2189,
    "crc16-mcrf4xx": 0x6F91,
    "crc16-aug-ccitt": 0xE5CC,
    "crc16-cms": 0xAEE7,
    "crc16-en13757": 0xC2B7,
    "crc16-dnp": 0xEA82,
    "crc8": 0xF4,
    "crc8-maxim": 0xA1,
    "crc8-sensirion": 0xF7,
    "crc24q": 0xCDE703,
    "crc32": 0xCBF43926,
    "crc32-mpeg2": 0x0376E6E7,
    "sum8": 0xDD,
    "sum16": 0x01DD,
    "sum32": 0x01DD,
    "neg8": 0x23,
    "neg16": 0xFE23,
    "neg32": 0xFFFFFE23,
    "not8": 0x22,
    "not16": 0xFE22,
    "not32": 0xFFFFFE22,
    "xor8": 0x31,
    "fletcher8": 0xDD15,
}
"""What the catalogue of CRCs gives for the text that all know, and what the others add up to by hand."""


KINDS = [
    *(Checksum(type=name) for name in NAMES),
    *(Checksum(crc=Crc(width=width, poly=0x05)) for width in (3, 5, 7, 9, 12, 17, 31, 33, 40, 63, 64)),
]
"""Each name, and CRCs that are narrower, wider and less round than any that has one."""


def right(checksum: Checksum, frame: bytes) -> bool:
    """The judgement, which its words must agree with."""
    check = Check(checksum)
    assert check.is_right(frame) == (check.fault_of(frame) == "")
    return check.is_right(frame)


@pytest.mark.parametrize("name", NAMES)
def test_the_check_value_of_each_name(name):
    """There is a value for each, and it is what is computed."""
    assert calculator(Checksum(type=name))(CHECK) == VALUES[name]


def test_nothing_has_a_checksum_too():
    """The empty message, which no algorithm refuses."""
    assert {calculator(Checksum(type=name))(b"") for name in ("sum8", "xor8", "crc16-arc", "fletcher8")} == {0}
    assert calculator(Checksum(type="crc16-modbus"))(b"") == 0xFFFF


def test_a_makers_line_can_be_copied():
    """A CRC by its parameters, of widths that no name has."""
    assert (
        calculator(Checksum(crc=Crc(width=5, poly=0x05, init=0x1F, refin=True, refout=True, xorout=0x1F)))(CHECK)
        == 0x19
    )
    assert calculator(Checksum(crc=Crc(width=12, poly=0x80F)))(CHECK) == 0xF5B
    assert calculator(Checksum(crc=Crc(width=16, poly=0x1021, refin=True)))(CHECK) == 0x9184
    assert calculator(Checksum(crc=Crc(width=64, poly=0x42F0E1EBA9EA3693)))(CHECK) == 0x6C40DF5F0B497347


@pytest.mark.parametrize(
    ("checksum", "frame"),
    [
        (Checksum(type="sum8", from_byte=2, to_byte=8, at_byte=8), bytes.fromhex("AAC0 0600 0600 58D9 3D AB")),
        (Checksum(type="crc16-modbus", spelling="little"), bytes.fromhex("010404436633341B38")),
        (Checksum(type="neg16", from_byte=2, at_byte=-3), bytes.fromhex("DDA50300FFFD77")),
        (Checksum(type="xor8", from_byte=1, to_byte=-5, after=b"*", spelling="hex"), b"$PMTK605*31\r\n"),
        (Checksum(type="xor8", from_byte=1, to_byte=-5, after=b"*", spelling="hex"), b"$GPGLL,5057.970,N*00\r\n"),
        (Checksum(type="sum8", at_byte=-4, spelling="dec"), b"0010030902=?107\r"),
        (Checksum(type="crc16-arc", at_byte=-5, spelling="sdi12"), b"0+3.14OqZ\r\n"),
        (Checksum(type="crc16-xmodem", at_byte=-3, avoid=b"\x28\r\n"), bytes.fromhex("5150494753B7A90D")),
        (Checksum(type="sum8", result=0x55, from_byte=1, to_byte=-1, hex_pairs=True), b":70010003E\n"),
        (Checksum(type="neg8", from_byte=1, at_byte=-4, spelling="hex", hex_pairs=True), b":F7031389000A60\r\n"),
        (
            Checksum(type="crc16-aug-ccitt", spelling="little"),
            bytes.fromhex("5300080004")
            + calculator(Checksum(type="crc16-aug-ccitt"))(bytes.fromhex("5300080004")).to_bytes(2, "little"),
        ),
        (Checksum(type="fletcher8", from_byte=2), bytes.fromhex("B56206010800F0000000000000010024")),
    ],
)
def test_messages_of_devices_are_right(checksum, frame):
    """As makers' manuals and recordings have them; with any byte changed they are wrong, but for their frame."""
    if frame.endswith(b"*00\r\n"):
        frame = sealed(checksum, frame[:-4], b"\r\n")
    assert right(checksum, frame), Check(checksum).fault_of(frame)
    first = checksum.from_byte
    assert not right(checksum, frame[:first] + bytes((frame[first] ^ 0x04,)) + frame[first + 1 :])


def test_a_byte_that_is_avoided_is_sent_one_higher():
    """Voltronic: a CRC byte that would be a bracket or a line end."""
    checksum = Checksum(type="crc16-xmodem", at_byte=-3, avoid=b"\x28\r\n")
    plain = Checksum(type="crc16-xmodem", at_byte=-3)
    for number in range(2_000):
        data = b"(%d" % number
        crc = calculator(plain)(data).to_bytes(2, "big")
        if set(crc) & set(b"\x28\r\n"):
            raised = bytes(byte + (byte in b"\x28\r\n") for byte in crc)
            assert right(checksum, data + raised + b"\r")
            assert not right(checksum, data + crc + b"\r")
            return
    pytest.fail("no such CRC among them")


def test_digits_without_zeros_in_front_are_understood():
    """DSMR meters write B9F for 0B9F; they are read behind the text that introduces them."""
    checksum = Checksum(type="crc16-arc", after=b"!", spelling="hex")
    value = next(n for n in range(9_999) if 0x100 <= calculator(checksum)(b"/%d!" % n) < 0x1000)
    data = b"/%d!" % value
    crc = calculator(checksum)(data)
    assert right(checksum, data + b"%X\r\n" % crc)
    assert right(checksum, data + b"%04x\r\n" % crc)
    assert not right(checksum, data + b"%X\r\n" % (crc >> 4))
    assert not right(checksum, data + b"\r\n")


def test_each_part_may_have_a_checksum():
    """Teleinfo: one a group, which may be a blank; what stands between groups is no part of any."""
    checksum = Checksum(type="sum8", each=(b"\n", b"\r"), from_byte=1, to_byte=-3, at_byte=-2, mask=0x3F, plus=0x20)
    groups = b"\nIINST 009  \r\nPAPP 02160 *\r"
    assert right(checksum, b"\x02" + groups + b"\x03")
    assert not right(checksum, b"\x02" + groups.replace(b"009", b"008") + b"\x03")
    assert not right(checksum, b"\x02" + groups.replace(b"\r\n", b"\rx\n") + b"\x03")
    assert not right(checksum, b"\x02\x03")


@pytest.mark.parametrize(
    ("checksum", "frame", "fault"),
    [
        (Checksum(type="sum8"), b"\x01\x02\x04", "the frame says 04, its bytes give 03"),
        (Checksum(type="sum8", at_byte=-2), b"\x01", "1 bytes are too few to have one"),
        (
            Checksum(type="xor8", from_byte=1, after=b"*", spelling="hex"),
            b"$A\r\n",
            "the frame has no '*', behind which it should stand",
        ),
        (Checksum(type="xor8", spelling="hex"), b"AB4 ", "the frame says 4 , its bytes give 03"),
        (Checksum(type="sum8", result=0), b"\x01\x02", "its bytes give 03, not 00"),
        (Checksum(type="neg8", spelling="hex", hex_pairs=True), b"XY12", "the frame says 12, its bytes give nothing"),
        (
            Checksum(type="sum8", result=0, hex_pairs=True),
            b"XY",
            "its bytes are no hexadecimal digits",
        ),
    ],
)
def test_what_is_wrong_is_said(checksum, frame, fault):
    """As the frame has it, and as it should be."""
    assert Check(checksum).fault_of(frame) == fault
    assert not Check(checksum).is_right(frame)


@pytest.mark.parametrize(
    ("checksum", "data", "end", "message"),
    [
        (Checksum(type="neg16", from_byte=2, at_byte=-3), "DDA50300", b"\x77", "DDA50300FFFD77"),
        (Checksum(type="crc16-modbus", spelling="little"), "010400000002", b"", "01040000000271CB"),
        (Checksum(type="sum8"), "A54090080000000000000000", b"", "A540900800000000000000007D"),
        (Checksum(type="crc16-xmodem", from_byte=1, to_byte=-1, result=0), "803F100100", b"\r", None),
    ],
)
def test_a_request_is_sealed(checksum, data, end, message):
    """As the makers' documents have it; and what is sealed is right."""
    said = sealed(checksum, bytes.fromhex(data), end)
    assert message is None or said == bytes.fromhex(message)
    assert right(checksum, said)


def test_what_can_not_be_sealed_is_refused():
    """A range that is not in the message, parts, and digits that are none."""
    with pytest.raises(ValueError, match="not in the message"):
        sealed(Checksum(type="sum8", from_byte=4), b"ab")
    with pytest.raises(ValueError, match="each part"):
        sealed(Checksum(type="sum8", each=(b"a", b"b")), b"ab")
    with pytest.raises(ValueError, match="hexadecimal"):
        sealed(Checksum(type="sum8", hex_pairs=True), b"xy")


@pytest.mark.parametrize("spelling", get_args(Spelling))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type or f"crc-{kind.crc.width}")
def test_each_kind_is_written_in_each_way(kind: Checksum, spelling: Spelling):
    """Its lowest and its highest number too: as many bytes as it takes in a frame, no two numbers alike where the way
    has room for them, and nothing raises where it has not."""
    checksum = replace(kind, spelling=spelling)
    width, size, spell = width_of(checksum), size_of(checksum), speller(checksum)
    numbers = {0, 1, 0x3F, 0x40, 0xFFF, 0x1000, 0xFFFF, 1 << width - 1, (1 << width) - 1}
    numbers = {number for number in numbers if number < 1 << width}
    written = {spell(number) for number in numbers}
    assert {len(data) for data in written} == {size}
    has_room = spelling != "sdi12" or width <= 18
    if has_room:
        assert len(written) == len(numbers)
    if spelling == "sdi12":
        # Three characters of six bits each, all of them printable (SDI-12 1.4, 4.4.12.3).
        assert all(0x40 <= byte <= 0x7F for data in written for byte in data)
    for end in (b"", b"\r\n"):
        placed = replace(checksum, at_byte=-size - len(end))
        frame = sealed(placed, CHECK, end)
        assert right(placed, frame)
        assert Check(placed).covered(frame) == CHECK
        assert not (has_room and right(placed, b"2" + frame[1:]))
