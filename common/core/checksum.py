"""Checksums of serial protocols: the usual ones by name, any CRC by its parameters. Pure.

`calculator` gives the number that bytes add up to, `Check` says whether a frame is right, `sealed` writes a checksum.
The polynomials are those of the catalogue of parametrised CRC algorithms (Greg Cook, RevEng).

The CRCs of the polynomial 1021 and CRC-32 are computed by `binascii`, with their bits turned round where the algorithm
wants it: a tenth of the time that a table takes. The others are read from a table, four bytes in a microsecond or so.
"""

from __future__ import annotations

import re
from binascii import crc32, crc_hqx
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from common.core.frame_shape import Checksum, Crc

Calculator = Callable[[bytes], int]
"""Bytes → the number that they add up to, below 2 ** width."""

CRCS: Final[Mapping[str, Crc]] = {
    "crc8": Crc(width=8, poly=0x07),
    "crc8-maxim": Crc(width=8, poly=0x31, refin=True, refout=True),
    "crc8-sensirion": Crc(width=8, poly=0x31, init=0xFF),
    "crc16-arc": Crc(width=16, poly=0x8005, refin=True, refout=True),
    "crc16-aug-ccitt": Crc(width=16, poly=0x1021, init=0x1D0F),
    "crc16-ccitt-false": Crc(width=16, poly=0x1021, init=0xFFFF),
    "crc16-cms": Crc(width=16, poly=0x8005, init=0xFFFF),
    "crc16-dnp": Crc(width=16, poly=0x3D65, refin=True, refout=True, xorout=0xFFFF),
    "crc16-en13757": Crc(width=16, poly=0x3D65, xorout=0xFFFF),
    "crc16-kermit": Crc(width=16, poly=0x1021, refin=True, refout=True),
    "crc16-mcrf4xx": Crc(width=16, poly=0x1021, init=0xFFFF, refin=True, refout=True),
    "crc16-modbus": Crc(width=16, poly=0x8005, init=0xFFFF, refin=True, refout=True),
    "crc16-x25": Crc(width=16, poly=0x1021, init=0xFFFF, refin=True, refout=True, xorout=0xFFFF),
    "crc16-xmodem": Crc(width=16, poly=0x1021),
    "crc24q": Crc(width=24, poly=0x864CFB),
    "crc32": Crc(width=32, poly=0x04C11DB7, init=0xFFFFFFFF, refin=True, refout=True, xorout=0xFFFFFFFF),
    "crc32-mpeg2": Crc(width=32, poly=0x04C11DB7, init=0xFFFFFFFF),
}
SUM_WIDTHS: Final[Mapping[str, int]] = {
    **{f"{kind}{width}": width for kind in ("sum", "neg", "not") for width in (8, 16, 32)},
    "xor8": 8,
    "fletcher8": 16,
}
"""The names of the others, and how many bits they have: the sum of all bytes, its two's complement, its complement; all
bytes XOR; the two sums of 8 bits that UBX has (u-blox, interface description), the first one high."""
NAMES: Final = (*SUM_WIDTHS, *CRCS)
"""What `Checksum.type` may be."""
WIDEST: Final = 64
"""Bits of the widest CRC that is computed."""
_POLY_CCITT: Final = (16, 0x1021)
_POLY_32: Final = (32, 0x04C11DB7)
_ONES_32: Final = 0xFFFFFFFF
_HEX: Final = re.compile(rb"[0-9A-Fa-f]*")


def width_of(checksum: Checksum) -> int:
    """How many bits it has. Raises KeyError for a name that is none of NAMES."""
    if checksum.crc is not None:
        return checksum.crc.width
    return SUM_WIDTHS[checksum.type] if checksum.type in SUM_WIDTHS else CRCS[checksum.type].width


