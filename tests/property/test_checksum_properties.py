"""Our checksums are those of others, and no flipped bit gets by a CRC."""

from __future__ import annotations

import crccheck.checksum
import crccheck.crc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.core.checksum import CRCS, Check, calculator, sealed
from common.core.frame_shape import Checksum, Crc

OTHERS = {
    "sum8": crccheck.checksum.Checksum8,
    "sum16": crccheck.checksum.Checksum16,
    "sum32": crccheck.checksum.Checksum32,
    "xor8": crccheck.checksum.ChecksumXor8,
    "crc16-modbus": crccheck.crc.CrcModbus,
    "crc16-arc": crccheck.crc.CrcArc,
    "crc16-xmodem": crccheck.crc.CrcXmodem,
    "crc16-x25": crccheck.crc.CrcX25,
    "crc16-kermit": crccheck.crc.CrcKermit,
    "crc16-cms": crccheck.crc.Crc16Cms,
    "crc32": crccheck.crc.Crc32,
    "crc32-mpeg2": crccheck.crc.Crc32Mpeg2,
}


def other(crc: Crc):
    """The same algorithm, by its parameters, in the package crccheck."""
    return crccheck.crc.Crc(
        crc.width, crc.poly, crc.init, reflect_input=crc.refin, reflect_output=crc.refout, xor_output=crc.xorout
    )


@pytest.mark.parametrize("name", OTHERS)
@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_named_ones_agree_with_crccheck(name, data):
    """By its own names, for which it has parameters of its own."""
    if name.startswith("sum"):
        # Of wider sums it adds up words, and we bytes: each byte a word.
        size = int(name[3:]) // 8
        padded = b"".join(bytes(size - 1) + bytes((byte,)) for byte in data)
        assert calculator(Checksum(type=name))(data) == OTHERS[name].calc(padded, byteorder="big")
    else:
        assert calculator(Checksum(type=name))(data) == OTHERS[name].calc(data)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(CRCS.values(), key=str))
    | st.builds(
        lambda width, poly, init, xorout, refin, refout: Crc(
            width=width,
            poly=poly % (1 << width) or 1,
            init=init % (1 << width),
            xorout=xorout % (1 << width),
            refin=refin,
            refout=refout,
        ),
        st.integers(8, 64),
        *[st.integers(0, (1 << 64) - 1)] * 3,
        st.booleans(),
        st.booleans(),
    )
    | st.builds(
        lambda long, init, refin, refout: Crc(
            width=32 if long else 16, poly=0x04C11DB7 if long else 0x1021, init=init, refin=refin, refout=refout
        ),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.booleans(),
        st.booleans(),
    ),
    st.binary(max_size=100),
)
def test_any_parameters_agree_with_crccheck(crc, data):
    """Whatever maker has drawn them: also those that are computed by other means than a table."""
    assert calculator(Checksum(crc=crc))(data) == other(crc).process(data).final()


SPELLED = st.builds(
    Checksum,
    type=st.sampled_from([*CRCS, "sum8", "neg16", "not8", "xor8", "fletcher8"]),
    spelling=st.sampled_from(["big", "little", "hex", "dec"]),
    from_byte=st.integers(0, 3),
    at_byte=st.none(),
    mask=st.none() | st.just(0x7F),
    avoid=st.sampled_from([b"", b"\r\n("]),
)


@settings(deadline=None)
@given(SPELLED, st.binary(min_size=4, max_size=40))
def test_what_is_sealed_is_right(checksum, data):
    """However it is written."""
    assert Check(checksum).is_right(sealed(checksum, data))
    assert Check(checksum).fault_of(sealed(checksum, data)) == ""


@settings(deadline=None)
@given(st.sampled_from(sorted(CRCS)), st.binary(min_size=1, max_size=40), st.integers(0, 10_000))
def test_no_flipped_bit_gets_by_a_crc(name, data, at):
    """Any one of the frame, those of the CRC itself among them."""
    checksum = Checksum(type=name)
    frame = bytearray(sealed(checksum, data))
    at %= len(frame) * 8
    frame[at // 8] ^= 1 << at % 8
    assert not Check(checksum).is_right(bytes(frame))


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(-20, 20), st.integers(-20, 20) | st.none(), st.integers(-20, 20) | st.none())
def test_no_frame_is_too_short_to_be_judged(frame, first, to, at):
    """Whatever the positions are: a verdict and a sentence that agree."""
    for spelling in ("big", "hex"):
        check = Check(Checksum(type="sum16", from_byte=first, to_byte=to, at_byte=at, spelling=spelling))
        assert check.is_right(frame) == (check.fault_of(frame) == "")
        check.place_in(frame)
