"""Reads `checksum`: of which kind, over which bytes, and where it stands."""

from __future__ import annotations

from typing import Final, get_args

from common.config.device.protocol_reading import read_bytes, read_number, text_bytes
from common.config.findings import choices, nearest, show
from common.config.json_object import JsonObject
from common.core.checksum import NAMES, WIDEST, size_of, width_of
from common.core.frame_shape import Checksum, Crc, Spelling

EXPECTED: Final = 'an object, such as {"type": "sum8"}, or a list of such objects'
_CCITT: Final = ("crc", "crc16", "ccitt", "crcccitt", "crc16ccitt")
"""Names, without their dashes, that manuals have for several: which one is meant only the parameters say."""
_CCITT_MEANT: Final = (
    '"crc16-ccitt-false" (polynomial 0x1021, initial value 0xFFFF), "crc16-xmodem" (0x1021, initial value 0), '
    '"crc16-kermit" (0x1021, reflected), "crc16-modbus" (0x8005, reflected, initial value 0xFFFF) '
    'or "crc16-arc" (0x8005, reflected, initial value 0)'
)
_FARTHEST: Final = 16 * 1024 * 1024


def read_checksums(entry: JsonObject, key: str) -> tuple[Checksum, ...]:
    """One or more of them under this key; () where there is none, or one that is wrong."""
    entry.knows(key)
    value = entry.values.get(key)
    if value is None:
        return ()
    if isinstance(value, list):
        found = [read_checksum(one) for one in entry.items(key)]
        return tuple(one for one in found if one is not None)
    if not isinstance(value, dict):
        entry.problem(key, show(value), EXPECTED)
        return ()
    child = entry.child(key)
    checksum = None if child is None else read_checksum(child)
    return () if checksum is None else (checksum,)


def read_checksum(entry: JsonObject) -> Checksum | None:
    """One checksum; None if it can't be used, which is noted."""
    before = len(entry.findings.problems)
    name, crc = _read_type(entry)
    each = _read_each(entry)
    checksum = Checksum(
        type=name,
        crc=crc,
        from_byte=entry.whole("from", 0, -_FARTHEST, _FARTHEST),
        to_byte=entry.maybe_whole("to", -_FARTHEST, _FARTHEST, nullable=False),
        to_after=read_bytes(entry, "toAfter"),
        at_byte=entry.maybe_whole("at", -_FARTHEST, _FARTHEST, nullable=False),
        after=read_bytes(entry, "after"),
        spelling=entry.choice("as", "big", get_args(Spelling)),
        result=read_number(entry, "result", 0, (1 << WIDEST) - 1),
        hex_pairs=entry.choice("unit", "bytes", ("bytes", "hexPairs")) == "hexPairs",
        each=each,
        mask=read_number(entry, "mask", 1, (1 << WIDEST) - 1),
        plus=entry.whole("plus", 0, -255, 65_535),
        avoid=read_bytes(entry, "avoid"),
    )
    entry.warn_unknown()
    if len(entry.findings.problems) > before:
        return None
    _check_alone(entry, checksum)
    return checksum if len(entry.findings.problems) == before else None


def _read_type(entry: JsonObject) -> tuple[str, Crc | None]:
    """A name, or the parameters of a CRC: in the object itself, or as the value of `type`."""
    entry.knows("type", "width", "poly", "init", "refin", "refout", "xorout")
    value = entry.values.get("type")
    if isinstance(value, dict):
        child = entry.child("type")
        if child is None:
            return "", None
        crc = _read_crc(child)
        child.warn_unknown()
        return "", crc
    if value is None and ("poly" in entry.values or "width" in entry.values):
        return "", _read_crc(entry)
    if not isinstance(value, str) or value not in NAMES:
        ccitt = isinstance(value, str) and value.lower().replace("-", "").replace("_", "") in _CCITT
        near = nearest(value, NAMES) if isinstance(value, str) and not ccitt else None
        hint = f'"{near}"? There are {", ".join(NAMES)}' if near else _CCITT_MEANT if ccitt else choices(NAMES)
        found = "nothing" if "type" not in entry.values else show(value)
        entry.problem("type", found, f'{hint}; or "width", "poly" and so on of another CRC')
        return "", None
    return value, None


def _read_crc(entry: JsonObject) -> Crc | None:
    width = entry.maybe_whole("width", 3, WIDEST, nullable=False)
    if "width" not in entry.values:
        entry.problem("width", "nothing", "how many bits the CRC has")
    if "poly" not in entry.values:
        entry.problem("poly", "nothing", 'the polynomial, such as "0x8005"')
    limit = (1 << (width or WIDEST)) - 1
    poly = read_number(entry, "poly", 1, limit)
    init, xorout = read_number(entry, "init", 0, limit), read_number(entry, "xorout", 0, limit)
    refin, refout = entry.flag("refin", False), entry.flag("refout", False)
    if width is None or poly is None:
        return None
    return Crc(width=width, poly=poly, init=init or 0, refin=refin, refout=refout, xorout=xorout or 0)


def _read_each(entry: JsonObject) -> tuple[bytes, bytes] | None:
    """The begin and the end of parts that have a checksum each."""
    entry.knows("each")
    value = entry.values.get("each")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(text, str) and text for text in value):
        entry.problem(
            "each", show(value), 'a list of two texts, the begin and the end of a part, such as ["\\n", "\\r"]'
        )
        return None
    begin, end = (text_bytes(entry, "each", text) for text in value)
    return (begin, end) if begin and end else None


def _check_alone(entry: JsonObject, checksum: Checksum) -> None:
    """What can't hold, whatever the frame is."""
    if checksum.at_byte is not None and checksum.after:
        entry.problem("after", '"after" beside "at"', "one of them: both say where the checksum stands")
    if checksum.to_byte is not None and checksum.to_after:
        entry.problem("toAfter", '"toAfter" beside "to"', "one of them: both say where its range ends")
    if checksum.result is not None and (checksum.at_byte is not None or checksum.after):
        entry.problem("result", '"result" beside a place', "one of them: what gives a result stands nowhere")
    if checksum.spelling == "sdi12" and width_of(checksum) != 16:
        entry.problem("as", '"sdi12"', "a checksum of 16 bits")
    first, to = checksum.from_byte, checksum.to_byte
    if to is not None and (first >= 0) == (to >= 0) and to <= first:
        entry.problem(
            "to", str(to), f'a byte behind "from", which is {first}: "to" is the first byte that is not in it'
        )
    at = checksum.at_byte
    if at is None or checksum.result is not None:
        return
    size = size_of(checksum)
    if at < 0 and at + size > 0:
        entry.problem("at", str(at), f"{-size} or less: the checksum takes {size} bytes")
    end = at if to is None else to
    if (first >= 0) == (end >= 0) and end <= first and not (at <= first and to is not None):
        entry.problem("at", str(at), f'a byte behind "from", which is {first}, or "to": there is nothing to be over')
    elif to is not None and (at >= 0) == (to >= 0) and (first >= 0) == (at >= 0) and first < at + size and at < to:
        entry.problem("to", str(to), f"at most {at}: the checksum itself stands there")