def calculator(checksum: Checksum) -> Calculator:
    """What computes it, without `mask` and `plus`. Raises KeyError for a name that is none of NAMES."""
    if checksum.crc is not None:
        return _crc(checksum.crc)
    name = checksum.type
    if name in CRCS:
        return _crc(CRCS[name])
    limit = (1 << SUM_WIDTHS[name]) - 1
    if name == "xor8":
        return _xor
    if name == "fletcher8":
        return lambda data: (sum(data) & 0xFF) << 8 | sum(accumulate(data)) & 0xFF
    if name.startswith("neg"):
        return lambda data: -sum(data) & limit
    if name.startswith("not"):
        return lambda data: ~sum(data) & limit
    return lambda data: sum(data) & limit


def _xor(data: bytes) -> int:
    """All bytes XOR: of one long number the upper half onto the lower one, again and again; what stands above the half
    that counts is never looked at."""
    number = int.from_bytes(data, "little")
    shift = 4 << max(len(data) - 1, 0).bit_length()
    while shift > 4:
        number ^= number >> shift
        shift >>= 1
    return number & 0xFF


def reversed_bits(value: int, width: int) -> int:
    """The lowest `width` bits of a number, the last one first."""
    return int(f"{value:0{width}b}"[::-1], 2)


_TURNED: Final = bytes(reversed_bits(byte, 8) for byte in range(256))
"""Each byte with its bits turned round."""


def _crc(crc: Crc) -> Calculator:
    """One algorithm. The register stands with its lowest bit in front, whatever the algorithm says: so bytes are turned
    that are not `refin`, and so is the result that is not `refout`."""
    width, xorout = crc.width, crc.xorout
    turn_in, turn_out = not crc.refin, not crc.refout
    if (width, crc.poly) == _POLY_CCITT:
        # Here the register stands the other way round.
        init = crc.init
        if not crc.refin and not crc.refout:
            return lambda data: crc_hqx(data, init) ^ xorout

        def ccitt(data: bytes) -> int:
            value = crc_hqx(data if turn_in else data.translate(_TURNED), init)
            return (value if turn_out else _TURNED[value & 0xFF] << 8 | _TURNED[value >> 8]) ^ xorout

        return ccitt
    init = reversed_bits(crc.init, width)
    if (width, crc.poly) == _POLY_32:
        init ^= _ONES_32

        def long(data: bytes) -> int:
            value = crc32(data.translate(_TURNED) if turn_in else data, init) ^ _ONES_32
            return (reversed_bits(value, 32) if turn_out else value) ^ xorout

        return long
    table = _table(crc.width, crc.poly)
    if width == 8:

        def short(data: bytes) -> int:
            value = init
            for byte in data.translate(_TURNED) if turn_in else data:
                value = table[value ^ byte]
            return (_TURNED[value] if turn_out else value) ^ xorout

        return short

    def by_table(data: bytes) -> int:
        value = init
        for byte in data.translate(_TURNED) if turn_in else data:
            value = table[(value ^ byte) & 0xFF] ^ value >> 8
        return (reversed_bits(value, width) if turn_out else value) ^ xorout

    return by_table


@lru_cache(maxsize=8)
def _table(width: int, poly: int) -> tuple[int, ...]:
    """What each byte does to the register."""
    turned = reversed_bits(poly, width)
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (turned if value & 1 else 0)
        table.append(value)
    return tuple(table)


