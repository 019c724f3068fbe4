"""Framings that have a name, as the shapes that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from common.core.frame_shape import Checksum, Escape, Field, Length, Shape


class NamedFraming(NamedTuple):
    """What a name stands for."""

    shapes: tuple[Shape, ...]
    skip: bytes = b""
    """Byte values that mean nothing between frames."""


NAMED: Final[Mapping[str, NamedFraming]] = {
    # A line may end with either, or with both: then the second one ends nothing, and nothing is no frame.
    "lines": NamedFraming((Shape(ends=(b"\r", b"\n")),)),
    # NMEA 0183, 5.3.
    "nmea": NamedFraming(
        (
            Shape(
                starts=(b"$", b"!"),
                ends=(b"\r\n",),
                restarts=True,
                checksums=(Checksum(type="xor8", from_byte=1, to_byte=-5, after=b"*", spelling="hex"),),
            ),
        )
    ),
    # Modbus over serial line 1.02, 2.5.
    "modbus-rtu": NamedFraming(
        (Shape(code="modbus-rtu", checksums=(Checksum(type="crc16-modbus", spelling="little"),)),)
    ),
    "modbus-ascii": NamedFraming(
        (
            Shape(
                starts=(b":",),
                ends=(b"\r\n",),
                restarts=True,
                checksums=(Checksum(type="neg8", from_byte=1, at_byte=-4, spelling="hex", hex_pairs=True),),
            ),
        )
    ),
    # RFC 1055.
    "slip": NamedFraming(
        (Shape(ends=(b"\xc0",), escape=Escape(byte=0xDB, pairs=((0xDC, 0xC0), (0xDD, 0xDB))), strip=(0, 1)),)
    ),
    "cobs": NamedFraming((Shape(ends=(b"\0",), is_cobs=True),)),
    # ISO/IEC 13239 as DLMS meters push it: frame format type 3, with a length and no stuffing.
    "hdlc": NamedFraming(
        (
            Shape(
                starts=(b"\x7e",),
                ends=(b"\x7e",),
                length=Length(fields=(Field(at=1, type="uint16", mask=0x07FF),), plus=2),
                strip=(1, 1),
                checksums=(Checksum(type="crc16-x25", from_byte=1, at_byte=-3, spelling="little"),),
            ),
        )
    ),
    # BSI TR-03109-1, annex IV: the transport protocol of SML, version 1.
    "sml": NamedFraming(
        (
            Shape(
                code="sml",
                starts=(b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01",),
                ends=(b"\x1b\x1b\x1b\x1b\x1a",),
                end_plus=3,
                checksums=(Checksum(type="crc16-x25", at_byte=-2, spelling="little"),),
            ),
        )
    ),
    # EN 13757-2: an acknowledgement, a short frame, and a long one whose length stands there twice.
    "m-bus": NamedFraming(
        (
            Shape(starts=(b"\xe5",), length=1),
            Shape(
                starts=(b"\x10",),
                length=5,
                ends=(b"\x16",),
                checksums=(Checksum(type="sum8", from_byte=1, at_byte=-2),),
            ),
            Shape(
                starts=(b"\x68",),
                length=Length(
                    fields=(Field(at=1),),
                    plus=6,
                    header_checksum=Checksum(type="xor8", from_byte=1, to_byte=2, at_byte=2),
                ),
                ends=(b"\x16",),
                checksums=(Checksum(type="sum8", from_byte=4, at_byte=-2),),
            ),
        )
    ),
    # Victron's VE.Direct: blocks of text, and HEX messages between them.
    "ve-direct": NamedFraming(
        (
            Shape(
                starts=(b"\r\n",),
                ends=(b"\r\nChecksum\t",),
                end_plus=1,
                checksums=(Checksum(type="sum8", result=0),),
            ),
            Shape(
                starts=(b":",),
                ends=(b"\n",),
                checksums=(Checksum(type="sum8", from_byte=1, to_byte=-1, result=0x55, hex_pairs=True),),
            ),
        )
    ),
    "stx-etx": NamedFraming((Shape(starts=(b"\x02",), ends=(b"\x03",)),), skip=b"\r\n"),
}
