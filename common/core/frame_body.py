"""What stands in a frame between its start, its checksum and its end. Pure.

A body is what fields, names and values, and patterns are looked for in; places and regular expressions see the whole
frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.core.checksum import Check
from common.core.frame_shape import Shape

BodyOf = Callable[[bytes], bytes]
SpanOf = Callable[[bytes], tuple[int, int]]
"""A frame to the place of its body, [start, end)."""


def body_of(shapes: Sequence[Shape]) -> BodyOf:
    """What takes the body out of a frame that came through a framing with these shapes, stripped if they say so.

    A checksum is left out where it stands right behind the start or right before the end, together with what
    introduces it. A start, an end or a checksum that was stripped off is not looked for again. A frame of none of the
    shapes is its own body. What is given never raises.
    """
    span_of = body_span_of(shapes)

    def body(frame: bytes) -> bytes:
        start, end = span_of(frame)
        return frame[start:end]

    return body


def body_span_of(shapes: Sequence[Shape]) -> SpanOf:
    """What finds the place of a frame's body, by the rules of `body_of`."""
    finders = [_finder(shape) for shape in shapes]
    if len(finders) == 1:
        return finders[0]
    by_start = sorted(
        ((start, finder) for shape, finder in zip(shapes, finders, strict=True) for start in shape.starts),
        key=lambda pair: -len(pair[0]),
    )

    def find(frame: bytes) -> tuple[int, int]:
        return next((finder(frame) for start, finder in by_start if frame.startswith(start)), (0, len(frame)))

    return find


def _finder(shape: Shape) -> SpanOf:
    """The same for frames of one shape."""
    checks = [Check(checksum) for checksum in shape.checksums]
    head, tail = bytes(shape.strip[0]), bytes(shape.strip[1])

    def find(frame: bytes) -> tuple[int, int]:
        whole = head + frame + tail if head or tail else frame
        front, back = _front(shape, whole), _back(shape, whole)
        places = sorted((place for check in checks if (place := check.place_in(whole))), reverse=True)
        for start, end in places:
            if end == back and start >= front:
                back = start
        for start, end in reversed(places):
            if start == front and end <= back:
                front = end
        start, end = max(front, len(head)), min(back, len(whole) - len(tail))
        return start - len(head), max(start, end) - len(head)

    return find


def _front(shape: Shape, whole: bytes) -> int:
    """Where the start ends. One that was stripped is taken to have been there."""
    cut = shape.strip[0]
    sizes = [len(start) for start in shape.starts if whole.startswith(start[cut:], min(cut, len(start)))]
    return max(sizes, default=0)


def _back(shape: Shape, whole: bytes) -> int:
    """Where the end begins."""
    if shape.is_cobs or not shape.ends:
        return len(whole)
    if shape.end_until:
        places = [place for end in shape.ends if (place := whole.find(end, _front(shape, whole))) >= 0]
        return min(places, default=len(whole))
    cut = shape.strip[1]
    last = len(whole) - shape.end_plus
    for end in sorted(shape.ends, key=len, reverse=True):
        place = last - len(end)
        seen = max(min(len(whole) - cut - place, len(end)), 0)
        if place >= 0 and whole.startswith(end[:seen], place):
            return place
    return last