class Check:
    """One checksum, made ready to judge frames."""

    def __init__(self, checksum: Checksum) -> None:
        """Raises KeyError for a type that is none of NAMES."""
        self._checksum = checksum
        width = width_of(checksum)
        self._calculate = _shaped(checksum, calculator(checksum), width)
        self._least_bytes = least_bytes(checksum)
        self._size = size_of(checksum)
        self._spell = speller(checksum)
        self._after, self._from_byte, self._to_byte = checksum.after, checksum.from_byte, checksum.to_byte
        self.is_right = self._make_right()
        """True for a frame, or a part of one, whose checksum is right."""

    def fault_of(self, frame: bytes) -> str:
        """What is wrong, for a person: `the frame says 3D, its bytes give 3F`; "" if nothing is."""
        if self.is_right(frame):
            return ""
        if self._checksum.each is None:
            return self._fault_of_one(frame)
        parts = _parts(frame, *self._checksum.each)
        if not parts:
            return "the parts that are to have one do not follow one another"
        return next((fault for part in parts if (fault := self._fault_of_one(part))), "")

    def place_in(self, frame: bytes) -> tuple[int, int] | None:
        """Where it stands, and what introduces it (`after`): from, to. None where it does not stand by itself: in a
        frame that is too short, in each part, or nowhere. What gives a `result` has it last among its bytes."""
        checksum = self._checksum
        if checksum.each is not None or len(frame) < self._least_bytes:
            return None
        if checksum.result is not None:
            end = _absolute(checksum.to_byte, len(frame), len(frame))
            return max(end - self._size, 0), end
        place = self._place(frame)
        if place is None:
            return None
        return place[0] - len(checksum.after), place[1]

    def covered(self, frame: bytes) -> bytes:
        """The bytes of this frame that it is over; b"" where what says its place is not there. Not for `each`."""
        place = (len(frame), len(frame)) if self._checksum.result is not None else self._place(frame)
        to = None if place is None else self._end_of_range(frame, place[0])
        return b"" if to is None else frame[self._from_byte : to]

    def _make_right(self) -> Callable[[bytes], bool]:
        """The judgement, with all that does not depend on the frame made ready."""
        checksum = self._checksum
        if checksum.each is None:
            return self._make_right_of_one()
        begin, end = checksum.each
        right_part = self._make_right_of_one()

        def right_of_each(frame: bytes) -> bool:
            parts = _parts(frame, begin, end)
            return bool(parts) and all(map(right_part, parts))

        return right_of_each

    def _make_right_of_one(self) -> Callable[[bytes], bool]:
        checksum, calculate, least, size = self._checksum, self._calculate, self._least_bytes, self._size
        over, result = slice(checksum.from_byte, checksum.to_byte), checksum.result
        if result is not None:
            return lambda frame: len(frame) >= least and calculate(frame[over]) == result
        if checksum.after and checksum.spelling == "hex" and not checksum.to_after and checksum.from_byte >= 0:
            return self._right_behind_text
        if checksum.after or checksum.to_after:
            return lambda frame: not self._fault_of_one(frame)
        at = -size if checksum.at_byte is None else checksum.at_byte
        place = slice(at, at + size or None)
        over = slice(checksum.from_byte, at if checksum.to_byte is None else checksum.to_byte)
        if checksum.spelling == "hex":
            spell = self._spell
            return lambda frame: len(frame) >= least and frame[place].upper() == spell(calculate(frame[over]))
        if size == 1 and not checksum.avoid and checksum.spelling in ("big", "little"):
            return lambda frame: len(frame) >= least and frame[at] == calculate(frame[over])
        spell = self._spell
        return lambda frame: len(frame) >= least and frame[place] == spell(calculate(frame[over]))

    def _right_behind_text(self, frame: bytes) -> bool:
        """The judgement of digits behind a text; where they are not just as we would write them, by all rules."""
        found = frame.rfind(self._after, self._from_byte)
        at = found + len(self._after)
        if found >= 0 and len(frame) >= self._least_bytes:
            over = frame[self._from_byte : at if self._to_byte is None else self._to_byte]
            if frame[at : at + self._size] == self._spell(self._calculate(over)):
                return True
        return not self._fault_of_one(frame)

    def _fault_of_one(self, frame: bytes) -> str:
        """The same for a frame, or for one part of it."""
        checksum = self._checksum
        if len(frame) < self._least_bytes:
            return f"{len(frame)} bytes are too few to have one"
        if checksum.result is not None:
            given = self._calculate(frame[checksum.from_byte : checksum.to_byte])
            if given == checksum.result:
                return ""
            if given < 0:
                return "its bytes are no hexadecimal digits"
            return f"its bytes give {_number(given, self._width)}, not {_number(checksum.result, self._width)}"
        place = self._place(frame)
        if place is None:
            return f"the frame has no {_shown(checksum.after)}, behind which it should stand"
        to = self._end_of_range(frame, place[0])
        if to is None:
            return f"the frame has no {_shown(checksum.to_after)}, up to which it goes"
        said = frame[slice(*place)]
        right = self._spell(self._calculate(frame[checksum.from_byte : to]))
        if said.upper() == right if checksum.spelling == "hex" else said == right:
            return ""
        if checksum.after and checksum.spelling == "hex" and said and right and int(said, 16) == int(right, 16):
            return ""
        fault = f"the frame says {_spelled(said, checksum)}, its bytes give {_spelled(right, checksum)}"
        if checksum.spelling in ("big", "little") and said == right[::-1]:
            other = "little" if checksum.spelling == "big" else "big"
            return f'{fault}: the same the other way round, which "as": "{other}" reads'
        return fault

    def _place(self, frame: bytes) -> tuple[int, int] | None:
        """From where to where it stands; None if what introduces it is not there."""
        checksum, size = self._checksum, self._size
        if not checksum.after:
            at = _absolute(-size if checksum.at_byte is None else checksum.at_byte, len(frame), 0)
            return at, at + size
        found = frame.rfind(checksum.after, _absolute(checksum.from_byte, len(frame), 0))
        if found < 0:
            return None
        at = found + len(checksum.after)
        if checksum.spelling != "hex":
            return at, at + size
        # Some devices write no zeros in front.
        digits = _HEX.match(frame, at, at + size)
        return at, digits.end() if digits else at

    def _end_of_range(self, frame: bytes, at: int) -> int | None:
        """Before which byte the range ends, where the checksum stands at `at`; None if its text is not there."""
        checksum = self._checksum
        if checksum.to_after:
            found = frame.rfind(checksum.to_after, 0, at)
            return found + len(checksum.to_after) if found >= 0 else None
        return _absolute(checksum.to_byte, len(frame), at)

    @property
    def _width(self) -> int:
        return width_of(self._checksum)


