"""How a frame looks: where it begins and ends, how long it is, what its bytes must add up to. Pure.

A `Shape` is what a person says of a device's frames: "begins with AA C0, 10 bytes, ends with AB, byte 8 = sum of bytes
2 to 7". Who cuts frames (the port reader) and who reads them (the converter) import this one description.

Positions are bytes from 0; negative ones count from the frame's end. They are places in the *whole* frame: after
escapes are undone, and before anything of it is stripped.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

ByteOrder = Literal["big", "little"]
Spelling = Literal["big", "little", "hex", "dec", "sdi12"]
"""How a checksum stands in the frame: as a number of 1 to 4 bytes, in hexadecimal or decimal digits, or in three
characters of six bits each (SDI-12 1.4, 4.4.12.3)."""
Code = Literal["", "modbus-rtu", "sml"]
"""Frames that no table describes: what code of ours finds them. "" where the other fields do."""


class Crc(Struct, frozen=True, kw_only=True):
    """A cyclic redundancy check, by the parameters that crccalc and RevEng know it by."""

    width: int
    """Bits: 8 to 32."""
    poly: int
    init: int = 0
    refin: bool = False
    refout: bool = False
    xorout: int = 0


class Checksum(Struct, frozen=True, kw_only=True):
    """One checksum of a frame: over which bytes, of what kind, and where and how it stands."""

    type: str = ""
    """A name of `common.core.checksum`; "" where `crc` gives the parameters."""
    crc: Crc | None = None
    from_byte: int = 0
    """The first byte that it is over."""
    to_byte: int | None = None
    """It is over the bytes before this one; None: over all before the checksum (with `result`: over all)."""
    to_after: bytes = b""
    """It is over all up to this text, that included: the last one before the checksum. b"": `to_byte` says it."""
    at_byte: int | None = None
    """Where it stands; None: last of all, or behind `after`."""
    after: bytes = b""
    """It stands right behind this text: the last one in the frame. b"": `at_byte` says it."""
    spelling: Spelling = "big"
    result: int | None = None
    """It stands nowhere: over its bytes, those of the checksum among them, this comes out."""
    hex_pairs: bool = False
    """True: what it is over are hexadecimal digits, and two of them make a byte. Of an odd number the first stands
    alone."""
    each: tuple[bytes, bytes] | None = None
    """The frame has parts, each from the first text to the second, both included, and each with such a checksum: all
    positions are in a part."""
    mask: int | None = None
    """What is left of the number before it is compared."""
    plus: int = 0
    """What is added to it then."""
    avoid: bytes = b""
    """Byte values that never stand in the checksum: one more is sent instead."""


class Field(Struct, frozen=True, kw_only=True):
    """A number in a frame that says how long something is."""

    at: int
    type: str = "uint8"
    """uint8, uint16, uint24, uint32, or digits: `dec3`, `hex2`."""
    byteorder: ByteOrder = "big"
    mask: int | None = None
    """What of it counts; None: all."""
    times: int = 1


class Length(Struct, frozen=True, kw_only=True):
    """How long a frame is, as it says itself: the sum of its fields, each times its `times`, and `plus`. Escapes do not
    count."""

    fields: tuple[Field, ...]
    """At least one."""
    plus: int = 0
    header_checksum: Checksum | None = None
    """What must be right before the length is believed; it stands in the header, with positions from 0 only."""


class Escape(Struct, frozen=True, kw_only=True):
    """How bytes that mean something to the framing stand inside a frame."""

    byte: int
    """The byte that says that the next one is meant otherwise."""
    xor: int = 0
    """The next byte XOR this is meant, where `pairs` does not say it."""
    pairs: tuple[tuple[int, int], ...] = ()
    """(the next byte, what is meant)."""
    double: bool = False
    """True: the byte twice is itself, and nothing else is escaped."""


class Shape(Struct, frozen=True, kw_only=True):
    """One kind of frame on a line. What is not given is not so: without a start any byte may be the first."""

    code: Code = ""
    starts: tuple[bytes, ...] = ()
    """One of these begins it."""
    ends: tuple[bytes, ...] = ()
    """One of these ends it. With a length it must stand there."""
    end_plus: int = 0
    """So many bytes follow the end, whatever they are."""
    end_until: bytes = b""
    """What follows the end goes on up to this text, that included."""
    length: int | Length | None = None
    """All of its bytes, escapes undone."""
    escape: Escape | None = None
    is_cobs: bool = False
    """True: what stands before the end is COBS (Cheshire and Baker, 1999); the frame is what it decodes to."""
    restarts: bool = False
    """True: a start inside a frame begins it anew."""
    strip: tuple[int, int] = (0, 0)
    """So many bytes of a good frame, its first and its last, are cut off before anybody gets it."""
    checksums: tuple[Checksum, ...] = ()
    """All of them must be right."""
    silence_ms: int | None = None
    """So long a silence ends it; None where something else does."""


FRAMING_NAMES: Final = (
    "lines",
    "nmea",
    "modbus-rtu",
    "modbus-ascii",
    "slip",
    "cobs",
    "hdlc",
    "sml",
    "m-bus",
    "ve-direct",
    "stx-etx",
)
"""Framings that have a name: shapes that need not be described."""
