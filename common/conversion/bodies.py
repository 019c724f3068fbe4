"""The body of a frame: what is between its start and its end or checksum. Pure.

`fields`, `pairs` and `pattern` see the body only, so that the last field of an NMEA sentence has no checksum in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.config.point_models import Bounds
from common.conversion.points import Span

FindBody = Callable[[bytes], Span]


def body_finder(bounds: Sequence[Bounds], delimiter: bytes) -> FindBody:
    """The way to the body of a frame, [start, end). The first bounds whose start stands in a frame count; a frame that
    has none of them is all body, but for the delimiter."""
    finders = [(one.starts, _finder_of(one)) for one in bounds]

    def find(frame: bytes) -> Span:
        for starts, finder in finders:
            if not starts or frame.startswith(starts):
                return finder(frame)
        return 0, len(frame) - len(delimiter) if frame.endswith(delimiter) else len(frame)

    return find


def _finder_of(bounds: Bounds) -> FindBody:
    def find(frame: bytes) -> Span:
        start = next((len(one) for one in bounds.starts if frame.startswith(one)), 0)
        end = _end_of(bounds, frame, start)
        if bounds.check_after:
            mark = frame.rfind(bounds.check_after, start, end)
            end = mark if mark >= 0 else end
        elif bounds.check_at is not None:
            end = min(end, bounds.check_at if bounds.check_at >= 0 else len(frame) + bounds.check_at)
        else:
            end -= bounds.check_bytes
        return start, max(start, end)

    return find


def _end_of(bounds: Bounds, frame: bytes, start: int) -> int:
    """Where the end begins, or the frame's own end where it has none of these."""
    if bounds.end_until:
        found = [at for one in bounds.ends if (at := frame.rfind(one, start)) >= 0]
        return max(found) if found else len(frame.removesuffix(bounds.end_until))
    end = len(frame) - bounds.end_plus
    return next((end - len(one) for one in bounds.ends if frame.endswith(one, start, end)), end)
