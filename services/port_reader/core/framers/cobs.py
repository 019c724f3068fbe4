"""Consistent overhead byte stuffing (Cheshire and Baker, 1999): bytes without a zero, which ends them. Pure."""

from __future__ import annotations


def decode_cobs(data: bytes) -> bytes | None:
    """What the bytes before a zero stand for; None if they are no COBS."""
    pieces: list[bytes] = []
    place, size = 0, len(data)
    while place < size:
        code = data[place]
        end = place + code
        if not code or end > size:
            return None
        piece = data[place + 1 : end]
        if 0 in piece:
            return None
        pieces.append(piece)
        if code < 0xFF and end < size:
            pieces.append(b"\0")
        place = end
    return b"".join(pieces)
