"""Sets of sequence numbers as sorted, disjoint, inclusive ranges.

A stream of millions of numbers has a few gaps; so a list of ranges stays short, and is what the wire carries too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import itemgetter

Range = tuple[int, int]
"""First and last number of a run, both in it."""

_first = itemgetter(0)
_last = itemgetter(1)


def add_range(ranges: list[Range], first: int, last: int) -> list[Range]:
    """The set with first..last added. Costs no more than a look-up where it extends the last range."""
    low = bisect_left(ranges, first - 1, key=_last)
    high = bisect_right(ranges, last + 1, key=_first)
    if low < high:
        first, last = min(first, ranges[low][0]), max(last, ranges[high - 1][1])
    return [*ranges[:low], (first, last), *ranges[high:]]


def gaps(ranges: list[Range], start: int, end: int) -> list[Range]:
    """The ranges of start..end (inclusive) that are not in the set; empty if start > end, or if nothing is missing."""
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


def named(numbers: Range) -> str:
    """`5-3004`, or `5` for one."""
    low, high = numbers
    return str(low) if low == high else f"{low}-{high}"


def joined(numbers: Iterable[int]) -> list[Range]:
    """The runs of these numbers."""
    found: list[Range] = []
    for number in sorted(numbers):
        found = add_range(found, number, number)
    return found
