"""What a configuration says of a device's frames, in words: "begins with AA C0, 10 bytes, ends with AB, byte 8 = sum of
bytes 2 to 7". Pure.

To be imported only where somebody is to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from common.core.checksum import CRCS, size_of, width_of
from common.core.control_names import named
from common.core.frame_shape import Checksum, Escape, Field, Length, Shape

_CODES: Final = {
    "modbus-rtu": "is an answer of Modbus RTU, as long as its function says",
    "sml": "is a file of SML",
}
_KINDS: Final = {"sum": "sum", "neg": "two's complement of the sum", "not": "complement of the sum"}
_ORDERS: Final = {"big": "high byte first", "little": "low byte first"}


def words_of(shapes: Sequence[Shape], *, skip: bytes = b"", mask: int = 0xFF) -> str:
    """What frames look like: one sentence without an end, the shapes of several joined by "or"."""
    described = [_shape_words(shape) for shape in shapes]
    text = described[0] if len(described) == 1 else "; or ".join(f"({n}) {one}" for n, one in enumerate(described, 1))
    if skip:
        text += f"; {named(skip)} between frames means nothing"
    if mask != 0xFF:
        text += f"; of each byte only the bits {mask:02X} count"
    return text


def _shape_words(shape: Shape) -> str:
    parts: list[str] = []
    if shape.code:
        parts.append(_CODES[shape.code])
    else:
        if shape.starts:
            parts.append(f"begins with {_either(shape.starts)}")
        if shape.length is not None:
            parts.append(_length_words(shape.length))
        parts += _end_words(shape)
    if shape.silence_ms is not None:
        parts.append(f"{'begins' if shape.length is not None else 'ends'} after {shape.silence_ms} ms of silence")
    if shape.escape is not None:
        parts.append(_escape_words(shape.escape))
    if shape.is_cobs:
        parts.append("is COBS")
    if shape.restarts:
        parts.append("begins anew with a start inside it")
    parts += [checksum_words(checksum) for checksum in shape.checksums]
    for count, where in zip(shape.strip, ("first", "last"), strict=True):
        if count:
            parts.append(f"the {where} {_count(count)} cut off")
    return ", ".join(parts)


def _either(texts: Sequence[bytes]) -> str:
    return " or ".join(map(named, texts))


def _count(count: int) -> str:
    return "byte" if count == 1 else f"{count} bytes"


def _end_words(shape: Shape) -> list[str]:
    if not shape.ends:
        return []
    ends = _either(shape.ends)
    if shape.end_until:
        return [f"ends behind {ends} with the next {named(shape.end_until)}"]
    if shape.end_plus:
        return [f"ends with {ends} and {shape.end_plus} more byte{'s' * (shape.end_plus > 1)}"]
    return [f"ends with {ends}"]


def _length_words(length: int | Length) -> str:
    if isinstance(length, int):
        return f"{length} byte{'s' * (length > 1)}"
    fields = " + ".join(map(_field_words, length.fields))
    plus = f" {'-' if length.plus < 0 else '+'} {abs(length.plus)}" if length.plus else ""
    header = f", {checksum_words(length.header_checksum)}" if length.header_checksum is not None else ""
    return f"as long as {fields}{plus} bytes{header}"


def _field_words(field: Field) -> str:
    digits = field.type.startswith(("dec", "hex"))
    size = int(field.type[3:]) if digits else int(field.type[4:]) // 8
    place = f"byte {field.at}" if size == 1 else f"bytes {field.at} to {field.at + size - 1}"
    notes = []
    if digits:
        notes.append("decimal digits" if field.type.startswith("dec") else "hexadecimal digits")
    elif size > 1:
        notes.append(_ORDERS[field.byteorder])
    if field.mask is not None:
        notes.append(f"& {field.mask:X}")
    return place + (f" ({', '.join(notes)})" if notes else "") + (f" times {field.times}" if field.times != 1 else "")


def _escape_words(escape: Escape) -> str:
    if escape.double:
        return f"{escape.byte:02X} inside stands twice"
    if escape.pairs:
        pairs = " and ".join(f"{escape.byte:02X} {key:02X} is {meant:02X}" for key, meant in escape.pairs)
        return f"inside {pairs}"
    return f"a byte behind {escape.byte:02X} is meant XOR {escape.xor:02X}"


def checksum_words(checksum: Checksum) -> str:
    """`byte 8 = sum of bytes 2 to 7`."""
    kind = _kind_words(checksum)
    over = _range_words(checksum)
    whole = f"{kind} of {over}"
    if checksum.hex_pairs:
        whole += ", two hexadecimal digits a byte"
    if checksum.mask is not None:
        whole += f" & {checksum.mask:X}"
    if checksum.plus:
        whole += f" + {checksum.plus}"
    is_result = checksum.result is not None
    said = f"{whole} is {checksum.result:X}" if is_result else f"{_place_words(checksum)} = {whole}"
    if checksum.avoid:
        said += f" ({checksum.avoid.hex(' ').upper()} sent one higher)"
    if checksum.each is not None:
        said += f", in each part from {named(checksum.each[0])} to {named(checksum.each[1])}"
    return said


def _kind_words(checksum: Checksum) -> str:
    crc = checksum.crc
    if crc is not None:
        return f"CRC of {crc.width} bits with the polynomial {crc.poly:X}"
    name = checksum.type
    if name in CRCS:
        return name
    if name == "xor8":
        return "XOR"
    if name == "fletcher8":
        return "Fletcher sums"
    word = _KINDS[name[:3]]
    return word if width_of(checksum) == 8 else f"{word} in {width_of(checksum)} bits"


def _place_words(checksum: Checksum) -> str:
    size = size_of(checksum)
    kind = {
        "hex": f"{size} hexadecimal digits",
        "dec": f"{size} decimal digits",
        "sdi12": "3 characters of 6 bits",
    }.get(checksum.spelling, "")
    order = f" ({_ORDERS[checksum.spelling]})" if not kind and size > 1 else ""
    if checksum.after:
        return f"{kind or f'{size} bytes'}{order} behind {named(checksum.after)}"
    at = -size if checksum.at_byte is None else checksum.at_byte
    place = _span(at, at + size)
    return f"{place} as {kind}" if kind else f"{place}{order}"


def _range_words(checksum: Checksum) -> str:
    first, to = checksum.from_byte, checksum.to_byte
    begin = "" if first == 0 else f" from byte {first}"
    if checksum.to_after:
        return f"all{begin} up to {named(checksum.to_after)}"
    if to is None:
        return f"all{begin}" if checksum.result is not None else f"all before it{begin}"
    if (first >= 0) == (to >= 0):
        return _span(first, to)
    return f"all{begin} up to byte {to - 1}"


def _span(first: int, to: int) -> str:
    """Bytes from `first` to before `to`; negative ones are counted from the end."""
    if first < 0 and to == 0:
        return "the last byte" if first == -1 else f"the last {-first} bytes"
    return f"byte {first}" if to - first == 1 else f"bytes {first} to {to - 1}"
