"""How a message stands on the line that is written to a device: its start, checksum, escapes and end. Pure.

The inverse of what cuts frames: the checksum is over what is meant, and what is meant is escaped with its checksum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from common.core.checksum import sealed
from common.core.frame_shape import Checksum, Escape

Escapes = Sequence[tuple[int, bytes]]
"""(a byte that may not stand inside, what is written instead)."""
_MOST_COBS: Final = 0xFF


def framed(
    data: bytes,
    *,
    start: bytes = b"",
    checksum: Checksum | None = None,
    escapes: Escapes = (),
    is_cobs: bool = False,
    end: bytes = b"",
) -> bytes:
    """What is written for `data`: the start, `data` and its checksum with their escapes, the end. Positions of the
    checksum count as in a frame that comes in: the start and the end are part of it, the end of COBS is not.

    Raises ValueError for what the checksum can't be added to.
    """
    inside = data
    if checksum is not None:
        behind = b"" if is_cobs else end
        whole = sealed(checksum, start + data, behind)
        inside = whole[len(start) : len(whole) - len(behind)]
    if is_cobs:
        inside = encode_cobs(inside)
    elif escapes:
        instead = dict(escapes)
        inside = b"".join(instead.get(byte) or bytes((byte,)) for byte in inside)
    return start + inside + end


def escapes_of(escape: Escape, special: Collection[int]) -> tuple[tuple[int, bytes], ...]:
    """What is written instead of which bytes. `special`: those that mean something to the framing, beside the escape
    byte; where a table says what can be escaped nothing else is.

    Raises ValueError for a byte that the escape has no way to write.
    """
    if escape.double:
        return ((escape.byte, bytes((escape.byte, escape.byte))),)
    written = {meant: key for key, meant in reversed(escape.pairs)}
    if escape.xor:
        for byte in (escape.byte, *special):
            written.setdefault(byte, byte ^ escape.xor)
    for byte in (escape.byte, *special):
        if byte not in written:
            raise ValueError(f"{byte:02X}")
    return tuple((meant, bytes((escape.byte, written[meant]))) for meant in sorted(written))


def escaped_in(written: bytes, start: bytes, escapes: Escapes, end: bytes) -> list[tuple[int, bytes]]:
    """Which of the escapes stand in something that `framed` has made, in their order, each once."""
    inside = written[len(start) : len(written) - len(end)]
    meant = {data: byte for byte, data in escapes}
    found: dict[int, bytes] = {}
    at = 0
    while at < len(inside):
        pair = inside[at : at + 2]
        if pair in meant:
            found.setdefault(meant[pair], pair)
        at += 2 if pair in meant else 1
    return list(found.items())


def encode_cobs(data: bytes) -> bytes:
    """The same without a zero (Cheshire and Baker, 1999), and without the zero that ends it."""
    encoded = bytearray()
    blocks = data.split(b"\0")
    for number, block in enumerate(blocks):
        full, rest = divmod(len(block), _MOST_COBS - 1)
        for at in range(0, full * (_MOST_COBS - 1), _MOST_COBS - 1):
            # A block that is as long as one can be stands for no zero behind it.
            encoded += bytes((_MOST_COBS,)) + block[at : at + _MOST_COBS - 1]
        if rest or not full or number < len(blocks) - 1:
            encoded += bytes((rest + 1,)) + block[len(block) - rest :]
    return bytes(encoded)
