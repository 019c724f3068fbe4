"""Sets of sequence numbers as sorted, disjoint, inclusive ranges."""

from __future__ import annotations

Range = tuple[int, int]


def add_range(ranges: list[Range], first: int, last: int) -> list[Range]:
    """The set with first..last added."""
    merged: list[Range] = []
    for low, high in ranges:
        if high < first - 1 or low > last + 1:
            merged.append((low, high))
        else:
            first, last = min(first, low), max(last, high)
    merged.append((first, last))
    merged.sort()
    return merged


def gaps(ranges: list[Range], start: int, end: int) -> list[Range]:
    """The ranges of start..end (inclusive) that are not in the set; empty if start > end."""
    found: list[Range] = []
    for low, high in ranges:
        if high < start:
            continue
        if low > end:
            break
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    if start <= end:
        found.append((start, end))
    return found