def faults_of(checks: Sequence[Check], frame: bytes) -> str:
    """What is wrong with the first checksum that is; "" if all are right."""
    return next((fault for check in checks if (fault := check.fault_of(frame))), "")


def size_of(checksum: Checksum) -> int:
    """How many bytes it takes in a frame; most of them, where zeros in front are left out."""
    width = width_of(checksum)
    match checksum.spelling:
        case "hex":
            return -(-width // 4)
        case "dec":
            return len(str((1 << width) - 1))
        case "sdi12":
            return 3
        case "big" | "little":
            return -(-width // 8) * (2 if checksum.hex_pairs and checksum.result is not None else 1)


def least_bytes(checksum: Checksum) -> int:
    """How many bytes a frame, or a part, must have at least for all of its positions to be in it, with one byte to be
    over."""
    size = size_of(checksum)
    first, to = checksum.from_byte, checksum.to_byte
    ends = [first + 1 if first >= 0 else -first]
    if to is not None:
        ends.append(to if to >= 0 else 1 - to + max(first, 0))
    if checksum.result is None and not checksum.after:
        at = -size if checksum.at_byte is None else checksum.at_byte
        ends.append(at + size if at >= 0 else -at)
        if to is None and at < 0:
            ends.append(1 - at + max(first, 0))
    return max(ends)


def speller(checksum: Checksum) -> Callable[[int], bytes]:
    """What writes a number as the checksum's bytes; b"" for what is no number."""
    spell = _speller(checksum)
    return (lambda value: spell(value) if value >= 0 else b"") if checksum.hex_pairs else spell


def _speller(checksum: Checksum) -> Callable[[int], bytes]:
    size, order = size_of(checksum), checksum.spelling
    table = bytes((byte + 1) & 0xFF if byte in checksum.avoid else byte for byte in range(256))
    if order == "hex":
        return lambda value: b"%0*X" % (size, value)
    if order == "dec":
        return lambda value: b"%0*d" % (size, value)
    if order == "sdi12":
        return lambda value: bytes((0x40 | value >> 12 & 0x3F, 0x40 | value >> 6 & 0x3F, 0x40 | value & 0x3F))
    if checksum.avoid:
        return lambda value: value.to_bytes(size, order).translate(table)
    return lambda value: value.to_bytes(size, order)


def sealed(checksum: Checksum, data: bytes, end: bytes = b"") -> bytes:
    """A message to a device: `data`, its checksum, `end`. All positions count as in a frame that comes in.

    What is to stand in front of the checksum (`after`) is added where `data` does not end with it. Raises ValueError
    for hexadecimal pairs that are none, and where the range is not in the message.
    """
    if checksum.each is not None:
        raise ValueError("a checksum of each part can't be written")
    if checksum.after and not data.endswith(checksum.after):
        data += checksum.after
    size = size_of(checksum)
    if checksum.result is not None:
        return data + _completing(checksum, data[checksum.from_byte :]) + end
    whole = data + bytes(size) + end
    to = _absolute(checksum.to_byte, len(whole), len(data))
    if checksum.to_after:
        to = data.rfind(checksum.to_after) + len(checksum.to_after)
    over = whole[checksum.from_byte : to]
    if to > len(data) or not over:
        raise ValueError("what the checksum is over is not in the message")
    calculate = _shaped(checksum, calculator(checksum), width_of(checksum))
    if (value := calculate(over)) < 0:
        raise ValueError("what the checksum is over are no hexadecimal digits")
    return data + speller(checksum)(value) + end


def _completing(checksum: Checksum, over: bytes) -> bytes:
    """The bytes that make the result come out behind these. A CRC is completed by itself."""
    crc = checksum.crc or CRCS.get(checksum.type)
    digits = _pairs(over) if checksum.hex_pairs else over
    if digits is None:
        raise ValueError("what the checksum is over are no hexadecimal digits")
    value = calculator(checksum)(digits)
    if crc is not None:
        data = value.to_bytes(-(-crc.width // 8), "little" if crc.refout else "big")
    elif checksum.type in ("sum8", "neg8", "xor8"):
        wanted = checksum.result or 0
        left = wanted ^ value if checksum.type == "xor8" else wanted - value
        data = bytes(((-left if checksum.type == "neg8" else left) & 0xFF,))
    else:
        raise ValueError(f"no bytes are known that give {checksum.type} a result")
    return data.hex().upper().encode() if checksum.hex_pairs else data


def _shaped(checksum: Checksum, calculate: Calculator, width: int) -> Calculator:
    """The number as the frame has it: `hexPairs`, `mask` and `plus` applied. -1 for what are no digits."""
    mask, plus, limit = checksum.mask, checksum.plus, (1 << width) - 1
    if checksum.hex_pairs:
        of_bytes = calculate

        def calculate(data: bytes) -> int:
            pairs = _pairs(data)
            return -1 if pairs is None else of_bytes(pairs)

    if mask is None and not plus:
        return calculate
    bits = limit if mask is None else mask

    def shaped(data: bytes) -> int:
        value = calculate(data)
        return value if value < 0 else (value & bits) + plus & limit

    return shaped


def _pairs(digits: bytes) -> bytes | None:
    """What hexadecimal digits stand for; of an odd number the first is a byte of its own. None for other characters."""
    found = _HEX.fullmatch(digits)
    if found is None:
        return None
    return bytes.fromhex((b"0" * (len(digits) % 2) + digits).decode())


def _parts(frame: bytes, begin: bytes, end: bytes) -> list[bytes]:
    """The parts of a frame, each from `begin` to `end`; [] where there are none, or something stands between them."""
    parts: list[bytes] = []
    start = frame.find(begin)
    while start >= 0:
        stop = frame.find(end, start + len(begin))
        if stop < 0:
            return []
        stop += len(end)
        parts.append(frame[start:stop])
        following = frame.find(begin, stop)
        if following > stop:
            return []
        start = following
    return parts


def _absolute(position: int | None, length: int, default: int) -> int:
    """A position from 0 to `length`."""
    if position is None:
        return default
    return min(position, length) if position >= 0 else max(length + position, 0)


def _number(value: int, width: int) -> str:
    return f"{value:0{-(-width // 8) * 2}X}"


def _spelled(data: bytes, checksum: Checksum) -> str:
    """A checksum as it stands in the frame: digits as digits, bytes in pairs."""
    if checksum.spelling in ("hex", "dec", "sdi12") and data.isascii() and data.decode().isprintable() and data:
        return data.decode()
    return data.hex(" ").upper() or "nothing"


def _shown(data: bytes) -> str:
    return repr(data)[1:]
