"""Our checksums are those of others, and no flipped bit gets by a CRC."""

from __future__ import annotations

from typing import get_args

import crccheck.checksum
import crccheck.crc
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.config.device.checksum_reading import read_checksum
from common.config.findings import Findings
from common.config.json_object import JsonObject
from common.core.checksum import CRCS, NAMES, Check, calculator, sealed
from common.core.checksum_guess import guess_checksum
from common.core.frame_shape import Checksum, Crc, Spelling

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
    type=st.sampled_from(NAMES),
    spelling=st.sampled_from(get_args(Spelling)),
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


PLACED = st.fixed_dictionaries(
    {"type": st.sampled_from(NAMES), "as": st.sampled_from(get_args(Spelling))},
    optional={
        "from": st.integers(-6, 6),
        "to": st.integers(-6, 6),
        "toAfter": st.sampled_from([";", "<ETX>", "hex:C3 A9"]),
        "at": st.integers(-6, 6),
        "after": st.sampled_from(["*", "<STX>", "hex:FF"]),
        "mask": st.integers(1, 0xFFFF),
        "plus": st.integers(-255, 255),
        "avoid": st.just("<CR>"),
    },
)
"""Keys of `checksum` as a person may write them, also ones that can't hold together."""


def read(keys: dict[str, object]) -> Checksum | None:
    """What they say; None where they are refused."""
    return read_checksum(JsonObject(keys, "serial.json", "devices[0].checksum", Findings()))


def frame_of(data: bytes, sealing: Checksum, end: bytes) -> bytes:
    """The data with this checksum; as it is where it has no room for one."""
    try:
        return sealed(sealing, data, end)
    except ValueError:
        return data


@st.composite
def seen(draw) -> tuple[Checksum, list[bytes]]:
    """What is configured, and frames that have another kind in the same place, mostly."""
    configured = draw(PLACED.map(read).filter(bool))
    other = replace(
        configured,
        type=draw(st.sampled_from(NAMES)),
        spelling=draw(st.sampled_from(["big", "little", "hex", configured.spelling])),
        from_byte=draw(st.sampled_from([configured.from_byte, 0, 1, 2])),
        mask=None,
        plus=0,
        avoid=b"",
    )
    end = b"\r\n"[: -(configured.at_byte or 0) % 3]
    text = st.text("*;\2\3\xff1", min_size=4, max_size=12).map(lambda text: text.encode("latin1"))
    datas = draw(st.lists(st.binary(min_size=1, max_size=12) | text, min_size=4, max_size=6, unique=True))
    return configured, [frame_of(data, other, end) for data in datas]


@settings(deadline=None)
@given(seen())
def test_a_guess_can_be_configured_and_fits(told):
    """Whatever is configured and whatever came, nothing raises; what is found is read from its keys as what it is, and
    all of the frames are right by it, each over something."""
    configured, frames = told
    found = guess_checksum(configured, frames)
    event("found" if found else "nothing")
    if found is None:
        return
    again = read(found.keys)
    assert again == found.checksum
    assert all(Check(again).fault_of(frame) == "" and Check(again).covered(frame) for frame in frames)
