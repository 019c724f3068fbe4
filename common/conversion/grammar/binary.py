"""Numbers in binary: bytes of a field to a number, in any of the orders that devices have. Pure.

ABCD names the bytes of a 32-bit number from the highest to the lowest, as people who read Modbus registers do: CDAB has
its words in turn, BADC the bytes within each word. 16 and 64 bits follow the same rule, word by word.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from common.config.models import DataPoint
from common.config.point_models import FLOATS, INTEGERS, Order, Place

ReadNumber = Callable[[bytes], "int | float"]
_FORMS: Final = {4: "f", 8: "d"}


def number_reader(type_name: str, order: Order) -> tuple[int, ReadNumber]:
    """(how many bytes a number of this type has, the way from just so many bytes to it).

    Raises KeyError for a type that is not in `point_models.INTEGERS` or `FLOATS`.
    """
    if type_name in FLOATS:
        size = FLOATS[type_name]
        unpack = struct.Struct((">" if order in ("big", "CDAB", "BADC") else "<") + _FORMS[size]).unpack
        if order in ("big", "little"):
            return size, lambda field: unpack(field)[0]
        arrange = arranged(order)
        return size, lambda field: unpack(arrange(field))[0]
    size, signed = INTEGERS[type_name]
    return size, integer_reader(order, signed=signed)


def integer_reader(order: Order, *, signed: bool) -> Callable[[bytes], int]:
    """The way from bytes, of any number, to a whole number."""
    from_bytes = int.from_bytes
    if order in ("big", "little"):
        plain = order
        return lambda field: from_bytes(field, plain, signed=signed)
    arrange = arranged(order)
    return lambda field: from_bytes(arrange(field), "big", signed=signed)


def arranged(order: Order) -> Callable[[bytes], bytes]:
    """The way from bytes in this order to the same number with the highest byte first. An odd number of bytes has no
    words, and stays as it is in the two orders of words."""
    match order:
        case "big":
            return bytes
        case "little":
            return lambda field: field[::-1]
        case "CDAB":
            return _swap_words
        case "BADC":
            return lambda field: _swap_words(field[::-1]) if len(field) % 2 == 0 else field


def _swap_words(field: bytes) -> bytes:
    if len(field) % 2:
        return field
    return b"".join([field[at : at + 2] for at in range(len(field) - 2, -1, -2)])


def length_at(point: DataPoint, place: Place) -> int | None:
    """How many bytes a point takes from its position on; None: all up to the body's end."""
    if point.type in INTEGERS:
        return INTEGERS[point.type][0]
    if point.type in FLOATS:
        return FLOATS[point.type]
    is_one = point.type in ("bcd", "bits") or (
        not point.type and (place.meaning.bit is not None or place.meaning.bits is not None)
    )
    return 1 if place.length is None and is_one else place.length
