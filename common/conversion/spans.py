"""Where a data point's bytes stand in a frame, by position or between delimiters. Pure.

The rules are the reference's with this project's numbered differences (docs/compatibility.md).
"""

from __future__ import annotations

from collections.abc import Callable

from common.config.models import DataPoint
from common.core.byte_text import bytes_of

Span = tuple[int, int]
"""Where a field stands in a frame: [start, end)."""
Locate = Callable[[bytes], Span | None]
"""A frame to the place of a data point; None if the frame has no such place."""


def locator_of(point: DataPoint) -> Locate:
    """Where a data point's bytes stand in a frame, as [start, end); None if the frame has no such place."""
    if point.from_delimiter:
        closing = bytes_of(point.until_delimiter) if point.until_delimiter else None
        return _after(bytes_of(point.from_delimiter), closing, keep=point.keep_delimiter)
    if point.until_delimiter:
        return _until(bytes_of(point.until_delimiter))
    if point.from_byte is not None:
        return _from_byte(point.from_byte, point.to_byte)
    if point.to_byte is not None:
        return _to_byte(point.to_byte)
    return lambda frame: (0, len(frame))


def _after(opening: bytes, closing: bytes | None, *, keep: bool) -> Locate:
    """From behind the opening delimiter, or with it where `keep`, up to the closing one or the frame's end."""
    skipped = 0 if keep else len(opening)

    def locate(frame: bytes) -> Span | None:
        at = frame.find(opening)
        if at < 0:
            return None
        end = frame.find(closing, at + len(opening)) if closing else -1
        return at + skipped, end if end >= 0 else len(frame)

    return locate


def _until(closing: bytes) -> Locate:
    """From the frame's start up to the delimiter; the whole frame where it has none."""

    def locate(frame: bytes) -> Span:
        end = frame.find(closing)
        return 0, end if end >= 0 else len(frame)

    return locate


def _from_byte(first: int, last: int | None) -> Locate:
    """From a position, negative ones counted from the end, up to another or the frame's end; None for a frame too
    short."""
    end_of = _to_byte(last) if last is not None else None

    def locate(frame: bytes) -> Span | None:
        start = first if first >= 0 else len(frame) + first
        if not 0 <= start < len(frame):
            return None
        end = end_of(frame)[1] if end_of else len(frame)
        return start, end if end > start else start

    return locate


def _to_byte(last: int) -> Callable[[bytes], Span]:
    """From the frame's start up to a position; one behind the frame's end is its end."""
    if last >= 0:
        return lambda frame: (0, min(last, len(frame)))
    return lambda frame: (0, max(0, len(frame) + last))
