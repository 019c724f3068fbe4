"""The next of several moments. Pure."""

from __future__ import annotations

from typing import overload


@overload
def earliest(first_s: float, /, *others_s: float | None) -> float: ...
@overload
def earliest(*times_s: float | None) -> float | None: ...
def earliest(*times_s: float | None) -> float | None:
    """The least of these times in seconds; None, which is "never", where all of them are."""
    first_s: float | None = None
    for time_s in times_s:
        if time_s is not None and (first_s is None or time_s < first_s):
            first_s = time_s
    return first_s
